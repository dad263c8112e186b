//! Line plots as SVG, with a logarithmic scale, and their figures as a table.

use crate::num::{float, shown};
use crate::report::html::{Cell, escaped, table};

const WIDTH: f64 = 720.0;
const PLOT_HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const BELOW: f64 = 44.0;
const LEGEND_LINE: f64 = 20.0;
/// Space above the plot for its unit.
const UNIT_LINE: f64 = 22.0;
/// As many as the style sheet has colours.
pub(super) const COLOURS: usize = 6;

/// Figures over a few places on the x axis.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    /// Distinguishes the parts of one page.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) x_name: &'static str,
    pub(crate) x: Vec<String>,
    pub(crate) lines: Vec<Line>,
}

/// One line of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// A figure for each place, where there is one.
    pub(crate) points: Vec<Option<f64>>,
    /// Which colour; an engine and its floor share one.
    pub(crate) colour: usize,
    pub(crate) is_floor: bool,
}

/// A power of ten below all figures, and one above.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decades {
    low: i32,
    high: i32,
}

impl Decades {
    fn of(figures: impl Iterator<Item = f64> + Clone) -> Option<Decades> {
        let logs = figures.filter(|figure| *figure > 0.0).map(f64::log10);
        let low = whole(logs.clone().min_by(f64::total_cmp)?.floor());
        let high = whole(logs.max_by(f64::total_cmp)?.ceil());
        Some(Decades {
            low,
            high: high.max(low + 1),
        })
    }

    /// The share of the height at which a figure stands, from below.
    fn height_of(self, figure: f64) -> f64 {
        let span = f64::from(self.high - self.low);
        (figure.max(f64::MIN_POSITIVE).log10() - f64::from(self.low)) / span
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the logarithm of any figure is a small number"
)]
fn whole(log: f64) -> i32 {
    log as i32
}

impl Plot {
    /// The plot, and its figures as a table.
    pub(crate) fn html(&self) -> String {
        let figures = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().flatten().copied());
        match Decades::of(figures) {
            Some(decades) => format!(
                "<div class=\"wide\">{}</div>{}",
                self.svg(decades),
                self.table()
            ),
            None => "<p>Not measured in this run.</p>".to_owned(),
        }
    }

    fn svg(&self, decades: Decades) -> String {
        let legend_height = LEGEND_LINE * float(crate::num::count(self.lines.len().div_ceil(2)));
        let top = legend_height + UNIT_LINE;
        let height = top + PLOT_HEIGHT + BELOW;
        let Plot {
            id,
            title,
            unit,
            x_name,
            ..
        } = self;
        let desc = escaped(&self.description());
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-desc\">{desc}</desc>\
             <text x=\"{LEFT}\" y=\"{:.0}\">{unit}</text>",
            top - 8.0
        );
        let frame = Frame {
            top,
            decades,
            places: self.x.len(),
        };
        svg += &self.legend();
        svg += &frame.scale();
        for (place, name) in self.x.iter().enumerate() {
            let (x, y) = (frame.x(place), top + PLOT_HEIGHT + 18.0);
            svg += &format!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>",
                escaped(name)
            );
        }
        let (x, y) = ((LEFT + WIDTH - RIGHT) / 2.0, height - 6.0);
        svg += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{x_name}</text>");
        for line in &self.lines {
            svg += &self.curve(line, frame);
        }
        svg + "</svg>"
    }

    /// What a reader hears who cannot see the plot.
    fn description(&self) -> String {
        let names: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        format!(
            "Lines over {}, in {} on a logarithmic scale: {}. The table below has the figures.",
            self.x_name,
            self.unit,
            names.join("; ")
        )
    }

    fn legend(&self) -> String {
        let entry = |(place, line): (usize, &Line)| {
            let x = if place.is_multiple_of(2) {
                LEFT
            } else {
                f64::midpoint(LEFT, WIDTH)
            };
            let y = LEGEND_LINE * (float(crate::num::count(place / 2)) + 0.6);
            let (colour, floor) = (line.colour % COLOURS, floor_class(line));
            format!(
                "<line class=\"curve c{colour}{floor}\" x1=\"{x:.0}\" y1=\"{y:.0}\" x2=\"{:.0}\" \
                 y2=\"{y:.0}\"/><text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
                x + 26.0,
                x + 34.0,
                y + 4.0,
                escaped(&line.name)
            )
        };
        self.lines.iter().enumerate().map(entry).collect()
    }

    fn curve(&self, line: &Line, frame: Frame) -> String {
        let points = line.points.iter().enumerate();
        let points = points.filter_map(|(place, figure)| Some((place, (*figure)?)));
        let (mut path, mut marks) = (String::new(), String::new());
        let (colour, floor) = (line.colour % COLOURS, floor_class(line));
        for (place, figure) in points.filter(|(_, figure)| *figure > 0.0) {
            let (x, y) = (frame.x(place), frame.y(figure));
            let step = if path.is_empty() { 'M' } else { 'L' };
            path += &format!("{step}{x:.1} {y:.1}");
            let fill = if line.is_floor {
                format!("hollow c{colour}")
            } else {
                format!("f{colour}")
            };
            let said = format!(
                "{}; {}: {} {}",
                line.name,
                self.x.get(place).map_or("", String::as_str),
                shown(figure),
                self.unit
            );
            marks += &format!(
                "<circle class=\"{fill}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}</title></circle>",
                escaped(&said)
            );
        }
        format!("<path class=\"curve c{colour}{floor}\" d=\"{path}\"/>{marks}")
    }

    fn table(&self) -> String {
        let mut head = vec![Cell::text(self.x_name)];
        head.extend(self.x.iter().map(Cell::number));
        let rows = self.lines.iter().map(|line| {
            let figure =
                |point: &Option<f64>| Cell::number(point.map_or_else(|| "–".to_owned(), shown));
            let mut row = vec![Cell::text(&line.name)];
            row.extend(line.points.iter().map(figure));
            row
        });
        let caption = format!("{}: {}", self.title, self.unit);
        table(&caption, &head, rows)
    }
}

fn floor_class(line: &Line) -> &'static str {
    if line.is_floor { " floor" } else { "" }
}

/// Where the places and the figures of a plot lie.
#[derive(Debug, Clone, Copy)]
struct Frame {
    top: f64,
    decades: Decades,
    places: usize,
}

impl Frame {
    fn x(self, place: usize) -> f64 {
        let step = (WIDTH - LEFT - RIGHT) / float(crate::num::count(self.places.max(1)));
        LEFT + step * (float(crate::num::count(place)) + 0.5)
    }

    fn y(self, figure: f64) -> f64 {
        self.top + PLOT_HEIGHT * (1.0 - self.decades.height_of(figure))
    }

    /// A line and its figure at each power of ten.
    fn scale(self) -> String {
        let tick = |power: i32| {
            let figure = 10_f64.powi(power);
            let y = self.y(figure);
            let class = if power == self.decades.low {
                "axis"
            } else {
                "grid"
            };
            format!(
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                short(figure)
            )
        };
        (self.decades.low..=self.decades.high).map(tick).collect()
    }
}

/// A power of ten, or a round number, in few letters: `0.1`, `100`, `10 k`, `1 M`.
pub(crate) fn short(figure: f64) -> String {
    match figure {
        figure if figure >= 1e9 => format!("{} G", figure / 1e9),
        figure if figure >= 1e6 => format!("{} M", figure / 1e6),
        figure if figure >= 1e3 => format!("{} k", figure / 1e3),
        figure => format!("{figure}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[Option<f64>]) -> Plot {
        Plot {
            id: "p".to_owned(),
            title: "Rates".to_owned(),
            unit: "events/s",
            x_name: "threads",
            x: vec!["1".into(), "2".into()],
            lines: vec![Line {
                name: "a < b".into(),
                points: points.to_vec(),
                colour: 7,
                is_floor: true,
            }],
        }
    }

    #[test]
    fn decades_enclose_all_figures() {
        let of = |figures: &[f64]| Decades::of(figures.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0.0]), None);
        assert_eq!(of(&[20.0, 3000.0]), Some(Decades { low: 1, high: 4 }));
        assert_eq!(of(&[100.0]), Some(Decades { low: 2, high: 3 }));
        let decades = Decades { low: 0, high: 2 };
        assert!((decades.height_of(10.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn each_point_lies_inside_and_says_its_figure() {
        let html = plot(&[Some(150.0), None]).html();
        assert_eq!(html.matches("<circle").count(), 1);
        assert!(html.contains("a &lt; b; 1: 150 events/s"), "{html}");
        assert!(html.contains("class=\"curve c1 floor\""), "{html}");
        assert!(html.contains("<desc id=\"p-desc\">"), "{html}");
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }

    #[test]
    fn without_figures_the_page_says_so() {
        assert!(plot(&[None, None]).html().contains("Not measured"));
    }

    #[test]
    fn ticks_are_short() {
        let figures = [0.1, 1.0, 100.0, 10_000.0, 1e6, 5e7, 1e9];
        let ticks: Vec<String> = figures.into_iter().map(short).collect();
        assert_eq!(ticks, ["0.1", "1", "100", "10 k", "1 M", "50 M", "1 G"]);
    }
}

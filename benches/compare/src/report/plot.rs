//! The plot: a panel of bars for each workload, drawn by hand as SVG. Colours follow the reader's light
//! or dark scheme.

use std::fmt::Write;

use super::numbers::figure;
use crate::engines::{self, OWN};
use crate::run::Results;
use crate::workload::Workload;

const COLUMNS: usize = 2;
const PANEL_WIDTH: usize = 470;
const NAME_WIDTH: usize = 96;
const BAR_WIDTH: usize = 250;
const BAR_HEIGHT: usize = 12;
const ROW_HEIGHT: usize = 17;
const HEAD_HEIGHT: usize = 40;
const GAP: usize = 22;

const STYLE: &str = "\
<style>
.paper { fill: #ffffff }
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.value { fill: #57606a }
.bar { fill: #8c959f } .own { fill: #0969da }
.apart { fill: none; stroke: #8c959f; stroke-dasharray: 3 2 }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117 } text { fill: #e6edf3 } .value { fill: #9198a1 }
  .bar { fill: #6e7681 } .own { fill: #4493f8 } .apart { stroke: #9198a1 }
}
</style>
";

/// One bar.
struct Bar {
    engine: &'static str,
    value: f64,
    weaker: bool,
}

/// All panels in a grid. Engines that promise less are outlined.
pub fn svg(results: &Results) -> String {
    let panels: Vec<(Workload, Vec<Bar>)> = Workload::ALL
        .into_iter()
        .map(|workload| (workload, bars(results, workload)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let mut body = String::new();
    let mut top = 0;
    for row in panels.chunks(COLUMNS) {
        for (column, (workload, bars)) in row.iter().enumerate() {
            panel(&mut body, column * PANEL_WIDTH, top, *workload, bars);
        }
        let tallest = row.iter().map(|(_, bars)| bars.len()).max().unwrap_or(0);
        top += HEAD_HEIGHT + tallest * ROW_HEIGHT + GAP;
    }
    let width = COLUMNS * PANEL_WIDTH;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" width=\"{width}\" \
         height=\"{top}\" role=\"img\" aria-label=\"Figures by engine\">\n{STYLE}<rect class=\"paper\" \
         width=\"{width}\" height=\"{top}\" rx=\"6\"/>\n{body}</svg>\n"
    )
}

/// The engines with a figure, the best first.
fn bars(results: &Results, workload: Workload) -> Vec<Bar> {
    let mut bars: Vec<Bar> = engines::ALL
        .iter()
        .filter_map(|facts| {
            let value = results.cell(workload, facts.name)?.median()?;
            Some(Bar {
                engine: facts.name,
                value,
                weaker: facts.weaker_in(workload.group()).is_some(),
            })
        })
        .collect();
    let unit = workload.unit();
    bars.sort_by(|a, b| 1.0_f64.total_cmp(&unit.advantage(a.value, b.value)));
    bars
}

fn panel(text: &mut String, left: usize, top: usize, workload: Workload, bars: &[Bar]) {
    let longest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let _ = writeln!(
        text,
        "<g transform=\"translate({left} {top})\"><text class=\"title\" x=\"8\" y=\"26\">{}, \
         {}{}</text>",
        workload.title(),
        workload.unit().label(),
        if workload.unit().less_is_better() {
            " (less is better)"
        } else {
            ""
        }
    );
    for (row, bar) in bars.iter().enumerate() {
        let y = HEAD_HEIGHT + row * ROW_HEIGHT;
        #[expect(
            clippy::cast_precision_loss,
            reason = "pixels, of a width below a thousand"
        )]
        let length = (bar.value / longest * BAR_WIDTH as f64).max(1.0);
        let class = match bar {
            Bar { engine: OWN, .. } => "own",
            Bar { weaker: true, .. } => "apart",
            _ => "bar",
        };
        let mark = if bar.weaker { " †" } else { "" };
        let (name_at, baseline, value_at) = (
            NAME_WIDTH - 6,
            y + BAR_HEIGHT - 2,
            format!("{:.0}", length + 6.0),
        );
        let _ = writeln!(
            text,
            "<text x=\"{name_at}\" y=\"{baseline}\" text-anchor=\"end\">{}{mark}</text>\
             <g transform=\"translate({NAME_WIDTH} 0)\"><rect class=\"{class}\" y=\"{y}\" \
             width=\"{length:.0}\" height=\"{BAR_HEIGHT}\"/><text class=\"value\" x=\"{value_at}\" \
             y=\"{baseline}\">{}</text></g>",
            bar.engine,
            figure(bar.value, workload.unit())
        );
    }
    text.push_str("</g>\n");
}

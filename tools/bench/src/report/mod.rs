//! The report: one page, complete in itself, with plots and the figures behind them.

#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is made once, of a few hundred pieces"
)]

mod html;
mod plot;
mod scale;

use std::io::Write;
use std::path::Path;

use forelog::{Error, ErrorKind, Result};

use crate::Outcome;
use crate::latency::Latency;
use crate::num::{float, shown};
use crate::row::Row;
use crate::table::{met, ratio, targets};
use html::{Cell, escaped, table};
use plot::{COLOURS, Line, Plot, short};

const STYLE: &str = include_str!("style.css");
const ABOUT: &str = "Each figure is the median of its runs. The floor is the raw work that the \
    hardware does anyway, measured in turn with the engine in the same process; a ratio of 1 is the \
    hardware's limit.";
/// As many as can be told apart in one plot; a floor shares its engine's colour.
const LATENCY_LINES_MAX: usize = COLOURS;

/// As any file that a user makes: what the umask leaves of it.
#[cfg(unix)]
const MODE: u32 = 0o666;

/// Writes the page to a file: all of it or nothing.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(path: &Path, outcome: &Outcome) -> Result<()> {
    write_whole(path, page(outcome).as_bytes())
}

/// Writes a file so that a reader sees the old one or the whole new one, also after a power cut.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let told = |source| Error::io("write", path, source);
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(MODE));
    let mut file = builder.tempfile_in(folder).map_err(told)?;
    file.write_all(bytes).map_err(told)?;
    file.as_file().sync_all().map_err(told)?;
    file.persist(path).map_err(|error| told(error.error))?;
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(told)
}

/// Tells before anything is measured that a file could not be written afterwards.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if its folder is missing.
pub(crate) fn check(path: &Path) -> Result<()> {
    if folder_of(path).is_dir() && !path.is_dir() {
        return Ok(());
    }
    let message = "the report cannot be written here: name a file in a folder that is there";
    Err(Error::new(ErrorKind::NotFound, message).at_path(path))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The page.
pub(crate) fn page(outcome: &Outcome) -> String {
    let rows = &outcome.rows;
    let short = if outcome.short {
        "<p>A short run: it shows that everything works, and its figures say nothing.</p>"
    } else {
        ""
    };
    let sections: String = [by_threads(rows)]
        .iter()
        .chain(&percentiles(rows))
        .chain(&by_log_size(rows))
        .chain(&scale::at_scale(rows))
        .map(|plot| format!("<h2>{}</h2>\n{}", plot.title, plot.html()))
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Forelog beside the hardware</title>\n<style>\n{STYLE}</style></head>\n<body><main>\
         <h1>Forelog beside the hardware</h1><p>{}</p><p>{ABOUT}</p>{short}\n\
         <h2>Figures</h2>\n{}{sections}</main></body></html>\n",
        escaped(&outcome.machine.line()),
        figures(rows)
    )
}

fn figures(rows: &[Row]) -> String {
    let head = [
        Cell::text("what"),
        Cell::number("value"),
        Cell::text("unit"),
        Cell::number("floor"),
        Cell::number("ratio"),
        Cell::text("target"),
        Cell::text("met"),
    ];
    let dashed = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), shown);
    let cells = rows.iter().map(|row| {
        let class = match row.met {
            _ if row.checks.is_empty() => "open",
            Some(true) => "yes",
            Some(false) => "no",
            None => "open",
        };
        let answer = if row.checks.is_empty() { "" } else { met(row) };
        vec![
            Cell::text(&row.what),
            Cell::number(dashed(row.value)),
            Cell::text(row.unit),
            Cell::number(dashed(row.floor)),
            Cell::number(ratio(row)),
            Cell::text(targets(&row.checks)),
            Cell::of(answer, class),
        ]
    });
    table("Medians, each beside its floor", &head, cells)
}

/// Rates over the number of threads, of the rows that differ in nothing else.
fn by_threads(rows: &[Row]) -> Plot {
    let kinds = [("append_", "emit, os"), ("durable_", "emit, sync")];
    let of_kind = |prefix: &'static str| {
        rows.iter().filter_map(move |row| {
            let threads: u64 = row.id.strip_prefix(prefix)?.parse().ok()?;
            Some((threads, row))
        })
    };
    let mut threads: Vec<u64> = kinds
        .iter()
        .flat_map(|kind| of_kind(kind.0))
        .map(|row| row.0)
        .collect();
    threads.sort_unstable();
    threads.dedup();
    let mut lines = Vec::new();
    for (colour, (prefix, name)) in kinds.into_iter().enumerate() {
        for (is_floor, name) in [(false, name.to_owned()), (true, format!("{name}: floor"))] {
            let at = |&wanted: &u64| {
                let (_, row) = of_kind(prefix).find(|(threads, _)| *threads == wanted)?;
                if is_floor { row.floor } else { row.value }
            };
            let points = threads.iter().map(at).collect();
            lines.push(Line {
                name,
                points,
                colour,
                is_floor,
            });
        }
    }
    Plot {
        id: "threads".to_owned(),
        title: "Throughput by threads".to_owned(),
        unit: "events/s",
        x_name: "threads",
        x: threads.iter().map(ToString::to_string).collect(),
        lines: measured(lines),
    }
}

/// The percentiles of all rows that have them, a few rows to a plot, and of the first one's floor.
fn percentiles(rows: &[Row]) -> Vec<Plot> {
    let known: Vec<(&Row, Latency)> = rows
        .iter()
        .filter_map(|row| Some((row, row.latency?)))
        .collect();
    let plots = known.chunks(LATENCY_LINES_MAX).enumerate();
    let plots = plots.map(|(nth, rows)| {
        let (id, title) = match nth {
            0 => ("latency".to_owned(), "Latency percentiles".to_owned()),
            _ => (
                format!("latency-{}", nth + 1),
                format!("Latency percentiles, {}", nth + 1),
            ),
        };
        Plot {
            id,
            title,
            unit: "µs",
            x_name: "percentile",
            x: ["p50", "p90", "p99", "p99.9", "max"]
                .map(str::to_owned)
                .to_vec(),
            lines: percentile_lines(rows, nth == 0),
        }
    });
    plots.collect()
}

fn percentile_lines(rows: &[(&Row, Latency)], has_floor: bool) -> Vec<Line> {
    let line = |name: String, latency: Latency, colour, is_floor| {
        let Latency {
            p50,
            p90,
            p99,
            p99_9,
            max,
            ..
        } = latency;
        let points = [p50, p90, p99, p99_9, max].map(Some).to_vec();
        Line {
            name,
            points,
            colour,
            is_floor,
        }
    };
    let mut lines = Vec::new();
    for (colour, (row, latency)) in rows.iter().enumerate() {
        lines.push(line(row.what.clone(), *latency, colour, false));
        if let (true, 0, Some(floor)) = (has_floor, colour, row.floor_latency) {
            lines.push(line(format!("{}: floor", row.what), floor, colour, true));
        }
    }
    lines
}

/// What opening and reading cost over the number of events in the log.
fn by_log_size(rows: &[Row]) -> [Plot; 2] {
    let sized: Vec<&Row> = rows
        .iter()
        .filter(|row| row.id.starts_with("open_at_"))
        .collect();
    let x: Vec<String> = sized
        .iter()
        .map(|row| short(float(row.events.unwrap_or(0))))
        .collect();
    let plot = |id: &str, title: &str, unit, figure: fn(&Row) -> Option<f64>| {
        let line = Line {
            name: title_line(title),
            points: sized.iter().map(|row| figure(row)).collect(),
            colour: 0,
            is_floor: false,
        };
        Plot {
            id: id.to_owned(),
            title: title.to_owned(),
            unit,
            x_name: "events in the log",
            x: x.clone(),
            lines: measured(vec![line]),
        }
    };
    [
        plot(
            "open",
            "Cost by log size: open after kill -9",
            "ms",
            |row| row.value,
        ),
        plot("get", "Cost by log size: get by Seq", "ns", |row| {
            row.figure("get_ns")
        }),
    ]
}

fn title_line(title: &str) -> String {
    title.rsplit(": ").next().unwrap_or(title).to_owned()
}

/// Lines that have a figure at all.
fn measured(mut lines: Vec<Line>) -> Vec<Line> {
    lines.retain(|line| line.points.iter().any(Option::is_some));
    lines
}

#[cfg(test)]
mod tests;

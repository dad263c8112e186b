//! One self-contained page of what is there: a directory's log, and the results of performance tests.

mod running;

use std::fmt::Write as _;
use std::path::Path;

use forelog::{EncryptionKey, Error, ErrorKind, Result, RetentionReport, Timestamp};
use serde_json::Value;

use crate::files::open_store;

/// How many types are listed.
const TYPES_MAX: usize = 100;
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    :root{color-scheme:light dark}table{border-collapse:collapse;width:100%}th,td{text-align:left;\
    padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8886}.n{text-align:right;\
    font-variant-numeric:tabular-nums}svg{width:100%;height:auto}text{fill:currentColor;font-size:13px}\
    rect{fill:#2f7bd6}div{overflow-x:auto}";

/// What a report is of, beside performance tests.
pub(crate) enum Subject<'a> {
    None,
    /// A directory, which is read, with its key if it has one.
    Directory(&'a Path, Option<EncryptionKey>),
    /// What a server has told of its system.
    Running(Value),
}

/// The page.
///
/// # Errors
/// If the directory cannot be read, or the results are none.
pub(crate) fn html(subject: &Subject<'_>, performance: Option<(&Path, &str)>) -> Result<String> {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>Forelog report</title>\
         <style>{STYLE}</style></head><body><h1>Forelog report</h1><p>{}</p>",
        Timestamp::now()
    );
    match subject {
        Subject::None => {}
        Subject::Directory(path, key) => page += &directory(path, key.as_ref())?,
        Subject::Running(status) => page += &running::parts(status),
    }
    if let Some((path, text)) = performance {
        page += &tests(text).map_err(|error| error.at_path(path))?;
    }
    Ok(page + "</body></html>\n")
}

fn directory(path: &Path, key: Option<&EncryptionKey>) -> Result<String> {
    let store = open_store(path, key)?;
    let report = store.explain_retention();
    let rows = [
        ("Directory", path.display().to_string()),
        ("Events held", store.len().to_string()),
        ("First Seq", store.first_seq().to_string()),
        ("Last Seq", store.last_seq().to_string()),
        ("Segments", report.segments.len().to_string()),
        ("Bytes", report.bytes.to_string()),
    ];
    let mut part = "<h2>The log</h2>".to_owned();
    part += &table(
        &["", ""],
        rows.iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()]),
    );
    part += "<h2>Event types</h2>";
    let types: Vec<_> = store.types().take(TYPES_MAX).collect();
    let bars: Vec<_> = types
        .iter()
        .map(|one| (one.name.clone(), float(one.count)))
        .collect();
    part += &bars_of("Events by type", "events", &bars);
    part += &segments(&report);
    Ok(part)
}

fn segments(report: &RetentionReport) -> String {
    let rows = report.segments.iter().map(|one| {
        let fate = one.fate.to_string();
        let numbers = [
            one.segment.0,
            one.first_seq.0,
            one.last_seq.0,
            one.events,
            one.bytes,
        ];
        let mut row: Vec<_> = numbers.iter().map(u64::to_string).collect();
        row.push(fate);
        row
    });
    let head = [
        "Segment",
        "First Seq",
        "Last Seq",
        "Events",
        "Bytes",
        "What becomes of it",
    ];
    format!("<h2>Segments</h2>{}", table(&head, rows))
}

/// The results of performance tests, as their `save_results` writes them.
fn tests(text: &str) -> Result<String> {
    let invalid = |what: String| {
        let message = format!("{what}; give what EventSystemPerformanceTest::save_results wrote");
        Error::new(ErrorKind::Decode, message)
    };
    let all: Value = serde_json::from_str(text).map_err(|cause| invalid(cause.to_string()))?;
    let none = || invalid("there are no tests".to_owned());
    let all = all["tests"].as_array().ok_or_else(none)?;
    let named = |at: usize, one: &Value| {
        let name = one["test"].as_str().unwrap_or("test");
        format!("{} {name}", at + 1)
    };
    let (mut rates, mut latencies) = (Vec::new(), Vec::new());
    for (at, one) in all.iter().enumerate() {
        let results = one
            .get("results")
            .ok_or_else(|| invalid("there are no results".to_owned()))?;
        if let Some(rate) = results["throughput"]["events_per_second"].as_f64() {
            rates.push((named(at, one), rate));
        }
        for figure in ["avg", "p50", "p90", "p99", "p99_9", "max"] {
            if let Some(millis) = results["latency"][figure].as_f64() {
                latencies.push((format!("{} {figure}", named(at, one)), millis));
            }
        }
    }
    let mut part = "<h2>Performance tests</h2>".to_owned();
    part += &bars_of("Throughput", "events/s", &rates);
    part += &bars_of("Latency", "ms", &latencies);
    Ok(part)
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let cells = |cells: &[String], name: &str| {
        let class = |cell: &str| {
            if cell.parse::<f64>().is_ok() {
                " class=\"n\""
            } else {
                ""
            }
        };
        let cell = |cell: &String| format!("<{name}{}>{}</{name}>", class(cell), escaped(cell));
        format!("<tr>{}</tr>", cells.iter().map(cell).collect::<String>())
    };
    let head: Vec<_> = head.iter().map(|&name| name.to_owned()).collect();
    let rows: String = rows.map(|row| cells(&row, "td")).collect();
    format!(
        "<div><table><thead>{}</thead><tbody>{rows}</tbody></table></div>",
        cells(&head, "th")
    )
}

/// Bars with their figures, which are text, so that nobody has to see the bars.
fn bars_of(title: &str, unit: &str, bars: &[(String, f64)]) -> String {
    if bars.is_empty() {
        return format!("<h3>{title}</h3><p>Nothing was measured.</p>");
    }
    let highest = bars
        .iter()
        .map(|bar| bar.1)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = format!(
        "<h3>{title}, {unit}</h3><svg viewBox=\"0 0 720 {}\" role=\"img\" aria-label=\"{title}\">",
        bars.len() * 24
    );
    for (at, (name, figure)) in bars.iter().enumerate() {
        let (top, width) = (at * 24, figure / highest * 380.0);
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{}\">{}</text><rect x=\"200\" y=\"{}\" width=\"{width:.1}\" height=\"14\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            top + 16,
            escaped(name),
            top + 5,
            206.0 + width,
            top + 16,
            shown(*figure)
        );
    }
    svg + "</svg>"
}

fn shown(figure: f64) -> String {
    if figure >= 100.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.3}")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the length of a bar is no exact number"
)]
fn float(count: u64) -> f64 {
    count as f64
}

/// Text as it stands in a page, which has no place for control characters: they are written as `\u{1b}`.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

//! What retention would make of a directory: segments with sizes and ages, and who still needs them.

use forelog::inspect::Inspector;
use forelog::{Retention, RetentionReport};

use crate::args::RetentionArgs;
use crate::format::Format;
use crate::lines::csv_line;
use crate::text::clean;
use crate::{Exit, Fault, Output};

const COLUMNS: [&str; 10] = [
    "segment",
    "first_seq",
    "last_seq",
    "events",
    "bytes",
    "dropped",
    "saved_bytes",
    "newest_at",
    "needed_by",
    "fate",
];

pub(crate) fn show(
    inspector: &Inspector,
    args: &RetentionArgs,
    out: Output<'_>,
) -> Result<Exit, Fault> {
    let report = inspector.retention(Retention {
        max_events: args.max_events,
        max_bytes: args.max_bytes,
        max_age: args.max_age,
    })?;
    match args.place.format() {
        Format::Json => {
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)?;
        }
        Format::Csv => csv(&report, out)?,
        Format::Table => {
            // The names of subscriptions are anybody's.
            for line in report.to_string().lines() {
                writeln!(out, "{}", clean(line))?;
            }
        }
    }
    Ok(Exit::Good)
}

fn csv(report: &RetentionReport, out: Output<'_>) -> Result<(), Fault> {
    csv_line(out, COLUMNS)?;
    for one in &report.segments {
        let newest_at = one.newest_at.map(|at| at.to_string());
        let fields = [
            one.segment.to_string(),
            one.first_seq.to_string(),
            one.last_seq.to_string(),
            one.events.to_string(),
            one.bytes.to_string(),
            one.dropped.to_string(),
            one.saved_bytes.to_string(),
            newest_at.unwrap_or_default(),
            one.needed_by.join(", "),
            one.fate.to_string(),
        ];
        csv_line(out, fields)?;
    }
    Ok(())
}

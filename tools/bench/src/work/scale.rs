//! The event store by the number of its events: a row for each size of a log.
//!
//! Each log is measured by a process of its own, this binary once more: what an allocator keeps of one log is
//! no memory of the next.

use std::process::{Command, Stdio};

use forelog::{Error, ErrorKind, Result};

use super::sized::{Figures, MEMORY, what};
use crate::args::{IdsOf, ScaleArgs, ScaleAtArgs};
use crate::bench::Bench;
use crate::num::float;
use crate::row::Row;

/// What is measured beside the look-ups of ids that are there.
const EXTRAS: [&str; 10] = [
    "absent_us",
    "newest_100_us",
    "time_start_us",
    "first_of_source_us",
    "count_of_type_us",
    "emit_events_s",
    "index_events_s",
    "rebuild_events_s",
    "open_ms",
    "index_bytes_an_event",
];
/// A row for each size and kind of ids.
pub(crate) fn run(bench: &Bench, args: &ScaleArgs) -> Result<Vec<Row>> {
    let sizes = match (args.sizes.is_empty(), bench.options.short) {
        (false, _) => args.sizes.clone(),
        (true, true) => vec![10_000, 20_000],
        (true, false) => vec![1_000_000, 10_000_000],
    };
    let kinds: &[bool] = match args.ids {
        IdsOf::Own => &[false],
        IdsOf::Random => &[true],
        IdsOf::Both => &[false, true],
    };
    let mut rows = Vec::new();
    for &random in kinds {
        for &count in &sizes {
            let (types, sources) = (args.types, args.sources);
            let shape = ScaleAtArgs {
                count,
                types,
                sources,
                random,
            };
            rows.push(row_of(shape, &asked_of_child(bench, shape)?));
        }
    }
    Ok(rows)
}

fn row_of(shape: ScaleAtArgs, figures: &Figures) -> Row {
    let kind = if shape.random { "random" } else { "own" };
    let id = format!("scale_{kind}_at_{}", shape.count);
    let row = Row::new(id, what(shape), "us")
        .values(vec![figures.by_id.p50])
        .latencies(&[figures.by_id])
        .events(shape.count)
        .extra("types", Some(float(shape.types)))
        .extra("sources", Some(float(shape.sources)));
    let names = EXTRAS.iter().chain([&MEMORY]);
    let row = names.fold(row, |row, name| {
        row.extra(name, figures.extra.get(*name).copied())
    });
    row.note(
        "p50 of look-ups that were made once before, in a log whose files were all read once before them: \
         the system may have put them out of the page cache while the log grew. index_events_s: from \
         the first emit until all is indexed; memory_mib: RssAnon of the process that emitted, indexed and looked up \
         in this log alone; rebuild_events_s: the whole of EventSystem::reindex",
    )
}

/// Has a log measured by a process of its own.
fn asked_of_child(bench: &Bench, shape: ScaleAtArgs) -> Result<Figures> {
    let this = std::env::current_exe()
        .map_err(|source| Error::io("find the own program", "(this process)", source))?;
    let mut child = Command::new(&this);
    child
        .args(["scale-at", &shape.count.to_string()])
        .args(["--types", &shape.types.to_string()])
        .args(["--sources", &shape.sources.to_string()])
        .args(["--size", &bench.options.size.to_string()])
        .args(shape.random.then_some("--random"))
        .args(bench.options.short.then_some("--short"));
    if let Some(dir) = &bench.options.dir {
        child.arg("--dir").arg(dir);
    }
    let output = child
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::io("start", &this, source))?;
    let figures = serde_json::from_slice(&output.stdout).ok();
    figures.filter(|_| output.status.success()).ok_or_else(|| {
        let message = "the process that measured it ended early; what it said is above";
        Error::new(ErrorKind::Io, message)
    })
}

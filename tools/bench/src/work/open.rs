//! Opening a log whose writer was killed, at several sizes.

use std::time::Instant;

use forelog::{Durability, EventSystem, Result};

use crate::bench::Bench;
use crate::child::Child;
use crate::num::{float, median};
use crate::rescue::rescue;
use crate::row::{Pair, Row, quotient};
use crate::work::read::get_random;

/// What each further run appends before it is killed: a segment and a half.
const EVENTS_MORE: u64 = 150_000;
/// What no opening can do without that believes no page cache.
const FLOOR: &str = "read, CRC, write and sync of as many bytes as were rewritten, with raw calls";
/// Gets that show what a read costs in a log of this size.
const GETS: u64 = 50_000;

/// A row for each size, and one for all of them: the largest, and how flat the times are.
pub(crate) fn run(bench: &Bench, full: bool) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for events in sizes(bench, full) {
        rows.push(at_size(bench, events)?);
    }
    let first = rows.first().and_then(|row| row.value);
    let last = rows.last().cloned();
    if let Some(last) = last {
        let mut row = Row::new("open", last.what.clone(), "ms")
            .times(
                Pair {
                    engine: last.runs.clone(),
                    floor: last.floor_runs.clone(),
                },
                FLOOR,
            )
            .reaches_floor()
            .extra("largest_to_smallest", quotient(last.value, first))
            .note(
                "the writer is killed with SIGKILL as soon as it has emitted; each further run \
                 appends a segment and a half and is killed again",
            );
        row.events = last.events;
        rows.push(row);
    }
    Ok(rows)
}

fn sizes(bench: &Bench, full: bool) -> Vec<u64> {
    match bench.options.events {
        Some(events) => vec![events],
        None if bench.options.short => vec![10_000, 20_000],
        None if full => vec![1_000_000, 5_000_000, 50_000_000],
        None => vec![1_000_000, 5_000_000],
    }
}

fn at_size(bench: &Bench, events: u64) -> Result<Row> {
    let path = bench.path("open");
    let size = bench.options.size;
    let frame_len = bench.frame_len()?;
    let (mut gets, mut rewritten, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    let mut more = events;
    let what = format!(
        "open after kill -9, {} events",
        crate::num::shown(float(events))
    );
    let times = bench.alone(&what, || {
        let mut child = Child::start(&path, more, size)?;
        child.written()?;
        drop(child);
        more = EVENTS_MORE.min(events);
        let started = Instant::now();
        let system = EventSystem::builder()
            .persistence_path(&path)
            .durability(Durability::Os)
            .open()?;
        let millis = started.elapsed().as_secs_f64() * 1e3;
        let rescued = system.recovery().rewritten;
        rewritten.push(float(rescued));
        gets.push(get_random(&system, GETS.min(events))?);
        system.close()?;
        floor.push(rescue(&bench.path("."), rescued, frame_len)?);
        Ok(millis)
    })?;
    bench.clear("open")?;
    Ok(Row::new(format!("open_at_{events}"), what, "ms")
        .extra("first_run_ms", times.first().copied())
        .times(
            Pair {
                engine: times,
                floor,
            },
            FLOOR,
        )
        .events(events)
        .extra("get_ns", median(&gets))
        .extra("rewritten_events", median(&rewritten)))
}

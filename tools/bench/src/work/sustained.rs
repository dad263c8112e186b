//! Emits without a pause for as long as it takes until segments cannot be prepared ahead of need.

use std::time::{Duration, Instant};

use forelog::{Durability, Result};

use crate::bench::Bench;
use crate::floor::WrittenFile;
use crate::num::{float, rate};
use crate::row::{Pair, Row};

/// Events that are kept; older ones go, so that no disk fills up.
const EVENTS_KEPT: u64 = 4_000_000;
/// Emits between two looks at the clock.
const STRIDE: u64 = 1024;
const FLOOR_LEN: u64 = 1 << 30;
const FLOOR_LEN_SHORT: u64 = 32 << 20;

/// Emits for so long, with the preparation of segments inside the clock.
pub(crate) fn run(bench: &Bench, time: Duration) -> Result<Row> {
    let what = format!("emit, os, 1 thread, for {} s", time.as_secs_f64());
    bench.step(&what);
    let event = bench.event()?;
    let system = bench
        .builder("sustained", Durability::Os)
        .max_events(EVENTS_KEPT)
        .open()?;
    let started = Instant::now();
    let mut events = 0;
    while started.elapsed() < time {
        for _ in 0..STRIDE {
            system.emit(&event)?;
        }
        events += STRIDE;
    }
    let per_second = rate(events, started.elapsed());
    system.close()?;
    bench.clear("sustained")?;
    let frame_len = float(bench.frame_len()?);
    let len = if bench.options.short {
        FLOOR_LEN_SHORT
    } else {
        FLOOR_LEN
    };
    let file = WrittenFile::new(&bench.path("floor"), len)?;
    let disk = file.sequential()?;
    let pair = Pair {
        engine: vec![per_second],
        floor: vec![disk / frame_len],
    };
    Ok(Row::new("append_sustained", what, "events/s")
        .rates(
            pair,
            "the disk's sequential rate in events: pwrite of 16 MiB and fdatasync, on blocks that \
             were written before",
        )
        .events(events)
        .threads(1)
        .extra("bytes_per_second", Some(per_second * frame_len))
        .extra("disk_bytes_per_second", Some(disk))
        .note(format!(
            "one run; segments are prepared and old ones removed inside the clock; the newest \
             {EVENTS_KEPT} events are kept"
        )))
}

//! Buffered appends.

use std::time::Duration;

use super::{Bench, Sample, first_record, on_threads, rate, with_engine};
use crate::engine::{Engine, Facts, Mode, Offer};

/// A slow engine is cut off after so many times the seconds of a durable measurement.
const CUT_OFF: u32 = 3;
/// How many appends go by between two looks at the clock, which costs as much as an append.
const STRIDE: u64 = 256;
/// One in so many records is appended before the clock starts.
const WARM_UP: u64 = 100;

/// Records a second by `threads` threads, until all have been handed to the operating system.
pub fn buffered(facts: &Facts, bench: Bench<'_>, threads: usize) -> Offer<Sample> {
    let limit = bench.settings.duration() * CUT_OFF;
    let each = bench.settings.events / threads as u64;
    with_engine(facts, bench.dir, Mode::Buffered, |engine| {
        if append(engine, bench, 0, each / WARM_UP + 1, limit)?.is_none() {
            return Ok(None);
        }
        engine.flush()?;
        let run = on_threads(threads, |thread| append(engine, bench, thread, each, limit))?;
        let Some((counts, started)) = run else {
            return Ok(None);
        };
        engine.flush()?;
        let rate = rate(counts.iter().sum(), started.elapsed());
        Ok(Some(Sample::of(rate)))
    })
}

/// Appends `count` records, or as many as fit into `limit`; how many.
fn append(
    engine: &dyn Engine,
    bench: Bench<'_>,
    thread: usize,
    count: u64,
    limit: Duration,
) -> Offer<u64> {
    let first = first_record(thread);
    let started = std::time::Instant::now();
    for n in 0..count {
        if n % STRIDE == 0 && started.elapsed() > limit {
            return Ok(Some(n));
        }
        if engine.append(bench.records.get(first + n))?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(count))
}

//! Durable appends: single ones by some threads, batches by one, and slices of two engines in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Bench, Sample, first_record, on_threads, rate, with_engine};
use crate::engine::{Engine, Facts, Mode, Offer};
use crate::stats;

/// The share of a measurement that goes before it, unmeasured.
const WARM_UP: u32 = 10;
/// The share of a measurement's seconds that a slice of a pair takes.
const SLICE: u32 = 4;

/// Records a second by `threads` threads, each of which waits for its own record.
pub fn durable(facts: &Facts, bench: Bench<'_>, threads: usize) -> Offer<Sample> {
    with_engine(facts, bench.dir, Mode::Durable, |engine| {
        singles(engine, bench, threads, bench.settings.duration())
    })
}

fn singles(
    engine: &dyn Engine,
    bench: Bench<'_>,
    threads: usize,
    duration: Duration,
) -> Offer<Sample> {
    let run = |duration| {
        on_threads(threads, |thread| {
            let first = first_record(thread);
            until(duration, |n| {
                let placed = engine.append_durable(bench.records.get(first + n))?;
                Ok(placed.map(|_| 1))
            })
        })
    };
    if run(duration / WARM_UP)?.is_none() {
        return Ok(None);
    }
    let done = run(duration)?;
    Ok(done.map(|(threads, started)| sample(&threads, started.elapsed())))
}

/// Records a second in batches of `len` by one thread that waits for each batch.
pub fn batches(facts: &Facts, bench: Bench<'_>, len: usize) -> Offer<Sample> {
    let duration = bench.settings.duration();
    with_engine(facts, bench.dir, Mode::Durable, |engine| {
        let mut places = Vec::with_capacity(len);
        let mut run = |duration| {
            until(duration, |n| {
                places.clear();
                let batch = bench.records.batch(n, len);
                let appended = engine.append_batch(batch, &mut places)?;
                Ok(appended.map(|()| batch.len() as u64))
            })
        };
        if run(duration / WARM_UP)?.is_none() {
            return Ok(None);
        }
        let started = Instant::now();
        let done = run(duration)?;
        Ok(done.map(|done| sample(&[done], started.elapsed())))
    })
}

/// What a thread did: how many records, and how long each call took.
struct Done {
    records: u64,
    latencies_us: Vec<f64>,
}

/// Calls `append` with the number of records so far until `duration` is over.
fn until(duration: Duration, mut append: impl FnMut(u64) -> Offer<u64>) -> Offer<Done> {
    let mut done = Done {
        records: 0,
        latencies_us: Vec::new(),
    };
    let started = Instant::now();
    let mut now = started;
    while now - started < duration {
        let Some(appended) = append(done.records)? else {
            return Ok(None);
        };
        let before = std::mem::replace(&mut now, Instant::now());
        done.latencies_us.push((now - before).as_secs_f64() * 1e6);
        done.records += appended;
    }
    Ok(Some(done))
}

fn sample(threads: &[Done], elapsed: Duration) -> Sample {
    let latencies: Vec<f64> = threads
        .iter()
        .flat_map(|done| done.latencies_us.iter().copied())
        .collect();
    let latencies = stats::sorted(&latencies);
    Sample {
        value: rate(threads.iter().map(|done| done.records).sum(), elapsed),
        p50_us: stats::quantile(&latencies, 0.5),
        p99_us: stats::quantile(&latencies, 0.99),
    }
}

/// Two engines, open side by side, that append in turns on one thread.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    pub own: &'a Facts,
    pub rival: &'a Facts,
}

impl Pairs<'_> {
    /// The ratio own / rival of each pair of slices; which goes first changes from pair to pair.
    pub fn ratios(self, bench: Bench<'_>) -> Offer<Vec<f64>> {
        let dir: &Path = bench.dir;
        with_engine(self.own, dir, Mode::Durable, |own| {
            with_engine(self.rival, dir, Mode::Durable, |rival| {
                let duration = bench.settings.duration() / SLICE;
                let slice = |engine| singles(engine, bench, 1, duration);
                let mut ratios = Vec::with_capacity(bench.settings.pairs);
                for pair in 0..bench.settings.pairs {
                    let (first, second) = if pair % 2 == 0 {
                        (slice(own)?, slice(rival)?)
                    } else {
                        let first = slice(rival)?;
                        (slice(own)?, first)
                    };
                    let (Some(own), Some(rival)) = (first, second) else {
                        return Ok(None);
                    };
                    ratios.push(own.value / rival.value);
                }
                Ok(Some(ratios))
            })
        })
    }
}

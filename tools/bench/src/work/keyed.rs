//! One subscription with two threads: how many times as fast it gets through handlers that compute.

use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use forelog::{Delivery, OrderBy, Result, Subscription};

use crate::bench::Bench;
use crate::num::{median, rate};
use crate::row::{Row, quotient};

const KEYS: u64 = 64;

/// Handlers that compute as much for each of so many events.
#[derive(Clone, Copy)]
struct Load {
    rounds: u64,
    events: u64,
}

/// Some microseconds an event: what it costs to hand one over counts.
pub(crate) fn quick(bench: &Bench) -> Result<Row> {
    let load = Load {
        rounds: 10_000,
        events: bench.options.events_or(100_000),
    };
    let what = "a backlog to CPU-bound handlers, 2 threads";
    beside_one_thread(bench, "dispatch_keyed", what, load)
}

/// Ten times as much an event, for a tenth of the events: the handlers are nearly all there is.
pub(crate) fn slow(bench: &Bench) -> Result<Row> {
    let load = Load {
        rounds: 100_000,
        events: bench.options.events_or(100_000) / 10,
    };
    let what = "… that compute for ten times as long";
    beside_one_thread(bench, "dispatch_keyed_slow", what, load)
}

fn beside_one_thread(
    bench: &Bench,
    id: &'static str,
    what: &'static str,
    load: Load,
) -> Result<Row> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let rates = bench.pairs(
        what,
        || {
            two.push(by_plain_threads(load, 2));
            by_threads(bench, load, 2)
        },
        || {
            one.push(by_plain_threads(load, 1));
            by_threads(bench, load, 1)
        },
    )?;
    let plain_speedup = quotient(median(&two), median(&one));
    let row = Row::new(id, what, "events/s")
        .rates(rates, "the same with one thread")
        .events(load.events);
    let of_plain_speedup = quotient(row.ratio_to_floor, plain_speedup);
    Ok(row
        .reach("ratio_to_floor", plain_speedup)
        .extra("handler_us", median(&one).map(|rate| 1e6 / rate))
        .extra("plain_speedup", plain_speedup)
        .extra("of_plain_speedup", of_plain_speedup)
        .note(
            "64 keys. plain_speedup: how many times as fast two plain threads do that work as one, given \
             numbers by a third one through a bounded channel of the standard library, and telling it of \
             each through another; of_plain_speedup: how much of that is reached; handler_us: what an \
             event takes one plain thread",
        ))
}

/// The work by threads that know nothing of events.
fn by_plain_threads(load: Load, threads: usize) -> f64 {
    let (jobs, taken) = sync_channel::<u64>(64);
    let (done, returned) = sync_channel::<u64>(64);
    let taken = Mutex::new(taken);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (taken, done) = (&taken, done.clone());
            scope.spawn(move || {
                let next = || taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(number) = next() {
                    load.compute(number);
                    if done.send(number).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut left = load.events;
        for number in 0..load.events {
            if jobs.send(number).is_err() {
                break;
            }
            left -= u64::try_from(returned.try_iter().count()).unwrap_or(left);
        }
        drop(jobs);
        for _ in 0..left {
            if returned.recv().is_err() {
                break;
            }
        }
    });
    rate(load.events, started.elapsed())
}

/// The work by handlers of one subscription.
fn by_threads(bench: &Bench, load: Load, threads: usize) -> Result<f64> {
    let system = bench.filled_system("keyed", load.events)?;
    let keys = OrderBy::key(|event| event.seq().0 % KEYS);
    let subscription = Subscription::named("bench")
        .concurrency(threads)
        .order_by(keys);
    system.register_parallel(subscription, move |delivery: &Delivery<'_>| {
        load.compute(delivery.seq().0);
    })?;
    let started = Instant::now();
    system.start()?;
    system.drain(None)?;
    let rate = rate(load.events, started.elapsed());
    system.close()?;
    bench.clear("keyed")?;
    Ok(rate)
}

impl Load {
    /// What a CPU-bound handler does.
    fn compute(self, number: u64) {
        let mixed = (0..self.rounds).fold(number, |mixed, round| {
            std::hint::black_box(mixed.rotate_left(5) ^ round)
        });
        std::hint::black_box(mixed);
    }
}

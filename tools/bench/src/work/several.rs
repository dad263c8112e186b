//! Several subscriptions of one log, and one with several threads: what one costs the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use forelog::{
    Delivery, Durability, Error, ErrorKind, EventSystem, HandlerId, OrderBy, Result, Start,
    Subscription, WhenBehind,
};

use crate::bench::Bench;
use crate::num::{median, rate};
use crate::row::{Row, quotient};

const SUBSCRIPTIONS: u64 = 8;
const IDLE: u64 = 100;
/// How much a CPU-bound handler computes: some microseconds.
const ROUNDS: u64 = 10_000;

/// All rows.
pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    Ok(vec![
        eight(bench)?,
        keyed(bench)?,
        idle(bench)?,
        slow(bench)?,
    ])
}

/// Eight subscriptions go through the same backlog.
fn eight(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let what = "a backlog to 8 subscriptions";
    let rates = bench.pairs(
        what,
        || backlog(bench, events, SUBSCRIPTIONS),
        || backlog(bench, events, 1),
    )?;
    Ok(Row::new("dispatch_8", what, "deliveries/s")
        .rates(rates, "the same backlog to one subscription")
        .events(events)
        .note("deliveries of all subscriptions in sum, to handlers that count"))
}

fn backlog(bench: &Bench, events: u64, subscriptions: u64) -> Result<f64> {
    let system = bench.filled_system("several", events)?;
    for number in 0..subscriptions {
        let seen = AtomicU64::new(0);
        let count = move |_: &Delivery<'_>| {
            seen.fetch_add(1, Ordering::Relaxed);
        };
        system.register_handler(Subscription::named(format!("bench-{number}")), count)?;
    }
    let started = Instant::now();
    system.start()?;
    system.drain(None)?;
    let rate = rate(events * subscriptions, started.elapsed());
    end(bench, &system, &[])?;
    Ok(rate)
}

/// Handlers that compute, in two threads beside one.
fn keyed(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(100_000);
    let what = "a backlog to CPU-bound handlers, 2 threads";
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let rates = bench.pairs(
        what,
        || {
            two.push(by_plain_threads(events, 2));
            computed(bench, events, 2)
        },
        || {
            one.push(by_plain_threads(events, 1));
            computed(bench, events, 1)
        },
    )?;
    let plain_speedup = quotient(median(&two), median(&one));
    let row = Row::new("dispatch_keyed", what, "events/s")
        .rates(rates, "the same with one thread")
        .events(events);
    let of_plain_speedup = quotient(row.ratio_to_floor, plain_speedup);
    Ok(row
        .reach("ratio_to_floor", plain_speedup)
        .extra("plain_speedup", plain_speedup)
        .extra("of_plain_speedup", of_plain_speedup)
        .note(
            "some microseconds of computing for each event; 64 keys. plain_speedup: how many times as \
             fast two plain threads do that work as one, given numbers by a third one through a bounded \
             channel of the standard library, and telling it of each through another; of_plain_speedup: \
             how much of that is reached",
        ))
}

/// The same work by threads that know nothing of events.
fn by_plain_threads(events: u64, threads: usize) -> f64 {
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
                    compute(number);
                    if done.send(number).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let mut left = events;
        for number in 0..events {
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
    rate(events, started.elapsed())
}

/// What a CPU-bound handler does.
fn compute(number: u64) {
    let mixed = (0..ROUNDS).fold(number, |mixed, round| {
        std::hint::black_box(mixed.rotate_left(5) ^ round)
    });
    std::hint::black_box(mixed);
}

fn computed(bench: &Bench, events: u64, threads: usize) -> Result<f64> {
    let system = bench.filled_system("several", events)?;
    let keys = OrderBy::key(|event| event.seq().0 % 64);
    let subscription = Subscription::named("bench")
        .concurrency(threads)
        .order_by(keys);
    system.register_parallel(subscription, |delivery: &Delivery<'_>| {
        compute(delivery.seq().0);
    })?;
    let started = Instant::now();
    system.start()?;
    system.drain(None)?;
    let rate = rate(events, started.elapsed());
    end(bench, &system, &[])?;
    Ok(rate)
}

/// Emits while a hundred subscriptions wait for what does not come.
fn idle(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let what = "emit, os, beside 100 idle subscriptions";
    let rates = bench.pairs(
        what,
        || emitted(bench, events, IDLE, true),
        || emitted(bench, events, 0, true),
    )?;
    let other_type = || emitted(bench, events / 10, IDLE, false);
    let other_type = median(&bench.alone(what, other_type)?);
    Ok(Row::new("dispatch_100_idle", what, "events/s")
        .rates(rates, "the same without subscriptions")
        .events(events)
        .extra("rate_other_type", other_type)
        .note(
            "each of them is paused, and the emits alone are timed; rate_other_type: each of them \
             is awake and wants another type, so that it passes every event by",
        ))
}

fn emitted(bench: &Bench, events: u64, idle: u64, paused: bool) -> Result<f64> {
    let system = bench.ready_system("several", events, Durability::Os)?;
    let mut handlers = Vec::new();
    for number in 0..idle {
        let name = format!("idle-{number}");
        let subscription = Subscription::named(&name).event_type("bench.other");
        let subscription = subscription.start(Start::Now);
        handlers.push(system.register_handler(subscription, |_: &Delivery<'_>| {})?);
        if paused {
            system.pause(&name, "nothing to do")?;
        }
    }
    system.start()?;
    let event = bench.event()?;
    let started = Instant::now();
    for _ in 0..events {
        system.emit(&event)?;
    }
    let rate = rate(events, started.elapsed());
    end(bench, &system, &handlers)?;
    Ok(rate)
}

/// A quick subscription beside one that takes a millisecond for each event.
fn slow(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let what = "emit to a quick handler beside a slow one";
    let rates = bench.pairs(
        what,
        || quick(bench, events, true),
        || quick(bench, events, false),
    )?;
    Ok(Row::new("dispatch_beside_slow", what, "events/s")
        .rates(rates, "the quick one alone")
        .events(events)
        .note("until the quick one has the last event; emitters do not wait for the slow one"))
}

fn quick(bench: &Bench, events: u64, beside_slow: bool) -> Result<f64> {
    let system = bench.ready_system("several", events, Durability::Os)?;
    let now = |name: &str| Subscription::named(name).start(Start::Now);
    let (sender, done) = channel();
    let mut left = events;
    system.register_handler(now("quick"), move |_: &Delivery<'_>| {
        left = left.saturating_sub(1);
        left > 0 || sender.send(()).is_ok()
    })?;
    let mut slow = Vec::new();
    if beside_slow {
        let subscription = now("slow").when_behind(WhenBehind::Pause(u64::MAX));
        let sleep = |_: &Delivery<'_>| std::thread::sleep(Duration::from_millis(1));
        slow.push(system.register_handler(subscription, sleep)?);
    }
    system.start()?;
    let event = bench.event()?;
    let started = Instant::now();
    for _ in 0..events {
        system.emit(&event)?;
    }
    done.recv()
        .map_err(|_| Error::new(ErrorKind::Handler, "the handler has gone"))?;
    let rate = rate(events, started.elapsed());
    end(bench, &system, &slow)?;
    Ok(rate)
}

/// Closes the system, without waiting for what these have not handled.
fn end(bench: &Bench, system: &EventSystem, handlers: &[HandlerId]) -> Result<()> {
    for handler in handlers {
        system.unregister_handler(*handler)?;
    }
    system.close()?;
    bench.clear("several")
}

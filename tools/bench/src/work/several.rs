//! Several subscriptions of one log: what one costs the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use forelog::{
    Delivery, Durability, Error, ErrorKind, EventSystem, HandlerId, Result, Start, Subscription,
    WhenBehind,
};

use crate::bench::Bench;
use crate::num::{median, rate};
use crate::row::Row;
use crate::work::keyed;

const SUBSCRIPTIONS: u64 = 8;
const IDLE: u64 = 100;

/// All rows.
pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    Ok(vec![
        eight(bench)?,
        keyed::quick(bench)?,
        keyed::slow(bench)?,
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

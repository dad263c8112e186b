//! Events handed to a handler as fast as it takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use forelog::{Delivery, Durability, Error, ErrorKind, Result, Start, Subscription};

use crate::bench::Bench;
use crate::num::rate;
use crate::row::Row;

/// Places of the queue, as a system has them by default.
const QUEUE_LEN: u16 = 10_000;

/// One thread emits, one handler counts.
pub(crate) fn busy(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let pair = bench.pairs(
        "emit to one handler, busy",
        || handled(bench, events),
        || Ok(through_a_channel(events)),
    )?;
    Ok(Row::new("dispatch_busy", "emit to one handler, os, busy", "events/s")
        .rates(
            pair,
            "a number for each event through a bounded channel of the standard library",
        )
        .events(events)
        .note(
            "from the first emit until the handler has acknowledged the last; a queue of 10,000, \
             the default",
        ))
}

fn handled(bench: &Bench, events: u64) -> Result<f64> {
    let system = bench.ready_system("busy", events, Durability::Os)?;
    let event = bench.event()?;
    let seen = Arc::new(AtomicU64::new(0));
    let counter = seen.clone();
    system.register_handler(
        Subscription::named("bench").start(Start::Now),
        move |_: &Delivery<'_>| {
            counter.fetch_add(1, Ordering::Relaxed);
        },
    )?;
    system.start()?;
    let started = Instant::now();
    for _ in 0..events {
        system.emit(&event)?;
    }
    system.drain(None)?;
    let rate = rate(events, started.elapsed());
    system.close()?;
    bench.clear("busy")?;
    let seen = seen.load(Ordering::Relaxed);
    if seen < events {
        let message = format!("the handler saw {seen} of {events} events");
        return Err(Error::new(ErrorKind::Handler, message));
    }
    Ok(rate)
}

fn through_a_channel(events: u64) -> f64 {
    let (sender, receiver) = sync_channel::<u64>(usize::from(QUEUE_LEN));
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..events {
                if sender.send(number).is_err() {
                    break;
                }
            }
        });
        for number in receiver {
            std::hint::black_box(number);
        }
    });
    rate(events, started.elapsed())
}

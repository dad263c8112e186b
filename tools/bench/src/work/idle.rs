//! The time from an emit to its handler while nothing else goes on.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use forelog::{
    Delivery, Durability, Error, ErrorKind, Event, EventSystem, Result, Start, Subscription,
};

use crate::bench::Bench;
use crate::floor::WrittenFile;
use crate::latency::{Latency, Recorder};
use crate::row::{Pair, Row, quotient};

/// Between two emits, so that every thread is asleep again.
const PAUSE: Duration = Duration::from_micros(500);
const PAGE: u64 = 4096;

/// The rows of `Os` and of `Sync`.
pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let events = bench.options.events_or(1000);
    let os = at_level(bench, events, Durability::Os)?;
    let sync = at_level(bench, events, Durability::Sync)?;
    let added = os
        .latency
        .zip(sync.latency)
        .map(|(os, sync)| sync.p50 - os.p50);
    let raw = sync.extra.get("raw_sync_us").copied();
    Ok(vec![os, sync.extra("syncs_added", quotient(added, raw))])
}

fn at_level(bench: &Bench, events: u64, durability: Durability) -> Result<Row> {
    let is_synced = durability == Durability::Sync;
    let (id, level) = if is_synced {
        ("dispatch_idle_sync", "sync")
    } else {
        ("dispatch_idle", "os")
    };
    let what = format!("emit to handler, {level}, idle");
    let system = bench.ready_system("idle", events, durability)?;
    let arrivals = handler(&system)?;
    let event = bench.event()?;
    let file = WrittenFile::new(&bench.path("floor"), PAGE * events)?;
    let (mut latencies, mut raw, mut raw_syncs) = (Vec::new(), Vec::new(), Vec::new());
    let pair = bench.pairs(
        &what,
        || {
            let latency = to_handler(&system, &event, events, &arrivals)?;
            latencies.push(latency);
            Ok(latency.p50)
        },
        || {
            let syncs = file.paced(events, PAGE, PAUSE)?;
            raw_syncs.push(syncs);
            let wake_up = wake_up(events);
            raw.push(wake_up);
            Ok(wake_up.p50 + if is_synced { syncs.p50 } else { 0.0 })
        },
    )?;
    system.close()?;
    bench.clear("idle")?;
    Ok(row(id, what, pair, is_synced)
        .events(events)
        .with_latencies(&latencies, &raw)
        .extra(
            "raw_sync_us",
            Latency::of_runs(&raw_syncs).map(|syncs| syncs.p50),
        ))
}

fn row(id: &str, what: String, pair: Pair, is_synced: bool) -> Row {
    let floor = if is_synced {
        "a number through a channel to a thread that sleeps, and a raw sync"
    } else {
        "a number through a channel to a thread that sleeps"
    };
    Row::new(id, what, "µs")
        .times(pair, floor)
        .note("the median of single events, each after half a millisecond of rest")
}

/// A handler that sends the moment of each call.
fn handler(system: &EventSystem) -> Result<Receiver<Instant>> {
    let (sender, arrivals) = channel();
    system.register_handler(
        Subscription::named("bench").start(Start::Now),
        move |_: &Delivery<'_>| sender.send(Instant::now()).is_ok(),
    )?;
    system.start()?;
    Ok(arrivals)
}

fn to_handler(
    system: &EventSystem,
    event: &Event,
    events: u64,
    arrivals: &Receiver<Instant>,
) -> Result<Latency> {
    let mut recorder = Recorder::new();
    for _ in 0..events {
        std::thread::sleep(PAUSE);
        let started = Instant::now();
        system.emit(event)?;
        let arrived = arrivals
            .recv()
            .map_err(|_| Error::new(ErrorKind::Handler, "the handler has gone"))?;
        recorder.record(arrived.saturating_duration_since(started));
    }
    Ok(recorder.micros())
}

/// From a send to the moment when a sleeping receiver has it.
fn wake_up(times: u64) -> Latency {
    let (sender, receiver) = channel::<Instant>();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(move || {
            let mut recorder = Recorder::new();
            for sent in receiver {
                recorder.record(sent.elapsed());
            }
            recorder.micros()
        });
        for _ in 0..times {
            std::thread::sleep(PAUSE);
            if sender.send(Instant::now()).is_err() {
                break;
            }
        }
        drop(sender);
        sleeper.join().unwrap_or_default()
    })
}

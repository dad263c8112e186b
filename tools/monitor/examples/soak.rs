//! A system under a steady load, with its dashboard: to look at, and to see that figures stay true and memory
//! stays flat.
//!
//! `cargo run --release -p forelog-monitor --example soak -- RATE SECONDS`, 200,000 events a second for 600
//! seconds unless told otherwise. Ten times in all it prints a line, and holds the totals that the dashboard has
//! then against the log's; at the end, against what was done. It fails where they differ, where the rate was not
//! reached, and where memory has grown by more than a tenth, and 16 MiB, in the second half.
//!
//! Memory is the process's own (`RssAnon`): the segments, which are files in memory as well, come and go as the
//! kernel likes.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forelog::{
    Delivery, Durability, Event, EventMonitor, EventSystem, MonitorSettings, Subscription,
};
use forelog_monitor::{Server, ServerSettings, get};
use serde_json::Value;

/// Events that are kept; older ones go, so that no disk fills up.
const EVENTS_KEPT: u64 = 2_000_000;
/// How often a second events are emitted.
const TURNS: u64 = 100;
/// How many lines are told.
const LINES: u64 = 10;
/// What memory may grow by in the second half.
const GROWTH_MAX_MIB: u64 = 16;
const TYPES: [&str; 4] = ["order.placed", "order.filled", "tick", "user.login"];

/// What was seen at one moment.
#[derive(Debug, Clone, Copy)]
struct Told {
    emitted: u64,
    memory_mib: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let rate = numbers.next().transpose()?.unwrap_or(200_000);
    let seconds = numbers.next().transpose()?.unwrap_or(600);
    let dir = tempfile::tempdir()?;
    let builder = EventSystem::builder().persistence_path(dir.path());
    let system = builder
        .durability(Durability::Os)
        .max_events(EVENTS_KEPT)
        .open()?;
    let handled = Arc::<AtomicU64>::default();
    let count = handled.clone();
    system.register_handler(Subscription::named("count"), move |_: &Delivery<'_>| {
        count.fetch_add(1, Ordering::Relaxed);
    })?;
    system.start()?;
    let settings = MonitorSettings {
        check_interval: Duration::from_secs(1),
        ..MonitorSettings::default()
    };
    let monitor = EventMonitor::new(&system, settings)?;
    let settings = ServerSettings {
        listen: "127.0.0.1:0".parse()?,
        ..ServerSettings::default()
    };
    let server = Server::embedded(&system, &monitor, settings)?;
    println!("http://{}", server.address());
    let told = load(&system, &server, rate, seconds)?;
    system.drain(None)?;
    let shown = status(&server)?;
    let (counts, log) = (&shown["summary"]["counts"], &shown["summary"]["log"]);
    let handled = handled.load(Ordering::Relaxed);
    let emitted = told.last().map_or(0, |last| last.emitted);
    println!("emitted {emitted}, handled {handled}; the dashboard has {counts}");
    let last = system.store().last_seq().0;
    server.stop();
    system.close()?;
    let types = shown["summary"]["types"].as_array().into_iter().flatten();
    let by_type: u64 = types.filter_map(|one| one["delivered"].as_u64()).sum();
    let (done, seen) = (counts["emitted"].as_u64(), counts["delivered"].as_u64());
    if done != Some(emitted) || log["last_seq"] != last || last != emitted {
        return Err("the dashboard's totals are not the log's".into());
    }
    if seen != Some(handled) || by_type != handled {
        return Err("the dashboard counts other deliveries than there were".into());
    }
    check_memory(&told)
}

/// Whether memory has stayed flat in the second half.
fn check_memory(told: &[Told]) -> Result<(), Box<dyn Error>> {
    let (early, late) = told.split_at(told.len() / 2);
    let highest = |part: &[Told]| part.iter().map(|one| one.memory_mib).max().unwrap_or(0);
    let (before, after) = (highest(early), highest(late));
    println!("memory: {before} MiB at most in the first half, {after} MiB in the second");
    if after > before + (before / 10).max(GROWTH_MAX_MIB) {
        return Err("memory has grown".into());
    }
    Ok(())
}

/// Emits at this rate for so long; returns what was told meanwhile.
fn load(
    system: &EventSystem,
    server: &Server,
    rate: u64,
    seconds: u64,
) -> Result<Vec<Told>, Box<dyn Error>> {
    let event = |event_type| Event::new(event_type, "soak", &("FRID", 10, "x".repeat(180)));
    let events = TYPES
        .map(event)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let (begun, mut emitted, mut told) = (Instant::now(), 0, Vec::new());
    for turn in 1..=seconds * TURNS {
        for event in events.iter().cycle().take(usize::try_from(rate / TURNS)?) {
            system.emit(event)?;
        }
        emitted += rate / TURNS;
        let due = begun + Duration::from_secs(turn) / u32::try_from(TURNS)?;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if turn * LINES % (seconds * TURNS) < LINES {
            told.push(tell(server, emitted, begun.elapsed())?);
        }
    }
    let reached = per_second(emitted, begun.elapsed());
    println!("{reached:.1} events/s");
    if reached < per_second(rate, Duration::from_secs(1)) * 0.99 {
        return Err("this machine was too busy: the rate was not reached".into());
    }
    Ok(told)
}

/// Prints a line, and holds the dashboard's total against the log's: nobody emits meanwhile.
fn tell(server: &Server, emitted: u64, since: Duration) -> Result<Told, Box<dyn Error>> {
    let shown = status(server)?;
    let (summary, latency) = (&shown["summary"], &shown["summary"]["latency"]["recent"]);
    let memory_mib = own_memory_mib();
    println!(
        "{:4} s: {emitted} emitted, {memory_mib} MiB of its own, p50 {} ms, p99 {} ms, {} % of a processor, {}",
        since.as_secs(),
        latency["p50_ms"],
        latency["p99_ms"],
        summary["rates"]["1min"]["cpu"].as_f64().unwrap_or(0.0) * 100.0,
        shown["health"]["status"]
    );
    let (counted, last) = (&summary["counts"]["emitted"], &summary["log"]["last_seq"]);
    if *counted != emitted || *last != emitted {
        return Err(
            format!("emitted {emitted}; the dashboard has {counted} and Seq {last}").into(),
        );
    }
    Ok(Told {
        emitted,
        memory_mib,
    })
}

/// Memory of the process that is no file; 0 where the operating system does not tell.
fn own_memory_mib() -> u64 {
    let table = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = table.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

#[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn status(server: &Server) -> Result<Value, Box<dyn Error>> {
    let (_, body) = get(&server.address().to_string(), "/api/status", None)?;
    Ok(serde_json::from_str(&body)?)
}

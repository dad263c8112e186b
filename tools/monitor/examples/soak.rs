//! A system under a steady load, with its dashboard: to look at, and to see that figures stay true and memory
//! stays flat.
//!
//! `cargo run --release -p forelog-monitor --example soak -- RATE SECONDS`, 200,000 events a second for 600
//! seconds unless told otherwise. Once a minute it prints a line; at the end it holds the dashboard's totals
//! against what was done, and fails where they differ.

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
    let emitted = load(&system, &server, rate, seconds)?;
    system.drain(None)?;
    let shown = status(&server)?;
    let counts = &shown["summary"]["counts"];
    println!(
        "emitted {emitted}, handled {}; the dashboard has {counts}",
        handled.load(Ordering::Relaxed)
    );
    server.stop();
    system.close()?;
    let is_true =
        counts["emitted"] == emitted && counts["delivered"] == handled.load(Ordering::Relaxed);
    if is_true {
        Ok(())
    } else {
        Err("the dashboard's totals are others than what was done".into())
    }
}

/// Emits at this rate for so long; returns how many there were.
fn load(
    system: &EventSystem,
    server: &Server,
    rate: u64,
    seconds: u64,
) -> Result<u64, Box<dyn Error>> {
    let event = Event::new("order.placed", "soak", &("FRID", 10, "x".repeat(180)))?;
    let (begun, mut emitted, mut told) = (Instant::now(), 0, 0);
    for turn in 1..=seconds * TURNS {
        for _ in 0..rate / TURNS {
            system.emit(&event)?;
        }
        emitted += rate / TURNS;
        let due = begun + Duration::from_secs(turn) / u32::try_from(TURNS)?;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if begun.elapsed().as_secs() / 60 > told {
            told = begun.elapsed().as_secs() / 60;
            let shown = status(server)?;
            let (summary, latency) = (&shown["summary"], &shown["summary"]["latency"]["recent"]);
            println!(
                "{told} min: {emitted} emitted, {} MiB in memory, p50 {} ms, p99 {} ms, {}",
                summary["resources"]["resident_bytes"].as_u64().unwrap_or(0) >> 20,
                latency["p50_ms"],
                latency["p99_ms"],
                shown["health"]["status"]
            );
        }
    }
    println!("{:.1} events/s", per_second(emitted, begun.elapsed()));
    Ok(emitted)
}

#[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn status(server: &Server) -> Result<Value, Box<dyn Error>> {
    let (_, body) = get(&server.address().to_string(), "/api/status", None)?;
    Ok(serde_json::from_str(&body)?)
}

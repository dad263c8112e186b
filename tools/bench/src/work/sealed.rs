//! Encrypted logs beside plain ones: appends, replay, and single events at random.

use std::time::Instant;

use forelog::{Durability, EncryptionKey, EventSystem, Result};

use super::read::{get_random, replay_all};
use crate::bench::Bench;
use crate::num::rate;
use crate::row::Row;

/// How many gets there are for each run.
const GETS: u64 = 200_000;
const BESIDE: &str = "the same events in a log that is not encrypted";

/// Writes the same events plain and encrypted, and compares the two.
pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let events = bench.options.events_or(1_000_000);
    let size = bench.options.size;
    let mut rows = Vec::new();
    let mut push = |id, what: String, unit, pair| {
        let row = Row::new(id, what, unit);
        let row = if unit == "ns" {
            row.times(pair, BESIDE)
        } else {
            row.rates(pair, BESIDE)
        };
        rows.push(row.events(events));
    };
    let what = format!("emit, os, encrypted, {size} B events");
    let once = |encrypted| {
        let (system, emitted) = filled(bench, "run", events, encrypted)?;
        system.close()?;
        bench.clear("run")?;
        Ok(emitted)
    };
    let pair = bench.pairs(&what, || once(true), || once(false))?;
    push("encrypt_append", what, "events/s", pair);

    let (plain, _) = filled(bench, "plain", events, false)?;
    let (sealed, _) = filled(bench, "sealed", events, true)?;
    let what = format!("replay of encrypted events, {size} B");
    let pair = bench.pairs(&what, || replay_all(&sealed), || replay_all(&plain))?;
    push("encrypt_replay", what, "events/s", pair);
    let what = format!("get by Seq, random, encrypted, {size} B");
    let gets = GETS.min(events);
    let get = |system: &EventSystem| get_random(system, gets);
    let pair = bench.pairs(&what, || get(&sealed), || get(&plain))?;
    push("encrypt_get", what, "ns", pair);
    for (name, system) in [("plain", plain), ("sealed", sealed)] {
        system.close()?;
        bench.clear(name)?;
    }
    Ok(rows)
}

/// A new log with so many events, all of them synced, and how many of them were emitted a second.
fn filled(bench: &Bench, name: &str, events: u64, encrypted: bool) -> Result<(EventSystem, f64)> {
    let builder = bench.builder(name, Durability::Os);
    let system = if encrypted {
        builder.encryption_key(EncryptionKey::generate()?).open()?
    } else {
        builder.open()?
    };
    let event = bench.event()?;
    let started = Instant::now();
    for _ in 0..events {
        system.emit(&event)?;
    }
    let emitted = rate(events, started.elapsed());
    system.flush()?;
    Ok((system, emitted))
}

//! The event store with a log of one size: look-ups, indexing, opening, memory, the index's size.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use forelog::{
    Durability, Error, Event, EventId, EventStore, EventSystem, Query, Result, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::query::wait_indexed;
use super::space::allocated;
use crate::args::ScaleAtArgs;
use crate::bench::{Bench, Random, event_of};
use crate::latency::{Latency, Recorder};
use crate::machine::own_memory;
use crate::num::{count, float, index, rate, shown};

/// How many ids are looked up, and how many queries of a kind are asked.
const LOOKUPS: u64 = 5_000;
const QUERIES: u64 = 1_000;
const NEWEST: u64 = 100;
const MIB: f64 = 1_048_576.0;
const NAME: &str = "scale";

/// Unknown on some systems.
pub(super) const MEMORY: &str = "memory_mib";

/// What was measured of one log.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(super) by_id: Latency,
    pub(super) extra: BTreeMap<String, f64>,
}

impl Figures {
    fn note(&mut self, name: &str, figure: f64) {
        self.extra.insert(name.to_owned(), figure);
    }
}

/// What a row is called.
pub(super) fn what(shape: ScaleAtArgs) -> String {
    let kind = if shape.random { "random" } else { "own" };
    let count = shown(float(shape.count));
    format!("get by id, {kind} ids, {count} events")
}

/// Measures a log, in this process.
pub(crate) fn measured(bench: &Bench, shape: ScaleAtArgs) -> Result<Figures> {
    bench.step(&what(shape));
    let mut figures = Figures::default();
    let system = bench.builder(NAME, Durability::Os).open()?;
    let started = Instant::now();
    let ids = fill(bench, &system, shape)?;
    figures.note("emit_events_s", rate(shape.count, started.elapsed()));
    wait_indexed(&system)?;
    figures.note("index_events_s", rate(shape.count, started.elapsed()));
    bench.step("read once, so that it is warm");
    warm(&bench.path(NAME))?;
    looked_up(&mut figures, &system, &ids)?;
    queried(&mut figures, &system.store(), shape)?;
    if let Some(bytes) = own_memory() {
        figures.note(MEMORY, float(bytes) / MIB);
    }
    system.close()?;
    drop(system);
    let on_disk = allocated(&bench.path(NAME).join("index"))?;
    figures.note("index_bytes_an_event", float(on_disk) / float(shape.count));
    figures.note("open_ms", opened_in(bench)?.as_secs_f64() * 1e3);
    figures.note("rebuild_events_s", rate(shape.count, rebuilt_in(bench)?));
    bench.clear(NAME)?;
    Ok(figures)
}

/// Reads every file of a directory, of the folders in it too.
fn warm(dir: &Path) -> Result<()> {
    let failed = |path: &Path, source| Error::io("read", path, source);
    let mut piece = vec![0; 1 << 20];
    let entries = std::fs::read_dir(dir).map_err(|source| failed(dir, source))?;
    for entry in entries {
        let path = entry.map_err(|source| failed(dir, source))?.path();
        if path.is_dir() {
            warm(&path)?;
            continue;
        }
        let mut file = File::open(&path).map_err(|source| failed(&path, source))?;
        while file
            .read(&mut piece)
            .map_err(|source| failed(&path, source))?
            > 0
        {}
    }
    Ok(())
}

/// The id of an event whose user draws ids at random: a `UUIDv4`.
fn random_id(number: u64) -> EventId {
    let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut half = || u128::from(random.below(u64::MAX));
    let bits = half() << 64 | half();
    EventId(bits & !(0xf << 76) & !(3 << 62) | 4 << 76 | 2 << 62)
}

/// Emits all events; some of their ids.
fn fill(bench: &Bench, system: &EventSystem, shape: ScaleAtArgs) -> Result<Vec<EventId>> {
    let size = index(bench.options.size);
    let mut ready: Vec<Event> = (0..shape.types)
        .map(|number| {
            let mut event = event_of(size, &super::query::type_name(number))?;
            event.source = super::query::source_name(number % shape.sources);
            Ok(event)
        })
        .collect::<Result<_>>()?;
    let stride = (shape.count / LOOKUPS).max(1);
    let mut ids = Vec::new();
    let mut number = 0;
    while number < shape.count {
        for event in &mut ready {
            if shape.sources > shape.types {
                event.source.clear();
                // Writing to a String cannot fail.
                let _ = write!(event.source, "s.{}", number % shape.sources);
            }
            if shape.random {
                event.event_id = random_id(number);
            }
            let receipt = system.emit(&*event)?;
            if number.is_multiple_of(stride) {
                ids.push(receipt.event_id);
            }
            number += 1;
            if number == shape.count {
                break;
            }
        }
    }
    Ok(ids)
}

/// Ids that are there, and ids that are not.
fn looked_up(figures: &mut Figures, system: &EventSystem, ids: &[EventId]) -> Result<()> {
    let store = system.store();
    let mut order = Random(7);
    let mut places: Vec<EventId> = Vec::new();
    for _ in 0..LOOKUPS {
        places.extend(ids.get(index(order.below(count(ids.len())))));
    }
    let absent: Vec<EventId> = (0..LOOKUPS).map(|number| random_id(!number)).collect();
    let timed = |ids: &[EventId]| -> Result<Latency> {
        let mut recorder = Recorder::new();
        for &id in ids {
            let started = Instant::now();
            let found = store.get_by_id(id)?;
            black_box(found.as_ref().map(|stored| stored.event().data_bytes()));
            recorder.record(started.elapsed());
        }
        Ok(recorder.micros())
    };
    timed(&places)?;
    figures.by_id = timed(&places)?;
    figures.note("absent_us", timed(&absent)?.p50);
    Ok(())
}

fn queried(figures: &mut Figures, store: &EventStore, shape: ScaleAtArgs) -> Result<()> {
    let time_at = |seq| -> Result<Timestamp> {
        let stored = store.get(seq)?;
        Ok(stored.map_or(Timestamp(0), |stored| stored.event().appended_at()))
    };
    let (first, last) = (time_at(store.first_seq())?, time_at(store.last_seq())?);
    let span = u64::try_from(last.0.saturating_sub(first.0))
        .unwrap_or(0)
        .max(1);
    let of_type = |random: &mut Random| {
        let event_type = super::query::type_name(random.below(shape.types));
        store.query().types([event_type])
    };
    let newest = timed(|random| {
        let found = of_type(random).newest_first().limit(NEWEST);
        read(&found)
    })?;
    let since = timed(|random| {
        let after = i64::try_from(random.below(span)).unwrap_or(0);
        let time = Timestamp(first.0.saturating_add(after));
        read(&store.query().appended_since(time).limit(1))
    })?;
    let of_source = timed(|random| {
        let number = random.below(shape.sources);
        let source = if shape.sources > shape.types {
            format!("s.{number}")
        } else {
            super::query::source_name(number)
        };
        read(&store.query().source(source).limit(1))
    })?;
    let counted = timed(|random| {
        black_box(of_type(random).count()?);
        Ok(())
    })?;
    for (name, latency) in [
        ("newest_100_us", newest),
        ("time_start_us", since),
        ("first_of_source_us", of_source),
        ("count_of_type_us", counted),
    ] {
        figures.note(name, latency.p50);
    }
    Ok(())
}

fn timed(mut ask: impl FnMut(&mut Random) -> Result<()>) -> Result<Latency> {
    let mut recorder = Recorder::new();
    for round in 0..2 {
        let mut random = Random(3);
        for _ in 0..QUERIES {
            let started = Instant::now();
            ask(&mut random)?;
            if round == 1 {
                recorder.record(started.elapsed());
            }
        }
    }
    Ok(recorder.micros())
}

/// A query is over when its events were read.
fn read(query: &Query) -> Result<()> {
    for stored in query.run()? {
        black_box(stored?.event().data_bytes());
    }
    Ok(())
}

fn opened_in(bench: &Bench) -> Result<Duration> {
    let started = Instant::now();
    let system = bench.builder(NAME, Durability::Os).open()?;
    let took = started.elapsed();
    system.close()?;
    Ok(took)
}

fn rebuilt_in(bench: &Bench) -> Result<Duration> {
    let started = Instant::now();
    black_box(EventSystem::reindex(bench.path(NAME))?);
    Ok(started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_differ_and_tell_no_time() {
        let ids: std::collections::HashSet<EventId> = (0..1000).map(random_id).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.0 >> 76 & 0xf == 4));
    }
}

//! The event store by the number of its events: look-ups, indexing, opening, memory, the index's size.

use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use forelog::{
    Durability, Error, Event, EventId, EventStore, EventSystem, Query, Result, Timestamp,
};

use super::query::wait_indexed;
use super::space::allocated;
use crate::args::{IdsOf, ScaleArgs};
use crate::bench::{Bench, Random, event_of};
use crate::latency::{Latency, Recorder};
use crate::machine::own_memory;
use crate::num::{count, float, index, rate, shown};
use crate::row::Row;

/// How many ids are looked up, and how many queries of a kind are asked.
const LOOKUPS: u64 = 5_000;
const QUERIES: u64 = 1_000;
const NEWEST: u64 = 100;
const MIB: f64 = 1_048_576.0;
const NAME: &str = "scale";

/// What the logs of a run are like.
#[derive(Debug, Clone, Copy)]
struct Shape {
    events: u64,
    types: u64,
    sources: u64,
    /// Whether each event has a random id of the user's.
    is_random: bool,
}

/// A row for each size and kind of ids.
pub(crate) fn run(bench: &Bench, args: &ScaleArgs) -> Result<Vec<Row>> {
    let sizes = match (args.sizes.is_empty(), bench.options.short) {
        (false, _) => args.sizes.clone(),
        (true, true) => vec![10_000, 20_000],
        (true, false) => vec![1_000_000, 10_000_000],
    };
    let kinds: &[bool] = match args.ids {
        IdsOf::Own => &[false],
        IdsOf::Random => &[true],
        IdsOf::Both => &[false, true],
    };
    let mut rows = Vec::new();
    for &is_random in kinds {
        for &events in &sizes {
            rows.push(at_size(
                bench,
                Shape {
                    events,
                    types: args.types,
                    sources: args.sources,
                    is_random,
                },
            )?);
        }
    }
    Ok(rows)
}

fn at_size(bench: &Bench, shape: Shape) -> Result<Row> {
    let kind = if shape.is_random { "random" } else { "own" };
    let what = format!(
        "get by id, {kind} ids, {} events",
        shown(float(shape.events))
    );
    bench.step(&what);
    let system = bench.builder(NAME, Durability::Os).open()?;
    let started = Instant::now();
    let ids = fill(bench, &system, shape)?;
    let emitted = started.elapsed();
    wait_indexed(&system)?;
    let indexed = started.elapsed();
    bench.step("read once, so that it is warm");
    warm(&bench.path(NAME))?;
    let mut row = Row::new(format!("scale_{kind}_at_{}", shape.events), what, "us");
    row = looked_up(row, &system, &ids)?;
    row = queried(row, &system.store(), shape)?;
    let memory = own_memory().map(|bytes| float(bytes) / MIB);
    system.close()?;
    drop(system);
    let path = bench.path(NAME);
    let on_disk = allocated(&path.join("index"))?;
    let opened = opened_in(bench)?;
    let rebuilt = rebuilt_in(bench)?;
    bench.clear(NAME)?;
    let each = |bytes: u64| float(bytes) / float(shape.events);
    Ok(row
        .events(shape.events)
        .extra("types", Some(float(shape.types)))
        .extra("sources", Some(float(shape.sources)))
        .extra("emit_events_s", Some(rate(shape.events, emitted)))
        .extra("index_events_s", Some(rate(shape.events, indexed)))
        .extra("rebuild_events_s", Some(rate(shape.events, rebuilt)))
        .extra("open_ms", Some(opened.as_secs_f64() * 1e3))
        .extra("memory_mib", memory)
        .extra("index_bytes_an_event", Some(each(on_disk)))
        .note(
            "p50 of look-ups that were made once before, in a log whose files were all read once before them: \
             the system may have put them out of the page cache while the log grew. index_events_s: from \
             the first emit until all is indexed; memory_mib: RssAnon of the process that emitted, indexed and looked up; \
             rebuild_events_s: the whole of EventSystem::reindex",
        ))
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
fn fill(bench: &Bench, system: &EventSystem, shape: Shape) -> Result<Vec<EventId>> {
    let size = index(bench.options.size);
    let mut ready: Vec<Event> = (0..shape.types)
        .map(|number| {
            let mut event = event_of(size, &super::query::type_name(number))?;
            event.source = super::query::source_name(number % shape.sources);
            Ok(event)
        })
        .collect::<Result<_>>()?;
    let stride = (shape.events / LOOKUPS).max(1);
    let mut ids = Vec::new();
    let mut number = 0;
    while number < shape.events {
        for event in &mut ready {
            if shape.sources > shape.types {
                event.source.clear();
                // Writing to a String cannot fail.
                let _ = write!(event.source, "s.{}", number % shape.sources);
            }
            if shape.is_random {
                event.event_id = random_id(number);
            }
            let receipt = system.emit(&*event)?;
            if number.is_multiple_of(stride) {
                ids.push(receipt.event_id);
            }
            number += 1;
            if number == shape.events {
                break;
            }
        }
    }
    Ok(ids)
}

/// Ids that are there, and ids that are not.
fn looked_up(row: Row, system: &EventSystem, ids: &[EventId]) -> Result<Row> {
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
    let (present, absent) = (timed(&places)?, timed(&absent)?);
    Ok(row
        .values(vec![present.p50])
        .latencies(&[present])
        .extra("absent_us", Some(absent.p50)))
}

fn queried(row: Row, store: &EventStore, shape: Shape) -> Result<Row> {
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
    Ok(row
        .extra("newest_100_us", Some(newest.p50))
        .extra("time_start_us", Some(since.p50))
        .extra("first_of_source_us", Some(of_source.p50))
        .extra("count_of_type_us", Some(counted.p50)))
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

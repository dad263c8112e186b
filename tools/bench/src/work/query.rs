//! Look-ups through the index: all events of a type, single events by id, and queries.

use std::hint::black_box;
use std::time::{Duration, Instant};

use forelog::{Durability, Error, ErrorKind, Event, EventId, EventSystem, Result, Seq};

use super::find;
use crate::bench::{Bench, Random, event_of};
use crate::floor::Room;
use crate::num::{index, rate};
use crate::row::Row;

const TYPES: u64 = 100;
const SOURCES: u64 = 100;
/// One id in so many is looked up.
const ID_STRIDE: u64 = 16;
const PATIENCE: Duration = Duration::from_secs(600);

/// The rows of both kinds of look-up, over events of 100 types in turn.
pub(crate) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let events = bench.options.events_or(500_000).max(TYPES);
    bench.step("fill and index");
    let system = bench.builder("query", Durability::Os).open()?;
    let ids = fill(bench, &system, events)?;
    wait_indexed(&system)?;
    let room = Room::new(events, bench.frame_len()?)?;
    let by_type = bench.pairs(
        "all events of a type",
        || all_of_each_type(&system),
        || Ok(room.crc_strided(TYPES)),
    )?;
    let gets = events.min(200_000);
    let by_id = bench.pairs(
        "get by id",
        || get_by_ids(&system, &ids, gets),
        || Ok(room.crc_random(gets)),
    )?;
    let found = find::rows(bench, &system, &room, (TYPES, SOURCES))?;
    system.close()?;
    bench.clear("query")?;
    let by_type = Row::new(
        "query_by_type",
        "all events of a type, of 100 types",
        "events/s",
    )
    .rates(by_type, "CRC of every hundredth frame in memory")
    .events(events);
    let by_id = Row::new("query_by_id", "get by id, random, warm", "ns")
        .times(by_id, "CRC of frames at random places in memory")
        .events(events);
    Ok([vec![by_type, by_id], found].concat())
}

pub(super) fn type_name(number: u64) -> String {
    format!("t.{number:02}")
}

/// As long as the source of all other benches.
pub(super) fn source_name(number: u64) -> String {
    format!("s.{number:03}")
}

fn fill(bench: &Bench, system: &EventSystem, events: u64) -> Result<Vec<EventId>> {
    let size = index(bench.options.size);
    let ready: Vec<Event> = (0..TYPES)
        .map(|number| {
            let mut event = event_of(size, &type_name(number))?;
            // Not always the same one with the same type.
            event.source = source_name((number * 7) % SOURCES);
            Ok(event)
        })
        .collect::<Result<_>>()?;
    let mut ids = Vec::new();
    for (number, event) in (0..events).zip(ready.iter().cycle()) {
        let receipt = system.emit(event)?;
        if number.is_multiple_of(ID_STRIDE) {
            ids.push(receipt.event_id);
        }
    }
    Ok(ids)
}

/// Waits until look-ups need no scan.
pub(crate) fn wait_indexed(system: &EventSystem) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while is_behind(system) {
        if Instant::now() > deadline {
            let message = "the index did not catch up in ten minutes";
            return Err(Error::new(ErrorKind::Index, message));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The newest events may be found by a scan of the log's end; more than a window may not.
fn is_behind(system: &EventSystem) -> bool {
    const WINDOW: u64 = 4096;
    let stats = system.stats();
    let Seq(last) = stats.last_seq;
    stats.index.rebuilding || stats.index.indexed_upto.0.saturating_add(2 * WINDOW) < last
}

fn all_of_each_type(system: &EventSystem) -> Result<f64> {
    let store = system.store();
    let mut found = 0;
    let started = Instant::now();
    for number in 0..TYPES {
        for stored in store.by_type(&type_name(number)) {
            black_box(stored?.event().data_bytes());
            found += 1;
        }
    }
    Ok(rate(found, started.elapsed()))
}

fn get_by_ids(system: &EventSystem, ids: &[EventId], gets: u64) -> Result<f64> {
    let store = system.store();
    let mut random = Random(5);
    let started = Instant::now();
    for _ in 0..gets {
        let place = index(random.below(crate::num::count(ids.len())));
        if let Some(&id) = ids.get(place) {
            let found = store.get_by_id(id)?;
            black_box(found.as_ref().map(|stored| stored.event().data_bytes()));
        }
    }
    Ok(1e9 / rate(gets, started.elapsed()))
}

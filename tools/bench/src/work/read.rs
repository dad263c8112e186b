//! Reading what is there: replay from end to end, and single events at random.

use std::hint::black_box;
use std::time::Instant;

use forelog::{EventSystem, Result, Seq};

use crate::bench::{Bench, Random};
use crate::floor::Room;
use crate::lookup::Lookup;
use crate::num::{median, rate};
use crate::row::Row;

/// A replay of all events in the page cache, every checksum checked.
pub(crate) fn replay(bench: &Bench, id: &str) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let system = bench.filled_system("replay", events)?;
    let room = Room::new(events, bench.frame_len()?)?;
    let what = format!("replay, {} B events", bench.options.size);
    let pair = bench.pairs(&what, || replay_all(&system), || Ok(room.crc_all()))?;
    system.close()?;
    bench.clear("replay")?;
    Ok(Row::new(id, what, "events/s")
        .rates(pair, "CRC of the same frames in memory, in order")
        .events(events))
}

/// Events a second of a replay of all.
pub(crate) fn replay_all(system: &EventSystem) -> Result<f64> {
    let started = Instant::now();
    let events = system.replay().run(|event| {
        black_box(event.data_bytes());
        Ok(())
    })?;
    Ok(rate(events, started.elapsed()))
}

/// Events by Seq at random, all in the page cache.
pub(crate) fn get(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let system = bench.filled_system("get", events)?;
    let bare = Lookup::new(events, bench.frame_len()?)?;
    let pair = bench.pairs(
        "get by Seq, random",
        || get_random(&system, events),
        || Ok(bare.overlapped(events)),
    )?;
    let in_turn: Vec<f64> = (0..bench.options.runs())
        .map(|_| bare.in_turn(events))
        .collect();
    system.close()?;
    bench.clear("get")?;
    Ok(Row::new("get", "get by Seq, random, warm", "ns")
        .times(
            pair,
            "a table of offsets and CRCs of the frames that it leads to, in memory, as many bytes",
        )
        .reaches_floor()
        .extra("floor_in_turn_ns", median(&in_turn))
        .note(
            "the floor's look-ups overlap in the processor, which needs loops of a few dozen \
             instructions; floor_in_turn_ns is the same where each waits for the one before",
        )
        .events(events))
}

/// Nanoseconds of each of so many gets.
pub(crate) fn get_random(system: &EventSystem, gets: u64) -> Result<f64> {
    let store = system.store();
    let held = store.len().max(1);
    let first = store.first_seq().0;
    let mut random = Random(11);
    let started = Instant::now();
    for _ in 0..gets {
        let found = store.get(Seq(first + random.below(held)))?;
        black_box(found.as_ref().map(|stored| stored.event().data_bytes()));
    }
    Ok(1e9 / rate(gets, started.elapsed()))
}

//! Reading what is there: replay from end to end, and single events at random.

use std::hint::black_box;
use std::time::Instant;

use forelog::{EventSystem, Result, Seq};

use crate::bench::{Bench, Random};
use crate::floor::Room;
use crate::num::rate;
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

fn replay_all(system: &EventSystem) -> Result<f64> {
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
    let room = Room::new(events, bench.frame_len()?)?;
    let pair = bench.pairs(
        "get by Seq, random",
        || get_random(&system, events),
        || Ok(room.crc_random(events)),
    )?;
    system.close()?;
    bench.clear("get")?;
    Ok(Row::new("get", "get by Seq, random, warm", "ns")
        .times(
            pair,
            "CRC of frames at random places in memory, as many bytes in all",
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

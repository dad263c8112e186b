//! Emits that do not wait for the disk.

use std::time::Instant;

use forelog::{Durability, Event, EventSystem, Result};

use crate::bench::{Bench, in_threads};
use crate::floor::Room;
use crate::num::{median, rate, share};
use crate::row::{Pair, Row, quotient};

const FLOOR: &str = "copy and CRC of each frame into mapped memory that was touched before, as many \
                     bytes, as many threads";

/// `emit` of one ready event, again and again.
pub(crate) fn burst(bench: &Bench, threads: u64) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let durability = bench.options.durability.unwrap_or(Durability::Os);
    let event = bench.event()?;
    let mut room = Room::new(events, bench.frame_len()?)?;
    let mut bare = Vec::new();
    let what = format!("emit, {}, {}", name_of(durability), threads_of(threads));
    let pair = bench.pairs(
        &what,
        || {
            let system = bench.ready_system("append", events, durability)?;
            let rate = emit_all(&system, &event, events, threads)?;
            system.close()?;
            bench.clear("append")?;
            Ok(rate)
        },
        || {
            bare.push(room.bare_log());
            room.copy_and_crc(threads)
        },
    )?;
    let row = Row::new(format!("append_{threads}"), what, "events/s").rates(pair, FLOOR);
    let bare = median(&bare).filter(|_| threads == 1);
    let of_floor = quotient(bare, row.floor);
    Ok(row
        .reach("value", bare)
        .reach("ratio_to_floor", of_floor)
        .events(events)
        .threads(threads)
        .note(
            "a burst: the segment holds the whole run, and the system's threads had come to rest \
             before it began. bare: the same with what no log can do without, a clock reading, a lock and \
             a word to readers"
        ))
}

/// Two threads and one, run in turn: the proportion of the two.
pub(crate) fn two_threads(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    let event = bench.event()?;
    let run = |threads| {
        let system = bench.ready_system("paired", events, Durability::Os)?;
        let rate = emit_all(&system, &event, events, threads)?;
        system.close()?;
        bench.clear("paired")?;
        Ok(rate)
    };
    let against_one: Pair = bench.pairs("emit, 2 threads beside 1", || run(2), || run(1))?;
    let ratio = quotient(median(&against_one.engine), median(&against_one.floor));
    Ok(burst(bench, 2)?.extra("ratio_to_one_thread", ratio))
}

/// Events a second of so many threads that emit one ready event.
pub(crate) fn emit_all(
    system: &EventSystem,
    event: &Event,
    events: u64,
    threads: u64,
) -> Result<f64> {
    let started = Instant::now();
    if threads == 1 {
        for _ in 0..events {
            system.emit(event)?;
        }
        return Ok(rate(events, started.elapsed()));
    }
    let (time, _) = in_threads(threads, |place| {
        for _ in 0..share(events, threads, place) {
            system.emit(event)?;
        }
        Ok(())
    })?;
    Ok(rate(events, time))
}

/// A durability as people and scripts call it.
pub(crate) fn name_of(durability: Durability) -> String {
    match durability {
        Durability::Sync => "sync".to_owned(),
        Durability::Interval(time) => format!("every {} ms", time.as_millis()),
        _ => "os".to_owned(),
    }
}

/// `1 thread`, `8 threads`.
pub(crate) fn threads_of(threads: u64) -> String {
    let plural = if threads == 1 { "" } else { "s" };
    format!("{threads} thread{plural}")
}

//! Compressed segments beside plain ones: room, replay, and single events at random.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use forelog::{Data, Durability, Error, ErrorKind, Event, EventSystem, Result};
use serde::Serialize;

use super::read::{get_random, replay_all};
use crate::args::CompressArgs;
use crate::bench::{Bench, Random};
use crate::num::{count, float, index};
use crate::row::Row;

const EVENT_TYPE: &str = "order.placed";
const LOOK_AFTER: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(600);
/// How many lines of a file are held; with more events they come round again.
const LINES_MAX: usize = 200_000;
/// How many gets there are for each run: one that has to unpack takes some ten microseconds.
const GETS: u64 = 50_000;

/// An order as it might stand in a book: some fields vary much, some little.
#[derive(Debug, Serialize)]
struct Order {
    number: u64,
    account: String,
    symbol: &'static str,
    side: &'static str,
    quantity: u64,
    price_cents: u64,
    venue: &'static str,
    placed_at_ns: u64,
}

fn order(number: u64, random: &mut Random) -> Order {
    const SYMBOLS: &[&str] = &[
        "FRID", "ACME", "OMNI", "HALO", "ZETA", "KILO", "NOVA", "TRIO",
    ];
    let at = index(random.below(count(SYMBOLS.len())));
    Order {
        number,
        account: format!("acc-{:05}", random.below(20_000)),
        symbol: SYMBOLS.get(at).unwrap_or(&"FRID"),
        side: if random.below(2) == 0 { "buy" } else { "sell" },
        quantity: random.below(5_000) + 1,
        price_cents: 10_000 + random.below(900),
        venue: "XAMS",
        placed_at_ns: 1_700_000_000_000_000_000 + number * 1_000 + random.below(1_000),
    }
}

/// Writes the same events plain and compressed, and compares the two.
pub(crate) fn run(bench: &Bench, args: &CompressArgs) -> Result<Vec<Row>> {
    let lines = args.lines.as_deref().map(read_lines).transpose()?;
    let events = bench.options.events_or(1_000_000);
    let lines = lines.as_deref();
    let plain = filled(bench, "plain", events, None, lines)?;
    let packed = filled(bench, "packed", events, Some(args.level), lines)?;
    let beside = "the same events in a log that is not compressed";
    let bytes = |system: &EventSystem| {
        let report = system.store().explain_retention();
        (report.bytes - report.prepared_bytes, report.saved_bytes)
    };
    let each = |bytes: u64| float(bytes) / float(events);
    let (len, saved) = bytes(&packed);
    let mut rows = vec![
        Row::new("compress_space", "an event in a compressed log", "B")
            .values(vec![each(len)])
            .events(events)
            .extra("plain", Some(each(bytes(&plain).0)))
            .extra("ratio_of_compressed_segments", Some(ratio(&packed)))
            .extra("saved_mib", Some(float(saved) / float(1 << 20)))
            .note(
                "all segments, of which the newest two stay plain, the last at its full length; \
                 the ratio is that of the others",
            ),
    ];
    let what = "replay of compressed events";
    let pair = bench.pairs(what, || replay_all(&packed), || replay_all(&plain))?;
    let row = Row::new("compress_replay", what, "events/s");
    rows.push(row.rates(pair, beside).events(events));
    let what = "get by Seq, random, compressed";
    let gets = GETS.min(events);
    let get = |system: &EventSystem| get_random(system, gets);
    let pair = bench.pairs(what, || get(&packed), || get(&plain))?;
    let row = Row::new("compress_get", what, "ns").times(pair, beside);
    rows.push(row.events(events));
    for (name, system) in [("plain", plain), ("packed", packed)] {
        system.close()?;
        bench.clear(name)?;
    }
    Ok(rows)
}

/// By how much the compressed segments are smaller.
fn ratio(system: &EventSystem) -> f64 {
    let report = system.store().explain_retention();
    let packed = report.segments.iter().filter(|one| one.saved_bytes > 0);
    let (len, saved) = packed.fold((0, 0), |(len, saved), one| {
        (len + one.bytes, saved + one.saved_bytes)
    });
    float(len + saved) / float(len.max(1))
}

fn filled(
    bench: &Bench,
    name: &str,
    events: u64,
    level: Option<i32>,
    lines: Option<&[Data]>,
) -> Result<EventSystem> {
    bench.step(&format!("writing {name}"));
    let builder = bench.builder(name, Durability::Os);
    // Small enough that nearly all of a million events is compressed.
    let builder = builder.segment_size(8 << 20);
    let system = match level {
        Some(level) => builder.compression(level).open()?,
        None => builder.open()?,
    };
    let mut random = Random(7);
    for number in 0..events {
        let data = match lines {
            Some(lines) => {
                let at = index(number) % lines.len();
                lines.get(at).cloned()
            }
            None => None,
        };
        let data = match data {
            Some(data) => data,
            None => Data::new(&order(number, &mut random))?,
        };
        system.emit(Event::with_data(EVENT_TYPE, "bench", data))?;
    }
    if level.is_some() {
        wait_compressed(&system)?;
    }
    Ok(system)
}

/// Until all segments but the last two are compressed, or none has been for a while.
fn wait_compressed(system: &EventSystem) -> Result<()> {
    let begun = Instant::now();
    let mut last = (Instant::now(), 0);
    loop {
        let report = system.store().explain_retention();
        let done = report.segments.iter().filter(|one| one.saved_bytes > 0);
        let done = done.count();
        if done + 2 >= report.segments.len() {
            return Ok(());
        }
        if done > last.1 {
            last = (Instant::now(), done);
        }
        if last.0.elapsed() > PATIENCE / 20 || begun.elapsed() > PATIENCE {
            let message = format!(
                "{done} of {} segments are compressed: these events do not get smaller by an \
                 eighth, or the disk is full",
                count(report.segments.len())
            );
            return Err(Error::new(ErrorKind::Io, message));
        }
        std::thread::sleep(LOOK_AFTER);
    }
}

fn read_lines(path: &Path) -> Result<Vec<Data>> {
    let told = |source| Error::io("read", path, source);
    let file = BufReader::new(File::open(path).map_err(told)?);
    let mut lines = Vec::new();
    for line in file.lines().take(LINES_MAX) {
        let line = line.map_err(told)?;
        lines.push(match serde_json::from_str::<serde_json::Value>(&line) {
            Ok(value) => Data::new(&value)?,
            Err(_) => Data::new(&line)?,
        });
    }
    if lines.is_empty() {
        let message = "the file has no lines";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(path));
    }
    Ok(lines)
}

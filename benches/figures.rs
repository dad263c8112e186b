//! The figures of the README: buffered and durable appends, and replay, each beside its raw floor.
//!
//! ```text
//! cargo bench --bench figures             # a table
//! cargo bench --bench figures -- --json   # a line of JSON for each figure
//! cargo bench --bench figures -- --short  # fewer events: shows that it runs, not how fast
//! FORELOG_BENCH_DIR=/some/disk cargo bench --bench figures
//! ```
//!
//! Engine and floor of the same work run in turn, five times; the medians are shown, and the ratio of
//! the medians. The floor of an append is a copy and a CRC into memory that is there already; of a
//! durable append a 4 KiB pwrite and an fdatasync on blocks that were written before; of a replay a
//! CRC over the same bytes.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot write its files has nothing to measure"
)]

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use forelog::{Data, Durability, Event, EventSystem, Result};

const EVENT_LEN: usize = 256;
/// What a frame adds to type, source and data.
const FRAME_HEADER_LEN: usize = 64;
const RUNS: usize = 5;

struct Figure {
    name: &'static str,
    unit: &'static str,
    engine: f64,
    floor: f64,
}

fn main() -> Result<()> {
    let has = |option| std::env::args().any(|arg| arg == option);
    let json = has("--json");
    let events = if has("--short") { 50_000 } else { 1_000_000 };
    let base = std::env::var_os("FORELOG_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base).expect("a temporary folder");
    let figures = [
        buffered(dir.path(), events)?,
        durable(dir.path(), events / 500)?,
        replayed(dir.path(), events)?,
    ];
    for figure in &figures {
        let ratio = figure.engine / figure.floor;
        if json {
            println!(
                r#"{{"name":"{}","unit":"{}","engine":{:.0},"floor":{:.0},"ratio_to_floor":{ratio:.3}}}"#,
                figure.name, figure.unit, figure.engine, figure.floor
            );
        } else {
            println!(
                "{:<34} {:>12.0} {:<9} floor {:>12.0}   ratio {ratio:.2}",
                figure.name, figure.engine, figure.unit, figure.floor
            );
        }
    }
    Ok(())
}

/// `emit` of ready bytes with `Durability::Os`, one thread.
fn buffered(dir: &Path, events: u64) -> Result<Figure> {
    let event = event();
    let (mut engine, mut floor) = (Vec::new(), Vec::new());
    let mut room = vec![1_u8; 64 << 20];
    for run in 0..RUNS {
        let system = open(&dir.join(format!("buffered-{run}")))?;
        let started = Instant::now();
        for _ in 0..events {
            system.emit_with(&event, Durability::Os)?;
        }
        engine.push(rate(events, started));
        system.close()?;
        std::fs::remove_dir_all(dir.join(format!("buffered-{run}")))
            .expect("removes its own files");
        floor.push(copy_and_crc(&mut room, events));
    }
    Ok(figure(
        "append, buffered, 1 thread",
        "events/s",
        engine,
        floor,
    ))
}

/// `emit` with `Durability::Sync`, one thread, each waits for its own.
fn durable(dir: &Path, events: u64) -> Result<Figure> {
    let event = event();
    let (mut engine, mut floor) = (Vec::new(), Vec::new());
    let system = open(&dir.join("durable"))?;
    let file = written_file(&dir.join("floor"), events * 4096);
    for _ in 0..RUNS {
        let started = Instant::now();
        for _ in 0..events {
            system.emit_with(&event, Durability::Sync)?;
        }
        engine.push(rate(events, started));
        let page = [7_u8; 4096];
        let started = Instant::now();
        for number in 0..events {
            file.write_all_at(&page, number * 4096).expect("writes");
            file.sync_data().expect("syncs");
        }
        floor.push(rate(events, started));
    }
    system.close()?;
    Ok(figure(
        "append, durable, 1 thread",
        "events/s",
        engine,
        floor,
    ))
}

/// A replay of all events, warm, every checksum checked.
fn replayed(dir: &Path, events: u64) -> Result<Figure> {
    let event = event();
    let system = open(&dir.join("replayed"))?;
    for _ in 0..events {
        system.emit_with(&event, Durability::Os)?;
    }
    let frame_len = FRAME_HEADER_LEN + EVENT_LEN;
    let bytes = vec![3_u8; frame_len * usize::try_from(events).unwrap_or(0)];
    let (mut engine, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut seen = 0;
        let started = Instant::now();
        system.replay().run(|event| {
            seen += event.data_bytes().len();
            Ok(())
        })?;
        engine.push(rate(events, started));
        assert!(seen > 0, "the replay saw the data");
        let started = Instant::now();
        for record in bytes.chunks_exact(frame_len) {
            black_box(crc32fast::hash(record));
        }
        floor.push(rate(events, started));
    }
    system.close()?;
    Ok(figure(
        "replay with checksums, warm",
        "events/s",
        engine,
        floor,
    ))
}

fn copy_and_crc(room: &mut [u8], events: u64) -> f64 {
    let source = [5_u8; EVENT_LEN];
    let started = Instant::now();
    let mut at = 0;
    for _ in 0..events {
        if at + EVENT_LEN > room.len() {
            at = 0;
        }
        let place = &mut room[at..at + EVENT_LEN];
        place.copy_from_slice(black_box(&source));
        black_box(crc32fast::hash(place));
        at += EVENT_LEN;
    }
    rate(events, started)
}

/// A file whose blocks were all written.
fn written_file(path: &Path, len: u64) -> File {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path);
    let file = file.expect("makes a file");
    for at in (0..len).step_by(4096) {
        file.write_all_at(&[0; 4096], at).expect("writes");
    }
    file.sync_all().expect("syncs");
    file
}

/// An event whose type, source and data take 256 bytes together.
fn event() -> Event {
    let (event_type, source) = ("bench.event", "bench");
    let text = "x".repeat(EVENT_LEN - event_type.len() - source.len() - 2);
    Event::with_data(event_type, source, Data::new(&text).expect("encodes"))
}

fn open(path: &Path) -> Result<EventSystem> {
    EventSystem::builder()
        .persistence_path(path)
        .durability(Durability::Os)
        .open()
}

fn rate(events: u64, started: Instant) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is shown with a few digits"
    )]
    let events = events as f64;
    events / started.elapsed().as_secs_f64()
}

fn figure(name: &'static str, unit: &'static str, engine: Vec<f64>, floor: Vec<f64>) -> Figure {
    Figure {
        name,
        unit,
        engine: median(engine),
        floor: median(floor),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

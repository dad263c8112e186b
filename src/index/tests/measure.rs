//! Figures: `cargo test --release index_figures -- --ignored --nocapture`.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::time::Instant;

use super::*;

/// Bytes of the process that are in memory.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text
        .split(' ')
        .nth(1)
        .map_or(0.0, |pages| pages.parse().unwrap());
    pages * 4096.0
}

fn micros<T>(rounds: u32, mut run: impl FnMut(u64) -> T) -> f64 {
    let mut all: Vec<f64> = (0..u64::from(rounds))
        .map(|round| {
            let started = Instant::now();
            std::hint::black_box(run(round));
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[test]
#[ignore = "measures, and asserts nothing about speed"]
fn index_figures() {
    let count = std::env::var("EVENTS").map_or(1_000_000, |text| text.parse().unwrap());
    for (odd_ids, types, sources) in [
        (0, 1, 1),
        (0, 10, 1),
        (0, 100, 100),
        (0, 1000, 1),
        (0, 10, 1_000_000),
        (100, 10, 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig {
            segment_len: 64 << 20,
            ..log_config()
        };
        let log = log_with(Arc::new(MemoryStorage::default()), config);
        let mut source = Source::new(17, odd_ids, types);
        source.sources = sources;
        source.emit(&log, count);
        let folder = dir.path().join("index");
        let mut reader = log.reader(Seq::FIRST);
        while reader.next_event().unwrap().is_some() {}
        let memory = resident();
        let started = Instant::now();
        let index = open(&log, &folder);
        assert!(index.catch_up());
        let nanos = started.elapsed().as_secs_f64() * 1e9 / count as f64;
        let bytes = index.state().bytes as f64 / count as f64;
        let memory = (resident() - memory) / 1_048_576.0;
        println!(
            "{odd_ids} % odd ids, {types} types, {sources} sources: {nanos:.0} ns an event, \
             {bytes:.2} B/event in lists and ids, RSS grew by {memory:.1} MiB, names take {:.1} MiB",
            index.state().names_bytes as f64 / 1_048_576.0
        );
        let some = |round: u64| format!("source.{}", keys::mix(round) % sources);
        let id = |round: u64| source.used[usize::try_from(keys::mix(round)).unwrap() % count];
        let walked = index.by_type("type.0", Seq(1)).count();
        println!(
            "  by_id {:.2} µs, foreign and absent {:.1} µs, newest 100 of a type {:.2} µs, \
             tally of a type {:.1} µs, of a source {:.1} µs, of none {:.1} µs, \
             first of a source {:.1} µs, by_type {:.2} ns an event",
            micros(1001, |round| index.by_id(id(round)).unwrap()),
            micros(101, |round| index.by_id(EventId(round.into())).unwrap()),
            micros(301, |_| index
                .newest(Dimension::Type, "type.0", Seq::MAX)
                .take(100)
                .count()),
            micros(301, |_| index.tally(Dimension::Type, "type.0")),
            micros(301, |round| index.tally(Dimension::Source, &some(round))),
            micros(301, |_| index.tally(Dimension::Source, "none")),
            micros(301, |round| index.by_source(&some(round), Seq(1)).next()),
            micros(11, |_| index.by_type("type.0", Seq(1)).count()) * 1e3 / walked as f64,
        );
        let names = micros(3, |_| index.names(Dimension::Source).count()) / 1e3;
        let before = Instant::now();
        index.close();
        drop(index);
        let closed = before.elapsed();
        let disk: u64 = std::fs::read_dir(folder.join("sled"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        let before = Instant::now();
        let index = open(&log, &folder);
        index.by_id(EventId(1)).unwrap();
        println!(
            "  names of sources {names:.1} ms, {:.2} B/event on disk, close {closed:.1?}, open {:.1?}",
            disk as f64 / count as f64,
            before.elapsed()
        );
    }
}

#[test]
#[ignore = "measures, and asserts nothing about size"]
fn index_figures_of_retention() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_len: 4 << 20,
        retention: crate::log::limits::Retention {
            max_events: Some(200_000),
            ..Default::default()
        },
        ..log_config()
    };
    let log = log_with(Arc::new(MemoryStorage::default()), config);
    let mut source = Source::new(18, 50, 30);
    let folder = dir.path().join("index");
    let index = open(&log, &folder);
    for round in 0..30 {
        source.emit(&log, 100_000);
        source.used.clear();
        index.catch_up();
        if round % 5 == 4 {
            let size = index.core.read().store.size().unwrap() >> 10;
            println!("{} KiB on disk, {:?}", size, index.state());
        }
    }
}

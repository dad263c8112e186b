//! Figures: `cargo test --release index_figures -- --ignored --nocapture`.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::time::Instant;

use super::*;

#[test]
#[ignore = "measures, and asserts nothing about speed"]
fn index_figures() {
    let count = 1_000_000;
    for (odd_ids, types) in [(0, 1), (0, 10), (0, 1000), (100, 1000), (1, 10), (100, 10)] {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig {
            segment_len: 64 << 20,
            ..log_config()
        };
        let log = log_with(Arc::new(MemoryStorage::default()), config);
        let mut source = Source::new(17, odd_ids, types);
        source.emit(&log, count);
        let folder = dir.path().join("index");
        let started = Instant::now();
        let index = open(&log, &folder);
        assert!(index.catch_up());
        let rate = count as f64 / started.elapsed().as_secs_f64() / 1e6;
        let bytes = index.state().bytes as f64 / count as f64;
        let every = 101;
        let started = Instant::now();
        for id in source.used.iter().step_by(every) {
            assert!(index.by_id(*id).unwrap().is_some());
        }
        let lookup = started.elapsed().as_secs_f64() * 1e6 * every as f64 / count as f64;
        let started = Instant::now();
        for number in 1..101 {
            assert_eq!(index.by_id(EventId(number)).unwrap(), None);
        }
        let missing = started.elapsed().as_secs_f64() * 1e4;
        let started = Instant::now();
        let found = index.by_type("type.0", Seq(1)).count();
        let walk = started.elapsed().as_secs_f64() * 1e9 / found as f64;
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
            "{odd_ids} % odd ids, {types} types: {rate:.2} M events/s, {bytes:.2} B/event, \
             {:.2} on disk, by_id {lookup:.1} µs, of a foreign id that is not there {missing:.1} µs, \
             by_type {walk:.1} ns an event, close {closed:?}, open {:?}",
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

//! Events that are staged for a sync, and others that come behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::holes::append;
use super::promise::read;
use super::rounds;
use super::run::Setup;
use crate::clock::SystemClock;
use crate::durability::Durability;
use crate::log::limits::Retention;
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::storage::memory::MemoryStorage;
use crate::storage::sim::SimDisk;

#[test]
fn an_event_behind_staged_ones_has_them_published_at_once_and_in_order() {
    let disk = SimDisk::new();
    let log = Setup::SMALL.open(&disk).unwrap();
    for number in 1..=3 {
        append(&log, number, Durability::Sync).unwrap();
    }
    assert_eq!(log.watermark().appended(), Seq::ZERO, "nobody synced yet");
    append(&log, 4, Durability::Os).unwrap();
    assert_eq!(log.watermark().appended(), Seq(4));
    assert_eq!(log.watermark().durable(), Seq::ZERO);
    let found = read(&log).unwrap();
    let numbers: Vec<u64> = found.iter().map(|sent| sent.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let mut durable = log.durable_reader(Seq::FIRST);
    assert!(durable.next_event().unwrap().is_none(), "1 awaits its sync");
    log.flush().unwrap();
    assert_eq!(durable.next_event().unwrap().unwrap().seq(), Seq(1));
}

/// A leader takes the stage whenever it likes. An append that is not to be synced must not take that
/// for its own work: a process that is killed then would lose what was acknowledged.
#[test]
fn an_event_that_is_not_synced_is_published_when_its_append_returns() {
    let config = LogConfig {
        segment_len: 256 << 10,
        retention: Retention {
            max_events: Some(1_000),
            ..Retention::default()
        },
        ..LogConfig::default()
    };
    let storage = Arc::new(MemoryStorage::default());
    let log = Log::open(storage, config, Arc::new(SystemClock), Seq::ZERO).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for number in 0.. {
                    let seq = append(&log, number, Durability::Sync).unwrap();
                    log.wait_durable(seq).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let early = (0..rounds(50_000)).find(|&number| {
            let seq = append(&log, number, Durability::Os).unwrap();
            log.watermark().appended() < seq
        });
        stop.store(true, Ordering::Relaxed);
        assert_eq!(
            early, None,
            "an append returned before its event was published"
        );
    });
    log.close().unwrap();
}

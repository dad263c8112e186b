//! What holds on every storage.

use std::sync::Arc;

use crate::log::*;

use crate::clock::{ManualClock, SystemClock};
use crate::storage::file::FileStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sys::Sys;

fn small() -> LogConfig {
    LogConfig {
        segment_len: 64 << 10,
        background: false,
        ..LogConfig::default()
    }
}

fn open(storage: &Arc<dyn Storage>) -> Result<Log> {
    Log::open(storage.clone(), small(), Arc::new(SystemClock), Seq::ZERO)
}

fn emit(log: &Log, number: u64, durability: Durability) -> Result<Seq> {
    let data = rmp_serde::to_vec(&number).unwrap();
    let record = Record::new("test.number", "unit", Timestamp(1), &data)?;
    let appended = log.append(&[record], durability)?;
    Ok(appended.last)
}

fn numbers(log: &Log) -> Vec<u64> {
    let mut reader = log.reader(Seq::FIRST);
    let mut numbers = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        numbers.push(event.data().unwrap());
    }
    numbers
}

fn storages(dir: &std::path::Path) -> Vec<Arc<dyn Storage>> {
    let file = |name: &str, sys| FileStorage::create(&dir.join(name), sys).unwrap();
    vec![
        Arc::new(file("native", Sys::native())),
        Arc::new(file("portable", Sys::PORTABLE)),
        Arc::new(MemoryStorage::default()),
    ]
}

#[test]
fn events_come_back_in_order_over_many_segments() {
    let dir = tempfile::tempdir().unwrap();
    for storage in storages(dir.path()) {
        let log = open(&storage).unwrap();
        for number in 0..5000 {
            let seq = emit(&log, number, Durability::Os).unwrap();
            assert_eq!(seq, Seq(number + 1));
        }
        assert_eq!(numbers(&log), (0..5000).collect::<Vec<_>>());
        assert!(log.segments().len() > 5, "it rotates");
        let stored = log.get(Seq(4321)).unwrap().unwrap();
        assert_eq!(stored.event().data::<u64>().unwrap(), 4320);
        assert!(log.get(Seq(5001)).unwrap().is_none());
        log.close().unwrap();
    }
}

#[test]
fn a_time_leads_to_the_last_event_that_had_been_appended() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let log = Log::open(storage, small(), clock.clone(), Seq::ZERO).unwrap();
    assert_eq!(log.last_at(Timestamp(i64::MAX)).unwrap(), Seq::ZERO);
    // Two events at each of the times 10, 20, 30, …
    for number in 0..2_000_u64 {
        clock.set(Timestamp(10 + 10 * i64::try_from(number / 2).unwrap()));
        emit(&log, number, Durability::Os).unwrap();
    }
    for (time, last) in [(9, 0), (10, 2), (11, 2), (19, 2), (20, 4), (10_000, 2_000)] {
        assert_eq!(log.last_at(Timestamp(time)).unwrap(), Seq(last), "{time}");
    }
    assert_eq!(log.removed_upto(), Seq::ZERO);
    log.retire_before(Seq(1_500)).unwrap();
    let removed = log.removed_upto();
    assert_eq!(log.first_seq(), removed.next());
    assert!(removed > Seq::ZERO && removed < Seq(1_500), "{removed}");
    assert_eq!(
        log.last_at(Timestamp(10)).unwrap(),
        removed,
        "all held are later"
    );
}

#[test]
fn a_log_that_was_closed_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    for storage in storages(dir.path()).into_iter().take(2) {
        for round in 0..5 {
            let log = open(&storage).unwrap();
            assert!(log.recovery().clean);
            assert_eq!(numbers(&log), (0..round * 1000).collect::<Vec<_>>());
            for number in round * 1000..(round + 1) * 1000 {
                emit(&log, number, Durability::Os).unwrap();
            }
            log.close().unwrap();
        }
    }
}

#[test]
fn a_log_that_was_not_closed_is_recovered_whole_in_the_same_boot() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storages(dir.path()).remove(0);
    for round in 0..5 {
        let log = open(&storage).unwrap();
        assert_eq!(log.recovery().clean, round == 0);
        assert_eq!(log.recovery().gap, None);
        assert_eq!(numbers(&log), (0..round * 700).collect::<Vec<_>>());
        for number in round * 700..(round + 1) * 700 {
            if number % 3 == 0 {
                let seq = emit(&log, number, Durability::Sync).unwrap();
                log.wait_durable(seq).unwrap();
            } else {
                emit(&log, number, Durability::Os).unwrap();
            }
        }
    }
}

#[test]
fn without_a_boot_id_an_unclean_end_declares_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storages(dir.path()).remove(1);
    let log = open(&storage).unwrap();
    for number in 0..10 {
        emit(&log, number, Durability::Os).unwrap();
    }
    drop(log);
    for _ in 0..2 {
        let log = open(&storage).unwrap();
        assert_eq!(numbers(&log), (0..10).collect::<Vec<_>>());
    }
    let log = open(&storage).unwrap();
    let seq = emit(&log, 10, Durability::Sync).unwrap();
    log.wait_durable(seq).unwrap();
    assert!(seq > Seq(1000), "{seq}");
    assert_eq!(numbers(&log), (0..11).collect::<Vec<_>>());
}

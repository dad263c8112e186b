//! Retention: each limit, and what happens where it meets somebody who still needs the past.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::{ErrorKind, Result};
use crate::format::record::Record;
use crate::log::limits::{Limit, Retention, WhenPinned};
use crate::log::reader::Step;
use crate::log::{Log, LogConfig};
use crate::position::{Gap, Seq};
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sys::{Sys, allocated};

const LEN: usize = 64 << 10;

fn open(storage: Arc<dyn Storage>, clock: &Arc<ManualClock>, config: LogConfig) -> Log {
    let config = LogConfig {
        segment_len: LEN,
        background: false,
        ..config
    };
    let clock: Arc<dyn Clock> = clock.clone();
    Log::open(storage, config, clock, Seq::ZERO).unwrap()
}

fn in_memory(config: LogConfig) -> (Log, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
    (
        open(Arc::new(MemoryStorage::default()), &clock, config),
        clock,
    )
}

/// A log that keeps four segments and what is prepared.
fn of_five(when_pinned: WhenPinned) -> Log {
    let retention = Retention {
        max_bytes: Some(5 * LEN as u64),
        ..Retention::default()
    };
    in_memory(LogConfig {
        retention,
        when_pinned,
        ..LogConfig::default()
    })
    .0
}

fn append(log: &Log) -> Result<Seq> {
    let record = Record::new("test", "unit", Timestamp(1), &[7; 1000]).unwrap();
    log.append(&[record], Durability::Os).map(|done| done.last)
}

fn append_all(log: &Log, count: u64) {
    for _ in 0..count {
        append(log).unwrap();
    }
}

fn on_disk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| allocated(&entry.unwrap().metadata().unwrap()));
    files.sum()
}

#[test]
fn the_disk_is_never_above_max_bytes_by_more_than_a_segment() {
    for when_pinned in [WhenPinned::Keep, WhenPinned::Gap, WhenPinned::Reject] {
        let dir = tempfile::tempdir().unwrap();
        let storage = Arc::new(FileStorage::create(dir.path(), Sys::native()).unwrap());
        let max = 6 * LEN as u64;
        let config = LogConfig {
            retention: Retention {
                max_bytes: Some(max),
                ..Retention::default()
            },
            when_pinned,
            ..LogConfig::default()
        };
        let log = open(storage, &Arc::default(), config);
        let mut most = 0;
        for _ in 0..1500 {
            append(&log).unwrap();
            most = most.max(on_disk(dir.path()));
        }
        assert!(most <= max + LEN as u64, "{most} bytes of {max}");
        assert!(on_disk(dir.path()) <= max);
        assert!(log.count() > 150 && log.count() < 400, "{}", log.count());
        assert!(log.retention_wait().is_none());
        log.close().unwrap();
    }
}

#[test]
fn what_is_older_than_max_age_goes_though_the_log_is_quiet() {
    let hour = Duration::from_secs(3600);
    let (log, clock) = in_memory(LogConfig {
        retention: Retention {
            max_age: Some(hour),
            ..Retention::default()
        },
        ..LogConfig::default()
    });
    let round = || {
        log.shared.settle().unwrap();
        log.shared.roll_if_old().unwrap();
        log.shared.retain().unwrap();
    };
    append_all(&log, 3);
    clock.advance(hour / 16);
    round();
    assert_eq!(log.segments().len(), 1, "it may still grow");
    clock.advance(hour / 16);
    round();
    assert_eq!(log.segments().len(), 2, "it has grown for an eighth");
    append_all(&log, 2);
    clock.advance(hour - hour / 8);
    round();
    assert_eq!(log.first_seq(), Seq(1), "the hour is not over");
    clock.advance(Duration::from_millis(1));
    round();
    assert_eq!(log.first_seq(), Seq(4));
    clock.advance(hour);
    round();
    round();
    assert_eq!((log.count(), log.first_seq()), (0, Seq(6)));
    append_all(&log, 1);
    assert_eq!(log.watermark().appended(), Seq(6));
}

#[test]
fn what_is_needed_is_kept_and_told_of_until_it_is_not() {
    let log = of_five(WhenPinned::Keep);
    log.pins().set("subscription slow", Seq(10));
    append_all(&log, 600);
    assert_eq!(log.first_seq(), Seq::FIRST);
    let wait = log.retention_wait().unwrap();
    assert_eq!(wait.name, "subscription slow");
    assert_eq!((wait.from, wait.limit), (Seq(10), Limit::MaxBytes));
    assert!(wait.segments >= 5, "{wait:?}");
    assert_eq!(wait.bytes, wait.segments * LEN as u64);
    log.pins().set("subscription slow", Seq(500));
    log.shared.retain().unwrap();
    assert!(log.first_seq() > Seq(300) && log.retention_wait().is_none());
}

#[test]
fn with_gaps_the_limit_counts_and_a_reader_is_told_what_has_gone() {
    let log = of_five(WhenPinned::Gap);
    log.pins().set("subscription slow", Seq(10));
    let mut reader = log.reader(Seq::FIRST);
    append_all(&log, 1);
    reader.next_event().unwrap().unwrap();
    append_all(&log, 600);
    let first = log.first_seq();
    assert!(first > Seq(300), "{first}");
    // It stands in a segment that has gone, and reads that to its end.
    let mut next = Seq(2);
    let gap = loop {
        match reader.step().unwrap().unwrap() {
            Step::Event(event) => {
                assert_eq!(event.seq(), next);
                next = next.next();
            }
            Step::Gap(gap) => break gap,
        }
    };
    let wanted = Gap {
        from: next,
        to: first.prev(),
    };
    assert_eq!(gap, wanted);
    assert_eq!(reader.next_event().unwrap().unwrap().seq(), first);
    // Work that could not tell a gap from nothing is spared all the same.
    log.pins().set_firm("laboratory 1", first);
    append_all(&log, 600);
    assert_eq!(log.first_seq(), first);
    assert_eq!(log.retention_wait().unwrap().name, "laboratory 1");
}

#[test]
fn where_limits_reject_emitters_wait_for_those_who_are_there() {
    let log = of_five(WhenPinned::Reject);
    log.pins().set("subscription slow", Seq(10));
    let mut taken = 0;
    let error = loop {
        match append(&log) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 1000, "nothing is rejected");
    };
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::QueueFull, Some(Seq(10)))
    );
    assert!(error.to_string().contains("slow"), "{error}");
    assert!(!error.is_outcome_unknown());
    assert_eq!(log.segments().len(), 5, "no segment was begun for it");
    assert_eq!(append(&log).unwrap_err().kind(), ErrorKind::QueueFull);
    assert_eq!(log.watermark().appended(), Seq(taken));
    log.pins().set("subscription slow", Seq(100));
    assert_eq!(append(&log).unwrap(), Seq(taken + 1));
    log.pins().detach("subscription slow");
    append_all(&log, 600);
    assert_eq!(log.retention_wait().unwrap().from, Seq(100));
}

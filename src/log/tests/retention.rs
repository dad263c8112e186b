//! Retention: each limit, and what happens where it meets somebody who still needs the past.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::run::{Run, Setup, Step as Do};
use super::survive;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::{ErrorKind, Result};
use crate::event::Expiry;
use crate::format::frame::HEADER_LEN;
use crate::format::record::Record;
use crate::log::limits::{Limit, Retention, WhenPinned};
use crate::log::reader::Step;
use crate::log::{Fate, Log, LogConfig};
use crate::position::{Gap, Seq};
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sim::{Choice, CrashKind};
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
        log.shared.settle_all().unwrap();
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
    clock.advance(hour / 8 * 7);
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

/// Fault row 29: whatever an older segment leaves in a newer one's place (frames at their own offsets, an
/// offset table, a trailer) has another salt in its checksums.
#[test]
fn stale_bytes_of_a_reused_file_never_pass() {
    for is_clean in [true, false] {
        let steps = [Do::Append(1, 300, Durability::Sync); 45];
        let mut run = Run::of(Setup::SMALL, &steps, |_| {});
        run.step(Do::Flush).unwrap();
        let segments = run.log().segments();
        let (old, active) = (&segments[0], segments.last().unwrap());
        let (from, to) = (format!("log/{}", old.name), format!("log/{}", active.name));
        let end = active.frames_end();
        assert!(end < old.frames_end() && old.footer().is_some());
        let stale = run.disk.read_file(&from).unwrap();
        if is_clean {
            run.log().close().unwrap();
        }
        let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
        // Behind the mark of the close, if there is one; at each offset that a frame may begin at.
        let end = if is_clean { end + 2 * HEADER_LEN } else { end };
        for shift in [0, 8, 4096] {
            let disk = disk.crash(CrashKind::Process, Choice::AllKept);
            let bytes = &stale[..stale.len() - shift];
            disk.corrupt(&to, end..stale.len(), |room| {
                room.copy_from_slice(&bytes[bytes.len() - room.len()..]);
            })
            .unwrap();
            let (log, found) =
                survive::open(&disk, Setup::SMALL, &run.promise, CrashKind::Process).unwrap();
            assert_eq!(found.len(), 45, "clean: {is_clean}, shifted by {shift}");
            assert_eq!(log.recovery().last, Seq(45));
            let mut again = Run::resume(disk, Setup::SMALL, log, run.promise.after(&found));
            again.step(Do::Append(3, 300, Durability::Sync)).unwrap();
            again.step(Do::Kill).unwrap();
        }
    }
}

#[test]
fn a_segment_goes_once_all_its_events_have_expired() {
    let minute = Duration::from_secs(60);
    let mut expiry = Expiry::default();
    expiry.set("tick".to_owned(), minute);
    expiry.set("quote".to_owned(), minute * 10);
    let (log, clock) = in_memory(LogConfig {
        expiry: Arc::new(expiry),
        ..LogConfig::default()
    });
    let fill = |event_type: &str| {
        let (segments, data) = (log.segments().len(), [7; 1000]);
        while log.segments().len() == segments {
            let record = Record::new(event_type, "unit", Timestamp(1), &data).unwrap();
            log.append(&[record], Durability::Os).unwrap();
        }
    };
    // The last of each begins a segment, and is the first of the next.
    for event_type in ["tick", "quote", "order", "tick"] {
        fill(event_type);
    }
    let ids = || {
        log.segments()
            .iter()
            .map(|one| one.id().0)
            .collect::<Vec<_>>()
    };
    let round = |after: Duration| {
        clock.advance(after);
        log.shared.retain().unwrap();
        ids()
    };
    assert_eq!(
        round(minute),
        [1, 2, 3, 4, 5],
        "at this time they are still worth something"
    );
    assert_eq!(round(Duration::from_nanos(1)), [2, 3, 4, 5]);
    assert_eq!(round(minute * 8), [2, 3, 4, 5]);
    log.pins().set("subscription slow", Seq(1));
    assert_eq!(round(minute), [2, 3, 4, 5]);
    let wait = log.retention_wait().unwrap();
    assert_eq!((wait.limit, wait.segments), (Limit::Expired, 1));
    log.pins().remove("subscription slow");
    assert_eq!(round(Duration::ZERO), [3, 4, 5]);
    assert_eq!(
        round(minute * 1_000),
        [3, 4, 5],
        "it has orders, which never expire"
    );
    let report = log.explain_retention();
    assert_eq!(report.segments[0].fate, Fate::WithinLimits);
    assert_eq!(
        log.shared.next_retention(),
        None,
        "there is nothing to wait for"
    );
}

#[test]
fn all_segments_that_have_expired_go_in_one_round() {
    let minute = Duration::from_secs(60);
    let mut expiry = Expiry::default();
    expiry.set("test".to_owned(), minute);
    let (log, clock) = in_memory(LogConfig {
        expiry: Arc::new(expiry),
        ..LogConfig::default()
    });
    while log.segments().len() < 6 {
        append_all(&log, 1);
    }
    clock.advance(minute * 2);
    log.shared.retain().unwrap();
    assert_eq!(log.segments().len(), 1, "the one that grows is left");
}

#[test]
fn where_limits_reject_no_segment_is_ended_for_its_age() {
    let hour = Duration::from_secs(3600);
    let (log, clock) = in_memory(LogConfig {
        retention: Retention {
            max_age: Some(hour),
            max_events: Some(10),
            ..Retention::default()
        },
        when_pinned: WhenPinned::Reject,
        ..LogConfig::default()
    });
    log.pins().set("subscription slow", Seq(1));
    for _ in 0..50 {
        append_all(&log, 1);
        clock.advance(hour / 8);
        log.shared.settle_all().unwrap();
        log.shared.roll_if_old().unwrap();
        log.shared.retain().unwrap();
    }
    let held = log.segments().len();
    assert!(held <= 13, "{held} segments for {} events", log.count());
    log.pins().set("subscription slow", Seq(51));
    log.shared.roll_if_old().unwrap();
    log.shared.settle_all().unwrap();
    log.shared.retain().unwrap();
    assert!(log.segments().len() < held);
}

#[test]
fn each_segment_says_why_it_stays_or_that_it_goes() {
    let log = of_five(WhenPinned::Keep);
    log.pins().set("subscription slow", Seq(100));
    log.pins().set("projection sums", Seq(200));
    append_all(&log, 400);
    let report = log.explain_retention();
    let fates: Vec<_> = report.segments.iter().map(|one| &one.fate).collect();
    let needed = Fate::Needed {
        by: "subscription slow".to_owned(),
        from: Seq(100),
        limit: Limit::MaxBytes,
    };
    assert!(
        report.segments[0].last_seq >= Seq(100),
        "the one before has gone"
    );
    assert!(fates.len() >= 5, "{report}");
    assert!(
        fates[..fates.len() - 1].iter().all(|fate| **fate == needed),
        "{report}"
    );
    assert_eq!(fates.last(), Some(&&Fate::Active));
    assert_eq!(
        report.segments[0].needed_by,
        ["projection sums", "subscription slow"][1..]
    );
    let both = report
        .segments
        .iter()
        .find(|one| one.last_seq >= Seq(200))
        .unwrap();
    assert_eq!(both.needed_by.len(), 2);
    assert_eq!(report.bytes, (fates.len() as u64 + 1) * LEN as u64);
    assert_eq!(
        report.segments.last().unwrap().newest_at,
        Some(Timestamp(1_000))
    );
    let table = report.to_string();
    assert!(
        table.contains("max_bytes 327680") && table.contains("active"),
        "{table}"
    );
    assert!(
        table.contains("subscription slow needs it from 100 on"),
        "{table}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["segments"][0]["fate"], "needed");
    assert_eq!(json["segments"][0]["limit"], "max_bytes");
    log.pins().remove("subscription slow");
    let report = log.explain_retention();
    assert!(
        matches!(report.segments[0].fate, Fate::Goes { .. }),
        "{report}"
    );
    log.shared.retain().unwrap();
    let report = log.explain_retention();
    assert!(report.segments[0].last_seq >= Seq(200), "{report}");
}

#[test]
fn removing_many_segments_keeps_no_due_sync_waiting_and_no_close() {
    let log = of_five(WhenPinned::Keep);
    log.pins().set("subscription slow", Seq(1));
    append_all(&log, 600);
    log.pins().remove("subscription slow");
    log.shared.signal.sync_within(Duration::ZERO);
    assert!(log.watermark().durable() < log.watermark().appended());
    log.shared.rewriting.stop();
    log.shared.retain().unwrap();
    assert_eq!(log.first_seq(), Seq::FIRST, "a close does not wait for it");
    let log = of_five(WhenPinned::Keep);
    log.pins().set("subscription slow", Seq(1));
    append_all(&log, 600);
    log.pins().remove("subscription slow");
    log.shared.signal.sync_within(Duration::ZERO);
    log.shared.retain().unwrap();
    assert!(log.first_seq() > Seq::FIRST);
    assert_eq!(log.watermark().durable(), log.watermark().appended());
}

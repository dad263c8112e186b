//! A thread that dies with a place in the log: nobody hangs, and nothing behind it is acknowledged.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::promise::{Sent, read};
use super::run::Setup;
use crate::clock::Timestamp;
use crate::durability::Durability;
use crate::error::{ErrorKind, Result};
use crate::event::EventId;
use crate::format::record::Record;
use crate::log::Log;
use crate::log::tail::Reservation;
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, SimDisk};

const PATIENCE: Duration = Duration::from_secs(60);

/// Does it on another thread, and fails the test if it does not return.
pub(super) fn returns<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let acting = thread::spawn(move || drop(sender.send(act())));
    let done = receiver.recv_timeout(PATIENCE);
    let done = done.expect("it does not return, or it panicked");
    acting.join().unwrap();
    done
}

pub(super) fn append(log: &Log, number: u64, durability: Durability) -> Result<Seq> {
    let data = Sent::data(number, 40);
    let record = Record::new("test.number", "unit", Timestamp(1), &data)?;
    Ok(log.append(&[record], durability)?.last)
}

/// Takes a place for an event as an append does, and ends before it is published.
fn leave_a_hole(log: &Log) {
    let mut tail = log.shared.tail();
    let reservation = Reservation {
        first_id: EventId::NIL,
        len: 256,
        count: 1,
        is_sync: false,
        now: Timestamp(1),
    };
    let claim = tail.claim(reservation.len).unwrap();
    tail.hand_out(reservation, Seq::ZERO);
    drop(tail);
    drop(claim);
}

fn log_with_a_hole(disk: &SimDisk) -> Arc<Log> {
    let log = Setup::SMALL.open(disk).unwrap();
    for number in 1..=3 {
        append(&log, number, Durability::Os).unwrap();
    }
    leave_a_hole(&log);
    Arc::new(log)
}

#[test]
fn appends_behind_a_hole_fail_and_what_lies_before_it_stays() {
    for durability in [Durability::Os, Durability::Sync] {
        let disk = SimDisk::new();
        let log = log_with_a_hole(&disk);
        let shared = log.clone();
        let failed = returns(move || {
            let appended = append(&shared, 4, durability);
            appended.and_then(|seq| shared.wait_durable(seq))
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::SyncFailed);
        let refused = append(&log, 5, durability).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Poisoned);
        assert!(log.watermark().is_closed(), "followers are told");
        assert_eq!(read(&log).unwrap().len(), 3);

        let shared = log.clone();
        assert!(returns(move || shared.close()).is_err());
        drop(log);
        let log = Setup::SMALL.open(&disk).unwrap();
        assert_eq!(read(&log).unwrap().len(), 3);
        let next = append(&log, 6, Durability::Sync).unwrap();
        assert!(next > Seq(4), "a Seq is never used again: {next}");
        log.flush().unwrap();
        log.close().unwrap();
    }
}

/// A kill stops threads that write beside each other: one has finished its frame, and the one before it has
/// not. Nobody has seen either.
#[test]
fn a_kill_amid_writers_leaves_no_gap_but_damage_does() {
    let disk = SimDisk::new();
    let log = Setup::SMALL.open(&disk).unwrap();
    for number in 1..=5 {
        append(&log, number, Durability::Os).unwrap();
    }
    let segment = log.segments().pop().unwrap();
    let (offset, len) = segment.find(Seq(3)).unwrap();
    let file = format!("log/{}", segment.name);
    let open_with = |range: Range<usize>, change: fn(&mut u8)| {
        let killed = disk.crash(CrashKind::Process, Choice::AllKept);
        let harm = |bytes: &mut [u8]| bytes.iter_mut().for_each(change);
        killed.corrupt(&file, range, harm).unwrap();
        let log = Setup::SMALL.open(&killed).unwrap();
        assert_eq!(read(&log).unwrap().len(), 2);
        assert!(log.recovery().torn_bytes > 0);
        let next = append(&log, 9, Durability::Os).unwrap();
        (log.recovery().gap.is_some(), next)
    };
    let zero = |byte: &mut u8| *byte = 0;
    assert_eq!(open_with(offset..offset + len, zero), (false, Seq(3)));
    assert_eq!(open_with(offset..offset + 4, zero), (false, Seq(3)));
    let (is_gap, next) = open_with(offset + len - 1..offset + len, |byte| *byte ^= 1);
    assert!(is_gap && next > Seq(5), "{next}");
}

#[test]
fn a_flush_over_a_hole_fails() {
    let disk = SimDisk::new();
    let log = log_with_a_hole(&disk);
    let shared = log.clone();
    let failed = returns(move || shared.flush());
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::SyncFailed);
}

#[test]
fn a_close_over_a_hole_returns() {
    let disk = SimDisk::new();
    let log = log_with_a_hole(&disk);
    let shared = log.clone();
    assert!(returns(move || shared.close()).is_err());
    assert_eq!(read(&log).unwrap().len(), 3);
}

#[test]
fn a_rotation_over_a_hole_fails() {
    let disk = SimDisk::new();
    let log = log_with_a_hole(&disk);
    let failed = returns(move || {
        let data = vec![0; 1_500];
        let record = Record::new("test.number", "unit", Timestamp(1), &data).unwrap();
        let append = || log.append(&[record], Durability::Sync);
        (0..10).find_map(|_| append().err())
    });
    assert_eq!(failed.unwrap().kind(), ErrorKind::SyncFailed);
}

#[test]
fn a_thread_that_dies_while_it_changes_the_tail_ends_the_log() {
    let disk = SimDisk::new();
    let log = Setup::SMALL.open(&disk).unwrap();
    append(&log, 1, Durability::Sync).unwrap();
    let died = catch_unwind(AssertUnwindSafe(|| {
        let mut tail = log.shared.tail();
        let _room = tail.stage(256);
        panic!("planned");
    }));
    assert!(died.is_err());
    let refused = append(&log, 2, Durability::Os).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned);
    assert!(log.wait_durable(Seq(1)).is_err());
    assert!(log.close().is_err());
    drop(log);
    let log = Setup::SMALL.open(&disk).unwrap();
    assert_eq!(read(&log).unwrap(), []);
    append(&log, 3, Durability::Sync).unwrap();
}

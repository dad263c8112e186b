//! The simulated disk as users have it: it stops, fails, and is found out.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forelog::testing::{Crash, DiskOp, TestDisk, TestSystem};
use forelog::{
    Builder, Delivery, Durability, ErrorKind, Event, EventSystem, Level, Receipt, Seq, Subscription,
};

const LONG: Duration = Duration::from_secs(30);

fn number(n: u64) -> Event {
    Event::new("number", "test", &n).unwrap()
}

fn numbers(system: &EventSystem) -> Vec<u64> {
    let mut found = Vec::new();
    let replayed = system.replay().run(|event| {
        found.push(event.data()?);
        Ok(())
    });
    replayed.unwrap();
    found
}

fn settings() -> Builder {
    EventSystem::builder().segment_size(64 << 10)
}

/// Emits synced numbers from `from` on until that fails; returns the first that failed, and how.
fn emit_until_error(system: &EventSystem, from: u64) -> (u64, ErrorKind) {
    for n in from.. {
        if let Err(error) = system.emit(number(n)) {
            return (n, error.kind());
        }
    }
    unreachable!("the disk never fails");
}

#[test]
fn a_disk_stops_where_it_is_told_and_has_all_that_was_acknowledged() {
    for stop in [1, 5, 20, 40, 60] {
        let disk = TestDisk::new();
        disk.stop_at(stop);
        let mut acknowledged = 0;
        if let Ok(system) = disk.open(settings()) {
            acknowledged = emit_until_error(&system, 0).0;
            assert!(system.disk().is_stopped());
            system.into_disk(Crash::Process);
        }
        assert_eq!(disk.op_count(), stop);
        for crash in [Crash::Process, Crash::PowerCut, Crash::PowerCutBy(stop)] {
            let left = disk.crash(crash);
            // Again inside the recovery, which leaves the same.
            left.stop_at(4);
            drop(left.open(settings()));
            let left = left.crash(Crash::PowerCut);
            let system = left.open(settings()).unwrap();
            let found = numbers(&system);
            assert!(found.len() as u64 >= acknowledged, "{}", left.history());
            assert!(found.iter().copied().eq(0..found.len() as u64));
        }
    }
}

#[test]
fn a_failed_sync_ends_the_system_and_what_is_shown_after_it_stays() {
    let disk = TestDisk::new();
    let system = disk.open(settings()).unwrap();
    system.emit(number(0)).unwrap();
    disk.fail(DiskOp::Sync, 1, io::ErrorKind::Other);
    assert_eq!(emit_until_error(&system, 1).1, ErrorKind::SyncFailed);
    assert_eq!(emit_until_error(&system, 9).1, ErrorKind::Poisoned);
    // The page cache shows what the disk has not.
    let mut system = system.into_disk(Crash::Process).open(settings()).unwrap();
    let shown = numbers(&system);
    assert!(shown.starts_with(&[0]), "{shown:?}");
    system.crash(Crash::PowerCut).unwrap();
    assert_eq!(numbers(&system), shown);
}

#[test]
fn a_disk_that_ignores_syncs_loses_what_was_acknowledged() {
    let disk = TestDisk::new();
    let system = disk.open(settings()).unwrap();
    disk.ignore_syncs(true);
    for n in 0..10 {
        system.emit(number(n)).unwrap();
    }
    let mut found = disk.power_cuts(16, 3).map(|disk| {
        let system = disk.open(settings());
        system.map_or(0, |system| system.store().len())
    });
    assert!(found.any(|len| len < 10));
}

#[test]
fn the_disks_that_a_power_cut_may_leave_differ() {
    let disk = TestDisk::new();
    let system = disk.open(settings()).unwrap();
    for n in 0..50 {
        let padded = Event::new("number", "test", &(n, "x".repeat(100))).unwrap();
        system.emit_with(padded, Durability::Os).unwrap();
    }
    let lens = disk.power_cuts(30, 1).map(|disk| {
        let system = disk.open(settings()).unwrap();
        system.store().len()
    });
    let lens: Vec<u64> = lens.collect();
    assert!(lens.contains(&0) && lens.contains(&50), "{lens:?}");
    assert!(lens.iter().any(|len| (1..50).contains(len)), "{lens:?}");
    assert!(
        disk.crash(Crash::PowerCut)
            .history()
            .contains("system crash")
    );
}

#[test]
fn a_full_disk_and_damage_are_errors() {
    let disk = TestDisk::new();
    let system = disk.open(settings()).unwrap();
    let held: usize = disk.files().iter().map(|(_, len)| len).sum();
    disk.set_capacity(held as u64 + 100_000);
    let (count, kind) = emit_until_error(&system, 0);
    assert_eq!(kind, ErrorKind::NoSpace);
    let disk = system.into_disk(Crash::Process);
    let (path, _) = disk
        .files()
        .into_iter()
        .find(|(path, _)| path.starts_with("log/"))
        .unwrap();
    disk.damage(&path, 5000, |byte| *byte ^= 1).unwrap();
    let found = disk.open(settings()).and_then(|system| {
        let mut found = 0;
        system.replay().run(|_| {
            found += 1;
            Ok(())
        })?;
        Ok(found)
    });
    let error = found.expect_err("it was damaged");
    assert!(
        [ErrorKind::Corrupt, ErrorKind::NoSpace].contains(&error.kind()),
        "{count} {error}"
    );
    let nothing = disk.damage("log/none", 0, |_| {});
    assert_eq!(nothing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_behind_a_durable_position_never_comes_again() {
    let mut system = TestSystem::with(settings()).unwrap();
    assert_eq!(
        system.durable_position("all").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let mut upto = Seq::ZERO;
    for round in 0..4 {
        let seqs = Arc::<Mutex<Vec<Seq>>>::default();
        let noted = seqs.clone();
        let handler = move |delivery: &Delivery<'_>| noted.lock().unwrap().push(delivery.seq());
        system
            .register_handler(Subscription::named("all"), handler)
            .unwrap();
        system.start().unwrap();
        for n in 0..70 {
            system.emit(number(n)).unwrap();
        }
        system.drain_within(LONG).unwrap();
        assert!(
            seqs.lock().unwrap().iter().all(|seq| *seq > upto),
            "round {round}"
        );
        upto = system.durable_position("all").unwrap();
        assert!(upto >= Seq(64), "a cursor is written every 64 events");
        system.crash(Crash::PowerCut).unwrap();
    }
}

#[test]
fn a_receipt_that_was_kept_over_a_power_cut_vouches_for_nothing_that_was_lost() {
    let disk = TestDisk::new();
    let system = disk.open(settings()).unwrap();
    let kept = system.emit(number(0)).unwrap();
    let lost = system.emit_with(number(1), Durability::Os).unwrap();
    assert_eq!(lost.level, Level::Published);
    let cut = system.into_disk(Crash::PowerCut);
    let system = cut.open(settings()).unwrap();
    assert_eq!(numbers(&system), [0], "what was not synced is lost");
    system.wait(&kept, Level::Synced).unwrap();
    let error = system.wait(&lost, Level::Synced).unwrap_err();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::NotFound, Some(lost.seq)),
        "{error}"
    );
    let again = system.emit(number(1)).unwrap();
    assert!(again.seq > lost.seq);
    system.wait(&again, Level::Synced).unwrap();
    // Of another directory, or of this one before it was restored.
    let ahead = Receipt {
        seq: Seq(again.seq.0 + 1),
        ..again
    };
    let foreign = Receipt {
        seq: kept.seq,
        ..again
    };
    for receipt in [ahead, foreign] {
        let error = system.wait(&receipt, Level::Synced).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

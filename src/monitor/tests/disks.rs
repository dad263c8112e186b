//! The rules about disks: small ones, failing ones, damaged ones.

use std::io::{ErrorKind as IoKind, Seek, SeekFrom, Write};

use super::*;
use crate::dispatch::{Start, Status};
use crate::durability::Durability;
use crate::error::ErrorKind;
use crate::position::Seq;
use crate::storage::sim::{OpKind, Times};

#[test]
fn a_small_disk() {
    let settings = MonitorSettings {
        disk_free_min: 4 << 20,
        ..MonitorSettings::default()
    };
    let watched = Watched::new(EventSystem::builder(), settings);
    assert_eq!(
        watched.check_after(SECOND),
        [],
        "nobody knows how large it is"
    );
    watched.disk.set_capacity(64 << 20);
    assert_eq!(watched.check_after(SECOND), []);
    watched.disk.set_capacity(5 << 20);
    watched
        .system
        .emit(Event::new("blob", "web", &"x".repeat(100)).unwrap())
        .unwrap();
    watched
        .disk
        .write_file("ballast", &vec![1; 3 << 20])
        .unwrap();
    assert_eq!(watched.check_after(SECOND), [Rule::DiskSpace]);
    watched.check_after(10 * SECOND);
    assert_eq!(watched.said(), [(Rule::DiskSpace, RAISED)]);
    let issue = watched.issue(Rule::DiskSpace);
    assert!(
        issue.segment.is_some() && issue.next_step.contains("max_bytes"),
        "{issue}"
    );
    watched.disk.remove_file("ballast").unwrap();
    watched.disk.set_capacity(64 << 20);
    assert_eq!(watched.check_after(SECOND), []);
    watched.check_after(60 * SECOND);
    assert_eq!(watched.said(), [(Rule::DiskSpace, RESOLVED)]);
}

#[test]
fn a_failed_sync() {
    let watched = Watched::new(
        EventSystem::builder(),
        MonitorSettings {
            alerts_to_log: true,
            ..MonitorSettings::default()
        },
    );
    watched.emit(1);
    watched
        .disk
        .fail(OpKind::Sync, 1, IoKind::Other, Times::FromThenOn);
    let lost = watched
        .system
        .emit(Event::new("order.placed", "web", &2).unwrap());
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::SyncFailed);
    assert_eq!(watched.check_after(SECOND), [Rule::SyncFailed]);
    assert_eq!(
        watched.said(),
        [(Rule::SyncFailed, RAISED)],
        "at once, though the log takes nothing"
    );
    let found = health(&watched);
    assert_eq!(found.status, Health::Unhealthy);
    assert_eq!(
        found.issues[0].seq,
        Some(Seq(2)),
        "the first that is not durable"
    );
    assert!(found.issues[0].next_step.contains("open the system anew"));

    // Only a new opening ends it.
    watched.check_after(3600 * SECOND);
    assert_eq!(watched.said(), []);
    let _failed = watched.system.close();
    let disk = watched.disk.crash(
        crate::storage::sim::CrashKind::Process,
        crate::storage::sim::Choice::AllKept,
    );
    let settings = EventSystem::builder().clock(watched.clock.clone());
    let system = EventSystem::open_in(settings, disk.storage()).unwrap();
    let again = Watched::over(
        system,
        watched.clock.clone(),
        disk,
        MonitorSettings::default(),
    );
    assert_eq!(again.check_after(SECOND), []);
    assert!(health(&again).is_healthy());
}

/// Flips a byte in the middle of the oldest segment.
fn damage(dir: &std::path::Path) {
    let mut files: Vec<_> = std::fs::read_dir(dir.join(crate::format::names::LOG))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .and_then(|n| n.to_str())
                .and_then(crate::format::names::parse_segment)
                .is_some()
        })
        .collect();
    files.sort();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&files[0])
        .unwrap();
    file.seek(SeekFrom::Start(100_000)).unwrap();
    file.write_all(b"damage").unwrap();
}

#[test]
fn damage_that_a_handler_meets() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000_000)));
    let open = || {
        let settings = EventSystem::builder()
            .persistence_path(dir.path())
            .clock(clock.clone());
        settings
            .segment_size(256 << 10)
            .durability(Durability::Os)
            .open()
            .unwrap()
    };
    let system = open();
    for _ in 0..100 {
        system
            .emit(Event::new("blob", "web", &"x".repeat(8_000)).unwrap())
            .unwrap();
    }
    system.close().unwrap();
    drop(system);
    damage(dir.path());
    let settings = MonitorSettings {
        disk_free_min: 0,
        ..MonitorSettings::default()
    };
    let watched = Watched::over(open(), clock.clone(), SimDisk::new(), settings);
    let subscription = || named("copy").start(Start::Beginning);
    let id = watched
        .system
        .register_handler(subscription(), |_: &Delivery<'_>| {})
        .unwrap();
    watched.system.start().unwrap();
    watched.wait_until(|one| one.status == Status::Stopped);
    // The index meets it as well, and that issue is there to stay.
    watched.wait_for_unreadable();
    assert_eq!(watched.check_after(SECOND), [Rule::Damage, Rule::Damage]);
    assert_eq!(watched.said(), [(Rule::Damage, RAISED); 2]);
    let issues = watched.monitor.check().unwrap();
    let of_copy = |issue: &Issue| issue.subscription.as_deref() == Some("copy");
    let issue = issues.into_iter().find(of_copy).unwrap();
    assert_eq!(
        issue.segment,
        Some(crate::position::SegmentId::FIRST),
        "{issue}"
    );
    let seq = issue.seq.unwrap();
    assert!((Seq(5)..Seq(20)).contains(&seq), "{issue}");
    assert!(
        issue.next_step.contains("forelog-recovery verify"),
        "{issue}"
    );

    watched.system.unregister_handler(id).unwrap();
    watched.system.seek("copy", Start::At(seq.next())).unwrap();
    watched
        .system
        .register_handler(subscription(), |_: &Delivery<'_>| {})
        .unwrap();
    watched.drain();
    assert_eq!(watched.check_after(SECOND), [Rule::Damage]);
    assert!(!of_copy(&watched.issue(Rule::Damage)));
    watched.check_after(60 * SECOND);
    assert_eq!(watched.said(), [(Rule::Damage, RESOLVED)]);
    watched.system.close().unwrap();
}

//! Disks that are really full (row 11): a tmpfs, and an ext4 in a loop device.

use std::io::Write;
use std::path::Path;

use forelog::{ErrorKind, EventSystem};

use crate::child::Child;
use crate::load::{self, Tag};
use crate::roles::say;
use crate::tools;

fn open(dir: &Path) -> forelog::Result<EventSystem> {
    let builder = EventSystem::builder().persistence_path(dir);
    builder.segment_size(256 << 10).open()
}

fn count(system: &EventSystem) -> u64 {
    let mut next = 0;
    let replayed = system.replay().run(|event| {
        assert_eq!(load::check(event).number, next);
        next += 1;
        Ok(())
    });
    replayed.unwrap()
}

/// Fills what is left of the disk to the last byte.
pub(crate) fn ballast(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for len in [64 << 10, 4096, 512, 1] {
        while file.write_all(&vec![1_u8; len]).is_ok() {}
    }
    let _ = file.sync_all();
}

/// Emits until the disk is full; returns how many events are in the log.
pub(crate) fn emit_until_full(system: &EventSystem, mut number: u32) -> u32 {
    loop {
        match system.emit(Tag::alone(1, number).event_of(8000)) {
            Ok(_) => number += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
                assert!(!error.is_outcome_unknown());
                return number;
            }
        }
        assert!(number < 100_000, "the disk is never full");
    }
}

/// All of a full disk's life: the child's role.
pub(crate) fn fill(disk: &Path) {
    let (dir, load) = (disk.join("data"), disk.join("ballast"));
    let system = open(&dir).unwrap();
    ballast(&load);
    let held = emit_until_full(&system, 0);
    for _ in 0..3 {
        assert_eq!(
            emit_until_full(&system, held),
            held,
            "refused again and again"
        );
    }
    assert_eq!(count(&system), u64::from(held), "the log stays readable");
    for path in tools::segments(&dir) {
        assert_eq!(
            std::fs::metadata(&path).unwrap().len(),
            256 << 10,
            "{}",
            path.display()
        );
    }
    // Freed under the open system: it goes on.
    std::fs::remove_file(&load).unwrap();
    let more = held + 50;
    for number in held..more {
        system.emit(Tag::alone(1, number).event_of(8000)).unwrap();
    }
    ballast(&load);
    let held = emit_until_full(&system, more);
    system.close().unwrap();
    drop(system);

    // A full disk can be opened and read after an end in order. After a kill recovery needs a little
    // room; where there is none it says so, and has all once there is.
    let killed = disk.join("killed");
    std::fs::remove_file(&load).unwrap();
    let system = open(&dir).unwrap();
    tools::copy(&dir, &killed);
    ballast(&load);
    assert_eq!(count(&system), u64::from(held));
    system.close().unwrap();
    drop(system);
    let system = open(&dir).unwrap();
    assert_eq!(count(&system), u64::from(held));
    // Some file systems give freed room back late.
    let more = emit_until_full(&system, held);
    assert_eq!(count(&system), u64::from(more));
    drop(system);
    let before = tools::snapshot(&killed);
    let system = open(&killed).or_else(|error| {
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
        assert_eq!(tools::snapshot(&killed), before);
        std::fs::remove_file(&load).unwrap();
        open(&killed)
    });
    let system = system.unwrap();
    assert_eq!(count(&system), u64::from(held));
    emit_until_full(&system, held);
    say("full, read, and gone on with");
}

fn run(wrapper: Option<Vec<String>>) {
    if let Some(wrapper) = wrapper {
        let lines = Child::start(&wrapper, "full disk", &["/mnt"]).succeed();
        assert_eq!(lines, ["full, read, and gone on with"]);
    }
}

#[test]
fn a_full_tmpfs_is_an_error_that_passes() {
    run(tools::mounted("mount -t tmpfs -o size=16m none /mnt"));
}

#[test]
fn a_full_ext4_is_an_error_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    run(tools::mounted_ext4(&image));
}

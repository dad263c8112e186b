//! Files of removed segments that become those of later ones: when they do, when they must not, and what
//! a crash leaves of it.

use std::path::Path;
use std::sync::Arc;

use super::run::{Run, Setup, Step as Do};
use super::survive;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::durability::Durability;
use crate::format::names;
use crate::format::record::Record;
use crate::format::segment::BLOCK_LEN;
use crate::keys::Access;
use crate::log::limits::Retention;
use crate::log::mirror::Mirror;
use crate::log::{Log, LogConfig, StoredEvent};
use crate::position::Seq;
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sim::{Choice, CrashKind};
use crate::storage::sys::Sys;

const LEN: usize = 64 << 10;
/// More than a segment holds.
const MANY: u64 = 80;

fn config() -> LogConfig {
    LogConfig {
        segment_len: LEN,
        retention: Retention {
            max_bytes: Some(5 * LEN as u64),
            ..Retention::default()
        },
        recycle: true,
        background: false,
        ..LogConfig::default()
    }
}

fn open(storage: Arc<dyn Storage>, config: LogConfig) -> Log {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_000)));
    Log::open(storage, config, clock, Seq::ZERO).unwrap()
}

fn on_disk(folder: &Path, sys: Sys) -> Arc<dyn Storage> {
    Arc::new(FileStorage::create(folder, sys).unwrap())
}

fn append(log: &Log, count: u64) {
    for _ in 0..count {
        let data = log
            .watermark()
            .appended()
            .next()
            .0
            .to_le_bytes()
            .repeat(125);
        let record = Record::new("test", "unit", Timestamp(1), &data).unwrap();
        log.append(&[record], Durability::Os).unwrap();
    }
}

fn check(stored: &StoredEvent) {
    let event = stored.event();
    let expected = event.seq().0.to_le_bytes().repeat(125);
    assert_eq!(event.data_bytes(), expected, "{}", event.seq());
}

fn check_all(log: &Log) {
    let (first, last) = (log.first_seq().0, log.watermark().appended().0);
    for seq in first..=last {
        check(&log.get(Seq(seq)).unwrap().unwrap());
    }
    assert_eq!(log.count(), last + 1 - first);
}

#[test]
fn the_file_of_a_removed_segment_becomes_the_next_one() {
    for sys in [Sys::native(), Sys::PORTABLE] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(on_disk(dir.path(), sys), config());
        for _ in 0..20 {
            append(&log, MANY);
            check_all(&log);
        }
        assert!(log.recycled() > 15, "{sys:?}: {}", log.recycled());
        log.close().unwrap();
        let names = std::fs::read_dir(dir.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert!(
            names
                .iter()
                .all(|name| !name.to_string_lossy().ends_with("tmp")),
            "{names:?}"
        );
        let log = open(on_disk(dir.path(), sys), config());
        assert!(log.recovery().clean);
        check_all(&log);
        append(&log, MANY);
        check_all(&log);
    }
}

#[test]
fn a_log_that_is_told_not_to_uses_no_file_again() {
    let dir = tempfile::tempdir().unwrap();
    let off = LogConfig {
        recycle: false,
        ..config()
    };
    for log in [
        open(on_disk(dir.path(), Sys::native()), off),
        open(Arc::new(MemoryStorage::default()), config()),
    ] {
        append(&log, 20 * MANY);
        check_all(&log);
        assert_eq!(log.recycled(), 0);
    }
}

#[test]
fn what_is_borrowed_here_keeps_its_file_from_being_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(on_disk(dir.path(), Sys::native()), config());
    append(&log, 10 * MANY);
    for _ in 0..10 {
        let before = log.recycled();
        let held = log.get(log.first_seq()).unwrap().unwrap();
        while log.first_seq() == held.event().seq() {
            append(&log, 1);
        }
        append(&log, 10 * MANY);
        check(&held);
        assert!(log.recycled() > before, "others are used again");
    }
}

#[test]
fn what_another_handle_has_mapped_keeps_every_file_from_being_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(on_disk(dir.path(), Sys::native()), config());
    append(&log, 10 * MANY);
    let open_mirror = || {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        Mirror::open(
            on_disk(dir.path(), Sys::native()),
            Arc::default(),
            clock,
            Access::Plain,
        )
        .unwrap()
    };
    let mirror = open_mirror();
    let view = mirror.view();
    let (first, last) = (view.first_seq().0, view.watermark().appended().0);
    let held = (first..=last).map(|seq| view.get(Seq(seq)).unwrap().unwrap());
    let held: Vec<_> = held.collect();
    // What is held keeps the lock, without the store that it came from.
    drop((mirror, view));
    let before = log.recycled();
    append(&log, 20 * MANY);
    assert!(log.first_seq() > Seq(last));
    held.iter().for_each(check);
    assert!(
        log.recycled() <= before + 1,
        "one may have been free before"
    );
    drop(held);
    append(&log, 10 * MANY);
    assert!(log.recycled() > before + 5);
    check_all(&log);
    let view = open_mirror().view();
    assert_eq!(view.first_seq(), log.first_seq());
}

#[test]
#[cfg(unix)]
fn a_hard_link_keeps_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(on_disk(dir.path(), Sys::native()), config());
    append(&log, 10 * MANY);
    let backup = tempfile::tempdir_in(dir.path()).unwrap();
    let linked = |name: &str| backup.path().join(name);
    let sealed = log.segments().into_iter();
    let sealed: Vec<_> = sealed.filter(|one| one.footer().is_some()).collect();
    let bytes = sealed.iter().map(|one| {
        std::fs::hard_link(dir.path().join(&one.name), linked(&one.name)).unwrap();
        (one.name.clone(), std::fs::read(linked(&one.name)).unwrap())
    });
    let bytes: Vec<_> = bytes.collect();
    drop(sealed);
    let before = log.recycled();
    append(&log, 20 * MANY);
    assert!(
        log.recycled() > before,
        "those without a link are used again"
    );
    for (name, bytes) in bytes {
        assert!(std::fs::read(linked(&name)).unwrap() == bytes, "{name}");
    }
}

/// Fault rows 6 and 29: after each step of making a file the next segment's, and with all, none or some of
/// what was not synced on the disk.
#[test]
fn stale_bytes_of_a_file_that_is_used_again_never_pass() {
    let setup = Setup {
        max_events: Some(40),
        ..Setup::SMALL
    };
    let (mut states, mut stale) = (0, 0);
    let steps = [Do::Append(1, 450, Durability::Os); 150];
    let whole = Run::of(setup, &steps, |_| {});
    assert!(whole.log().recycled() > 5);
    let last = whole.disk.op_count() + 1;
    for nth in (last / 2..=last).step_by(3) {
        let run = Run::of(setup, &steps, |disk| disk.crash_at(nth));
        for choice in [Choice::AllLost, Choice::AllKept, Choice::Seed(nth)] {
            let image = run.disk.crash(CrashKind::System, choice);
            stale += u64::from(has_stale_bytes(&image));
            states += survive::survive(
                image,
                setup,
                &run.promise,
                CrashKind::System,
                &[Choice::AllLost, Choice::Seed(nth)],
            )
            .unwrap_or_else(|wrong| panic!("operation {nth}: {wrong}"));
        }
    }
    assert!(states > 300, "{states} crash states");
    assert!(
        stale > 5,
        "{stale} disks had bytes of a former segment in a new one"
    );
}

/// Whether the last segment file has bytes beyond its header that are no zeros, and none in its header: only
/// a file that was used before has.
fn has_stale_bytes(disk: &crate::storage::sim::SimDisk) -> bool {
    let files = disk.files();
    let is_segment = |path: &str| {
        let name = path.strip_prefix("log/").unwrap_or(path);
        names::parse_segment(name).is_some()
    };
    let last = files.iter().rfind(|(path, _)| is_segment(path));
    last.is_some_and(|(_, bytes)| {
        let (header, rest) = bytes.split_at(BLOCK_LEN.min(bytes.len()));
        header.iter().all(|&byte| byte == 0) && rest.iter().any(|&byte| byte != 0)
    })
}

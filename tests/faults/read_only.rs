//! Stores that are only read: beside a writer in another process, after it was killed, and where nothing
//! can be written (rows 11, 19, 20).

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use forelog::{Error, ErrorKind, EventId, EventStore, EventSystem, Seq};

use crate::access::{as_nobody, chmod, filled};
use crate::child::{Child, text};
use crate::full_disk::{ballast, emit_until_full};
use crate::ledger::{self, SEGMENT_SIZE};
use crate::load::{self, Random, Tag, seed};
use crate::roles::{report, say};
use crate::tools;

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// All below a folder, the folders and the lock too, with what a write would change.
fn all_of(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u64, u32)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(path) = folders.pop() {
        let found = std::fs::symlink_metadata(&path).unwrap();
        let sum = if found.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            folders.extend(entries.map(|entry| entry.unwrap().path()));
            0
        } else {
            crc32fast::hash(&std::fs::read(&path).unwrap())
        };
        let (time, nanos) = (found.mtime(), found.mtime_nsec());
        all.insert(path, (found.len(), time, nanos, found.ino(), sum));
    }
    all
}

/// Checks every event of a store, and that none is missing; returns how many there are.
pub(crate) fn check_all(store: &EventStore) -> u64 {
    let mut next = store.first_seq();
    for stored in store.query().run().unwrap() {
        let stored = stored.unwrap();
        assert_eq!(stored.event().seq(), next);
        load::check(&stored.event());
        next = next.next();
    }
    assert_eq!(next, store.last_seq().next());
    next.since(store.first_seq())
}

/// Opens the directory to be read, and says how many events it has: a child's role.
pub(crate) fn read(dir: &Path) {
    match EventStore::open_read_only(dir) {
        Ok(store) => {
            assert_eq!(store.refresh().unwrap(), store.last_seq());
            say(&format!("read {}", check_all(&store)));
        }
        Err(error) => report("read", Err(error)),
    }
}

/// Reads beside a writer whose disk is full to the last byte, and after it: a child's role.
pub(crate) fn fill_and_read(disk: &Path) {
    let dir = disk.join("data");
    let builder = EventSystem::builder().persistence_path(&dir);
    let system = builder.segment_size(256 << 10).open().unwrap();
    let held = emit_until_full(&system, 0);
    ballast(&disk.join("ballast"));
    let store = EventStore::open_read_only(&dir).unwrap();
    assert_eq!(check_all(&store), u64::from(held));
    assert_eq!(store.by_type("load.event").count() as u64, u64::from(held));
    drop(system);
    assert_eq!(store.refresh().unwrap(), Seq(u64::from(held)));
    read(&dir);
}

#[test]
fn nothing_is_written_by_whoever_only_reads() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    for closed in [true, false] {
        if !closed {
            // As a kill leaves it.
            let system = ledger::open(&data).unwrap();
            for number in 30..40 {
                system.emit(Tag::alone(1, number).event_of(100)).unwrap();
            }
            let copy = dir.path().join("killed");
            tools::copy(&data, &copy);
            system.close().unwrap();
            std::fs::remove_dir_all(&data).unwrap();
            std::fs::rename(&copy, &data).unwrap();
        }
        let before = all_of(dir.path());
        let store = EventStore::open_read_only(&data).unwrap();
        let count = check_all(&store);
        assert_eq!(count, if closed { 30 } else { 40 });
        assert_eq!(store.len(), count);
        assert!(store.is_read_only());
        assert_eq!(store.by_type("load.event").count() as u64, count);
        assert_eq!(store.types().count(), 1);
        assert_eq!(store.sources().count(), 1);
        let found = store.get_by_id(Tag::alone(1, 7).id()).unwrap().unwrap();
        assert_eq!(found.event().seq(), Seq(8));
        assert!(store.get_by_id(EventId(5)).unwrap().is_none());
        let retention = store.explain_retention();
        assert_eq!(retention.events, count);
        let explained = store.query().types(["load.*"]).explain().unwrap();
        let reason = explained.fallback.unwrap();
        assert!(reason.contains("read-only"), "{reason}");
        assert_eq!(store.refresh().unwrap(), Seq(count));
        let soon = Instant::now() + Duration::from_millis(1);
        assert!(!store.wait_for(Seq(count + 1), Some(soon)).unwrap());
        drop(store);
        assert_eq!(all_of(dir.path()), before);
    }
    ledger.check_dir(&data, "opened again by a writer");
}

/// Reads each event behind `seen` of a store, and holds it against what the writer said.
fn read_on(store: &EventStore, seen: &mut Vec<EventId>) {
    let last = store.refresh().unwrap();
    for seq in seen.len() as u64 + 1..=last.0 {
        let stored = store.get(Seq(seq)).unwrap();
        let stored = stored.unwrap_or_else(|| {
            panic!(
                "{seq} of {last} is missing; {} at first, {} now; {:?}; {:?}",
                seen.len(),
                store.last_seq(),
                store.first_seq(),
                store.explain_retention()
            )
        });
        load::check(&stored.event());
        seen.push(stored.event().event_id());
    }
}

#[test]
fn a_writer_in_another_process_is_followed_until_it_is_killed_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let seed = seed();
    let mut random = Random(seed);
    let mut shown: Vec<EventId> = Vec::new();
    let mut store: Option<EventStore> = None;
    for run in 1..=load::scaled(4) {
        let settings = [
            text(&dir),
            &run.to_string(),
            &random.below(u64::MAX).to_string(),
        ];
        let child = Child::start(&[], "storm", &settings);
        child.wait_for("opened");
        let store = store.get_or_insert_with(|| EventStore::open_read_only(&dir).unwrap());
        let mut acked = Vec::new();
        let acks = 200 + random.below(800);
        while (acked.len() as u64) < acks {
            let line = child.line().expect("the child lives until it is killed");
            let mut words = line.split(' ').skip(1);
            let seq: u64 = words.next().unwrap().parse().unwrap();
            let id: EventId = words.next().unwrap().parse().unwrap();
            acked.push((seq, id));
            if random.below(8) == 0 {
                // What is acknowledged is there to be shown.
                assert!(
                    store.wait_for(Seq(seq), Some(deadline())).unwrap(),
                    "seed {seed}"
                );
                read_on(store, &mut shown);
                let fresh = EventStore::open_read_only(&dir);
                let fresh = fresh.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
                assert!(fresh.last_seq() >= Seq(seq), "seed {seed}");
            }
        }
        child.kill();
        read_on(store, &mut shown);
        for (seq, id) in acked {
            let at = usize::try_from(seq - 1).unwrap();
            assert_eq!(
                shown.get(at),
                Some(&id),
                "seed {seed}, run {run}, seq {seq}"
            );
        }
        let fresh = EventStore::open_read_only(&dir).unwrap();
        assert_eq!(
            check_all(&fresh),
            shown.len() as u64,
            "seed {seed}, run {run}"
        );
    }
    // A writer finds what its readers saw.
    let system = ledger::open(&dir).unwrap();
    for (seq, id) in (1..).zip(&shown) {
        let stored = system.store().get(Seq(seq)).unwrap().unwrap();
        assert_eq!(stored.event().event_id(), *id, "seed {seed}, seq {seq}");
    }
    let store = store.unwrap();
    assert_eq!(store.refresh().unwrap(), Seq(shown.len() as u64));
    assert_eq!(check_all(&store), shown.len() as u64);
    system.close().unwrap();
}

/// Waits for the event `begin`, and reads all from the first on up to `end`; how many were there, and how
/// many had been removed.
fn read_from_the_first(dir: &Path, begin: u64, end: u64) -> (u64, u64) {
    let store = EventStore::open_read_only(dir).unwrap();
    assert!(store.wait_for(Seq(begin), Some(deadline())).unwrap());
    let (mut next, mut read, mut removed) = (Seq::FIRST, 0, 0);
    while next <= Seq(end) {
        assert!(store.wait_for(next, Some(deadline())).unwrap());
        let last = store.last_seq();
        while next <= last {
            if let Some(stored) = store.get(next).unwrap() {
                assert_eq!(load::check(&stored.event()).number, next.0 as u32 - 1);
                read += 1;
            } else {
                assert!(next < store.first_seq(), "{next} is missing");
                removed += 1;
            }
            next = next.next();
        }
        let page = store.query().newest_first().limit(5).run().unwrap();
        let seqs: Vec<_> = page.map(|one| one.unwrap().event().seq().0).collect();
        assert!(seqs.is_sorted_by(|a, b| *a == b + 1), "{seqs:?}");
    }
    (read, removed)
}

#[test]
fn rotation_and_retention_go_on_beside_readers() {
    let dir = tempfile::tempdir().unwrap();
    let builder = EventSystem::builder().persistence_path(dir.path());
    let builder = builder.segment_size(SEGMENT_SIZE).max_events(2_000);
    let system = builder.durability(forelog::Durability::Os).open().unwrap();
    let count = 20_000;
    let dir = dir.path();
    std::thread::scope(|scope| {
        let readers = [0, 1, count / 2, count];
        let readers =
            readers.map(|from| scope.spawn(move || read_from_the_first(dir, from, count)));
        for number in 0..count as u32 {
            system.emit(Tag::alone(1, number).event_of(100)).unwrap();
        }
        for reader in readers {
            let (read, removed) = reader.join().unwrap();
            println!("read {read} events; {removed} were removed before");
            assert_eq!(read + removed, count);
            assert!(read >= 1_000);
        }
    });
    let store = EventStore::open_read_only(dir).unwrap();
    assert!(store.first_seq() > Seq(10_000));
    system.close().unwrap();
}

#[test]
fn both_stores_answer_alike() {
    let dir = tempfile::tempdir().unwrap();
    let system = ledger::open(dir.path()).unwrap();
    let live = system.store();
    let mut ids = Vec::new();
    for n in 0..500_u32 {
        let event_type = ["order.placed", "order.filled", "quote", "a*b"][n as usize % 4];
        let event = forelog::Event::new(event_type, format!("s{}", n % 3), &n).unwrap();
        ids.push(
            system
                .emit_with(event, forelog::Durability::Os)
                .unwrap()
                .event_id,
        );
    }
    let files = EventStore::open_read_only(dir.path()).unwrap();
    let seqs = |store: &EventStore, event_type: &str| -> Vec<Seq> {
        let found = store.by_type(event_type);
        found.map(|one| one.unwrap().event().seq()).collect()
    };
    for event_type in ["order.placed", "quote", "a*b", "order.*", "none"] {
        assert_eq!(
            seqs(&files, event_type),
            seqs(&live, event_type),
            "{event_type}"
        );
    }
    for (seq, id) in (1..).zip(ids) {
        let found = files.get_by_id(id).unwrap().unwrap();
        assert_eq!(found.event().seq(), Seq(seq));
    }
    assert!(files.types().eq(live.types()));
    assert!(files.sources().eq(live.sources()));
    let token = live.query().limit(10).run().map(|mut page| {
        page.by_ref().for_each(drop);
        page.page_token().unwrap()
    });
    let rest = files.query().after(token.unwrap());
    assert_eq!(rest.count().unwrap(), 490, "a page token holds for both");
    assert_eq!(live.refresh().unwrap(), Seq(500));
    assert!(live.wait_for(Seq(500), Some(deadline())).unwrap());
    assert!(!live.is_read_only());
    system.close().unwrap();
    assert!(!live.wait_for(Seq(501), None).unwrap(), "it was closed");
}

#[test]
fn a_read_only_file_system_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    filled(&data);
    let path = text(dir.path());
    let script = format!("mount --bind {path} {path}\nmount -o remount,bind,ro {path}");
    if let Some(wrapper) = tools::mounted(&script) {
        let lines = Child::start(&wrapper, "read", &[text(&data)]).succeed();
        assert_eq!(lines, ["read 30"]);
    }
}

#[test]
fn a_directory_of_somebody_else_is_read_if_it_may_be() {
    let Some(wrapper) = as_nobody() else { return };
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    let data = dir.path().join("data");
    filled(&data);
    let all = all_of(&data);
    for path in all.keys() {
        chmod(path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    let read = || Child::start(&wrapper, "read", &[text(&data)]).succeed();
    assert_eq!(read(), ["read 30"]);
    assert_eq!(all_of(&data), all);
    chmod(&data, 0o700);
    assert!(
        read()[0].starts_with("read PermissionDenied"),
        "{:?}",
        read()
    );
}

#[test]
fn a_full_disk_is_read() {
    let script = "mount -t tmpfs -o size=8m none /mnt";
    if let Some(wrapper) = tools::mounted(script) {
        let lines = Child::start(&wrapper, "read full disk", &["/mnt"]).succeed();
        assert!(
            lines[0].starts_with("read ") && lines.len() == 1,
            "{lines:?}"
        );
    }
}

fn refused(path: &Path) -> Error {
    EventStore::open_read_only(path).unwrap_err()
}

#[test]
fn what_is_no_log_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let gone = refused(&dir.path().join("gone"));
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    assert!(!dir.path().join("gone").exists());
    assert_eq!(refused(dir.path()).kind(), ErrorKind::ForeignDirectory);
    std::fs::write(dir.path().join("letter"), "dear").unwrap();
    assert_eq!(refused(dir.path()).kind(), ErrorKind::ForeignDirectory);
    assert_eq!(
        refused(&dir.path().join("letter")).kind(),
        ErrorKind::NotRegular
    );
    std::fs::create_dir(dir.path().join("log")).unwrap();
    let empty = refused(dir.path());
    assert_eq!(empty.kind(), ErrorKind::NotFound, "{empty}");
    assert!(empty.to_string().contains("open it again"), "{empty}");
    let error = EventSystem::builder().open_read_only().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

/// The settings that decide how events are shown hold for a store that is only read as well.
#[test]
fn what_has_expired_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let builder = || EventSystem::builder().persistence_path(dir.path());
    let all = builder().open_read_only().unwrap();
    assert_eq!(all.query().count().unwrap(), 30);
    let soon = builder().expire("load.*", Duration::from_nanos(1));
    let none = soon.open_read_only().unwrap();
    assert_eq!(none.query().count().unwrap(), 0);
    assert_eq!(none.len(), 30, "it is still there");
}

/// Another log in the place of the one that was opened is not taken for it.
#[test]
fn another_log_in_its_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    drop(filled(&data));
    drop(filled(&other));
    let store = EventStore::open_read_only(&data).unwrap();
    std::fs::rename(&data, dir.path().join("moved")).unwrap();
    let gone = store.refresh().unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    std::fs::rename(&other, &data).unwrap();
    let error = store.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignSegment, "{error}");
    assert_eq!(check_all(&store), 30, "it shows what it showed");
}

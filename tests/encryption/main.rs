//! A system whose events are encrypted: what an observer of the whole directory sees, and who is let in.
#![cfg(feature = "encryption")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod forged;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use forelog::inspect::{Inspector, Selector, Verdict};
use forelog::{
    Builder, Delivery, Durability, EncryptionKey, ErrorKind, Event, EventRef, EventStore,
    EventSystem, Outcome, PartitionedEventSystem, RetryPolicy, Seq, Subscription, Timestamp,
};

/// Stands in all that must not be read without the key.
const MARKER: &str = "nobody-must-see-this";

fn key() -> EncryptionKey {
    EncryptionKey::from_bytes([9; 32])
}

fn plain(path: &Path) -> Builder {
    let builder = EventSystem::builder().persistence_path(path);
    builder.segment_size(64 << 10).scrub(None)
}

fn keyed(path: &Path) -> Builder {
    plain(path).encryption_key(key())
}

fn secret(n: u64) -> Event {
    let event = Event::new("secret.made", "vault", &(n, MARKER.repeat(20))).unwrap();
    event.with_header("note", MARKER)
}

/// All files below a folder, but for those of the lookup index.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn holds(path: &Path, what: &str) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

/// The files that have the marker in them.
fn telling(dir: &Path) -> Vec<PathBuf> {
    let all = files(dir).into_iter();
    all.filter(|path| holds(path, MARKER)).collect()
}

/// A life with all that keeps something of an event: segments, copies of parked and of scheduled events, a
/// snapshot, a compaction, a segment that is used again.
fn live(builder: Builder) {
    let system = builder
        .keep_last("state", forelog::StateKey::Source)
        // None goes while it is counted.
        .compaction_leave(usize::MAX)
        .recycle_segments(true)
        .open()
        .unwrap();
    let retry = RetryPolicy {
        attempts_max: 1,
        ..RetryPolicy::default()
    };
    let picky = Subscription::named("picky")
        .event_type("secret.made")
        .retry(retry);
    let handler = |delivery: &Delivery<'_>| match delivery.seq().0 {
        3 => Outcome::Park(format!("it says {MARKER}")),
        _ => Outcome::Ack,
    };
    system.register_handler(picky, handler).unwrap();
    system.start().unwrap();
    let apply = |state: &mut Vec<String>, event: &EventRef<'_>| {
        state.push(event.source().to_owned() + MARKER);
        Ok(())
    };
    let mut projection = system
        .projection("marks", 1, Vec::<String>::new(), apply)
        .unwrap();
    for n in 0..400 {
        system.emit_with(secret(n), Durability::Os).unwrap();
        let state = Event::new("state", "gauge", &MARKER.repeat(10)).unwrap();
        system.emit_with(state, Durability::Os).unwrap();
    }
    system.emit(secret(0)).unwrap();
    let pair = [secret(1), secret(2)];
    system.emit_batch(&pair).unwrap();
    let later = Timestamp::now().0 + 3_600_000_000_000;
    system.emit_at(secret(7), Timestamp(later)).unwrap();
    system.drain(None).unwrap();
    projection.catch_up().unwrap();
    projection.save().unwrap();
    system.close().unwrap();
}

#[test]
fn nothing_of_an_event_stands_in_any_file_but_its_names_in_the_index() {
    let home = tempfile::tempdir().unwrap();
    let (open, closed) = (home.path().join("open"), home.path().join("closed"));
    live(plain(&open));
    live(keyed(&closed));
    // The same life in plain text: the search would find it.
    let seen: Vec<PathBuf> = telling(&open);
    for folder in ["log", "control", "schedule", "snapshots"] {
        let is_seen = |path: &PathBuf| path.starts_with(open.join(folder));
        assert!(seen.iter().any(is_seen), "{folder}: {seen:?}");
    }
    assert_eq!(telling(&closed), Vec::<PathBuf>::new());
    for path in files(&closed) {
        if !path.starts_with(closed.join("index")) && !path.starts_with(closed.join("control")) {
            assert!(
                !holds(&path, "secret.made") && !holds(&path, "vault"),
                "{path:?}"
            );
        }
    }
}

#[test]
fn all_of_it_comes_back_with_the_key_and_with_no_other() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    live(keyed(&dir));
    let other = EncryptionKey::from_bytes([8; 32]);
    let before: Vec<_> = files(&dir)
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    for refused in [
        plain(&dir).open().err(),
        plain(&dir).encryption_key(other.clone()).open().err(),
        plain(&dir).open_read_only().err(),
        EventStore::open_read_only(&dir).err(),
        plain(&dir)
            .encryption_key(other.clone())
            .open_read_only()
            .err(),
        EventSystem::reindex(&dir).err(),
        Inspector::open(&dir)
            .unwrap()
            .records(Selector::all())
            .err(),
        Inspector::open(&dir)
            .unwrap()
            .encryption_key(other)
            .records(Selector::all())
            .err(),
    ] {
        assert_eq!(refused.unwrap().kind(), ErrorKind::Key);
    }
    let after: Vec<_> = files(&dir)
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert!(before == after, "a refused opening changed a file");

    let system = keyed(&dir).open().unwrap();
    assert!(system.recovery().clean);
    let parked = system.parked("picky");
    assert_eq!((parked.len(), parked[0].seq), (1, Seq(3)));
    assert_eq!(parked[0].reason, format!("it says {MARKER}"));
    assert_eq!(parked[0].event.source, "vault");
    assert_eq!(system.scheduled()[0].event.headers[0].1, MARKER);
    let apply = |_: &mut Vec<String>, _: &EventRef<'_>| Ok(());
    let projection = system
        .projection("marks", 1, Vec::<String>::new(), apply)
        .unwrap();
    assert_eq!(projection.position(), Seq(803), "its snapshot is read");
    assert_eq!(projection.state().len(), 803);
    drop(projection);
    let found = system.store().query().types(["secret.*"]).count().unwrap();
    assert_eq!((found, system.store().by_type("state").count()), (403, 400));
    let stored = system.store().get(Seq(1)).unwrap().unwrap();
    assert_eq!(stored.event().header("note"), Some(MARKER));
    system.close().unwrap();
    let state = EventSystem::reindex_encrypted(&dir, key()).unwrap();
    assert_eq!((state.indexed_upto, state.unreadable), (Seq(803), 0));
}

#[test]
fn a_store_follows_an_encrypted_log_beside_its_writer() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let system = keyed(&dir).open().unwrap();
    system.emit(secret(1)).unwrap();
    let store = keyed(&dir).open_read_only().unwrap();
    let mut follow = Inspector::open(&dir)
        .unwrap()
        .encryption_key(key())
        .follow(Selector::all())
        .unwrap();
    let mut seen = 0;
    for n in 2..300 {
        system.emit_with(secret(n), Durability::Os).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    assert!(store.wait_for(Seq(299), Some(deadline)).unwrap());
    while seen < 299 {
        if let Some(event) = follow.poll().unwrap() {
            seen += 1;
            assert_eq!(event.seq(), Seq(seen));
            assert_eq!(event.view().unwrap().source(), "vault");
        }
    }
    assert_eq!(store.query().types(["secret.made"]).count().unwrap(), 299);
    system.close().unwrap();
}

#[test]
fn what_verifies_needs_no_key_and_with_it_sees_more() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    live(keyed(&dir));
    let inspector = Inspector::open(&dir).unwrap();
    assert!(inspector.is_encrypted().unwrap());
    let report = inspector.verify(&mut |_| {}).unwrap();
    assert_eq!((report.verdict, report.log.count), (Verdict::Good, 803));
    assert!(
        report
            .index
            .unwrap()
            .not_compared
            .unwrap()
            .contains("encrypted")
    );
    let report = inspector.encryption_key(key()).verify(&mut |_| {}).unwrap();
    assert_eq!(
        (report.verdict, report.index_ok),
        (Verdict::Good, Some(true))
    );
}

#[test]
fn a_snapshot_in_another_one_s_place_is_not_taken() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    live(keyed(&dir));
    let of = |name: &str| {
        let is_it = |path: &PathBuf| path.to_string_lossy().contains(name);
        files(&dir.join("snapshots")).into_iter().find(is_it)
    };
    let marks = of("marks.").unwrap();
    let name = marks
        .file_name()
        .unwrap()
        .to_string_lossy()
        .replace("marks", "other");
    fs::copy(&marks, dir.join("snapshots").join(name)).unwrap();
    let system = keyed(&dir).open().unwrap();
    let apply = |count: &mut u64, _: &EventRef<'_>| {
        *count += 1;
        Ok(())
    };
    let projection = system.projection("other", 1, 0, apply).unwrap();
    assert_eq!(projection.position(), Seq(0), "it begins at the start");
    drop(projection);
    system.close().unwrap();
}

#[test]
fn partitions_are_encrypted_each_for_itself() {
    let home = tempfile::tempdir().unwrap();
    let open = |is_keyed: bool| {
        let settings = EventSystem::builder().segment_size(64 << 10).scrub(None);
        let settings = if is_keyed {
            settings.encryption_key(key())
        } else {
            settings
        };
        PartitionedEventSystem::builder()
            .persistence_path(home.path().join("data"))
            .partitions(2)
            .each(settings)
            .open()
    };
    let system = open(true).unwrap();
    for n in 0..20 {
        let event = Event::new("secret.made", format!("source {n}"), &MARKER).unwrap();
        system.emit(event).unwrap();
    }
    system.close().unwrap();
    assert_eq!(telling(home.path()), Vec::<PathBuf>::new());
    assert_eq!(open(false).unwrap_err().kind(), ErrorKind::Key);
    let system = open(true).unwrap();
    assert_eq!(system.stats().events, 20);
    system.close().unwrap();
}

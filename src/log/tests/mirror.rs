//! A log that is only read: beside its writer, after crashes, and over damage.

use std::fmt::{Debug, Formatter};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::promise::{Sent, read};
use super::run::{Run, Setup, Step, steps};
use super::{keyed, rounds};
use crate::clock::{ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::{ErrorKind, Result};
use crate::format::names;
use crate::log::mirror::Mirror;
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, SimDisk};
use crate::storage::{Entry, Region, Storage};

pub(super) fn open(disk: &SimDisk) -> Result<Mirror> {
    let folder = disk.storage().folder(names::LOG)?;
    let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
    Mirror::open(folder, Arc::default(), clock, keyed())
}

/// What is shown of a copy of a disk; nothing where there is no log.
pub(super) fn shown(disk: &SimDisk) -> std::result::Result<Vec<Sent>, String> {
    let copy = disk.crash(CrashKind::Process, Choice::AllKept);
    let before = copy.files();
    let shown = match open(&copy) {
        Ok(mirror) => read(&mirror.view())?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(format!("opened to be read: {error:?}")),
    };
    if copy.files() != before {
        return Err("opened to be read, and written to".to_owned());
    }
    Ok(shown)
}

/// After each step of a writer the mirror shows what the writer does, whichever way it has gone on.
fn follow(setup: Setup, seed: u64) -> u64 {
    let script = steps(seed, 60, setup.lazy);
    let mut run = Run::of(setup, &[], |_| {});
    let mirror = open(&run.disk).unwrap();
    let view = mirror.view();
    let mut compared = 0;
    for (nth, step) in script.iter().enumerate() {
        run.step(*step).unwrap();
        let context = format!("seed {seed}, after step {nth}, {step:?}, of {script:?}");
        let last = mirror.refresh();
        let last = last.unwrap_or_else(|error| panic!("{error:?}\n{context}"));
        assert_eq!(last, run.log().watermark().appended(), "{context}");
        let due = read(run.log()).unwrap();
        let found = read(&view).unwrap_or_else(|wrong| panic!("{wrong}\n{context}"));
        assert_eq!(found, due, "{context}");
        assert_eq!(view.first_seq(), run.log().first_seq(), "{context}");
        assert_eq!(view.count(), run.log().count(), "{context}");
        compared += found.len() as u64;
    }
    compared
}

#[test]
fn what_a_writer_publishes_is_seen_step_by_step() {
    let mut compared = 0;
    for seed in 0..rounds(40) {
        compared += follow(Setup::SMALL, seed);
        let lazy = Setup {
            lazy: true,
            ..Setup::SMALL
        };
        compared += follow(lazy, 1_000 + seed);
        let retaining = Setup {
            max_events: Some(20),
            ..Setup::SMALL
        };
        compared += follow(retaining, 2_000 + seed);
    }
    assert!(compared > 10_000, "only {compared} events were compared");
}

/// Looked at now and then only, a log has gone on by several segments, and some are gone.
#[test]
fn a_late_refresh_catches_up() {
    for seed in 0..rounds(40) {
        let setup = Setup {
            max_events: Some(40),
            ..Setup::SMALL
        };
        let script = steps(seed, 200, false);
        let mut run = Run::of(setup, &[], |_| {});
        let mirror = open(&run.disk).unwrap();
        for part in script.chunks(40) {
            for step in part {
                run.step(*step).unwrap();
            }
            let last = mirror.refresh().unwrap();
            assert_eq!(last, run.log().watermark().appended(), "seed {seed}");
            let due = read(run.log()).unwrap();
            assert_eq!(read(&mirror.view()).unwrap(), due, "seed {seed}");
        }
    }
}

/// A reader that stands in a segment which is sealed, rewritten or removed under it goes on with the next
/// event that is there.
#[test]
fn a_reader_goes_on_over_whatever_becomes_of_its_segment() {
    for seed in 0..rounds(40) {
        let script = steps(seed, 80, false);
        let mut run = Run::of(Setup::SMALL, &[], |_| {});
        let mirror = open(&run.disk).unwrap();
        let mut reader = mirror.view().reader(Seq::FIRST);
        let (mut read_upto, mut held) = (Seq::ZERO, None);
        for (nth, step) in script.iter().enumerate() {
            run.step(*step).unwrap();
            mirror.refresh().unwrap();
            // Not always to the end.
            for _ in 0..nth % 7 {
                let Some(event) = reader.next_event().unwrap() else {
                    break;
                };
                assert!(event.seq() > read_upto, "seed {seed}");
                let sent = run.promise.events.iter().find(|one| one.seq == event.seq());
                if let Some(sent) = sent {
                    let data = Sent::data(sent.number, sent.len);
                    assert_eq!(event.data_bytes(), data, "seed {seed}");
                }
                read_upto = event.seq();
            }
            let stored = mirror.view().get(read_upto).unwrap();
            if let Some(stored) = stored {
                let data = stored.event().data_bytes().to_vec();
                held = Some((stored, data));
            }
            // What is held stays as it was.
            if let Some((stored, data)) = &held {
                assert_eq!(stored.event().data_bytes(), data, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_folder_without_a_log_is_said_to_have_none() {
    let error = open(&SimDisk::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("open it again"), "{error}");
}

/// Some bit of every few bytes of each file is flipped: either that is damage, with its place, or each
/// event is there, or is an error of its own.
#[test]
fn damage_is_named_and_nothing_is_missing_silently() {
    let sync = |count, len| Step::Append(count, len, Durability::Sync);
    let mut script = Vec::new();
    for _ in 0..5 {
        script.extend([sync(1, 300), sync(3, 20), sync(1, 5), sync(1, 400)]);
    }
    let setup = Setup {
        segment_len: 7 << 10,
        ..Setup::SMALL
    };
    let run = Run::of(setup, &script, |_| {});
    assert!(run.log().shared.mark_if_idle().unwrap());
    let disk = run.disk.crash(CrashKind::System, Choice::AllLost);
    let (mut refused, mut unreadable, mut whole) = (0, 0, 0);
    for (path, bytes) in disk.files() {
        for at in (0..bytes.len()).step_by(29) {
            let harmed = disk.crash(CrashKind::Process, Choice::AllKept);
            harmed
                .corrupt(&path, at..at + 1, |bytes| bytes[0] ^= 1 << (at % 8))
                .unwrap();
            let mirror = match open(&harmed) {
                Ok(mirror) => mirror,
                Err(error) => {
                    assert!(error.path().is_some(), "{path} at {at}: {error:?}");
                    assert!(error.segment().is_some(), "{path} at {at}: {error:?}");
                    assert!(error.offset().is_some(), "{path} at {at}: {error:?}");
                    refused += 1;
                    continue;
                }
            };
            for sent in &run.promise.events {
                match mirror.view().get(sent.seq) {
                    Ok(Some(stored)) => {
                        let data = Sent::data(sent.number, sent.len);
                        assert_eq!(stored.event().data_bytes(), data, "{path} at {at}");
                        whole += 1;
                    }
                    Ok(None) => panic!("{} is missing: {path} at {at}", sent.seq),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{path} at {at}");
                        assert_eq!(error.seq(), Some(sent.seq), "{path} at {at}");
                        unreadable += 1;
                    }
                }
            }
        }
    }
    assert!(
        refused > 50 && unreadable > 50 && whole > 1_000,
        "{refused} {unreadable} {whole}"
    );
}

/// A segment that is not there any more while later ones are is an error, and what was seen stays.
#[test]
fn a_refresh_that_fails_leaves_what_was_shown() {
    let script = vec![Step::Append(1, 900, Durability::Sync); 40];
    let run = Run::of(Setup::SMALL, &script, |_| {});
    let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
    let mirror = open(&disk).unwrap();
    let due = read(&mirror.view()).unwrap();
    assert_eq!(due.len(), 40);
    let taken = names::segment(crate::position::SegmentId(2), 0);
    disk.remove_file(&format!("log/{taken}")).unwrap();
    let error = mirror.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingSegment, "{error}");
    assert_eq!(read(&mirror.view()).unwrap(), due);
}

/// The files are those of an earlier time again: later events are not shown any more.
#[test]
fn what_is_gone_from_the_files_goes_from_the_view() {
    let script = vec![Step::Append(1, 300, Durability::Os); 30];
    let mut run = Run::of(Setup::SMALL, &script, |_| {});
    let earlier = run.disk.crash(CrashKind::Process, Choice::AllKept);
    run.step(Step::Append(3, 300, Durability::Sync)).unwrap();
    for _ in 0..30 {
        run.step(Step::Append(1, 300, Durability::Sync)).unwrap();
    }
    let later = run.disk.crash(CrashKind::Process, Choice::AllKept);
    let mirror = open(&later).unwrap();
    assert_eq!(mirror.refresh().unwrap(), Seq(63));
    let held = mirror.view().get(Seq(63)).unwrap().unwrap();
    for (path, _) in later.files() {
        later.remove_file(&path).unwrap();
    }
    for (path, bytes) in earlier.files() {
        later.write_file(&path, &bytes).unwrap();
    }
    assert_eq!(mirror.refresh().unwrap(), Seq(30));
    assert!(mirror.view().get(Seq(31)).unwrap().is_none());
    assert_eq!(read(&mirror.view()).unwrap().len(), 30);
    assert_eq!(held.event().seq(), Seq(63), "what is held stays readable");
}

/// A folder that is listed slowly: its writer goes on meanwhile, and of what is made so, some is listed.
struct ListedSlowly {
    folder: Arc<dyn Storage>,
    meanwhile: Mutex<Box<dyn FnMut() + Send>>,
    lists: AtomicUsize,
}

impl Debug for ListedSlowly {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.folder.fmt(f)
    }
}

impl Storage for ListedSlowly {
    fn list(&self) -> Result<Vec<Entry>> {
        let before = self.folder.list()?;
        self.meanwhile.lock().unwrap()();
        let nth = self.lists.fetch_add(1, Ordering::Relaxed);
        let made = self.folder.list()?.into_iter();
        let mut made: Vec<_> = made.filter(|entry| !before.contains(entry)).collect();
        assert!(made.len() > 3, "{made:?}");
        // Nothing, or all but the first two.
        made.drain(..if nth.is_multiple_of(2) { made.len() } else { 2 });
        Ok(before.into_iter().chain(made).collect())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn boot_id(&self) -> u128 {
        self.folder.boot_id()
    }

    fn find(&self, name: &str) -> Result<Option<Entry>> {
        self.folder.find(name)
    }

    fn open_read_only(&self, name: &str) -> Result<Region> {
        self.folder.open_read_only(name)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.folder.read(name)
    }

    fn create(&self, _: &str, _: usize) -> Result<Region> {
        unreachable!("whoever only reads does not write")
    }

    fn open(&self, _: &str) -> Result<Region> {
        unreachable!("whoever only reads does not write")
    }

    fn write(&self, _: &str, _: &[u8]) -> Result<()> {
        unreachable!("whoever only reads does not write")
    }

    fn touch(&self, _: &str) -> Result<()> {
        unreachable!("whoever only reads does not write")
    }

    fn rename(&self, _: &str, _: &str) -> Result<()> {
        unreachable!("whoever only reads does not write")
    }

    fn remove(&self, _: &str) -> Result<()> {
        unreachable!("whoever only reads does not write")
    }

    fn sync_dir(&self) -> Result<()> {
        unreachable!("whoever only reads does not write")
    }

    fn folder(&self, name: &str) -> Result<Arc<dyn Storage>> {
        self.folder.folder(name)
    }
}

#[test]
fn a_folder_that_changes_while_it_is_listed_is_followed() {
    let run = Run::of(
        Setup::SMALL,
        &[Step::Append(3, 300, Durability::Os)],
        |_| {},
    );
    let folder = run.disk.storage().folder(names::LOG).unwrap();
    let run = Arc::new(Mutex::new(run));
    let writer = run.clone();
    let storage = Arc::new(ListedSlowly {
        folder,
        meanwhile: Mutex::new(Box::new(move || {
            for _ in 0..30 {
                let step = Step::Append(1, 900, Durability::Os);
                writer.lock().unwrap().step(step).unwrap();
            }
        })),
        lists: AtomicUsize::new(0),
    });
    let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
    let mirror = Mirror::open(storage.clone(), Arc::default(), clock, keyed()).unwrap();
    for _ in 0..4 {
        let last = mirror.refresh().unwrap();
        let run = run.lock().unwrap();
        assert_eq!(last, run.log().watermark().appended());
        assert_eq!(read(&mirror.view()).unwrap(), read(run.log()).unwrap());
    }
    // Not one of the listings was in vain.
    assert_eq!(storage.lists.load(Ordering::Relaxed), 5);
}

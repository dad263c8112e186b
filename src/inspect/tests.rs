//! What the inspector says of logs in order, of logs that crashed, and of every kind of damage.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::{ErrorKind, Result};
use crate::event::{Data, Event, EventId, Filter};
use crate::format::record::Record;
use crate::log::{Log, LogConfig};
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::lock::DirLock;
use crate::storage::sys::Sys;

mod damage;
mod ending;
mod live;

const SEGMENT_LEN: usize = 64 << 10;

struct Fixture {
    dir: tempfile::TempDir,
    segment_len: usize,
}

impl Fixture {
    fn new() -> Self {
        Fixture {
            dir: tempfile::tempdir().unwrap(),
            segment_len: SEGMENT_LEN,
        }
    }

    /// A log with so many events of three types, closed in order.
    fn closed(count: u64) -> Self {
        Self::closed_in(SEGMENT_LEN, count)
    }

    fn closed_in(segment_len: usize, count: u64) -> Self {
        let fixture = Fixture {
            segment_len,
            ..Self::new()
        };
        let log = fixture.log();
        Fixture::emit(&log, 1..=count, Durability::Os);
        log.close().unwrap();
        fixture
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn log(&self) -> Log {
        let config = LogConfig {
            segment_len: self.segment_len,
            background: false,
            ..LogConfig::default()
        };
        let storage = FileStorage::create(&self.path().join("log"), Sys::native()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000_000)));
        let storage: Arc<dyn Storage> = Arc::new(storage);
        Log::open(storage, config, clock, Seq::ZERO).unwrap()
    }

    fn emit(log: &Log, numbers: impl Iterator<Item = u64>, durability: Durability) {
        for number in numbers {
            let event = event(number);
            let seq = log
                .append(&[Record::of(&event).unwrap()], durability)
                .unwrap()
                .last;
            if durability == Durability::Sync {
                log.wait_durable(seq).unwrap();
            }
        }
    }

    fn segment(&self, id: u64) -> PathBuf {
        self.path().join(format!("log/{id:012}-000.seg"))
    }

    fn inspector(&self) -> Inspector {
        Inspector::open(self.path()).unwrap()
    }

    fn verify(&self) -> VerifyReport {
        self.inspector().verify(&mut |_| {}).unwrap()
    }

    /// Seqs that can be read, and places that cannot.
    fn read(&self, selector: Selector) -> (Vec<u64>, Vec<String>) {
        let mut seqs = Vec::new();
        let mut errors = Vec::new();
        for item in self.inspector().records(selector).unwrap() {
            match item {
                Ok(record) => seqs.push(record.seq().0),
                Err(error) => errors.push(error.to_string()),
            }
        }
        (seqs, errors)
    }

    fn edit(&self, id: u64, edit: impl FnOnce(&mut Vec<u8>)) {
        let path = self.segment(id);
        let mut bytes = fs::read(&path).unwrap();
        edit(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

fn event(number: u64) -> Event {
    let types = ["order.placed", "order.filled", "quote"];
    let event_type = types[usize::try_from(number % 3).unwrap()];
    let source = if number.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    let data = Data::new(&serde_json::json!({"n": number, "text": "x".repeat(100)})).unwrap();
    Event::with_data(event_type, source, data)
        .with_id(EventId(u128::from(number)))
        .at(Timestamp(i64::try_from(number).unwrap() * 1_000_000_000))
        .with_header("trace", number.to_string())
}

fn types(types: &[&str]) -> Filter {
    Filter::all().types(types.iter().copied())
}

/// All files below a folder with their bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    all
}

#[test]
fn a_log_in_order_is_read_whole_and_verified_good() {
    let fixture = Fixture::closed(2000);
    let before = contents(fixture.path());
    let (seqs, errors) = fixture.read(Selector::all());
    assert_eq!(seqs, (1..=2000).collect::<Vec<_>>());
    assert_eq!(errors, Vec::<String>::new());
    let report = fixture.verify();
    assert_eq!(report.log.damage, vec![]);
    assert_eq!(report.verdict, Verdict::Good);
    assert!(report.log.clean);
    assert_eq!((report.log.first, report.log.last), (Seq(1), Seq(2000)));
    assert_eq!(report.log.count, 2000);
    assert!(report.log.segments > 5);
    let segments = fixture.inspector().segments().unwrap();
    assert_eq!(segments[0].state, SegmentState::Sealed);
    assert_eq!(segments.last().unwrap().state, SegmentState::Active);
    assert_eq!(
        segments[1].header.as_ref().unwrap().prev_last_seq.next(),
        segments[1].header.as_ref().unwrap().base_seq
    );
    assert!(fixture.inspector().raw().unwrap().count() > 2000);
    assert_eq!(contents(fixture.path()), before, "nothing is written");
}

#[test]
fn progress_grows_to_the_total() {
    let fixture = Fixture::closed(2000);
    let mut steps = Vec::new();
    fixture
        .inspector()
        .verify(&mut |progress| steps.push(progress))
        .unwrap();
    assert!(steps.is_sorted_by_key(|step| step.done), "{steps:?}");
    let last = steps.last().unwrap();
    assert_eq!(last.done, last.total);
}

#[test]
fn a_selector_takes_what_it_says() {
    let fixture = Fixture::closed(2000);
    let all = Selector::all;
    let seq = |n| Bound::Seq(Seq(n));
    let time = |n: i64| Bound::Time(Timestamp(n * 1_000_000_000));
    for (selector, expected) in [
        (all().from(seq(1990)), (1990..=2000).collect::<Vec<_>>()),
        (all().to(seq(3)), vec![1, 2, 3]),
        (all().from(time(1998)), vec![1998, 1999, 2000]),
        (all().to(time(2)), vec![1, 2]),
        (all().from(seq(700)).limit(2), vec![700, 701]),
        (all().filter(types(&["quote"])).limit(3), vec![2, 5, 8]),
        (all().filter(types(&["order.*"])).limit(3), vec![1, 3, 4]),
        (
            all().filter(types(&["quote", "order.placed"])).limit(3),
            vec![2, 3, 5],
        ),
        (all().filter(types(&["order"])).limit(3), vec![]),
        (
            all()
                .filter(Filter::all().source("even"))
                .from(seq(11))
                .limit(2),
            vec![12, 14],
        ),
        (all().from(seq(5000)), vec![]),
        (all().limit(0), vec![]),
    ] {
        let (seqs, errors) = fixture.read(selector.clone());
        assert_eq!((seqs, errors), (expected, vec![]), "{selector:?}");
    }
}

#[test]
fn a_record_has_all_that_was_emitted() {
    let fixture = Fixture::closed(3);
    let record = fixture
        .inspector()
        .records(Selector::all())
        .unwrap()
        .nth(1)
        .unwrap()
        .unwrap();
    assert_eq!(record.to_event().unwrap(), event(2));
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!(json["seq"], 2);
    assert_eq!(json["timestamp"], "1970-01-01T00:00:02.000000000Z");
    assert_eq!(json["appended_at"], "2023-11-14T22:13:20.000000000Z");
    assert_eq!(json["headers"]["trace"], "2");
    assert_eq!(json["data"]["n"], 2);
}

#[test]
fn one_segment_file_is_enough() {
    let fixture = Fixture::closed(2000);
    let copy = fixture.path().join("copy of a segment");
    fs::copy(fixture.segment(2), &copy).unwrap();
    for path in [fixture.segment(2), copy] {
        let inspector = Inspector::open(&path).unwrap();
        let report = inspector.verify(&mut |_| {}).unwrap();
        assert_eq!(report.log.damage, vec![]);
        assert_eq!(report.verdict, Verdict::Good);
        let records: Vec<_> = inspector
            .records(Selector::all())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(records.len() as u64, report.log.count);
        assert_eq!(records[0].seq(), report.log.first);
        assert!(report.log.first > Seq(1));
    }
}

#[test]
fn what_is_no_forelog_directory_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |path: &Path| Inspector::open(path).unwrap_err().kind();
    assert_eq!(kind(&dir.path().join("nothing")), ErrorKind::NotFound);
    assert_eq!(kind(dir.path()), ErrorKind::ForeignDirectory);
    fs::write(dir.path().join("notes.txt"), "x").unwrap();
    assert_eq!(kind(dir.path()), ErrorKind::ForeignDirectory);
    #[cfg(unix)]
    {
        let fixture = Fixture::closed(1);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(fixture.path(), &link).unwrap();
        assert_eq!(kind(&link), ErrorKind::NotRegular);
        let link = dir.path().join("segment");
        std::os::unix::fs::symlink(fixture.segment(1), &link).unwrap();
        assert_eq!(kind(&link), ErrorKind::NotRegular);
        let fifo = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap();
        assert!(made.success());
        assert_eq!(kind(&fifo), ErrorKind::NotRegular);
    }
}

#[test]
fn a_log_that_crashed_has_a_torn_tail_at_worst() {
    let fixture = Fixture::new();
    let log = fixture.log();
    Fixture::emit(&log, 1..=100, Durability::Os);
    drop(log);
    let report = fixture.verify();
    assert_eq!((report.verdict, report.log.count), (Verdict::Good, 100));
    assert!(!report.log.clean);
    let mut frames = fixture.inspector().raw().unwrap().map(Result::unwrap);
    let cut = frames
        .find(|item| matches!(&item.kind, RawKind::Event(f) if f.seq == Seq(97)))
        .unwrap();
    fixture.edit(1, |bytes| {
        bytes[usize::try_from(cut.offset).unwrap() + 80] ^= 1;
    });
    let report = fixture.verify();
    assert_eq!(report.log.damage, vec![]);
    assert_eq!((report.verdict, report.log.count), (Verdict::Torn, 96));
    assert!(report.log.torn_bytes > 100);
    let (seqs, errors) = fixture.read(Selector::all());
    assert_eq!((seqs.len(), errors), (96, vec![]));
    let log = fixture.log();
    assert_eq!(log.recovery().torn_bytes, report.log.torn_bytes);
    assert_eq!(log.count(), 96);
    log.close().unwrap();
    let report = fixture.verify();
    assert_eq!((report.verdict, report.log.count), (Verdict::Good, 96));
}

#[test]
fn a_locked_directory_is_read_and_its_holder_named() {
    let fixture = Fixture::closed(10);
    assert_eq!(fixture.inspector().writer(), None);
    let lock = DirLock::acquire(fixture.path()).unwrap();
    let report = fixture.verify();
    assert_eq!(report.verdict, Verdict::Good);
    let pid = std::process::id().to_string();
    assert!(report.in_use_by.unwrap().contains(&pid));
    drop(lock);
    DirLock::acquire(fixture.path()).unwrap();
}

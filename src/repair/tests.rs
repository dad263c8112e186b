//! Repairs and salvages of whole directories: targets that somebody else has, and disks that cannot be read.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::event::Event;
use crate::inspect::{Inspector, RawKind, Selector, Verdict};
use crate::system::EventSystem;

mod sectors;
mod targets;

/// How many events a directory has.
const COUNT: u64 = 1500;

fn open(dir: &Path) -> EventSystem {
    let builder = EventSystem::builder().persistence_path(dir);
    builder.segment_size(64 << 10).open().unwrap()
}

fn event(number: u64) -> Event {
    Event::new("kind", "test", &(number, [number; 12])).unwrap()
}

/// A directory of several segments, closed in order.
fn whole() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    for number in 1..=COUNT {
        system.emit(event(number)).unwrap();
    }
    system.close().unwrap();
    dir
}

fn segment(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("log/{id:012}-000.seg"))
}

/// The Seqs that can be read, and what is told of those that cannot.
fn read(dir: &Path) -> (BTreeSet<u64>, Vec<String>) {
    let (mut seqs, mut told) = (BTreeSet::new(), Vec::new());
    let records = Inspector::open(dir).unwrap().records(Selector::all());
    for record in records.unwrap() {
        match record {
            Ok(record) => assert!(seqs.insert(record.seq().0)),
            Err(error) => told.push(error.to_string()),
        }
    }
    (seqs, told)
}

/// The Seqs of one segment whose frames have bytes in this range.
fn within(file: &Path, range: &std::ops::Range<u64>) -> BTreeSet<u64> {
    let mut seqs = BTreeSet::new();
    for item in Inspector::open(file).unwrap().raw().unwrap() {
        let item = item.unwrap();
        if let RawKind::Event(frame) = item.kind
            && item.offset < range.end
            && range.start < item.offset + item.len
        {
            seqs.insert(frame.seq.0);
        }
    }
    seqs
}

/// All events are there but these, and nothing else is wrong.
fn check_held(dir: &Path, lost: &BTreeSet<u64>, what: &str) {
    let (seqs, told) = read(dir);
    let missing: BTreeSet<u64> = (1..=COUNT).filter(|seq| !seqs.contains(seq)).collect();
    assert_eq!((&missing, told), (lost, vec![]), "{what}");
    assert_eq!(verdict(dir), Verdict::Good, "{what}");
}

fn verdict(dir: &Path) -> Verdict {
    let inspector = Inspector::open(dir).unwrap();
    inspector.verify(&mut |_| {}).unwrap().verdict
}

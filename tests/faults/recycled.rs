//! Files of removed segments that become those of later ones, while the process is killed, and beside
//! readers in other processes (rows 6, 29).

use std::path::Path;

use forelog::{Durability, EventStore, EventSystem, Seq, StoredEvent};

use crate::child::{Child, text};
use crate::ledger::SEGMENT_SIZE;
use crate::load::{self, Random, Tag, scaled, seed};
use crate::roles::{ack, say, wait};

/// Some eight segments.
const MAX_BYTES: u64 = 8 * SEGMENT_SIZE as u64;

fn open(dir: &Path) -> EventSystem {
    let builder = EventSystem::builder().persistence_path(dir);
    let builder = builder.segment_size(SEGMENT_SIZE).max_bytes(MAX_BYTES);
    builder
        .recycle_segments(true)
        .durability(Durability::Os)
        .open()
        .unwrap()
}

/// Emits until it is killed.
pub(crate) fn emit(dir: &Path, run: u32) {
    let system = open(dir);
    for number in 0.. {
        let receipt = system.emit(Tag::alone(run, number).event()).unwrap();
        ack(&receipt);
    }
}

/// Reads all that is held, keeps it until the parent says so, and looks at it again.
pub(crate) fn hold(dir: &Path) {
    let store = EventStore::open_read_only(dir).unwrap();
    let held: Vec<StoredEvent> = store
        .query()
        .run()
        .unwrap()
        .map(|stored| stored.unwrap())
        .collect();
    drop(store);
    say(&format!("holding {}", held.len()));
    wait();
    for stored in &held {
        load::check(&stored.event());
    }
    say("unchanged");
}

/// Every event that is held is the very one that was emitted, and none is missing between them.
fn check(system: &EventSystem) -> (Seq, Seq) {
    let store = system.store();
    let last = store.last_seq();
    let mut next = last;
    // Backwards: retention may still be at work in front.
    for stored in store.query().newest_first().run().unwrap() {
        let stored = stored.unwrap();
        assert_eq!(stored.event().seq(), next);
        load::check(&stored.event());
        next = next.prev();
    }
    assert!(next < store.first_seq(), "nothing behind {next} was found");
    (next.next(), last)
}

#[test]
fn a_process_killed_while_it_uses_files_again_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (seed, mut last_acked) = (seed(), Seq::ZERO);
    let mut random = Random(seed);
    for run in 1..=scaled(6) {
        let child = Child::start(
            &[],
            "emit and retain",
            &[text(dir.path()), &run.to_string()],
        );
        // Some hundred events a segment.
        let acks = 1 + random.below(4_000);
        let lines = (0..acks).map(|_| child.line().expect("it lives until it is killed"));
        let mut lines: Vec<String> = lines.collect();
        lines.extend(child.kill());
        let seqs = lines.iter().filter_map(|line| {
            let seq = line.strip_prefix("ack ")?.split(' ').next()?;
            seq.parse().ok()
        });
        let seqs: Vec<u64> = seqs.collect();
        assert!(seqs.first().is_none_or(|first| *first > last_acked.0));
        last_acked = Seq(seqs.last().copied().unwrap_or(last_acked.0));
        let system = open(dir.path());
        let recovery = system.recovery().clone();
        assert_eq!(recovery.gap, None, "seed {seed}, run {run}");
        let (first, last) = check(&system);
        assert!(last >= last_acked, "seed {seed}, run {run}: {last}");
        assert!(first <= last_acked.next(), "seed {seed}, run {run}");
        // It goes on, and uses files again.
        for number in 0..2_000 {
            system
                .emit(Tag::alone(run as u32 + 1_000, number).event())
                .unwrap();
        }
        assert!(system.stats().segments_recycled > 0);
        last_acked = check(&system).1;
        system.close().unwrap();
    }
}

#[test]
fn what_another_process_has_mapped_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    let mut number = 0;
    let mut emit = |count: u32| {
        for _ in 0..count {
            system.emit(Tag::alone(1, number).event()).unwrap();
            number += 1;
        }
        system.stats().segments_recycled
    };
    assert!(emit(5_000) > 0);
    let mut child = Child::start(&[], "hold events", &[text(dir.path())]);
    let held = child.line().unwrap();
    assert!(held.starts_with("holding "), "{held}");
    let last = system.store().last_seq();
    // One may have been free before it came.
    let before = emit(300);
    assert_eq!(emit(5_000), before, "no file is used again meanwhile");
    assert!(system.store().first_seq() > last);
    child.go_on();
    assert_eq!(child.line().unwrap(), "unchanged");
    drop(child);
    assert!(emit(5_000) > before);
    check(&system);
    system.close().unwrap();
}

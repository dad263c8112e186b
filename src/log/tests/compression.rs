//! Compression: the same events in less room, and damage that is told of.

use std::sync::Arc;

use super::{Random, mirror, rounds};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::durability::Durability;
use crate::format::names;
use crate::format::record::Record;
use crate::log::{Log, LogConfig, View};
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, SimDisk};

fn open(disk: &SimDisk, segment_len: usize) -> Log {
    let config = LogConfig {
        segment_len,
        background: false,
        compression: Some(3),
        ..LogConfig::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_000)));
    let storage = disk.storage().folder(names::LOG).unwrap();
    Log::open(storage, config, clock, Seq::ZERO).unwrap()
}

/// So many bytes, that a compressor makes little of or nothing.
fn data(random: &mut Random, len: usize, is_noise: bool) -> Vec<u8> {
    let step = if is_noise { 0xFF } else { 0x03 };
    (0..len)
        .map(|_| u8::try_from(random.below(256)).unwrap() & step)
        .collect()
}

fn append(log: &Log, data: &[u8]) {
    let record = Record::new("some.type", "source", Timestamp(1), data).unwrap();
    log.append(&[record], Durability::Os).unwrap();
}

/// The data of all events, in order; each is found by a look-up as well, from both ends.
fn read(view: &Arc<View>) -> Vec<Vec<u8>> {
    let mut reader = view.reader(Seq::FIRST);
    let mut found = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        assert_eq!(event.seq(), Seq(found.len() as u64 + 1));
        found.push(event.data_bytes().to_vec());
    }
    for seq in (1..=found.len()).rev() {
        let stored = view.get(Seq(seq as u64)).unwrap().unwrap();
        assert_eq!(stored.event().data_bytes(), found[seq - 1]);
    }
    found
}

fn packed(log: &Log) -> Vec<bool> {
    let segments = log.segments();
    segments.iter().map(|one| one.header.is_packed()).collect()
}

#[test]
fn what_is_compressed_reads_the_same_and_takes_less_room() {
    for seed in 0..rounds(12) {
        let mut random = Random(seed);
        let disk = SimDisk::new();
        let log = open(&disk, 512 << 10);
        let mut sent = Vec::new();
        // Some events are larger than what is packed together, and some are empty.
        for _ in 0..300 {
            let len = random.pick(&[0, 1, 100, 100, 4_000, 33_000, 90_000]);
            let is_noise = random.below(4) == 0;
            sent.push(data(&mut random, len, is_noise));
            append(&log, sent.last().unwrap());
        }
        let seen = mirror::open(&disk).unwrap();
        assert_eq!(read(&seen.view()), sent, "seed {seed}");
        let before: u64 = log.segments().iter().map(|one| one.used_len()).sum();
        log.shared.rewrite_what_is_due().unwrap();
        let after: u64 = log.segments().iter().map(|one| one.used_len()).sum();
        assert!(after < before, "seed {seed}: {before} -> {after}");
        let states = packed(&log);
        let (last, old) = states.split_at(states.len() - 2);
        assert!(last.iter().any(|packed| *packed), "seed {seed}: {states:?}");
        assert_eq!(old, [false; 2], "recovery may have to read them");
        assert_eq!(read(&log), sent, "seed {seed}");
        assert!(!log.shared.wants_compression());
        seen.refresh().unwrap();
        assert_eq!(read(&seen.view()), sent, "seed {seed}");
        log.close().unwrap();
        drop(log);
        let again = open(&disk, 512 << 10);
        assert_eq!(read(&again), sent, "seed {seed}");
        assert_eq!(again.explain_retention().dropped, 0);
    }
}

#[test]
fn what_compression_does_not_make_smaller_stays_as_it_is() {
    let disk = SimDisk::new();
    let log = open(&disk, 64 << 10);
    let mut random = Random(1);
    let mut sent = Vec::new();
    for _ in 0..100 {
        sent.push(data(&mut random, 3_000, true));
        append(&log, sent.last().unwrap());
    }
    assert!(log.shared.wants_compression());
    log.shared.rewrite_what_is_due().unwrap();
    assert!(!packed(&log).contains(&true));
    assert!(!log.shared.wants_compression(), "it is tried once");
    assert_eq!(read(&log), sent);
}

/// Whoever appends shall not find the disk full because something is being made smaller.
#[test]
fn on_a_disk_that_is_nearly_full_nothing_is_compressed() {
    let disk = SimDisk::new();
    let log = open(&disk, 64 << 10);
    let mut random = Random(2);
    let mut sent = Vec::new();
    for _ in 0..100 {
        sent.push(data(&mut random, 3_000, false));
        append(&log, sent.last().unwrap());
    }
    let used: u64 = log
        .segments()
        .iter()
        .map(|one| one.region.len() as u64)
        .sum();
    disk.set_capacity(used + (200 << 10));
    assert!(!log.shared.wants_compression());
    log.shared.rewrite_what_is_due().unwrap();
    assert!(!packed(&log).contains(&true));
    disk.set_capacity(u64::MAX);
    assert!(log.shared.wants_compression());
    log.shared.rewrite_what_is_due().unwrap();
    assert!(packed(&log).contains(&true));
    assert_eq!(read(&log), sent);
}

/// Whatever byte of a compressed segment is flipped: what is read is what was sent, or an error.
#[test]
fn a_flipped_byte_of_a_compressed_segment_is_told_of() {
    let disk = SimDisk::new();
    let log = open(&disk, 8 << 10);
    let mut random = Random(3);
    let mut sent = Vec::new();
    for _ in 0..80 {
        sent.push(data(&mut random, 300, false));
        append(&log, sent.last().unwrap());
    }
    log.shared.rewrite_what_is_due().unwrap();
    let (name, len, last) = {
        let segment = &log.segments()[0];
        assert!(segment.header.is_packed());
        let path = format!("{}/{}", names::LOG, segment.name);
        (path, segment.region.len(), segment.last_seq())
    };
    log.close().unwrap();
    drop(log);
    let (mut refused, mut told, mut unharmed) = (0, 0, 0);
    for offset in 0..len {
        let copy = disk.crash(CrashKind::Process, Choice::AllKept);
        copy.corrupt(&name, offset..offset + 1, |bytes| bytes[0] ^= 0x41)
            .unwrap();
        let config = LogConfig {
            segment_len: 8 << 10,
            background: false,
            ..LogConfig::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_000)));
        let storage = copy.storage().folder(names::LOG).unwrap();
        let Ok(log) = Log::open(storage, config, clock, Seq::ZERO) else {
            refused += 1;
            continue;
        };
        let mut missing = 0;
        for seq in 1..=sent.len() {
            match log.get(Seq(seq as u64)) {
                Ok(found) => {
                    let found = found.unwrap_or_else(|| panic!("byte {offset}: {seq} is gone"));
                    assert_eq!(found.event().data_bytes(), sent[seq - 1], "byte {offset}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), crate::error::ErrorKind::Corrupt);
                    assert!(Seq(seq as u64) <= last, "byte {offset}: {error}");
                    missing += 1;
                }
            }
        }
        match missing {
            0 => unharmed += 1,
            _ => told += 1,
        }
    }
    // Headers stand twice, and zeros hold nothing; the packs are most of what is left.
    assert!(refused > 100 && told > 500, "{refused} {told} {unharmed}");
}

//! Readers that know how far a run of events reaches, and where the next frame starts: neither may
//! hide an event, show one too early, or pass over a gap.

use std::sync::Arc;

use super::Random;
use super::promise::Sent;
use crate::clock::{SystemClock, Timestamp};
use crate::durability::Durability;
use crate::format::names;
use crate::format::record::Record;
use crate::log::prefault::{READ_AHEAD, READ_BEFORE};
use crate::log::reader::Step;
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::storage::file::FileStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sim::{Choice, CrashKind, SimDisk};
use crate::storage::sys::Sys;

fn config() -> LogConfig {
    LogConfig {
        segment_len: 16 << 10,
        background: false,
        ..LogConfig::default()
    }
}

fn open() -> Log {
    let storage = Arc::new(MemoryStorage::default());
    Log::open(storage, config(), Arc::new(SystemClock), Seq::ZERO).unwrap()
}

fn append(log: &Log, count: usize, durability: Durability) {
    let first = log.watermark().appended().next().0;
    let numbers = first..first + count as u64;
    let data: Vec<_> = numbers.map(|number| Sent::data(number, 100)).collect();
    let record = |data| Record::new("test.number", "unit", Timestamp(1), data).unwrap();
    let records: Vec<_> = data.iter().map(|data| record(data)).collect();
    log.append(&records, durability).unwrap();
}

#[test]
fn a_reader_at_the_end_sees_what_comes_later() {
    let seed = 21;
    let mut random = Random(seed);
    let log = open();
    let mut reader = log.reader(Seq::FIRST);
    let mut next = 1;
    for round in 0..2_000 {
        append(&log, random.pick(&[1, 2, 3, 4]), Durability::Os);
        if random.below(8) == 0 {
            log.flush().unwrap();
            log.shared.mark_if_idle().unwrap();
        }
        // A run that was found before more was appended ends where it ended then.
        let upto = random.below(6) + next;
        while next < upto {
            let Some(event) = reader.next_event().unwrap() else {
                break;
            };
            assert_eq!(event.seq(), Seq(next), "round {round}, seed {seed}");
            assert_eq!(event.data_bytes(), Sent::data(next, 100));
            next += 1;
        }
        if random.below(50) == 0 {
            next = 1 + random.below(log.watermark().appended().0);
            reader.seek(Seq(next));
        }
    }
    while let Some(event) = reader.next_event().unwrap() {
        assert_eq!(event.seq(), Seq(next), "seed {seed}");
        next += 1;
    }
    assert_eq!(Seq(next), log.watermark().appended().next());
    assert!(log.segments().len() > 10);
}

/// Pages are asked for where a reader has gone through much, in all segments but the one that grows, and
/// whatever is asked for changes nothing of what is read.
#[test]
fn a_long_reader_asks_for_the_pages_ahead_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(FileStorage::create(dir.path(), Sys::native()).unwrap());
    let config = LogConfig {
        segment_len: 4 << 20,
        background: true,
        ..LogConfig::default()
    };
    let open = || {
        let clock = Arc::new(SystemClock);
        Log::open(storage.clone(), config.clone(), clock, Seq::ZERO).unwrap()
    };
    let log = open();
    let count = 3_000_u64;
    for number in 1..=count {
        let data = Sent::data(number, 3_000);
        let record = Record::new("test.number", "unit", Timestamp(1), &data).unwrap();
        log.append(&[record], Durability::Os).unwrap();
    }
    // The second one may not be sealed yet.
    log.close().unwrap();
    let log = open();
    assert_eq!(log.segments().len(), 3);
    let mut reader = log.reader(Seq::FIRST);
    let segment_end = log.segments()[0].last_seq();
    for seq in (700..segment_end.0).step_by(50) {
        reader.seek(Seq(seq));
        reader.next_event().unwrap().unwrap();
        // One that is sent to and fro does not ask, however far behind the first MiB.
        assert!(reader.pages_due_at() < config.segment_len + READ_BEFORE);
    }
    reader.seek(Seq::FIRST);
    let mut due = Vec::new();
    for number in 1..=count {
        let event = reader.next_event().unwrap().unwrap();
        assert_eq!(event.data_bytes(), Sent::data(number, 3_000), "{number}");
        if due.last() != Some(&reader.pages_due_at()) {
            due.push(reader.pages_due_at());
        }
    }
    // After the first MiB of the first segment; at once in the second; never in the third, which grows.
    let first = due[1] - (READ_AHEAD / 2);
    assert!(
        (READ_BEFORE..READ_BEFORE + 16_384).contains(&first),
        "{due:?}"
    );
    assert!(due[2] < READ_AHEAD / 2 + 8192, "{due:?}");
    assert_eq!(due[3..], [usize::MAX]);
    log.close().unwrap();
}

#[test]
fn a_run_ends_before_an_event_that_waits_for_its_sync() {
    let log = open();
    append(&log, 3, Durability::Os);
    append(&log, 1, Durability::Sync);
    append(&log, 3, Durability::Os);
    let mut durable = log.durable_reader(Seq::FIRST);
    let mut seen = Vec::new();
    while let Some(event) = durable.next_event().unwrap() {
        seen.push(event.seq().0);
    }
    assert_eq!(seen, [1, 2, 3]);
    assert!(durable.next_event().unwrap().is_none());
    log.flush().unwrap();
    while let Some(event) = durable.next_event().unwrap() {
        seen.push(event.seq().0);
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_gap_stands_between_two_runs() {
    let disk = SimDisk::new();
    let open = |disk: &SimDisk| {
        let storage = disk.storage().folder(names::LOG).unwrap();
        Log::open(storage, config(), Arc::new(SystemClock), Seq::ZERO).unwrap()
    };
    let log = open(&disk);
    append(&log, 5, Durability::Os);
    log.flush().unwrap();
    append(&log, 5, Durability::Os);
    drop(log);
    let log = open(&disk.crash(CrashKind::System, Choice::AllLost));
    let gap = log.recovery().gap.unwrap();
    assert_eq!(gap.from, Seq(6));
    append(&log, 2, Durability::Os);
    let mut reader = log.reader(Seq(3));
    let mut steps = Vec::new();
    while let Some(step) = reader.step().unwrap() {
        steps.push(match step {
            Step::Event(event) => (event.seq(), event.seq()),
            Step::Gap(gap) => (gap.from, gap.to),
        });
    }
    let after = gap.to.next();
    let one = |seq: Seq| (seq, seq);
    let expected = [
        one(Seq(3)),
        one(Seq(4)),
        one(Seq(5)),
        (gap.from, gap.to),
        one(after),
        one(after.next()),
    ];
    assert_eq!(steps, expected);
    let mut reader = log.reader(Seq(7));
    assert_eq!(reader.next_event().unwrap().unwrap().seq(), after);
}

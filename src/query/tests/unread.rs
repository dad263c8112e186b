//! An event that could not be read when the index came to it may be of any name, and have any id.

use std::path::Path;
use std::sync::Arc;

use crate::clock::{ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::ErrorKind;
use crate::event::EventId;
use crate::format::record::Record;
use crate::index::{Index, IndexConfig};
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::query::{ListedOfType, OfType, Plan, Query};
use crate::storage::file::FileStorage;
use crate::storage::sim::{Choice, CrashKind, SimDisk};
use crate::storage::sys::Sys;

fn open(disk: &SimDisk) -> Arc<Log> {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
    let config = LogConfig {
        segment_len: 256 << 10,
        background: false,
        ..LogConfig::default()
    };
    Arc::new(Log::open(disk.storage(), config, clock, Seq::ZERO).unwrap())
}

/// A log of so many events, of which these are damaged, as it is opened anew; of a hundred one is rare.
fn damaged(count: u64, sick: &[u64]) -> Arc<Log> {
    let disk = SimDisk::new();
    let log = open(&disk);
    for number in 1..=count {
        let is_rare = number.is_multiple_of(100);
        let event_type = if is_rare { "rare" } else { "often" };
        let time = Timestamp(i64::try_from(number).unwrap());
        let source = format!("s{}", number % 200);
        let mut record = Record::new(event_type, &source, time, &[0xc0]).unwrap();
        record.event_id = EventId(u128::from(number));
        log.append(&[record], Durability::Os).unwrap();
    }
    log.close().unwrap();
    let disk = disk.crash(CrashKind::Process, Choice::AllKept);
    for (name, bytes) in disk.files() {
        let mut bytes = bytes.to_vec();
        for seq in sick {
            let mut places = bytes.windows(8);
            if let Some(at) = places.position(|held| held == seq.to_le_bytes()) {
                bytes[at + 60] ^= 1;
            }
        }
        disk.write_file(&name, &bytes).unwrap();
    }
    open(&disk)
}

type Select = fn(Query) -> Query;

/// What a query gives: the Seqs of what it finds, and of what it cannot read.
fn given(query: &Query) -> (Vec<u64>, Vec<u64>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for stored in query.run().unwrap() {
        match stored {
            Ok(stored) => good.push(stored.event().seq().0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                bad.push(error.seq().unwrap().0);
            }
        }
    }
    (good, bad)
}

#[test]
fn a_query_by_the_index_tells_of_them_as_a_scan_does() {
    // In the store, and in the window that is in memory.
    let sick = [150, 151, 200, 4_000, 13_000, 20_500];
    let log = damaged(24_500, &sick);
    let index = Index::open(log.clone(), None, IndexConfig::default());
    let index = Arc::new(index);
    assert!(index.catch_up());
    assert_eq!(index.state().unreadable, sick.len() as u64);
    let with = |index| Query::new(log.view(), index, Arc::default());
    let selects: [(&str, Select); 8] = [
        ("type", |query| query.types(["rare"])),
        ("types", |query| query.types(["ra*", "none"])),
        ("no type", |query| query.types(["none"])),
        ("source", |query| query.source("s7")),
        ("sources", |query| query.sources(["s7", "s100", "none"])),
        ("id", |query| query.ids([EventId(7), EventId(13_000)])),
        ("range", |query| {
            query.types(["rare"]).seqs(Seq(151)..=Seq(13_000))
        }),
        ("both", |query| query.types(["rare"]).source("s100")),
    ];
    for (what, select) in selects {
        let (by_index, by_scan) = (select(with(Some(index.clone()))), select(with(None)));
        let explained = by_index.explain().unwrap();
        assert!(
            !matches!(explained.plan, Plan::Scan | Plan::SeqRange),
            "{what}"
        );
        for newest_first in [false, true] {
            let ordered = |query: &Query| {
                let query = query.clone();
                if newest_first {
                    query.newest_first()
                } else {
                    query
                }
            };
            let (found, due) = (given(&ordered(&by_index)), given(&ordered(&by_scan)));
            assert_eq!(
                found, due,
                "{what}, newest first {newest_first}: {explained}"
            );
        }
        // Where few are wanted, the lists are not counted.
        let few = (
            given(&by_index.clone().limit(3)),
            given(&by_scan.clone().limit(3)),
        );
        assert_eq!(few.0, few.1, "{what}, limited");
    }
    for event_type in ["rare", "often", "none"] {
        let listed = ListedOfType::new(&log.view(), &index, event_type);
        let scanned = OfType::new(&log.view(), event_type);
        assert!(listed.eq(scanned), "{event_type}");
    }
}

/// A log of so many events in a folder, with what ids it is told, and its index.
fn indexed(folder: &Path, count: u64, id_of: fn(u64) -> EventId) -> (Arc<Log>, Arc<Index>) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000_000)));
    let config = LogConfig {
        segment_len: 4 << 20,
        background: false,
        ..LogConfig::default()
    };
    let storage = FileStorage::create(folder, Sys::native()).unwrap();
    let log = Arc::new(Log::open(Arc::new(storage), config, clock, Seq::ZERO).unwrap());
    for number in 1..=count {
        let mut record = Record::new("a", "b", Timestamp(1), &[0xc0]).unwrap();
        record.event_id = id_of(number);
        log.append(&[record], Durability::Os).unwrap();
    }
    let index = Arc::new(Index::open(log.clone(), None, IndexConfig::default()));
    assert!(index.catch_up());
    (log, index)
}

/// Damages an event of the first segment, once it was indexed.
fn harm(folder: &Path, log: &Log, seq: u64) {
    let path = folder.join(&log.segments()[0].name);
    let mut bytes = std::fs::read(&path).unwrap();
    let mut places = bytes.windows(8);
    let at = places.position(|held| held == seq.to_le_bytes()).unwrap();
    bytes[at + 57] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(log.get(Seq(seq)).is_err());
}

/// Two ids that lie at one place of the log.
#[test]
fn an_event_that_may_have_either_id_is_told_of_once() {
    let dir = tempfile::tempdir().unwrap();
    let (log, index) = indexed(dir.path(), 9_000, |_| EventId::NIL);
    let id = log.get(Seq(1_234)).unwrap().unwrap().event().event_id();
    harm(dir.path(), &log, 1_234);
    let query = Query::new(log.view(), Some(index), Arc::default());
    let query = query.ids([id, EventId(id.0 + 1)]);
    assert_eq!(given(&query), (Vec::new(), vec![1_234]));
}

/// The others that have its id stand in the same window and in a later one.
#[test]
fn behind_an_event_that_cannot_be_read_the_others_with_its_id_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let id_of = |number| match number {
        10 | 20 | 8_000 => EventId(7),
        30 | 9_000 => EventId(8),
        number => EventId(u128::from(number) + 100),
    };
    let (log, index) = indexed(dir.path(), 9_000, id_of);
    harm(dir.path(), &log, 10);
    let all = || Query::new(log.view(), Some(index.clone()), Arc::default());
    let one = all().ids([EventId(7)]);
    assert_eq!(given(&one), (vec![20, 8_000], vec![10]));
    let both = all().ids([EventId(7), EventId(8)]);
    assert_eq!(given(&both), (vec![20, 30, 8_000, 9_000], vec![10]));
    let later = all().ids([EventId(7), EventId(8)]).seqs(Seq(11)..);
    assert_eq!(given(&later), (vec![20, 30, 8_000, 9_000], Vec::new()));
}

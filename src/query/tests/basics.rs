//! Queries by hand.

use std::sync::Arc;

use crate::clock::{ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::ErrorKind;
use crate::event::{EventId, KeepLast, StateKey};
use crate::format::record::Record;
use crate::index::{Index, IndexConfig};
use crate::log::{Log, LogConfig};
use crate::position::{Gap, Seq};
use crate::query::{Plan, Query, QueryResults, scan_for_id};
use crate::storage::sim::{Choice, CrashKind, SimDisk};

struct Rig {
    disk: SimDisk,
    log: Arc<Log>,
    index: Arc<Index>,
}

impl Rig {
    fn new() -> Rig {
        Rig::on(SimDisk::new())
    }

    fn on(disk: SimDisk) -> Rig {
        let config = LogConfig {
            segment_len: 64 << 10,
            background: false,
            ..LogConfig::default()
        };
        Rig::with(disk, config)
    }

    fn with(disk: SimDisk, config: LogConfig) -> Rig {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let log = Log::open(disk.storage(), config, clock, Seq::ZERO).unwrap();
        let log = Arc::new(log);
        let index = Index::open(log.clone(), None, IndexConfig::default());
        Rig {
            disk,
            log,
            index: Arc::new(index),
        }
    }

    /// Of every ten events one is rare; each has its number as its time and as its id.
    fn emit(&self, count: i64) {
        for _ in 0..count {
            let number = self.log.watermark().appended().next().0;
            let event_type = if number.is_multiple_of(100) {
                "rare"
            } else {
                "often"
            };
            let source = format!("s{}", number % 5);
            let time = Timestamp(i64::try_from(number).unwrap());
            let mut record = Record::new(event_type, &source, time, &[0xc0]).unwrap();
            record.event_id = EventId(u128::from(number));
            self.log.append(&[record], Durability::Os).unwrap();
        }
    }

    fn query(&self) -> Query {
        Query::new(self.log.view(), Some(self.index.clone()), Arc::default())
    }
}

fn seqs(results: QueryResults) -> Vec<u64> {
    results
        .map(|stored| stored.unwrap().event().seq().0)
        .collect()
}

#[test]
fn while_the_index_is_rebuilt_queries_scan_and_say_so() {
    let rig = Rig::new();
    rig.emit(3_000);
    assert!(rig.index.catch_up());
    let query = rig.query().types(["rare"]);
    let rare: Vec<u64> = (1..=30).map(|n| n * 100).collect();
    let listed = query.explain().unwrap();
    assert_eq!(listed.plan, Plan::Types(vec!["rare".to_owned()]));
    assert_eq!(listed.fallback, None);
    let held = rig.index.break_and_hold();
    let scanned = query.explain().unwrap();
    assert_eq!(scanned.plan, Plan::Scan);
    assert_eq!(scanned.expected_reads, 3_000);
    assert_eq!(
        scanned.fallback.as_deref(),
        Some("the index is being rebuilt: it has the events up to 0 of 3000")
    );
    assert_eq!(seqs(query.run().unwrap()), rare);
    assert_eq!(query.count().unwrap(), 30);
    let by_id = rig.index.by_id(EventId(2_999)).unwrap();
    assert_eq!(by_id, Some(Seq(2_999)));
    drop(held);
    assert!(rig.index.catch_up());
    assert_eq!(query.explain().unwrap(), listed);
    assert_eq!(seqs(query.run().unwrap()), rare);
    assert_eq!(rig.index.state().rebuilds, 1);
}

/// Of two events with an id the first is dropped, and both are among those that the index has in memory.
#[test]
fn an_id_whose_first_event_was_compacted_is_found_at_the_next() {
    let mut keep_last = KeepLast::default();
    keep_last.set("state".to_owned(), StateKey::Source);
    let config = LogConfig {
        segment_len: 64 << 10,
        background: false,
        keep_last: Arc::new(keep_last),
        ..LogConfig::default()
    };
    let rig = Rig::with(SimDisk::new(), config);
    for (of, source, id) in [
        ("note", "one", 6),
        ("state", "one", 7),
        ("state", "one", 8),
        ("state", "two", 7),
    ] {
        let mut record = Record::new(of, source, Timestamp(1), &[0xc0]).unwrap();
        record.event_id = EventId(id);
        rig.log.append(&[record], Durability::Os).unwrap();
    }
    // Enough to be dropped for, and to be in segments that may be rewritten.
    for _ in 0..3_000 {
        let record = Record::new("state", "other", Timestamp(1), &[0xc0]).unwrap();
        rig.log.append(&[record], Durability::Os).unwrap();
    }
    assert!(rig.index.catch_up());
    rig.log.rewrite_what_is_due().unwrap();
    assert!(rig.log.get(Seq(2)).unwrap().is_none());
    for (id, seq) in [
        (6, Some(Seq(1))),
        (7, Some(Seq(4))),
        (8, Some(Seq(3))),
        (9, None),
    ] {
        assert_eq!(rig.index.by_id(EventId(id)).unwrap(), seq, "id {id}");
        assert_eq!(scan_for_id(&rig.log.view(), EventId(id)), seq, "id {id}");
    }
}

#[test]
fn each_plan_is_chosen_where_it_is_the_cheapest() {
    let rig = Rig::new();
    rig.emit(10_000);
    assert!(rig.index.catch_up());
    let plan = |query: Query| query.explain().unwrap().plan;
    let rare = || vec!["rare".to_owned()];
    assert_eq!(plan(rig.query()), Plan::Scan);
    assert_eq!(plan(rig.query().types(["rare"])), Plan::Types(rare()));
    assert_eq!(plan(rig.query().types(["ra*"])), Plan::Types(rare()));
    assert_eq!(plan(rig.query().types(["often"])), Plan::Scan, "nearly all");
    assert_eq!(plan(rig.query().types(["*"])), Plan::Scan);
    assert_eq!(plan(rig.query().types(["no"])), Plan::Nothing);
    let source = rig.query().types(["often"]).source("s1");
    assert_eq!(plan(source), Plan::Sources(vec!["s1".to_owned()]));
    let both = rig.query().types(["rare"]).source("s0");
    assert_eq!(plan(both), Plan::Types(rare()), "the shorter list");
    assert_eq!(plan(rig.query().ids([EventId(7)])), Plan::Ids);
    assert_eq!(plan(rig.query().seqs(Seq(5)..Seq(9))), Plan::SeqRange);
    assert_eq!(plan(rig.query().seqs(Seq(9)..Seq(5))), Plan::Nothing);
    let times = rig.query().between(Timestamp(9_000), Timestamp(9_010));
    let explained = times.explain().unwrap();
    assert_eq!(explained.plan, Plan::TimeRanges);
    assert!(explained.segments_skipped > 5, "{explained}");
    assert!(explained.expected_reads < 5_000, "{explained}");
    assert_eq!(times.count().unwrap(), 10);
}

#[test]
fn an_explanation_is_a_sentence() {
    let rig = Rig::new();
    rig.emit(1_000);
    assert!(rig.index.catch_up());
    let query = rig.query().types(["rare"]).newest_first();
    let expected = "type postings of rare; Seqs 1 to 1000, newest first; about 10 events to read";
    assert_eq!(query.explain().unwrap().to_string(), expected);
    rig.index.close();
    let behind = "scan; Seqs 1 to 1000, newest first; about 1000 events to read; the index is behind: \
                  it has the events up to 0 of 1000";
    assert_eq!(query.explain().unwrap().to_string(), behind);
    assert_eq!(query.count().unwrap(), 10);
}

#[test]
fn a_query_ends_with_what_was_there_when_it_began() {
    let rig = Rig::new();
    rig.emit(10);
    let results = rig.query().run().unwrap();
    let newest = rig.query().newest_first().run().unwrap();
    rig.emit(10);
    assert_eq!(seqs(results), (1..=10).collect::<Vec<_>>());
    assert_eq!(seqs(newest), (1..=10).rev().collect::<Vec<_>>());
}

#[test]
fn what_retention_takes_from_a_running_query_is_told() {
    let rig = Rig::new();
    rig.emit(5_000);
    let mut onward = rig.query().run().unwrap();
    let mut back = rig.query().newest_first().run().unwrap();
    let token = {
        let mut page = rig.query().limit(10).run().unwrap();
        assert_eq!(page.by_ref().count(), 10);
        page.page_token().unwrap()
    };
    onward.next().unwrap().unwrap();
    let held = back.next().unwrap().unwrap();
    rig.log.retire_before(Seq(3_000)).unwrap();
    let first = rig.log.first_seq();
    assert!(first > Seq(2_000));
    assert_eq!(onward.by_ref().count() as u64, 5_000 - first.prev().0);
    let to = first.prev();
    assert_eq!(onward.gone(), Some(Gap { from: Seq(2), to }));
    assert_eq!(back.by_ref().count() as u64, 5_000 - first.prev().0 - 1);
    let from = Seq(1);
    assert_eq!(back.gone(), Some(Gap { from, to }));
    assert_eq!(held.event().seq(), Seq(5_000));
    let mut next = rig.query().after(token).run().unwrap();
    assert_eq!(next.next().unwrap().unwrap().event().seq(), first);
    assert_eq!(next.gone(), Some(Gap { from: Seq(11), to }));
    let mut fresh = rig.query().run().unwrap();
    assert_eq!(
        (fresh.by_ref().count() as u64, fresh.gone()),
        (5_000 - to.0, None)
    );
}

#[test]
fn an_event_that_cannot_be_read_is_an_error_and_the_query_goes_on() {
    let rig = Rig::new();
    rig.emit(2_000);
    rig.log.close().unwrap();
    rig.index.close();
    let disk = rig.disk.crash(CrashKind::Process, Choice::AllKept);
    let (name, bytes) = disk.files().into_iter().next().unwrap();
    let mut bytes = bytes.to_vec();
    bytes[4096 + 200] ^= 1;
    disk.write_file(&name, &bytes).unwrap();
    let rig = Rig::on(disk);
    for query in [
        rig.query(),
        rig.query().source("s1").source("s2").source("s3"),
        rig.query().header("no", "such"),
        rig.query().newest_first().since(Timestamp(0)),
    ] {
        let (good, bad): (Vec<_>, Vec<_>) = query.run().unwrap().partition(Result::is_ok);
        assert_eq!(bad.len(), 1, "{}", query.explain().unwrap());
        let error = bad.into_iter().next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.seq().is_some_and(|seq| seq <= Seq(3)), "{error}");
        let sources = query.criteria.filter.wanted_sources().len() as u64;
        let headers = query.criteria.headers.len();
        let due = match (sources, headers) {
            (3, _) => 1_200 - 1,
            (_, 1) => 0,
            _ => 2_000 - 1,
        };
        assert_eq!(good.len() as u64, due);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let rig = Rig::new();
    rig.emit(3);
    let refused = |query: Query| {
        assert_eq!(query.run().unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(query.count().unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(query.explain().unwrap_err().kind(), ErrorKind::Invalid);
    };
    refused(rig.query().types(["a*b"]));
    let mut page = rig.query().run().unwrap();
    let stored = page.next().unwrap().unwrap();
    let token = page.page_token_of(&stored);
    assert_eq!(Some(token), page.page_token());
    refused(rig.query().newest_first().after(token));
    refused(rig.query().types(["often"]).after(token));
    let other = Rig::new();
    refused(other.query().after(token));
    assert_eq!(seqs(rig.query().after(token).limit(1).run().unwrap()), [2]);
}

#[test]
fn counts_and_ends_need_no_more_than_the_lists() {
    let rig = Rig::new();
    rig.emit(9_000);
    assert!(rig.index.catch_up());
    let rare = rig.query().types(["rare"]);
    assert_eq!(rare.count().unwrap(), 90);
    assert_eq!(rare.clone().limit(7).count().unwrap(), 7);
    assert_eq!(rare.clone().seqs(Seq(150)..=Seq(400)).count().unwrap(), 3);
    assert_eq!(rare.clone().source("s1").count().unwrap(), 0);
    assert_eq!(rare.clone().source("s0").count().unwrap(), 90);
    let seq = |stored: Option<crate::log::StoredEvent>| stored.map(|s| s.event().seq().0);
    assert_eq!(seq(rare.first().unwrap()), Some(100));
    assert_eq!(seq(rare.clone().newest_first().first().unwrap()), Some(100));
    assert_eq!(seq(rare.last().unwrap()), Some(9_000));
    assert_eq!(rig.query().count().unwrap(), 9_000);
    assert_eq!(rig.query().seqs(..Seq(101)).count().unwrap(), 100);
}

/// Each id has many events; of them only those are looked up that are given.
#[test]
fn events_of_several_ids_come_in_order_and_as_many_as_are_asked_for() {
    let rig = Rig::new();
    for n in 1..=6_000_u64 {
        let mut record = Record::new("often", "s", Timestamp(1), &[0xc0]).unwrap();
        record.event_id = EventId(u128::from(n % 5));
        rig.log.append(&[record], Durability::Os).unwrap();
    }
    assert!(rig.index.catch_up());
    let query = rig
        .query()
        .ids([EventId(2), EventId(1), EventId(2), EventId(99)]);
    let wanted = (1..=6_000_u64).filter(|n| [1, 2].contains(&(n % 5)));
    let due: Vec<u64> = wanted.collect();
    assert_eq!(seqs(query.run().unwrap()), due);
    assert_eq!(seqs(query.clone().limit(3).run().unwrap()), due[..3]);
    let part = query.clone().seqs(Seq(4_001)..=Seq(4_007));
    assert_eq!(seqs(part.run().unwrap()), [4_001, 4_002, 4_006, 4_007]);
    let newest: Vec<u64> = due.iter().rev().take(3).copied().collect();
    let back = query.clone().newest_first().limit(3);
    assert_eq!(seqs(back.run().unwrap()), newest);
    assert_eq!(query.count().unwrap(), 2_400);
}

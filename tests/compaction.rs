//! Compaction in a system on a real disk: look-ups and queries equal a scan, readers read on, tools agree.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forelog::inspect::{Inspector, RawItem, RawKind, SegmentReport, Selector};
use forelog::{
    Delivery, Durability, Event, EventId, EventStore, EventSystem, Gap, Handler, IntoOutcome,
    Outcome, Seq, Start, StateKey, Subscription,
};

const KEYS: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(120);

/// What was emitted: id, type, source, key.
type Sent = BTreeMap<Seq, (EventId, &'static str, String, u64)>;

/// Whether segments are compressed besides.
type Compression = Option<i32>;

/// Plain, and compressed where the build can.
const BOTH: &[Compression] = if cfg!(feature = "compression") {
    &[None, Some(3)]
} else {
    &[None]
};

fn open(path: &Path, compression: Compression) -> EventSystem {
    let builder = EventSystem::builder()
        .persistence_path(path)
        .segment_size(64 << 10)
        .durability(Durability::Os)
        .keep_last("position.*", StateKey::Header("flight".into()));
    let builder = match compression {
        Some(level) => builder.compression(level),
        None => builder,
    };
    builder.open().unwrap()
}

fn emit(system: &EventSystem, n: u64, sent: &mut Sent) {
    let (event_type, key) = match n % 10 {
        0 => ("order", n),
        n if n % 2 == 0 => ("position.gps", n * 7 % KEYS),
        _ => ("position.radar", n * 11 % KEYS),
    };
    let source = format!("tower-{}", n / 700 % 3);
    let event = Event::new(event_type, source.as_str(), &(n, vec![7_u8; 120])).unwrap();
    // Ids of the user's own, in no order, for some stretches.
    let id = u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_1234_5678_9ABC_DEF1);
    let event = if (n / 500).is_multiple_of(2) {
        event
    } else {
        event.with_id(EventId(id))
    };
    let receipt = system
        .emit(event.with_header("flight", key.to_string()))
        .unwrap();
    sent.insert(receipt.seq, (receipt.event_id, event_type, source, key));
}

/// Emits until so many events were dropped.
fn emit_until_dropped(system: &EventSystem, from: u64, count: u64, sent: &mut Sent) -> u64 {
    let begun = Instant::now();
    let mut n = from;
    while system.store().explain_retention().dropped < count {
        for _ in 0..200 {
            emit(system, n, sent);
            n += 1;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is dropped");
    }
    n
}

/// Nobody emits any more, so nothing but time tells the log that it is needed no longer.
#[test]
fn what_was_held_back_is_compacted_once_it_is_let_go_though_the_log_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path(), None);
    let handler = |_: &Delivery<'_>| Outcome::Ack;
    let subscription = Subscription::named("slow").start(Start::Beginning);
    system.register_handler(subscription, handler).unwrap();
    system.pause("slow", "a test").unwrap();
    let mut sent = Sent::new();
    for n in 0..4_000 {
        emit(&system, n, &mut sent);
    }
    system.flush().unwrap();
    // The mark of a quiet log is the last thing that the housekeeping does before it sleeps.
    let begun = Instant::now();
    let is_last = |item: &RawItem| match &item.kind {
        RawKind::Mark(mark) => mark.durable_upto == Seq(4_000),
        _ => false,
    };
    let log = Inspector::open(dir.path()).unwrap();
    while !log.raw().unwrap().any(|item| is_last(&item.unwrap())) {
        assert!(begun.elapsed() < PATIENCE, "no mark is written");
    }
    assert_eq!(system.store().explain_retention().dropped, 0);
    system.resume("slow").unwrap();
    system.start().unwrap();
    let begun = Instant::now();
    while system.store().explain_retention().dropped == 0 {
        assert!(begun.elapsed() < PATIENCE, "nothing is dropped");
        std::thread::yield_now();
    }
    scan(&system.store(), &sent);
    assert_eq!(system.store().last_seq(), Seq(4_000));
    system.close().unwrap();
}

/// The Seqs that a scan finds, each with what was sent; what is missing is superseded.
fn scan(store: &EventStore, sent: &Sent) -> Vec<Seq> {
    let all = store.query().run().unwrap();
    let held: Vec<Seq> = all.map(|stored| stored.unwrap().event().seq()).collect();
    let mut behind = std::collections::BTreeSet::new();
    for (seq, (_, event_type, _, key)) in sent.iter().rev() {
        let is_held = held.binary_search(seq).is_ok();
        let is_superseded = *event_type != "order" && behind.contains(&(*event_type, *key));
        assert!(is_held || is_superseded, "{seq} is lost");
        if is_held {
            behind.insert((*event_type, *key));
        }
    }
    held
}

fn seqs(query: &forelog::Query) -> Vec<Seq> {
    query
        .run()
        .unwrap()
        .map(|stored| stored.unwrap().event().seq())
        .collect()
}

/// Every look-up and query is what the scan says.
fn check(store: &EventStore, sent: &Sent) -> u64 {
    let held = scan(store, sent);
    assert_eq!(store.len(), held.len() as u64);
    for (seq, (id, ..)) in sent {
        let is_held = held.binary_search(seq).is_ok();
        let by_id = store.get_by_id(*id).unwrap();
        assert_eq!(
            by_id.map(|stored| stored.event().seq()),
            is_held.then_some(*seq)
        );
        assert_eq!(store.get(*seq).unwrap().is_some(), is_held, "{seq}");
    }
    let named = |of: &str, source: &str| -> Vec<Seq> {
        let fits = |seq: &&Seq| {
            let (_, event_type, from, _) = &sent[*seq];
            (of.is_empty() || *event_type == of) && (source.is_empty() || from == source)
        };
        held.iter().filter(fits).copied().collect()
    };
    for (of, source) in [
        ("order", ""),
        ("position.gps", ""),
        ("position.radar", ""),
        ("", "tower-0"),
        ("", "tower-1"),
        ("position.gps", "tower-2"),
    ] {
        let due = named(of, source);
        let mut query = store.query();
        if !of.is_empty() {
            query = query.types([of]);
        }
        if !source.is_empty() {
            query = query.source(source);
        }
        assert_eq!(query.count().unwrap(), due.len() as u64, "{of} {source}");
        assert_eq!(seqs(&query), due, "{of} {source}");
        let newest: Vec<Seq> = due.iter().rev().take(50).copied().collect();
        assert_eq!(
            seqs(&query.newest_first().limit(50)),
            newest,
            "{of} {source}"
        );
    }
    for (names, is_type) in [(store.types(), true), (store.sources(), false)] {
        let mut count = 0;
        for summary in names {
            let due = if is_type {
                named(&summary.name, "")
            } else {
                named("", &summary.name)
            };
            let found = (summary.count, Some(summary.first), Some(summary.last));
            assert_eq!(
                found,
                (due.len() as u64, due.first().copied(), due.last().copied())
            );
            count += summary.count;
        }
        assert_eq!(count, held.len() as u64);
    }
    sent.len() as u64 - held.len() as u64
}

#[test]
fn look_ups_queries_and_tools_find_what_a_scan_finds() {
    for compression in BOTH {
        look_ups_queries_and_tools(*compression);
    }
}

fn look_ups_queries_and_tools(compression: Compression) {
    let dir = tempfile::tempdir().unwrap();
    let mut sent = Sent::new();
    let system = open(dir.path(), compression);
    let next = emit_until_dropped(&system, 0, 4_000, &mut sent);
    system.close().unwrap();
    // Without rules nothing more is dropped, and all can be compared at rest.
    for round in 0..2 {
        let system = EventSystem::builder()
            .persistence_path(dir.path())
            .segment_size(64 << 10);
        let system = system.open().unwrap();
        let dropped = check(&system.store(), &sent);
        assert!(dropped >= 4_000);
        assert_eq!(system.store().explain_retention().dropped, dropped);
        assert_eq!(
            system.stats().index.rebuilds,
            0,
            "the index took it for damage"
        );
        for n in 0..100 {
            emit(&system, next + round * 100 + n, &mut sent);
        }
        assert_eq!(check(&system.store(), &sent), dropped);
        system.close().unwrap();
        let read_only = EventStore::open_read_only(dir.path()).unwrap();
        assert_eq!(check(&read_only, &sent), dropped);

        let inspector = Inspector::open(dir.path()).unwrap();
        let report = inspector.verify(&mut |_| {}).unwrap();
        assert_eq!(
            (report.log.damage_count, report.log.dropped),
            (0, dropped),
            "{report:?}"
        );
        assert_eq!(report.index_ok, Some(true), "{report:?}");
        assert_eq!(report.log.count, sent.len() as u64 - dropped);
        let segments = inspector.segments().unwrap();
        let is_packed = |one: &&SegmentReport| {
            let footer = one.footer.as_ref();
            footer.is_some_and(|footer| footer.compressed_len.is_some())
        };
        let packed = segments.iter().filter(is_packed).count();
        assert_eq!(packed > 0, compression.is_some());
        let records = inspector.records(Selector::all()).unwrap();
        let records: Vec<Seq> = records
            .map(|record| record.unwrap().view().unwrap().seq())
            .collect();
        assert_eq!(records, scan(&read_only, &sent));
        // Once with the index that was there before, once with one that is made of what is left.
        std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    }
}

/// A store that is only read follows through the swaps, and a file that is gone is never missing.
#[test]
fn a_read_only_store_follows_while_segments_are_rewritten() {
    for compression in BOTH {
        follows_while_segments_are_rewritten(*compression);
    }
}

fn follows_while_segments_are_rewritten(compression: Compression) {
    let dir = tempfile::tempdir().unwrap();
    let mut sent = Sent::new();
    let system = open(dir.path(), compression);
    for n in 0..500 {
        emit(&system, n, &mut sent);
    }
    let path = dir.path().to_path_buf();
    let is_over = Arc::new(AtomicU64::new(0));
    let seen_over = is_over.clone();
    let reader = std::thread::spawn(move || {
        let store = EventStore::open_read_only(&path).unwrap();
        let mut rounds = 0_u64;
        while seen_over.load(Ordering::Relaxed) == 0 || rounds < 3 {
            let last = store.refresh().unwrap();
            let mut before = Seq::ZERO;
            for stored in store.query().run().unwrap() {
                let seq = stored.unwrap().event().seq();
                assert!(seq > before && seq <= last);
                before = seq;
            }
            assert_eq!(before, last);
            rounds += 1;
        }
        let records = Inspector::open(&path).unwrap();
        for record in records.records(Selector::all()).unwrap() {
            record.unwrap();
        }
        rounds
    });
    let next = emit_until_dropped(&system, 500, 3_000, &mut sent);
    emit_until_dropped(&system, next, 9_000, &mut sent);
    is_over.store(1, Ordering::Relaxed);
    assert!(reader.join().unwrap() >= 3);
    system.close().unwrap();
}

/// Counts what it gets, and is told of.
#[derive(Default, Clone)]
struct Told(Arc<Mutex<(Vec<Seq>, Vec<Gap>)>>);

impl Handler for Told {
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        self.0.lock().unwrap().0.push(delivery.seq());
        Ok::<(), forelog::Error>(()).into_outcome()
    }

    fn skipped(&mut self, gap: Gap) {
        self.0.lock().unwrap().1.push(gap);
    }
}

#[test]
fn a_subscription_holds_what_it_needs_and_a_later_one_is_told_of_gaps() {
    for compression in BOTH {
        holds_what_it_needs(*compression);
    }
}

fn holds_what_it_needs(compression: Compression) {
    let dir = tempfile::tempdir().unwrap();
    let mut sent = Sent::new();
    let system = open(dir.path(), compression);
    let (early, late) = (Told::default(), Told::default());
    let from = Subscription::named("early").start(Start::Beginning);
    system.register_handler(from, early.clone()).unwrap();
    // It is registered, and not started: nothing of what it needs may go.
    for n in 0..3_000 {
        emit(&system, n, &mut sent);
    }
    assert_eq!(system.store().explain_retention().dropped, 0);
    system.start().unwrap();
    emit_until_dropped(&system, 3_000, 1_500, &mut sent);
    system.drain(Some(Instant::now() + PATIENCE)).unwrap();
    {
        let told = early.0.lock().unwrap();
        let all: Vec<Seq> = sent.keys().copied().collect();
        assert_eq!(
            (&told.0, &told.1),
            (&all, &Vec::new()),
            "it has seen every event"
        );
    }
    let from = Subscription::named("late").start(Start::Beginning);
    system.register_handler(from, late.clone()).unwrap();
    system.drain(Some(Instant::now() + PATIENCE)).unwrap();
    {
        let told = late.0.lock().unwrap();
        let mut covered: Vec<Seq> = told.0.clone();
        for gap in &told.1 {
            covered.extend((gap.from.0..=gap.to.0).map(Seq));
        }
        covered.sort_unstable();
        let all: Vec<Seq> = sent
            .keys()
            .copied()
            .filter(|seq| *seq >= covered[0])
            .collect();
        assert_eq!(
            covered, all,
            "each Seq is delivered, or told of as a gap, once"
        );
        assert!(!told.1.is_empty());
        let state = system.subscriptions();
        let state = state
            .iter()
            .find(|state| state.name.as_deref() == Some("late"))
            .unwrap();
        let gaps = told
            .1
            .iter()
            .map(|gap| gap.to.0 - gap.from.0 + 1)
            .sum::<u64>();
        assert_eq!(state.skipped, gaps);
    }
    system.close().unwrap();
}

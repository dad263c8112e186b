//! Partitions as a user has them, on a real file system.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::clock::Timestamp;
use crate::dispatch::{Delivery, Handler, Outcome, Subscription, WhenBehind};
use crate::event::EventId;
use crate::format::names;
use crate::position::{Gap, Seq};

const ACCOUNTS: u64 = 20;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn event(n: u64) -> Event {
    let event_type = format!("type.{}", n % 3);
    Event::new(event_type, format!("account-{}", n % ACCOUNTS), &n).unwrap()
}

fn builder(path: &Path, partitions: usize) -> PartitionedBuilder {
    PartitionedEventSystem::builder()
        .persistence_path(path)
        .partitions(partitions)
        .each(EventSystem::builder().durability(Durability::Os))
}

/// The numbers of each source's events, in the order in which they are kept.
fn by_source(system: &PartitionedEventSystem) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for part in system.partitions() {
        let replayed = part.replay().run(|event| {
            let numbers = found.entry(event.source().to_owned()).or_default();
            numbers.push(event.data()?);
            Ok(())
        });
        replayed.unwrap();
    }
    found
}

fn expected(count: u64) -> BTreeMap<String, Vec<u64>> {
    let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for n in 0..count {
        expected.entry(event(n).source).or_default().push(n);
    }
    expected
}

#[test]
fn a_key_has_one_place_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut places = BTreeMap::new();
    for round in 0..3 {
        let system = builder(dir.path(), 4).open().unwrap();
        for n in round * 100..(round + 1) * 100 {
            let receipt = system.emit(event(n)).unwrap();
            let place = *places.entry(event(n).source).or_insert(receipt.partition);
            assert_eq!(receipt.partition, place);
            let found = system.get(place, receipt.receipt.seq).unwrap().unwrap();
            assert_eq!(found.event().data::<u64>().unwrap(), n);
        }
        assert_eq!(by_source(&system), expected((round + 1) * 100));
        system.close().unwrap();
    }
    let used: std::collections::BTreeSet<_> = places.values().collect();
    assert_eq!(used.len(), 4, "{places:?}");
}

#[test]
fn another_layout_is_refused_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let system = builder(dir.path(), 3).open().unwrap();
    system.emit(event(1)).unwrap();
    system.close().unwrap();
    let by_type = builder(dir.path(), 3).key(PartitionKey::TYPE);
    for other in [builder(dir.path(), 4), by_type] {
        let error = other.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("repartition"), "{error}");
    }
    let as_it_is = PartitionedEventSystem::builder().persistence_path(dir.path());
    assert_eq!(as_it_is.open().unwrap().partitions().len(), 3);
}

#[test]
fn what_is_no_whole_directory_of_partitions_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let undecided = PartitionedEventSystem::builder().persistence_path(dir.path());
    assert_eq!(undecided.open().unwrap_err().kind(), ErrorKind::Invalid);
    let system = builder(dir.path(), 3).open().unwrap();
    for n in 0..50 {
        system.emit(event(n)).unwrap();
    }
    system.close().unwrap();
    let layout = dir.path().join(names::PARTITIONS);
    let whole = std::fs::read_to_string(&layout).unwrap();
    std::fs::write(&layout, whole.replace(":3", ":2")).unwrap();
    let error = builder(dir.path(), 2).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    std::fs::remove_file(&layout).unwrap();
    let error = builder(dir.path(), 3).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    std::fs::write(&layout, whole).unwrap();
    let part = dir.path().join(names::partition(1));
    std::fs::rename(&part, dir.path().join("elsewhere")).unwrap();
    let error = builder(dir.path(), 3).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(!part.exists(), "none is made in its place");
    std::fs::rename(dir.path().join("elsewhere"), &part).unwrap();
    let system = builder(dir.path(), 3).open().unwrap();
    assert_eq!(by_source(&system), expected(50));
    let error = EventSystem::builder().persistence_path(dir.path());
    assert_eq!(
        error.open().unwrap_err().kind(),
        ErrorKind::ForeignDirectory
    );
    let plain = tempfile::tempdir().unwrap();
    let single = EventSystem::builder().persistence_path(plain.path());
    single.open().unwrap().close().unwrap();
    let error = builder(plain.path(), 3).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignDirectory, "{error}");
}

#[test]
fn an_opening_that_did_not_end_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let opened = builder(dir.path(), 3).open_unwritten().unwrap();
    drop(opened);
    let system = builder(dir.path(), 5).open().unwrap();
    assert_eq!(system.partitions().len(), 5, "nothing was promised yet");
}

#[test]
fn a_batch_is_of_one_partition_or_refused_or_split() {
    let system = PartitionedEventSystem::builder()
        .partitions(4)
        .open()
        .unwrap();
    let same: Vec<_> = (0..5).map(|n| event(n * ACCOUNTS)).collect();
    let receipts = system.emit_batch(&same).unwrap();
    let seqs: Vec<_> = receipts.iter().map(|placed| placed.receipt.seq.0).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    let mixed: Vec<_> = (0..ACCOUNTS).map(event).collect();
    let error = system.emit_batch(&mixed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(system.stats().events, 5, "nothing of it was emitted");
    let outcomes = system.emit_split(&mixed);
    for (event, outcome) in mixed.iter().zip(outcomes) {
        let placed = outcome.unwrap();
        assert_eq!(placed.partition, system.partition_of(event));
        let found = system.get(placed.partition, placed.receipt.seq).unwrap();
        assert_eq!(found.unwrap().event().source(), event.source);
    }
    assert_eq!(system.stats().events, 5 + ACCOUNTS);
    assert!(system.emit_batch(&[]).unwrap().is_empty());
}

#[test]
fn one_name_goes_on_in_every_partition() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for round in 0..3_u64 {
        let system = builder(dir.path(), 4).open().unwrap();
        let noted = seen.clone();
        let handler = move |delivery: &Delivery<'_>| {
            noted.lock().unwrap().push(delivery.data::<u64>().unwrap());
        };
        let id = system.register_handler(Subscription::named("all"), handler);
        let id = id.unwrap();
        system.start().unwrap();
        for n in round * 100..(round + 1) * 100 {
            system.emit(event(n)).unwrap();
        }
        system.drain(Some(soon())).unwrap();
        assert_eq!(system.subscriptions().len(), 4);
        system.unregister_handler(&id).unwrap();
        system.close().unwrap();
    }
    let mut seen = Arc::into_inner(seen).unwrap().into_inner().unwrap();
    let mut by_account: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for &n in &seen {
        by_account.entry(n % ACCOUNTS).or_default().push(n);
    }
    assert!(by_account.values().all(|numbers| numbers.is_sorted()));
    seen.sort_unstable();
    assert_eq!(seen, (0..300).collect::<Vec<_>>(), "each once");
}

/// A handler that notes what it is given, and what it is not given.
struct Told {
    events: Arc<AtomicU64>,
    skipped: Arc<AtomicU64>,
}

impl Handler for Told {
    fn handle(&mut self, _: &Delivery<'_>) -> Outcome {
        self.events.fetch_add(1, Ordering::SeqCst);
        Outcome::Ack
    }

    fn skipped(&mut self, gap: Gap) {
        let count = gap.to.next().since(gap.from);
        self.skipped.fetch_add(count, Ordering::SeqCst);
    }
}

#[test]
fn a_handler_of_all_partitions_is_told_what_it_is_not_given() {
    let dir = tempfile::tempdir().unwrap();
    let system = builder(dir.path(), 2).open().unwrap();
    for n in 0..200 {
        system.emit(event(n)).unwrap();
    }
    let (events, skipped) = (Arc::default(), Arc::default());
    let handler = Told {
        events: Arc::clone(&events),
        skipped: Arc::clone(&skipped),
    };
    let subscription = Subscription::named("a").when_behind(WhenBehind::Skip(10));
    system.register_handler(subscription, handler).unwrap();
    system.start().unwrap();
    system.drain(Some(soon())).unwrap();
    system.close().unwrap();
    let counts = [&events, &skipped].map(|one: &Arc<AtomicU64>| one.load(Ordering::SeqCst));
    assert_eq!(counts, [10, 190]);
}

#[test]
fn parked_events_are_found_in_their_partition() {
    let system = PartitionedEventSystem::builder()
        .partitions(3)
        .open()
        .unwrap();
    let mend = Arc::new(AtomicU64::new(0));
    let mended = mend.clone();
    let handler = move |_: &Delivery<'_>| match mended.load(Ordering::SeqCst) {
        0 => Outcome::Park("no".into()),
        _ => Outcome::Ack,
    };
    let registered = system.register_handler(Subscription::named("picky"), handler);
    registered.unwrap();
    system.start().unwrap();
    let placed = system.emit(event(7)).unwrap();
    let other = system.emit(event(8)).unwrap();
    system.drain(Some(soon())).unwrap();
    assert_eq!(system.parked("picky").len(), 2);
    mend.store(1, Ordering::SeqCst);
    let (partition, seq) = (placed.partition, placed.receipt.seq);
    system.redeliver("picky", partition, seq).unwrap();
    system.drain(Some(soon())).unwrap();
    system
        .discard("picky", other.partition, other.receipt.seq)
        .unwrap();
    let error = system.redeliver("picky", 9, seq).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    system.close().unwrap();
}

/// Handlers in every partition emit into every other one, whose queues are full: with a wait for a
/// place in each other's queue nobody would ever go on.
#[test]
fn handlers_may_emit_into_each_others_full_partitions() {
    let each = EventSystem::builder().max_queue_size(1);
    let system = PartitionedEventSystem::builder()
        .partitions(3)
        .each(each)
        .open()
        .unwrap();
    let (emitter, count) = (system.clone(), Arc::new(AtomicU64::new(0)));
    let counted = count.clone();
    let handler = move |delivery: &Delivery<'_>| -> Result<()> {
        counted.fetch_add(1, Ordering::SeqCst);
        if delivery.event_type().starts_with("type") {
            for n in 0..ACCOUNTS {
                emitter.emit(Event::new("echo", format!("account-{n}"), &n)?)?;
            }
            let error = emitter.close().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
        Ok(())
    };
    let id = system.register_handler(Subscription::named("echo"), handler);
    let id = id.unwrap();
    system.start().unwrap();
    for n in 0..30 {
        system.emit(event(n)).unwrap();
    }
    let all = 30 * (1 + ACCOUNTS);
    while count.load(Ordering::SeqCst) < all {
        system.drain(Some(soon())).unwrap();
    }
    system.unregister_handler(&id).unwrap();
    system.close().unwrap();
}

/// A handler of the last partition emits into the first one while all are being closed.
#[test]
fn a_close_waits_for_what_handlers_emit_into_other_partitions() {
    let system = PartitionedEventSystem::builder().partitions(2);
    let by_type = PartitionKey::custom("by type", |event: &Event| event.event_type.clone());
    let system = system.key(by_type).open().unwrap();
    let of = |partition: usize| {
        let named = |n: u64| Event::new(format!("type.{n}"), "test", &n).unwrap();
        let mut events = (0..).map(named);
        let event = events.find(|event| system.partition_of(event) == partition);
        event.unwrap()
    };
    let (relayed, first) = (of(0), of(1));
    let (emitter, begun) = (system.clone(), Arc::new(AtomicU64::new(0)));
    let (target, begins) = (relayed.event_type.clone(), begun.clone());
    let handler = move |delivery: &Delivery<'_>| -> Outcome {
        if delivery.event_type() == target {
            return Outcome::Ack;
        }
        begins.store(1, Ordering::SeqCst);
        let by = Instant::now() + Duration::from_millis(300);
        // Refused in any case, and for being closed once it is.
        let mut nameless = relayed.clone();
        nameless.event_type.clear();
        let refused = || emitter.partitions()[0].emit_at(nameless.clone(), Timestamp(0));
        while refused().unwrap_err().kind() != ErrorKind::Closed && Instant::now() < by {
            std::thread::yield_now();
        }
        match emitter.emit(&relayed) {
            Ok(_) => Outcome::Ack,
            Err(error) => Outcome::Park(error.to_string()),
        }
    };
    system
        .register_handler(Subscription::named("relay"), handler)
        .unwrap();
    system.start().unwrap();
    system.emit(first).unwrap();
    let by = soon();
    while begun.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < by);
        std::thread::yield_now();
    }
    system.close().unwrap();
    assert!(
        system.parked("relay").is_empty(),
        "{:?}",
        system.parked("relay")
    );
    assert_eq!(system.partitions()[0].store().len(), 1);
}

#[test]
fn look_ups_go_over_all_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let system = builder(dir.path(), 4).open().unwrap();
    for n in 0..200 {
        system.emit(event(n)).unwrap();
    }
    let sought = event(1_000).with_id(EventId(77));
    let placed = system.emit(sought).unwrap();
    let (partition, found) = system.get_by_id(EventId(77)).unwrap().unwrap();
    assert_eq!(partition, placed.partition);
    assert_eq!(found.event().seq(), placed.receipt.seq);
    assert!(system.get_by_id(EventId(78)).unwrap().is_none());
    let found: Vec<_> = system
        .by_type("type.1")
        .map(|found| found.unwrap())
        .collect();
    let times: Vec<_> = found.iter().map(|(_, e)| e.event().appended_at()).collect();
    assert!(times.is_sorted());
    let numbers: Vec<u64> = found
        .iter()
        .map(|(_, e)| e.event().data().unwrap())
        .collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    let wanted = (0..200).filter(|n| n % 3 == 1).chain([1_000]);
    assert_eq!(sorted, wanted.collect::<Vec<_>>());
    assert_eq!(system.get(0, Seq(9_999)).unwrap().map(|_| ()), None);
}

fn ids(system: &PartitionedEventSystem) -> BTreeMap<EventId, u64> {
    let mut ids = BTreeMap::new();
    for part in system.partitions() {
        let replayed = part.replay().run(|event| {
            ids.insert(event.event_id(), event.data()?);
            Ok(())
        });
        replayed.unwrap();
    }
    ids
}

#[test]
fn repartitioning_takes_along_what_is_scheduled_and_what_stands_there_twice() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (home.path().join("old"), home.path().join("new"));
    let system = EventSystem::builder()
        .persistence_path(&old)
        .open()
        .unwrap();
    let first = system.emit(event(1)).unwrap();
    let mut twin = event(1);
    twin.event_id = first.event_id;
    system.emit(twin).unwrap();
    let later = Timestamp(Timestamp::now().0 + 1_000_000_000_000_000);
    let id = system.emit_at(event(2), later).unwrap();
    // One that stands in the log and was put off comes once more.
    let off = system.store().get(first.seq).unwrap().unwrap();
    let off = off.event().to_event().unwrap();
    system.emit_at(off.clone(), later).unwrap();
    system.close().unwrap();

    let unique = EventSystem::builder().duplicates(crate::DuplicatePolicy::WithinEvents(100));
    let report = PartitionedEventSystem::repartition(&old, builder(&new, 3).each(unique)).unwrap();
    assert_eq!(
        (report.events.iter().sum::<u64>(), report.scheduled),
        (2, 2)
    );
    let system = builder(&new, 3).open().unwrap();
    for (event, id) in [(event(2), id), (off, first.event_id)] {
        let scheduled = system.partitions()[system.partition_of(&event)].scheduled();
        let found = scheduled.iter().find(|one| one.event.event_id == id);
        let found = found.unwrap();
        assert_eq!((found.due, &found.event.data), (later, &event.data));
    }
    assert_eq!(
        system
            .partitions()
            .iter()
            .map(|one| one.scheduled().len())
            .sum::<usize>(),
        2
    );
    let old = EventSystem::builder()
        .persistence_path(&old)
        .open()
        .unwrap();
    assert_eq!(
        old.scheduled().len(),
        2,
        "the old directory is left as it is"
    );
}

#[test]
fn repartitioning_keeps_ids_and_the_order_of_each_key() {
    let home = tempfile::tempdir().unwrap();
    let (old, new, newer) = (
        home.path().join("old"),
        home.path().join("new"),
        home.path().join("newer"),
    );
    let system = builder(&old, 3).open().unwrap();
    for n in 0..300 {
        system.emit(event(n)).unwrap();
    }
    let batch: Vec<_> = (0..4).map(|n| event(300 + n * ACCOUNTS)).collect();
    system.emit_batch(&batch).unwrap();
    let (orders, before) = (by_source(&system), ids(&system));
    system.close().unwrap();

    let report = PartitionedEventSystem::repartition(&old, builder(&new, 7)).unwrap();
    assert_eq!((report.events.len(), report.split_batches), (7, 0));
    assert_eq!(report.events.iter().sum::<u64>(), 304);
    let system = builder(&new, 7).open().unwrap();
    assert_eq!(by_source(&system), orders);
    assert_eq!(ids(&system), before);
    let whole = system.by_type("type.0").map(|found| found.unwrap().1);
    let in_batch = whole.filter(|found| found.event().batch_count() == 4);
    assert!(in_batch.count() > 0, "the batch is one still");
    drop(system);

    let again = PartitionedEventSystem::repartition(&old, builder(&new, 7)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Invalid, "not over what is there");
    let by_type = builder(&newer, 2).key(PartitionKey::TYPE);
    let report = PartitionedEventSystem::repartition(&new, by_type).unwrap();
    assert_eq!(report.split_batches, 1);
    let system = PartitionedEventSystem::builder().persistence_path(&newer);
    let system = system.open().unwrap();
    assert_eq!(ids(&system), before);
    assert_eq!(system.key().name(), "type");
}

#[test]
fn a_plain_system_becomes_partitions() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (home.path().join("old"), home.path().join("new"));
    let single = EventSystem::builder()
        .persistence_path(&old)
        .durability(Durability::Os)
        .open()
        .unwrap();
    for n in 0..100 {
        single.emit(event(n)).unwrap();
    }
    single.close().unwrap();
    let key = || {
        PartitionKey::custom("by three", |event: &Event| {
            event.data::<u64>().unwrap_or(0).rem_euclid(3).to_le_bytes()
        })
    };
    let to = || builder(&new, 2).key(key());
    PartitionedEventSystem::repartition(&old, to()).unwrap();
    let unnamed = PartitionedEventSystem::builder().persistence_path(&new);
    assert_eq!(unnamed.open().unwrap_err().kind(), ErrorKind::Invalid);
    let system = to().open().unwrap();
    assert_eq!(system.stats().events, 100);
    for part in system.partitions() {
        let mut last = BTreeMap::new();
        let replayed = part.replay().run(|event| {
            let n: u64 = event.data()?;
            assert!(last.insert(n % 3, n).is_none_or(|before| before < n));
            Ok(())
        });
        replayed.unwrap();
    }
    let missing = home.path().join("missing");
    let nowhere = PartitionedEventSystem::repartition(&missing, builder(&home.path().join("x"), 2));
    assert!(nowhere.is_err() && !missing.exists());
}

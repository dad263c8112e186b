//! Duplicates and expected positions, through crashes and from many threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::dispatch::{Delivery, Subscription, WhenFull};
use crate::storage::sim::{Choice, CrashKind, SimDisk};
use crate::system::Builder;

fn numbered(n: u64) -> Event {
    let event = Event::new("number", format!("source-{}", n % 3), &n).unwrap();
    event.with_id(EventId(1_000 + u128::from(n)))
}

fn within(events: u64) -> Builder {
    EventSystem::builder().duplicates(DuplicatePolicy::WithinEvents(events))
}

fn ids(system: &EventSystem) -> Vec<EventId> {
    let mut ids = Vec::new();
    let replayed = system.replay().run(|event| {
        ids.push(event.event_id());
        Ok(())
    });
    replayed.unwrap();
    ids
}

#[test]
fn a_second_emit_gets_the_first_receipt_in_every_way_to_emit() {
    let system = within(100).open().unwrap();
    let first = system.emit(numbered(1)).unwrap();
    assert_eq!(system.emit(numbered(1)).unwrap(), first);
    assert_eq!(
        system.emit_async(numbered(1)).unwrap().wait().unwrap(),
        first
    );
    assert_eq!(system.emit_batch(&[numbered(1)]).unwrap(), [first]);
    let batch = [numbered(2), numbered(3)];
    let receipts = system.emit_batch(&batch).unwrap();
    assert_eq!(system.emit_batch(&batch).unwrap(), receipts);
    assert_eq!(system.emit(numbered(3)).unwrap(), receipts[1]);
    let made = system.emit_value("made", "here", &1).unwrap();
    let again = Event::new("made", "here", &1)
        .unwrap()
        .with_id(made.event_id);
    assert_eq!(
        system.emit(again).unwrap(),
        made,
        "also an id that the system has made"
    );
    assert_eq!(system.store().len(), 4);
}

/// Emits events of three sources anew, opened again so that only the index knows their ids.
fn compacting(disk: &SimDisk, clock: &Arc<ManualClock>, policy: DuplicatePolicy) -> EventSystem {
    let builder = EventSystem::builder()
        .clock(clock.clone())
        .segment_size(64 << 10)
        .durability(Durability::Os)
        .keep_last("number", crate::StateKey::Source)
        .duplicates(policy);
    EventSystem::open_in(builder, disk.storage()).unwrap()
}

fn dropped(system: &EventSystem) -> u64 {
    system.0.log.rewrite_what_is_due().unwrap();
    system.store().explain_retention().dropped
}

#[test]
fn compaction_drops_no_event_that_a_second_emit_must_find() {
    let (disk, clock) = (SimDisk::new(), Arc::new(ManualClock::new(Timestamp(1))));
    let policy = DuplicatePolicy::WithinEvents(3_000);
    let system = compacting(&disk, &clock, policy);
    let first = (0..5_000).map(|n| system.emit(numbered(n)).unwrap().seq);
    let first: Vec<Seq> = first.collect();
    system.close().unwrap();
    drop(system);
    let system = compacting(&disk, &clock, policy);
    assert!(dropped(&system) > 1_000);
    for n in (2_000..5_000).rev() {
        let again = system.emit(numbered(n)).unwrap();
        assert_eq!(again.seq, first[usize::try_from(n).unwrap()], "event {n}");
    }
}

#[test]
fn compaction_waits_until_a_window_of_time_has_passed() {
    let (disk, clock) = (SimDisk::new(), Arc::new(ManualClock::new(Timestamp(1))));
    let policy = DuplicatePolicy::Within(Duration::from_secs(60));
    let system = compacting(&disk, &clock, policy);
    let emit_all = |system: &EventSystem, from: u64| {
        let emitted = (from..from + 3_000).map(|n| system.emit(numbered(n)).unwrap().seq);
        emitted.collect::<Vec<_>>()
    };
    emit_all(&system, 0);
    assert_eq!(dropped(&system), 0);
    clock.advance(Duration::from_secs(61));
    let first = emit_all(&system, 3_000);
    let before = dropped(&system);
    assert!(before > 1_000 && before < 3_000, "{before}");
    system.close().unwrap();
    drop(system);
    let system = compacting(&disk, &clock, policy);
    assert_eq!(dropped(&system), before);
    for (n, due) in (3_000..).zip(first) {
        assert_eq!(system.emit(numbered(n)).unwrap().seq, due, "event {n}");
    }
    clock.advance(Duration::from_secs(61));
    assert!(dropped(&system) > before + 1_000);
}

#[test]
fn half_a_batch_or_one_that_repeats_itself_is_refused() {
    let system = within(100).open().unwrap();
    system.emit(numbered(1)).unwrap();
    let unnamed = numbered(5).with_id(EventId::NIL);
    for batch in [
        [numbered(1), numbered(2)],
        [numbered(3), numbered(3)],
        [numbered(1), unnamed],
    ] {
        let error = system.emit_batch(&batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(system.store().len(), 1);
    assert_eq!(
        system.emit(numbered(2)).unwrap().seq,
        Seq(2),
        "nothing is held on to"
    );
}

#[test]
fn the_window_ends_by_events() {
    let system = within(10).open().unwrap();
    let first = system.emit(numbered(0)).unwrap();
    for n in 1..10 {
        system.emit(numbered(n)).unwrap();
    }
    assert_eq!(
        system.emit(numbered(0)).unwrap(),
        first,
        "the tenth from the end"
    );
    system.emit(numbered(10)).unwrap();
    let second = system.emit(numbered(0)).unwrap();
    assert_eq!(second.seq, Seq(12), "one too far back");
    assert_eq!(system.emit(numbered(0)).unwrap(), second);
}

#[test]
fn the_window_ends_by_time_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000_000)));
    let open = || {
        let policy = DuplicatePolicy::Within(Duration::from_secs(60));
        let builder = EventSystem::builder().persistence_path(dir.path());
        builder
            .clock(clock.clone())
            .duplicates(policy)
            .open()
            .unwrap()
    };
    let system = open();
    let first = system.emit(numbered(1)).unwrap();
    clock.advance(Duration::from_secs(30));
    assert_eq!(system.emit(numbered(1)).unwrap(), first);
    system.close().unwrap();
    clock.advance(Duration::from_secs(30));
    let system = open();
    assert_eq!(system.emit(numbered(1)).unwrap(), first, "a minute later");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(system.emit(numbered(1)).unwrap().seq, Seq(2));
}

/// The index is asked for what lies before this opening, in the window and not before it.
#[test]
fn after_a_restart_the_window_counts_from_where_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let open = |events| within(events).persistence_path(dir.path()).open().unwrap();
    let plain = EventSystem::builder().persistence_path(dir.path()).open();
    let plain = plain.unwrap();
    let emit = |n| plain.emit_with(numbered(n), Durability::Os).unwrap().seq;
    let first = emit(7);
    for n in 10..5_000 {
        emit(n);
    }
    let second = emit(7);
    plain.close().unwrap();
    let system = open(10_000);
    assert_eq!(system.emit(numbered(7)).unwrap().seq, first);
    system.close().unwrap();
    let system = open(500);
    assert_eq!(system.emit(numbered(7)).unwrap().seq, second);
    assert_eq!(
        system.emit(numbered(11)).unwrap().seq,
        second.next(),
        "too far back"
    );
}

#[test]
fn two_threads_with_one_id_get_one_receipt() {
    const THREADS: usize = 4;
    let system = within(1_000).open().unwrap();
    for n in 0..200 {
        let together = Barrier::new(THREADS);
        let emit = || {
            together.wait();
            system.emit(numbered(n)).unwrap()
        };
        let receipts: Vec<Receipt> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(emit)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(
            receipts.iter().all(|receipt| receipt.seq == Seq(n + 1)),
            "{receipts:?}"
        );
    }
    assert_eq!(system.store().len(), 200);
}

/// An emitter that waits for a place in a full queue must not hold an id that the handler wants, for
/// the handler is who makes the place.
#[test]
fn a_handler_never_waits_for_an_emitter_who_waits_for_it() {
    let system = within(1_000)
        .max_queue_size(1)
        .when_full(WhenFull::Block)
        .open()
        .unwrap();
    let handling = system.clone();
    let handler = move |delivery: &Delivery<'_>| -> Result<()> {
        let n: u64 = delivery.data()?;
        if n < 200 {
            handling.emit(numbered(n + 1))?;
        }
        Ok(())
    };
    let id = system.register_handler(Subscription::named("h"), handler);
    let id = id.unwrap();
    system.start().unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..200).for_each(|n| drop(system.emit(numbered(n)).map(|_| ()))));
        }
    });
    system.drain(None).unwrap();
    system.unregister_handler(id).unwrap();
    let mut found = ids(&system);
    found.sort_unstable();
    assert_eq!(
        found,
        (0..=200).map(|n| numbered(n).event_id).collect::<Vec<_>>()
    );
}

/// A batch and a single event are emitted; the disk stops at each operation in turn; what a client
/// would do that got no answer is done: all is emitted again after the restart.
#[test]
fn emitted_again_after_a_crash_each_event_is_there_once_and_batches_are_whole() {
    let batch = || [numbered(1), numbered(2), numbered(3)];
    let work = |system: &EventSystem| -> Result<()> {
        system.emit(numbered(0))?;
        system.emit_batch(&batch())?;
        system.emit_batch_with(&[numbered(4), numbered(5)], Durability::Os)?;
        system.emit(numbered(6)).map(|_| ())
    };
    let open = |disk: &SimDisk| {
        let builder = within(100).segment_size(64 << 10);
        EventSystem::open_in(builder, disk.storage())
    };
    let mut crashes = 0;
    for nth in 1.. {
        let disk = SimDisk::new();
        let Ok(system) = open(&disk) else { continue };
        let from = disk.op_count();
        disk.crash_at(from + nth);
        let worked = work(&system);
        for choice in [
            Choice::AllLost,
            Choice::AllKept,
            Choice::Seed(nth),
            Choice::Seed(!nth),
        ] {
            let image = disk.crash(CrashKind::System, choice);
            let what = image.describe();
            let again = open(&image).unwrap();
            let left = ids(&again);
            for whole in [vec![1, 2, 3], vec![4, 5]] {
                let held = whole
                    .iter()
                    .filter(|n| left.contains(&numbered(**n).event_id));
                let held = held.count();
                assert!(
                    held == 0 || held == whole.len(),
                    "half a batch: {left:?}\n{what}"
                );
            }
            work(&again).unwrap();
            let mut all = ids(&again);
            all.sort_unstable();
            let once: Vec<_> = (0..7).map(|n| numbered(n).event_id).collect();
            assert_eq!(all, once, "{what}");
            crashes += 1;
        }
        system.abandon();
        if worked.is_ok() {
            break;
        }
    }
    assert!(
        crashes > 10,
        "{crashes} crashes are too few to mean anything"
    );
}

#[test]
fn a_source_moves_on_only_from_where_it_is_expected() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path| {
        let builder = EventSystem::builder().persistence_path(path);
        builder.expected_positions(true).open().unwrap()
    };
    let say = |source: &str| Event::new("said", source, &1).unwrap();
    let system = open(dir.path());
    assert_eq!(system.last_seq_of("a").unwrap(), Seq::ZERO);
    let first = system.emit_if(say("a"), Seq::ZERO).unwrap();
    let error = system.emit_if(say("a"), Seq::ZERO).unwrap_err();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::Conflict, Some(first.seq))
    );
    system.emit(say("b")).unwrap();
    let plain = system.emit_async(say("a")).unwrap().wait().unwrap();
    let error = system.emit_if(say("a"), first.seq).unwrap_err();
    assert_eq!(error.seq(), Some(plain.seq), "plain emits count");
    let batch = system
        .emit_batch_if(&[say("a"), say("a")], plain.seq)
        .unwrap();
    assert_eq!(system.last_seq_of("a").unwrap(), batch[1].seq);
    let error = system
        .emit_batch_if(&[say("a"), say("b")], Seq(1))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    system.close().unwrap();
    let system = open(dir.path());
    let later = system.emit(say("b")).unwrap();
    assert_eq!(system.last_seq_of("a").unwrap(), batch[1].seq);
    assert_eq!(system.last_seq_of("b").unwrap(), later.seq);
    system.emit_if(say("a"), batch[1].seq).unwrap();
    let unasked = EventSystem::builder().open().unwrap();
    let error = unasked.emit_if(say("a"), Seq::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn an_emit_with_a_condition_can_be_tried_again() {
    let builder = within(100).expected_positions(true);
    let system = builder.open().unwrap();
    let first = system.emit_if(numbered(0), Seq::ZERO).unwrap();
    system.emit_if(numbered(3), first.seq).unwrap();
    assert_eq!(system.emit_if(numbered(0), Seq::ZERO).unwrap(), first);
    let error = system.emit_if(numbered(6), first.seq).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let free = system.emit(numbered(6)).unwrap();
    assert_eq!(free.seq, Seq(3), "a conflict leaves no claim behind");
}

/// Each thread reads where the counter stands and adds one to it, or tries again.
#[test]
fn of_those_who_decide_by_the_same_state_one_wins() {
    const EACH: u64 = 50;
    let builder = EventSystem::builder().expected_positions(true);
    let system = builder.durability(Durability::Os).open().unwrap();
    let conflicts = AtomicU64::new(0);
    let count_up = || {
        for _ in 0..EACH {
            loop {
                let last = system.last_seq_of("counter").unwrap();
                let seen = system.store().get(last).unwrap();
                let value = seen.map_or(0, |stored| stored.event().data::<u64>().unwrap());
                let next = Event::new("counted", "counter", &(value + 1)).unwrap();
                match system.emit_if(next, last) {
                    Ok(_) => break,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                        conflicts.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(count_up);
        }
        // Others are in nobody's way.
        scope.spawn(|| (0..500).for_each(|n| drop(system.emit(numbered(n)).map(|_| ()))));
    });
    let last = system.last_seq_of("counter").unwrap();
    let stored = system.store().get(last).unwrap().unwrap();
    assert_eq!(stored.event().data::<u64>().unwrap(), 4 * EACH);
}

/// What is in memory is bounded, and what falls out of it the index knows.
#[test]
fn ids_that_memory_has_let_go_are_found_in_the_index() {
    let system = within(1_000_000).durability(Durability::Os).open().unwrap();
    let first = system.emit(numbered(0)).unwrap();
    for n in 1..70_000 {
        system.emit(numbered(n)).unwrap();
    }
    assert_eq!(system.emit(numbered(0)).unwrap().seq, first.seq);
    assert_eq!(system.emit(numbered(100)).unwrap().seq, Seq(101));
    assert_eq!(system.emit(numbered(69_000)).unwrap().seq, Seq(69_001));
}

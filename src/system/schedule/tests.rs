//! Scheduled events over crashes, on a simulated disk.

use std::time::Instant;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::dispatch::{Delivery, Subscription};
use crate::durability::Durability;
use crate::storage::sim::{Choice, CrashKind, SimDisk};
use crate::system::Builder;

fn builder(clock: &Arc<ManualClock>) -> Builder {
    let builder = EventSystem::builder().segment_size(64 << 10);
    builder.clock(clock.clone())
}

fn open(disk: &SimDisk, clock: &Arc<ManualClock>) -> Result<EventSystem> {
    EventSystem::open_in(builder(clock), disk.storage())
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_000_000)))
}

fn numbered(n: u64) -> Event {
    let event = Event::new("later", "test", &n).unwrap();
    event.with_id(EventId(500 + u128::from(n)))
}

fn emitted(system: &EventSystem) -> Vec<u64> {
    let mut found = Vec::new();
    let replayed = system.replay().run(|event| {
        found.push(event.data()?);
        Ok(())
    });
    replayed.unwrap();
    found
}

#[test]
fn events_come_in_the_order_in_which_they_are_due() {
    let (disk, clock) = (SimDisk::new(), clock());
    let system = open(&disk, &clock).unwrap();
    for (n, due) in [(3, 3_000_000), (1, 1_500_000), (2, 2_000_000)] {
        system.emit_at(numbered(n), Timestamp(due)).unwrap();
    }
    let twice = system.emit_at(numbered(1), Timestamp(9)).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Invalid);
    let due: Vec<_> = system.scheduled().iter().map(|one| one.due.0).collect();
    assert_eq!(due, [1_500_000, 2_000_000, 3_000_000]);
    system.emit_due().unwrap();
    assert!(emitted(&system).is_empty(), "nothing is due");
    clock.set(Timestamp(2_000_000));
    system.emit_due().unwrap();
    assert_eq!(emitted(&system), [1, 2]);
    let stored = system.store().get_by_id(numbered(2).event_id);
    let stored = stored.unwrap().unwrap();
    assert_eq!(stored.event().timestamp(), Timestamp(2_000_000));
    assert!(system.cancel_scheduled(numbered(3).event_id).unwrap());
    assert!(
        !system.cancel_scheduled(numbered(2).event_id).unwrap(),
        "too late"
    );
    clock.advance(Duration::from_secs(10));
    system.emit_due().unwrap();
    assert_eq!(emitted(&system), [1, 2]);
    system.close().unwrap();
    let closed = system.emit_at(numbered(7), clock.now()).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[test]
fn what_is_scheduled_outlives_the_system_and_damage_to_another() {
    let (disk, clock) = (SimDisk::new(), clock());
    let system = open(&disk, &clock).unwrap();
    for n in 0..3 {
        system.emit_at(numbered(n), Timestamp(2_000_000)).unwrap();
    }
    system.close().unwrap();
    drop(system);
    let path = format!("schedule/{}", names::scheduled(numbered(1).event_id));
    disk.corrupt(&path, 50..51, |byte| byte[0] ^= 4).unwrap();
    let system = open(&disk, &clock).unwrap();
    clock.set(Timestamp(2_000_000));
    system.emit_due().unwrap();
    assert_eq!(emitted(&system), [0, 2]);
    assert!(disk.read_file(&names::damaged(&path)).is_ok());
}

/// The events of a directory that was opened with larger segments before.
#[test]
fn an_event_that_is_too_large_keeps_no_other_from_being_emitted() {
    let (disk, clock) = (SimDisk::new(), clock());
    let wide = EventSystem::builder().segment_size(512 << 10);
    let system = EventSystem::open_in(wide.clock(clock.clone()), disk.storage()).unwrap();
    let sized = |len: usize| {
        let event = Event::new("later", "test", &"x".repeat(len)).unwrap();
        event.with_id(EventId(9))
    };
    let refused = system.emit_at(sized(400 << 10), Timestamp(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    system
        .emit_at(sized(100 << 10), Timestamp(1_900_000))
        .unwrap();
    system.emit_at(numbered(1), Timestamp(2_000_000)).unwrap();
    system.close().unwrap();
    drop(system);
    clock.set(Timestamp(2_000_000));
    let system = open(&disk, &clock).unwrap();
    assert_eq!(system.emit_due().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(emitted(&system), [1]);
    assert_eq!(system.scheduled().len(), 1, "it waits for a larger segment");
    // The schedule's own thread may be trying it at this moment.
    let patience = Instant::now() + Duration::from_secs(60);
    while !system.cancel_scheduled(EventId(9)).unwrap() {
        assert!(
            Instant::now() < patience,
            "it is never free to be cancelled"
        );
        std::thread::yield_now();
    }
    assert_eq!(system.emit_due().unwrap(), 0);
}

#[test]
fn an_id_is_taken_until_the_file_of_its_event_is_gone() {
    let (disk, clock) = (SimDisk::new(), clock());
    let system = open(&disk, &clock).unwrap();
    let far = Timestamp(i64::MAX);
    system.emit_at(numbered(1), far).unwrap();
    let (id, schedule) = (numbered(1).event_id, &system.0.schedule);
    let (due, waiting) = schedule.take_due(None, far).unwrap();
    let twice = system.emit_at(numbered(1), far).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Invalid);
    schedule.put_back(due, waiting);
    assert!(system.cancel_scheduled(id).unwrap());
    system.emit_at(numbered(1), far).unwrap();
    let again = open(&disk.crash(CrashKind::System, Choice::AllLost), &clock).unwrap();
    assert_eq!(again.scheduled().len(), 1);
}

/// Another thread emits, and waits for a place that only the handler can make.
#[test]
fn a_handler_does_not_wait_for_whoever_emits_what_is_due() {
    let system = EventSystem::builder().open().unwrap();
    let (told, tells) = std::sync::mpsc::channel();
    let inner = system.clone();
    let handler = move |_: &Delivery<'_>| {
        let _ = told.send(inner.emit_due());
    };
    let id = system.register_handler(Subscription::unnamed(), handler);
    system.start().unwrap();
    let round = system.0.schedule.round();
    system.emit(numbered(1)).unwrap();
    let due = tells.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(due.unwrap(), 0);
    drop(round);
    system.unregister_handler(id.unwrap()).unwrap();
    system.close().unwrap();
}

/// The disk of a process that was killed when it had emitted an event and not removed its file.
fn killed_behind_the_emit(builder: Builder) -> SimDisk {
    let disk = SimDisk::new();
    let system = EventSystem::open_in(builder, disk.storage()).unwrap();
    let due = Timestamp(2_000_000);
    system.emit_at(numbered(1), due).unwrap();
    let (_, waiting) = system.0.schedule.take_due(None, due).unwrap();
    system.emit_with(&waiting.event, Durability::Sync).unwrap();
    let image = disk.crash(CrashKind::Process, Choice::AllKept);
    system.abandon();
    image
}

#[test]
fn an_event_of_the_log_that_is_put_off_comes_once_more_also_behind_a_restart() {
    let (disk, clock) = (SimDisk::new(), clock());
    let system = open(&disk, &clock).unwrap();
    system.emit(numbered(1)).unwrap();
    let stored = system.store().get(Seq::FIRST).unwrap().unwrap();
    let event = stored.event().to_event().unwrap();
    drop(stored);
    let id = system.emit_at(event, Timestamp(2_000_000)).unwrap();
    assert_eq!(id, numbered(1).event_id);
    system.close().unwrap();
    drop(system);
    let system = open(&disk, &clock).unwrap();
    assert_eq!(system.not_emitted().unwrap(), system.scheduled());
    clock.set(Timestamp(2_000_000));
    system.emit_due().unwrap();
    assert_eq!(emitted(&system), [1, 1]);
    assert_eq!(system.not_emitted().unwrap(), []);
}

#[test]
fn one_that_was_emitted_and_has_expired_since_is_not_emitted_again() {
    let clock = clock();
    let builder = builder(&clock).expire("later", Duration::from_millis(1));
    let image = killed_behind_the_emit(builder.clone());
    clock.advance(Duration::from_secs(60));
    let system = EventSystem::open_in(builder, image.storage()).unwrap();
    assert_eq!(system.not_emitted().unwrap(), []);
    system.emit_due().unwrap();
    assert_eq!(system.stats().events, 1);
    assert_eq!(system.scheduled(), []);
}

#[test]
fn one_that_was_emitted_and_no_upcaster_can_read_stops_no_other() {
    let clock = clock();
    let image = killed_behind_the_emit(builder(&clock));
    let system = open(&image, &clock).unwrap();
    let other = Event::new("other", "test", &2).unwrap();
    system.emit_at(other, Timestamp(2_000_001)).unwrap();
    system.close().unwrap();
    drop(system);
    let refuses = |_: u64| Err::<u64, _>(Error::new(ErrorKind::Io, "no such currency"));
    let builder = builder(&clock).upcaster("later", 1, refuses);
    let system = EventSystem::open_in(builder, image.storage()).unwrap();
    clock.set(Timestamp(3_000_000));
    system.emit_due().unwrap();
    assert_eq!(system.stats().events, 2);
    assert_eq!(system.scheduled(), []);
}

/// Two are scheduled, one of them is cancelled, the other becomes due; the disk stops at each operation
/// in turn. What was promised holds: no cancelled event comes, and the other comes once.
#[test]
fn a_crash_at_any_operation_emits_each_once_and_none_that_was_cancelled() {
    let mut crashes = 0;
    for nth in 1.. {
        let (disk, clock) = (SimDisk::new(), clock());
        let Ok(system) = open(&disk, &clock) else {
            continue;
        };
        disk.crash_at(disk.op_count() + nth);
        let is_scheduled = system.emit_at(numbered(1), Timestamp(2_000_000)).is_ok();
        let is_second = system.emit_at(numbered(2), Timestamp(2_000_000)).is_ok();
        let cancelled = system.cancel_scheduled(numbered(2).event_id);
        let is_cancelled = is_second && matches!(cancelled, Ok(true));
        clock.set(Timestamp(2_000_000));
        let is_done = system.emit_due().is_ok();
        let is_stopped = disk.is_stopped();
        for choice in [
            Choice::AllLost,
            Choice::AllKept,
            Choice::Seed(nth),
            Choice::Seed(!nth),
        ] {
            let image = disk.crash(CrashKind::System, choice);
            let what = image.describe();
            let again = open(&image, &clock).unwrap();
            again.emit_due().unwrap();
            let found = emitted(&again);
            let count = |n| found.iter().filter(|one| **one == n).count();
            assert!(count(1) <= 1 && count(2) <= 1, "{found:?} at {nth}\n{what}");
            assert!(!is_scheduled || count(1) == 1, "lost at {nth}\n{what}");
            assert!(!is_cancelled || count(2) == 0, "it came at {nth}\n{what}");
            assert!(again.scheduled().is_empty());
            again.close().unwrap();
            crashes += 1;
        }
        system.abandon();
        if !is_stopped && is_done {
            break;
        }
    }
    assert!(
        crashes > 20,
        "{crashes} crashes are too few to mean anything"
    );
}

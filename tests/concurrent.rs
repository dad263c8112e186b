//! Many threads at once, and many emits in flight: order, receipts, and what a close or a drop leaves.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use forelog::inspect::Inspector;
use forelog::{
    Delivery, Durability, ErrorKind, Event, EventSystem, Level, PendingReceipt, Receipt, Seq,
    Start, Subscription,
};

const THREADS: u64 = 8;
/// Whoever waits longer for what must come has found a hang.
const PATIENCE: Duration = Duration::from_secs(120);

fn scaled(base: u64) -> u64 {
    let scale = std::env::var("FORELOG_TEST_SCALE").ok();
    base * scale.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The event that a thread sends as its `number`th.
fn event(thread: u64, number: u64) -> Event {
    let filler = vec![7_u8; usize::try_from(number * 37 % 400).unwrap()];
    Event::new("test.pair", "test", &(thread, number, filler)).unwrap()
}

fn system(path: &std::path::Path) -> EventSystem {
    let builder = EventSystem::builder().persistence_path(path);
    builder.segment_size(64 << 10).open().unwrap()
}

/// All events that are held: Seq, thread, number.
fn held(system: &EventSystem) -> Vec<(Seq, u64, u64)> {
    let mut held = Vec::new();
    let replay = system.replay().run(|event| {
        let (thread, number, _): (u64, u64, Vec<u8>) = event.data()?;
        held.push((event.seq(), thread, number));
        Ok(())
    });
    replay.unwrap();
    held
}

/// Emits in every way there is, until the system is closed; returns what was acknowledged.
fn emit_until_closed(system: &EventSystem, thread: u64) -> Vec<(Seq, u64)> {
    let mut acknowledged = Vec::new();
    let mut pending: VecDeque<(PendingReceipt, u64)> = VecDeque::new();
    let mut number = 0;
    let closed = loop {
        let count = if number % 7 == 3 { 3 } else { 1 };
        let emitted = match (thread + number) % 4 {
            _ if count > 1 => {
                let batch: Vec<Event> = (0..count).map(|n| event(thread, number + n)).collect();
                system.emit_batch(&batch)
            }
            0 => system.emit(event(thread, number)).map(|one| vec![one]),
            1 => {
                let pended = system.emit_async(event(thread, number));
                pended.map(|one| {
                    pending.push_back((one, number));
                    Vec::new()
                })
            }
            _ => {
                let emitted = system.emit_with(event(thread, number), Durability::Os);
                emitted.map(|one| vec![one])
            }
        };
        match emitted {
            Ok(receipts) => {
                acknowledged.extend((number..).zip(receipts).map(|(n, one)| (one.seq, n)));
            }
            Err(error) => break error,
        }
        number += count;
        if pending.len() > 50 {
            let (one, number) = pending.pop_front().unwrap();
            acknowledged.push((one.wait().unwrap().seq, number));
        }
    };
    assert_eq!(closed.kind(), ErrorKind::Closed, "{closed:?}");
    let rest = pending.into_iter();
    acknowledged.extend(rest.map(|(one, number)| (one.wait().unwrap().seq, number)));
    acknowledged
}

#[test]
fn every_way_to_emit_at_once_keeps_order_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let system = system(dir.path());
    let wanted = scaled(4_000);
    let acknowledged: Vec<Vec<(Seq, u64)>> = thread::scope(|scope| {
        let emit = |thread| {
            let system = &system;
            scope.spawn(move || emit_until_closed(system, thread))
        };
        let emitting: Vec<_> = (0..THREADS).map(emit).collect();
        let reading = scope.spawn(|| {
            while system.stats().last_seq.0 < wanted {
                let before = system.stats().last_seq;
                let held = held(&system);
                assert!(held.iter().map(|(seq, ..)| seq.0).eq(1..=held.len() as u64));
                assert!(held.len() as u64 >= before.0);
            }
        });
        reading.join().unwrap();
        system.close().unwrap();
        emitting
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect()
    });
    let segments = system.stats().segments;
    assert!(segments > 5, "only {segments} segments");
    drop(system);

    let report = Inspector::open(dir.path()).unwrap();
    let report = report.verify(&mut |_| {}).unwrap();
    assert_eq!(report.damage().count(), 0, "{report:?}");
    let system = self::system(dir.path());
    assert!(system.recovery().clean);
    let held = held(&system);
    assert!(held.iter().map(|(seq, ..)| seq.0).eq(1..=held.len() as u64));
    let mut next = BTreeMap::new();
    for &(seq, thread, number) in &held {
        let expected = next.entry(thread).or_insert(0);
        assert_eq!(number, *expected, "thread {thread} at {seq}");
        *expected += 1;
    }
    for (thread, receipts) in (0..).zip(acknowledged) {
        for (seq, number) in receipts {
            let at = usize::try_from(seq.0).unwrap() - 1;
            assert_eq!(held.get(at), Some(&(seq, thread, number)));
        }
    }
    system.close().unwrap();
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task of the executor, which is queued again when it is woken.
struct Job {
    task: Mutex<Option<Task>>,
    queue: Sender<Arc<Job>>,
    is_queued: AtomicBool,
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            // An executor that has gone runs nothing any more.
            let _gone = self.queue.clone().send(self);
        }
    }
}

/// Runs tasks on this thread until all have ended.
fn run(tasks: Vec<Task>) {
    let (queue, queued) = mpsc::channel();
    let mut left = tasks.len();
    for task in tasks {
        let job = Job {
            task: Mutex::new(Some(task)),
            queue: queue.clone(),
            is_queued: AtomicBool::new(false),
        };
        Arc::new(job).wake();
    }
    while left > 0 {
        let job = queued.recv_timeout(PATIENCE);
        let job = job.unwrap_or_else(|_| panic!("{left} tasks are never woken"));
        job.is_queued.store(false, Ordering::SeqCst);
        let waker = Waker::from(job.clone());
        let mut slot = job.task.lock().unwrap();
        let polled = slot
            .as_mut()
            .map(|task| task.as_mut().poll(&mut Context::from_waker(&waker)));
        if polled.is_some_and(|polled| polled.is_ready()) {
            *slot = None;
            left -= 1;
        }
    }
}

#[test]
fn thousands_in_flight_are_all_woken() {
    let dir = tempfile::tempdir().unwrap();
    let system = system(dir.path());
    let count = scaled(3_000);
    let receipts: Arc<Mutex<Vec<Receipt>>> = Arc::default();
    let task = |number| -> Task {
        let pending = system.emit_async(event(0, number)).unwrap();
        let receipts = receipts.clone();
        Box::pin(async move {
            let seq = pending.seq();
            let receipt = pending.await.unwrap();
            assert_eq!((receipt.seq, receipt.level), (seq, Level::Synced));
            receipts.lock().unwrap().push(receipt);
        })
    };
    run((0..count).map(task).collect());
    assert_eq!(receipts.lock().unwrap().len() as u64, count);

    let pending: Vec<_> = (0..count)
        .map(|n| system.emit_async(event(0, n)).unwrap())
        .collect();
    for (number, one) in (count + 1..).zip(pending) {
        assert_eq!(one.wait().unwrap().seq, Seq(number));
    }
    system.close().unwrap();
}

#[test]
fn a_close_wakes_who_is_in_flight_and_dropped_receipts_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let system = system(dir.path());
    for number in 0..500 {
        drop(system.emit_async(event(0, number)).unwrap());
    }
    let task = |number| -> Task {
        let pending = system.emit_async(event(0, number)).unwrap();
        Box::pin(async move { assert_eq!(pending.await.unwrap().level, Level::Synced) })
    };
    let tasks: Vec<Task> = (500..1_000).map(task).collect();
    let running = thread::spawn(move || run(tasks));
    system.close().unwrap();
    running.join().unwrap();
    let late = system.emit_async(event(0, 0)).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    drop(system);
    let system = self::system(dir.path());
    assert_eq!(held(&system).len(), 1_000);
    system.close().unwrap();
}

/// Drops the last handle of a system when it is woken, on whatever thread that is.
struct Last(Mutex<Option<EventSystem>>, Sender<()>);

impl Wake for Last {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
        self.1.send(()).unwrap();
    }
}

#[test]
fn a_waker_may_drop_the_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=scaled(20) {
        let system = system(dir.path());
        let (sender, woken) = mpsc::channel();
        let mut pending = system.emit_async(event(0, round)).unwrap();
        let last = Arc::new(Last(Mutex::new(Some(system)), sender));
        let waker = Waker::from(last.clone());
        let polled = Pin::new(&mut pending).poll(&mut Context::from_waker(&waker));
        match polled {
            Poll::Ready(receipt) => assert_eq!(receipt.unwrap().level, Level::Synced),
            Poll::Pending => woken.recv_timeout(PATIENCE).unwrap(),
        }
        drop((waker, last, pending));
    }
    let system = system(dir.path());
    assert!(system.recovery().clean);
    assert_eq!(held(&system).len() as u64, scaled(20));
    system.close().unwrap();
}

#[test]
fn a_drain_waits_for_what_is_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let system = system(dir.path());
    let seen = Arc::new(AtomicU64::new(0));
    let mine = seen.clone();
    let handler = move |_: &Delivery<'_>| {
        mine.fetch_add(1, Ordering::SeqCst);
    };
    system
        .register_handler(Subscription::named("all"), handler)
        .unwrap();
    system.start().unwrap();
    for round in 1..=scaled(100) {
        let in_flight = system.emit_async(event(0, round)).unwrap();
        system.drain(None).unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), round);
        drop(in_flight);
    }
    system.close().unwrap();
}

/// What a handler was given, if that was one Seq after the other.
#[derive(Debug, Default, Clone, Copy)]
struct Given {
    first: Seq,
    last: Seq,
    is_broken: bool,
}

impl Given {
    fn add(&mut self, seq: Seq) {
        if self.first == Seq::ZERO {
            self.first = seq;
        } else {
            self.is_broken |= seq != self.last.next();
        }
        self.last = seq;
    }
}

/// Whatever their start promises they are given, from its first Seq on, while two threads emit all the time.
#[test]
fn handlers_that_come_while_events_flow_miss_nothing() {
    let system = EventSystem::builder().open().unwrap();
    let is_over = AtomicBool::new(false);
    let (began, begins) = mpsc::channel();
    system.start().unwrap();
    let mut all = Vec::new();
    thread::scope(|scope| {
        for emitter in 0..2 {
            let (system, is_over, began) = (&system, &is_over, began.clone());
            scope.spawn(move || {
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) {
                    system.emit(event(emitter, number)).unwrap();
                    number += 1;
                    if number == 1 {
                        began.send(()).unwrap();
                    }
                }
            });
        }
        for _ in 0..2 {
            begins.recv_timeout(PATIENCE).unwrap();
        }
        for round in 0..scaled(24) {
            let before = system.emit(event(2, round)).unwrap().seq;
            let description = match round % 4 {
                0 => Subscription::unnamed(),
                1 => Subscription::named(format!("now-{round}")).start(Start::Now),
                2 => Subscription::named(format!("at-{round}")).start(Start::At(before)),
                _ => Subscription::named(format!("all-{round}")).start(Start::Beginning),
            };
            let given = Arc::new(Mutex::new(Given::default()));
            let mine = given.clone();
            let handler = move |event: &Delivery<'_>| mine.lock().unwrap().add(event.seq());
            system.register_handler(description, handler).unwrap();
            let after = system.emit(event(2, round)).unwrap().seq;
            let promised = match round % 4 {
                0 | 1 => before.next()..=after,
                2 => before..=before,
                _ => Seq::FIRST..=Seq::FIRST,
            };
            all.push((given, promised));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let end = system.emit(event(2, 0)).unwrap().seq;
    system.drain(None).unwrap();
    for (round, (given, promised)) in all.iter().enumerate() {
        let given = *given.lock().unwrap();
        assert!(
            promised.contains(&given.first),
            "round {round}: {given:?}, {promised:?}"
        );
        assert_eq!(given.last, end, "round {round}: {given:?}");
        assert!(!given.is_broken, "round {round}: {given:?}");
    }
    system.close().unwrap();
}

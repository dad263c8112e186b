//! Delivery, stepped on the simulated disk and with threads on files and in memory.

mod crashes;
mod draining;
mod futures;
mod handing_on;
mod keys;
mod programs;
mod operating;
mod order;
mod queue;
mod replays;
mod retention;
mod retries;
mod tallies;
mod waits;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::worker::{Progress, Worker};
use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::control::{Control, Known};
use crate::durability::Durability;
use crate::error::{ErrorKind, Result};
use crate::event::Event;
use crate::format::names;
use crate::format::record::Record;
use crate::log::pins::DetachedLag;
use crate::log::{Log, LogConfig};
use crate::position::{Gap, Seq};
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sim::{Choice, CrashKind, SimDisk};
use crate::storage::sys::Sys;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A log, its control log and a dispatcher, wired as a system wires them.
struct Rig {
    log: Arc<Log>,
    control: Arc<Control>,
    dispatcher: Arc<Dispatcher>,
    clock: Arc<ManualClock>,
}

impl Rig {
    fn open(storage: &Arc<dyn Storage>, max_queue_size: u64) -> Rig {
        Rig::open_with(storage, max_queue_size, LogConfig::default())
    }

    fn open_with(storage: &Arc<dyn Storage>, max_queue_size: u64, config: LogConfig) -> Rig {
        let manual = Arc::new(ManualClock::new(Timestamp::now()));
        let clock: Arc<dyn Clock> = manual.clone();
        let folder = |name| storage.folder(name).unwrap();
        let control = Control::open(
            &folder(names::CONTROL),
            clock.clone(),
            false,
            Known::default(),
        )
        .unwrap();
        let config = LogConfig {
            segment_len: 64 << 10,
            background: false,
            ..config
        };
        let witness = control.witness();
        let log = Log::open(folder(names::LOG), config, clock.clone(), witness).unwrap();
        let (log, control) = (Arc::new(log), Arc::new(control));
        let config = DispatchConfig {
            max_queue_size,
            clean: log.recovery().clean,
            detached_lag_max: DetachedLag::default(),
        };
        let dispatcher = Dispatcher::new(log.clone(), control.clone(), clock, config).unwrap();
        Rig {
            log,
            control,
            dispatcher: Arc::new(dispatcher),
            clock: manual,
        }
    }

    fn on(disk: &SimDisk) -> Rig {
        Rig::open(&disk.storage(), 1000)
    }

    fn in_memory(max_queue_size: u64) -> Rig {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        Rig::open(&storage, max_queue_size)
    }

    fn emit_type(&self, event_type: &str, number: u64, durability: Durability) -> Seq {
        let queue = self.dispatcher.queue();
        let reserved = queue.reserve(1, WhenFull::Block, &|| false).unwrap();
        let seq = append(&self.log, event_type, number, durability).unwrap();
        reserved.appended();
        seq
    }

    fn emit(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.emit_type("test.number", number, Durability::Os);
        }
    }

    /// Emits an event of this source, with a header.
    fn emit_from(&self, source: &str, number: u64) -> Seq {
        let mut event = Event::new("test.number", source, &number).unwrap();
        event.headers.push(("account".into(), source.into()));
        let record = Record::of(&event).unwrap();
        self.log.append(&[record], Durability::Os).unwrap().last
    }

    /// A worker without a thread.
    fn attach(&self, subscription: Subscription, handler: impl Handler) -> Worker {
        self.attach_all(subscription, one(handler))
    }

    fn attach_all(&self, subscription: Subscription, handlers: Handlers) -> Worker {
        self.dispatcher.attach(subscription, handlers).unwrap().1
    }

    fn subscribe(&self, subscription: Subscription, handler: impl Handler) -> HandlerId {
        self.dispatcher
            .subscribe(subscription, one(handler))
            .unwrap()
    }

    /// Steps a worker until it has nothing more to do, with time going by as fast as it is waited for.
    fn run_fast(&self, worker: &mut Worker) -> Progress {
        loop {
            match worker.step() {
                Progress::Moved => {}
                Progress::Waiting(Some(_)) | Progress::Idle { until: Some(_), .. } => {
                    self.clock.advance(Duration::from_secs(3600));
                }
                other => return other,
            }
        }
    }

    fn state(&self, id: HandlerId) -> SubscriptionState {
        let mut states = self.dispatcher.subscriptions().into_iter();
        states.find(|state| state.id == Some(id)).unwrap()
    }

    fn drain(&self) {
        let behind = self
            .dispatcher
            .drain(Some(Instant::now() + PATIENCE))
            .unwrap();
        assert_eq!(behind, Vec::<String>::new());
    }

    fn close(self) {
        assert_eq!(self.dispatcher.stop(None), Vec::<String>::new());
        self.log.close().unwrap();
        self.control.close(self.log.watermark().durable()).unwrap();
    }
}

fn append(log: &Log, event_type: &str, number: u64, durability: Durability) -> Result<Seq> {
    let data = rmp_serde::to_vec(&number).unwrap();
    let record = Record::new(event_type, "unit", Timestamp(1), &data)?;
    let appended = log.append(&[record], durability)?;
    Ok(appended.last)
}

/// The disk as a killed process leaves it.
fn killed(disk: &SimDisk) -> SimDisk {
    disk.crash(CrashKind::Process, Choice::AllKept)
}

/// A policy without delays.
fn quick(attempts_max: u32) -> RetryPolicy {
    RetryPolicy {
        attempts_max,
        backoff_initial: Duration::ZERO,
        ..RetryPolicy::default()
    }
}

/// Steps a worker until it has nothing more to do at once.
fn run(worker: &mut Worker) -> Progress {
    loop {
        match worker.step() {
            Progress::Moved => {}
            other => return other,
        }
    }
}

fn one(handler: impl Handler) -> Handlers {
    Handlers::One(Box::new(handler))
}

/// What a handler saw: number, attempt, phase.
type Seen = Arc<Mutex<Vec<(u64, u32, Phase)>>>;

fn note(seen: &Seen, delivery: &Delivery<'_>) -> u64 {
    let number = delivery.data().unwrap();
    let one = (number, delivery.attempt(), delivery.phase());
    seen.lock().unwrap().push(one);
    number
}

/// A handler that notes all it gets.
fn recorder() -> (Seen, impl Handler) {
    let seen = Seen::default();
    let mine = seen.clone();
    let handler = move |delivery: &Delivery<'_>| {
        note(&mine, delivery);
    };
    (seen, handler)
}

fn numbers(seen: &Seen) -> Vec<u64> {
    seen.lock().unwrap().iter().map(|one| one.0).collect()
}

/// Waits until a condition holds that other threads make true.
fn await_that(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::yield_now();
    }
}

/// A handler that says when it begins, and ends when it is told.
fn gated() -> (Receiver<u64>, Sender<()>, impl Handler) {
    let (begun, begins) = channel();
    let (go, may_go) = channel::<()>();
    let handler = move |delivery: &Delivery<'_>| {
        let _ = begun.send(delivery.data().unwrap());
        let _ = may_go.recv_timeout(PATIENCE);
    };
    (begins, go, handler)
}

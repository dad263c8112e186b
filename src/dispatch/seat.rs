//! [`Seat`]: what others see of a worker, and ask of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::delivery::Phase;
use super::live::Position;
use super::signal::Signal;
use crate::position::Seq;

/// The registration of a handler, for as long as the system is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerId(pub(super) u64);

impl fmt::Display for HandlerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a subscription is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It has a handler, and the system was not started yet.
    Waiting,
    /// Its events are delivered.
    Running,
    /// An error has stopped it; see [`SubscriptionState::last_error`].
    Stopped,
    /// Its name has a place, and no handler is registered for it.
    Detached,
}

/// Where a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionState {
    /// The registration; `None` if the name has no handler.
    pub id: Option<HandlerId>,
    /// The name; `None` for an unnamed subscription.
    pub name: Option<String>,
    /// What it is doing.
    pub status: Status,
    /// The last Seq that it has handled, parked or passed by.
    pub position: Seq,
    /// How many Seqs the log is ahead.
    pub lag: u64,
    /// The phase of the last delivery.
    pub phase: Phase,
    /// How many deliveries were acknowledged since the handler was registered.
    pub delivered: u64,
    /// How many attempts at the next event have failed.
    pub attempts: u32,
    /// How many events are parked; for an unnamed subscription, how many it gave up.
    pub parked: u64,
    /// How many Seqs it passed that hold no event, or whose events retention had removed.
    pub skipped: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// The shared side of one attached subscription.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: HandlerId,
    pub(super) name: Option<String>,
    pub(super) position: Arc<Position>,
    /// Raised by everything that a worker must look up for while it waits for a retry.
    pub(super) signal: Signal,
    stop: AtomicBool,
    ended: AtomicBool,
    asked: AtomicBool,
    requests: Mutex<VecDeque<Seq>>,
    delivered: AtomicU64,
    notes: Mutex<Notes>,
}

#[derive(Debug)]
pub(super) struct Notes {
    pub(super) status: Status,
    pub(super) phase: Phase,
    pub(super) attempts: u32,
    pub(super) given_up: u64,
    pub(super) skipped: u64,
    pub(super) last_error: Option<String>,
}

impl Seat {
    pub(super) fn new(id: HandlerId, name: Option<String>, position: Seq) -> Self {
        Seat {
            id,
            name,
            position: Arc::new(Position::new(position)),
            signal: Signal::default(),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            requests: Mutex::default(),
            delivered: AtomicU64::new(0),
            notes: Mutex::new(Notes {
                status: Status::Waiting,
                phase: Phase::CatchUp,
                attempts: 0,
                given_up: 0,
                skipped: 0,
                last_error: None,
            }),
        }
    }

    /// How messages call it.
    pub(super) fn label(&self) -> String {
        let unnamed = || format!("unnamed subscription {}", self.id);
        self.name.clone().unwrap_or_else(unnamed)
    }

    /// Asks the worker to end; it does so before its next delivery.
    pub(super) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.signal.notify();
    }

    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Asks the worker to deliver a parked event.
    pub(super) fn ask_for(&self, seq: Seq) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push_back(seq);
        self.asked.store(true, Ordering::Release);
        drop(requests);
        self.signal.notify();
    }

    /// The next parked event that is asked for.
    pub(super) fn take_request(&self) -> Option<Seq> {
        if !self.asked.load(Ordering::Acquire) {
            return None;
        }
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let next = requests.pop_front();
        self.asked.store(!requests.is_empty(), Ordering::Release);
        next
    }

    /// Whether the worker has to look up.
    pub(super) fn has_news(&self) -> bool {
        self.is_asked_to_stop() || self.asked.load(Ordering::Acquire)
    }

    /// The worker delivers nothing any more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Counts a delivery; for the worker alone.
    pub(super) fn count_delivered(&self) {
        let delivered = self.delivered.load(Ordering::Relaxed);
        self.delivered.store(delivered + 1, Ordering::Relaxed);
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the subscription stands, in a log that is appended up to this Seq; `parked` events of a
    /// named subscription are parked.
    pub(super) fn state(&self, appended: Seq, parked: u64) -> SubscriptionState {
        let position = self.position.get();
        let notes = self.notes();
        SubscriptionState {
            id: Some(self.id),
            name: self.name.clone(),
            status: notes.status,
            position,
            lag: appended.since(position),
            phase: notes.phase,
            delivered: self.delivered.load(Ordering::Relaxed),
            attempts: notes.attempts,
            parked: parked.saturating_add(notes.given_up),
            skipped: notes.skipped,
            last_error: notes.last_error.clone(),
        }
    }
}

impl SubscriptionState {
    /// A name that has a place and no handler.
    pub(super) fn detached(name: String, cursor: Seq, appended: Seq, parked: u64) -> Self {
        SubscriptionState {
            id: None,
            name: Some(name),
            status: Status::Detached,
            position: cursor,
            lag: appended.since(cursor),
            phase: Phase::CatchUp,
            delivered: 0,
            attempts: 0,
            parked,
            skipped: 0,
            last_error: None,
        }
    }
}

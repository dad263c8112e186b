//! [`Course`]: one replay into one subscription, as it is seen from both sides.
//!
//! Who asked for it holds the course; the worker holds a [`Ticket`] to it. Whatever becomes of the worker,
//! its ticket is dropped, and whoever waits hears that there will be no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::extent::Extent;
use crate::position::Seq;

/// The most failures that are listed; all are counted.
const LISTED_MAX: usize = 1000;

/// How the replay into a subscription has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayEnd {
    /// Everything was delivered.
    Done,
    /// Somebody has stopped it.
    Stopped,
    /// A delivery failed, or the log cannot be read: the last of the failures says why.
    Failed,
    /// The subscription has ended before: unregistered, stopped by an error, or with its system.
    Left,
}

/// A delivery of a replay that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayFailure {
    /// The event.
    pub seq: Seq,
    /// What the handler said of it, or the panic.
    pub reason: String,
}

/// How far a replay has come in one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mileage {
    pub(crate) position: Seq,
    pub(crate) target: Seq,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) failures: Vec<ReplayFailure>,
    pub(crate) end: Option<ReplayEnd>,
}

/// One replay into one subscription.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) extent: Arc<Extent>,
    /// Whether it goes on behind an event that failed.
    keeps_going: bool,
    stop: AtomicBool,
    mileage: Mutex<Mileage>,
    over: Condvar,
}

impl Course {
    pub(super) fn new(extent: Arc<Extent>, keeps_going: bool) -> Self {
        Course {
            extent,
            keeps_going,
            stop: AtomicBool::new(false),
            mileage: Mutex::default(),
            over: Condvar::new(),
        }
    }

    /// Asks the worker to deliver no more of it.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// How far it is.
    pub(super) fn mileage(&self) -> MutexGuard<'_, Mileage> {
        self.mileage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end, for so long at most; says whether it has come.
    pub(super) fn wait_for(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut mileage = self.mileage();
        while mileage.end.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.over.wait_timeout(mileage, left);
            mileage = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Counts an acknowledged delivery.
    pub(super) fn delivered(&self, seq: Seq) {
        let mut mileage = self.mileage();
        mileage.position = seq;
        mileage.delivered += 1;
    }

    /// Notes one that was not; says whether the replay ends with it.
    pub(super) fn failed(&self, seq: Seq, reason: String) -> bool {
        let mut mileage = self.mileage();
        mileage.position = seq;
        mileage.failed += 1;
        // The newest is always listed: it may be the one that ends the replay.
        mileage.failures.truncate(LISTED_MAX - 1);
        mileage.failures.push(ReplayFailure { seq, reason });
        !self.keeps_going
    }

    /// It is over; the first end counts.
    pub(super) fn end(&self, end: ReplayEnd) {
        self.mileage().end.get_or_insert(end);
        self.over.notify_all();
    }
}

/// What a worker has of a course.
#[derive(Debug)]
pub(super) struct Ticket(pub(super) Arc<Course>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.end(ReplayEnd::Left);
    }
}

//! [`AckToken`]: the outcome of a delivery that is said later, from anywhere.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::inside::Inside;
use super::lineage::{Cause, HeldBack};
use super::outcome::{IntoOutcome, Outcome};
use super::seat::{Return, Seat};
use crate::format::lineage::Lineage;
use crate::format::record::EventRef;
use crate::position::Seq;

/// Says what has become of a delivery that was put off with [`Delivery::defer`](crate::Delivery::defer).
///
/// It may go to any thread. Dropped without a word it asks for another attempt, like a failed delivery:
/// a task that panics or is cancelled loses no event.
#[must_use = "dropped, it asks for another delivery of the event"]
pub struct AckToken {
    seat: Arc<Seat>,
    seq: Seq,
    attempt: u32,
    epoch: u64,
    queue_id: u64,
    lineage: Lineage,
    held: Option<HeldBack>,
    is_told: bool,
}

impl AckToken {
    /// The event that it stands for; [`Seq::ZERO`] for a volatile one.
    pub fn seq(&self) -> Seq {
        self.seat.shown(self.seq)
    }

    /// Which attempt it stands for, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The event is handled.
    pub fn ack(self) {
        self.resolve(Outcome::Ack);
    }

    /// The event is to be delivered again, after the delay of the retry policy.
    pub fn retry(self) {
        self.resolve(Outcome::Retry);
    }

    /// The event is to be delivered again, after this delay.
    pub fn retry_after(self, delay: Duration) {
        self.resolve(Outcome::RetryAfter(delay));
    }

    /// The event is to be parked, for this reason.
    pub fn park(self, reason: impl Into<String>) {
        self.resolve(Outcome::Park(reason.into()));
    }

    /// Does some work as the handler itself would: an emit in it passes over the bound of a full queue,
    /// because it might wait for a place that only this event can make, and its event says what caused it.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = Inside::of(self.queue_id, self.seat.id.0);
        let _cause = Cause::by(self.lineage.clone(), self.held.clone());
        work()
    }

    /// Says any outcome, or what stands for one.
    pub fn resolve(mut self, outcome: impl IntoOutcome) {
        self.tell(outcome.into_outcome());
    }

    fn tell(&mut self, outcome: Outcome) {
        self.is_told = true;
        self.seat.give_back(Return {
            seq: self.seq,
            attempt: self.attempt,
            epoch: self.epoch,
            outcome,
        });
    }
}

impl Drop for AckToken {
    fn drop(&mut self) {
        if !self.is_told {
            let reason = "the token of the delivery was dropped";
            self.tell(Outcome::Failed(reason.to_owned()));
        }
    }
}

impl fmt::Debug for AckToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckToken")
            .field("subscription", &self.seat.label())
            .field("seq", &self.seq())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// Where the deliveries of one handler come from, and which of them it has put off.
pub(super) struct Origin {
    seat: Arc<Seat>,
    epoch: Arc<AtomicU64>,
    queue_id: u64,
    /// Where events go that are emitted for its deliveries, if not into the log.
    held: Option<HeldBack>,
    has_deferred: AtomicBool,
    deferred: Mutex<Vec<Seq>>,
}

impl Origin {
    pub(super) fn new(seat: Arc<Seat>, epoch: Arc<AtomicU64>, queue_id: u64) -> Self {
        Origin {
            seat,
            epoch,
            queue_id,
            held: None,
            has_deferred: AtomicBool::new(false),
            deferred: Mutex::default(),
        }
    }

    /// The same, with events held back.
    pub(super) fn holding_back(mut self, held: HeldBack) -> Self {
        self.held = Some(held);
        self
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// How its subscription is called.
    pub(super) fn label(&self) -> String {
        self.seat.label()
    }

    /// Whether its events are volatile.
    pub(super) fn is_volatile(&self) -> bool {
        self.seat.is_volatile
    }

    /// Puts off the delivery of the event at this place.
    pub(super) fn defer(&self, event: &EventRef<'_>, seq: Seq, attempt: u32) -> AckToken {
        let mut deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        deferred.push(seq);
        self.has_deferred.store(true, Ordering::Release);
        AckToken {
            seat: self.seat.clone(),
            seq,
            attempt,
            epoch: self.epoch(),
            queue_id: self.queue_id,
            lineage: Lineage::of(event),
            held: self.held.clone(),
            is_told: false,
        }
    }

    /// Whether a delivery was put off since the last time.
    #[inline]
    pub(super) fn has_deferred(&self) -> bool {
        self.has_deferred.load(Ordering::Acquire)
    }

    /// Which deliveries were put off since the last time.
    pub(super) fn take_deferred(&self) -> Vec<Seq> {
        if !self.has_deferred() {
            return Vec::new();
        }
        let mut deferred = self.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_deferred.store(false, Ordering::Release);
        std::mem::take(&mut *deferred)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}

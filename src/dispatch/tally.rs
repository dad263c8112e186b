//! What a worker counts and times of its deliveries, for whoever watches over them.

use hdrhistogram::Histogram;

use super::desk::Desk;
use super::dispatcher::Dispatcher;
use super::status::HandlerId;
use super::types::{TypeNo, TypeTotals};
use crate::clock::Timestamp;
use crate::format::record::EventRef;
use crate::position::Seq;

impl Desk {
    /// Counts a delivery that was acknowledged where the event was read.
    #[inline]
    pub(super) fn count_acknowledged(&mut self, event: &EventRef<'_>) {
        let event_type = self.types.find(event.event_type());
        self.seat.count_delivered();
        self.types.count_delivered(event_type);
        if self.pace.is_due() {
            self.time(event.seq(), event_type, event.appended_at());
        }
    }

    /// Counts an acknowledged delivery of an open event.
    pub(super) fn count_delivered(&mut self, seq: Seq) {
        let event_type = self.window.event_type(seq);
        self.seat.count_delivered();
        self.types.count_delivered(event_type);
        if !self.pace.is_due() {
            return;
        }
        // One that cannot be read is reported where it is to be delivered.
        if let Ok(Some(stored)) = self.office.log.get(seq) {
            self.time(seq, event_type, stored.event().appended_at());
        }
    }

    /// Notes how long after it was appended an event is acknowledged. What was there before the handler
    /// waited for it, and says nothing of how fast the system is.
    pub(super) fn time(&mut self, seq: Seq, event_type: TypeNo, appended_at: Timestamp) {
        let now = self.office.clock.now();
        let count = self.pace.take(now);
        let is_new = seq > self.attached_at && seq > self.passed_upto;
        let took = is_new.then(|| now.since(appended_at));
        self.pace.note(took);
        // First, so that whoever reads the sum before the types misses nothing in these.
        self.types.time(event_type, took);
        if let Some(took) = took {
            self.seat.latency.note(took, count);
        }
    }

    /// Nothing is left to deliver: those that were not timed count like the one before them.
    pub(super) fn rest(&mut self) {
        let (took, count) = self.pace.rest();
        // Also where the last one of all was timed: of other types some may not have been.
        self.types.rest(took);
        if let Some(took) = took.filter(|_| count > 0) {
            self.seat.latency.note(took, count);
        }
    }

    /// Counts a failed attempt at an open event.
    pub(super) fn count_failed(&mut self, seq: Seq) {
        let event_type = self.window.event_type(seq);
        self.count_failed_of(event_type);
    }

    /// Counts a failed attempt at an event of this type.
    pub(super) fn count_failed_of(&mut self, event_type: TypeNo) {
        self.seat.notes().failed += 1;
        self.types.count_failed(event_type);
    }
}

impl Dispatcher {
    /// Runs something whose emits are let past the bound, as those of a handler are: for whoever has to
    /// tell that the queue is full.
    pub(crate) fn past_the_bound<T>(&self, act: impl FnOnce() -> T) -> T {
        // No registration has this number.
        let _inside = self.office.queue.enter(0);
        act()
    }

    /// How long after it was appended each event was acknowledged, in nanoseconds, by registration.
    pub(crate) fn latencies(&self) -> Vec<(HandlerId, Histogram<u64>)> {
        let seats = self.attached().into_iter();
        seats
            .filter_map(|seat| Some((seat.id, seat.latency.all()?)))
            .collect()
    }

    /// What all subscriptions have counted by event type, those included that were unregistered.
    pub(crate) fn by_type(&self) -> TypeTotals {
        let registry = self.registry();
        let mut totals = registry.departed.clone();
        for member in registry.members.values() {
            totals.add(&member.seat.types);
        }
        totals
    }
}

//! What a worker counts and times of its deliveries, for whoever watches over them.

use hdrhistogram::Histogram;

use super::desk::Desk;
use super::dispatcher::Dispatcher;
use super::status::HandlerId;
use crate::clock::Timestamp;
use crate::position::Seq;

impl Desk {
    /// Counts an acknowledged delivery of an open event.
    pub(super) fn count_delivered(&mut self, seq: Seq) {
        self.seat.count_delivered();
        if !self.pace.is_due() {
            return;
        }
        // One that cannot be read is reported where it is to be delivered.
        if let Ok(Some(stored)) = self.office.log.get(seq) {
            self.time(seq, stored.event().appended_at());
        }
    }

    /// Notes how long after it was appended an event is acknowledged. What was there before the handler
    /// waited for it, and says nothing of how fast the system is.
    pub(super) fn time(&mut self, seq: Seq, appended_at: Timestamp) {
        let now = self.office.clock.now();
        let count = self.pace.take(now);
        let is_new = seq > self.attached_at && seq > self.passed_upto;
        let took = is_new.then(|| now.since(appended_at));
        self.pace.note(took);
        if let Some(took) = took {
            self.seat.latency.note(took, count);
        }
    }

    /// Nothing is left to deliver: those that were not timed count like the one before them.
    pub(super) fn rest(&mut self) {
        if let Some((took, count)) = self.pace.rest() {
            self.seat.latency.note(took, count);
        }
    }

    /// Counts a failed attempt.
    pub(super) fn count_failed(&self, seq: Seq) {
        let stored = self.office.log.get(seq);
        let event = stored.ok().flatten();
        let event = event.as_ref().map(|stored| stored.event());
        let event_type = event.as_ref().map_or("", |event| event.event_type());
        self.seat.notes().count_failed(event_type);
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
}

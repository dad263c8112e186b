//! The dispatcher of volatile events: a twin for each worker of another dispatcher.
//!
//! **Memory.** A twin that emitters wait for is behind by at most the bound of the queue. One that nobody
//! waits for (paused, not started, skipping when it lags) holds no more than [`HELD_BYTES_MAX`] of
//! segments: the oldest events are dropped, and it passes them as a gap that is counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::crew::Handlers;
use super::dispatcher::Dispatcher;
use super::office::{Office, guarded};
use super::queue::Queue;
use super::seat::{Request, Seat};
use super::status::{HandlerId, SubscriptionState, VolatileState};
use super::subscription::{Start, Subscription};
use super::twin::Twinning;
use super::watch::Watch;
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Log;
use crate::log::pins::DetachedLag;
use crate::position::Seq;

/// How many bytes of segments are held for subscriptions that emitters do not wait for.
const HELD_BYTES_MAX: u64 = 16 << 20;

impl Dispatcher {
    /// A dispatcher for the volatile events of this one's system, which lie in a log of their own.
    pub(crate) fn volatile(&self, log: Arc<Log>) -> Self {
        log.pins().limit_detached(DetachedLag {
            bytes: Some(HELD_BYTES_MAX),
            age: None,
        });
        let queued = log.clone();
        let max = self.office.queue.max;
        let mut queue = Queue::new(max, move || queued.watermark().appended());
        // A handler that is inside the one queue's system is inside the other's.
        queue.id = self.office.queue.id;
        Dispatcher::with(Office {
            queue: Arc::new(queue),
            log,
            control: self.office.control.clone(),
            clock: self.office.clock.clone(),
            opened_at: Seq::ZERO,
            is_volatile: true,
            draining: self.office.draining.clone(),
            tracer: self.office.tracer.clone(),
        })
    }

    /// The registrations that have a handler.
    pub(crate) fn ids(&self) -> Vec<HandlerId> {
        self.registry().members.keys().copied().collect()
    }

    pub(crate) fn is_started(&self) -> bool {
        self.registry().is_started
    }

    /// Makes a twin of one of the other dispatcher's workers, from this start on; nothing if it has one,
    /// or has ended.
    ///
    /// # Errors
    /// If its thread cannot be started, or the dispatcher is stopped.
    pub(crate) fn adopt(&self, durable: &Dispatcher, id: HandlerId, start: Start) -> Result<()> {
        let Some((seat, twinning)) = durable.member(id) else {
            return Ok(());
        };
        // It has no handler to share any more.
        if seat.has_ended() {
            return Ok(());
        }
        let twin = twinning.subscription(&seat.label(), start);
        let (handlers, sharing) = twinning.handlers();
        let Some(attached) = self.attach_twin(id, twin, handlers)? else {
            return Ok(());
        };
        let twin = attached.1.desk.seat.clone();
        seat.set_twin(twin.clone());
        // Either this sees that the worker is paused, or whoever pauses it sees the twin.
        if let Some(reason) = seat.paused() {
            twin.ask_to_pause(&reason);
            if !seat.is_paused() {
                twin.ask_to_resume();
            }
        }
        if let Some(sharing) = sharing {
            twinning.want(sharing);
            seat.ask(Request::Share);
        }
        self.admit(attached)?;
        if durable.member(id).is_none() {
            // It was unregistered meanwhile, and so may its twin have been, or not.
            let _gone = self.unsubscribe(id);
        }
        Ok(())
    }

    /// Adds to the states of subscriptions where their twins stand.
    pub(crate) fn complete_volatile(&self, states: &mut [SubscriptionState]) {
        let appended = self.office.log.watermark().appended();
        let twins = self.attached();
        for state in states {
            let twin = twins.iter().find(|seat| Some(seat.id) == state.id);
            if let Some(twin) = twin {
                state.volatile = VolatileState::of(&twin.state(appended));
            }
        }
    }

    /// The names of subscriptions that have not handled all, and how many events each leaves.
    pub(crate) fn left_over(&self) -> Vec<(String, u64)> {
        let appended = self.office.log.watermark().appended();
        let left = |seat: &Arc<Seat>| (seat.label(), appended.since(seat.position.get()));
        let all = self.attached();
        all.iter()
            .map(left)
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Makes the worker of a twin; `None` if there is one.
    fn attach_twin(
        &self,
        id: HandlerId,
        twin: Subscription,
        handlers: Handlers,
    ) -> Result<Option<(HandlerId, Worker)>> {
        // The user's function, called on the thread of somebody who emits.
        let made = guarded("function that makes handlers", || {
            handlers.made(twin.concurrency)
        });
        let made = made.map_err(|reason| Error::new(ErrorKind::Handler, reason))?;
        let mut registry = self.registry();
        registry.leaving.retain(|seat| !seat.has_ended());
        let is_leaving = registry.leaving.iter().any(|seat| seat.id == id);
        if is_leaving || registry.members.contains_key(&id) {
            return Ok(None);
        }
        self.take_seat(&mut registry, id, twin, made).map(Some)
    }

    fn member(&self, id: HandlerId) -> Option<(Arc<Seat>, Arc<Twinning>)> {
        let registry = self.registry();
        let member = registry.members.get(&id)?;
        Some((member.seat.clone(), member.twinning.clone()))
    }

    fn with(office: Office) -> Self {
        Dispatcher {
            suspects: BTreeSet::new(),
            watch: Watch::new(office.clock.clone()),
            office,
            registry: Arc::default(),
        }
    }
}

impl VolatileState {
    fn of(twin: &SubscriptionState) -> Self {
        VolatileState {
            lag: twin.lag,
            delivered: twin.delivered,
            given_up: twin.parked,
            skipped: twin.skipped,
            last_error: twin.last_error.clone(),
            is_stalled: twin.stalled.is_some(),
        }
    }
}

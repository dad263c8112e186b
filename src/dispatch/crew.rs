//! [`Crew`]: who handles the events of a worker.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::batch::{BatchHandler, BatchOutcome, BatchSize};
use super::delivery::{Delivery, Handler};
use super::desk::Desk;
use super::gate::Sharing;
use super::lanes::Lanes;
use super::lineage::Cause;
use super::office::{Office, guarded};
use super::outcome::Outcome;
use super::phase::Phase;
use super::tracer::{handling, handling_batch, note_outcome};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::log::StoredEvent;
use crate::position::{Gap, Seq};

/// The handlers that are registered with a subscription.
pub(crate) enum Handlers {
    /// One, called by the worker's own thread.
    One(Box<dyn Handler>),
    /// Makes one for each thread, and one for the worker itself.
    Many(Box<dyn FnMut() -> Box<dyn Handler> + Send>),
    /// One that takes many events at once.
    Batch(Box<dyn BatchHandler>, BatchSize),
}

/// Makes handlers.
pub(super) type Make = Arc<Mutex<dyn FnMut() -> Box<dyn Handler> + Send>>;

/// The handlers of one worker.
pub(super) enum Team {
    One(Box<dyn Handler>),
    Batch(Box<dyn BatchHandler>, BatchSize),
    /// One for each thread, and one for the worker itself.
    Lanes(Vec<Box<dyn Handler>>, Box<dyn Handler>),
}

/// What a worker calls.
pub(super) enum Kind {
    One,
    Batch(BatchSize),
    /// A handler for each thread.
    Many(Make),
}

pub(super) enum Crew {
    Own(Box<dyn Handler>),
    Batch(Batch),
    /// The threads, and a handler for parked events.
    Lanes(Lanes, Box<dyn Handler>),
}

/// A batch handler, and what is gathered for it.
pub(super) struct Batch {
    handler: Box<dyn BatchHandler>,
    pub(super) size: BatchSize,
    items: Vec<Gathered>,
    keys: HashSet<u64>,
    /// When the first of the events was gathered.
    began: Timestamp,
}

/// An event that waits for its batch to be full.
pub(super) struct Gathered {
    pub(super) stored: StoredEvent,
    pub(super) seq: Seq,
    pub(super) attempt: u32,
    pub(super) phase: Phase,
}

impl Handlers {
    /// Whether they fit a subscription of this concurrency.
    pub(super) fn check(&self, concurrency: usize) -> Result<()> {
        let message = match self {
            Handlers::One(_) if concurrency > 1 => {
                "one handler cannot be called by several threads at once: register it with \
                 register_parallel or register_handlers"
            }
            Handlers::Batch(..) if concurrency > 1 => "a batch handler has a concurrency of 1",
            Handlers::Batch(_, size) if size.count_max == 0 => {
                "the count_max of a batch must be 1 or more"
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::Invalid, message))
    }

    /// Makes those that are to be made.
    pub(super) fn made(self, concurrency: usize) -> (Team, Kind) {
        match self {
            Handlers::One(handler) => (Team::One(handler), Kind::One),
            Handlers::Batch(handler, size) => (Team::Batch(handler, size), Kind::Batch(size)),
            Handlers::Many(mut make) if concurrency == 1 => (Team::One(make()), Kind::One),
            Handlers::Many(mut make) => {
                let handlers = (0..concurrency).map(|_| make()).collect();
                let team = Team::Lanes(handlers, make());
                (team, Kind::Many(Arc::new(Mutex::new(make))))
            }
        }
    }
}

impl Team {
    /// The crew of a worker with this desk.
    pub(super) fn hire(self, desk: &Desk) -> Crew {
        match self {
            Team::One(handler) => Crew::Own(handler),
            Team::Lanes(handlers, own) => {
                let (office, seat) = (&desk.office, Arc::clone(&desk.seat));
                let lanes = Lanes::new(office, &seat, handlers, || desk.origin());
                Crew::Lanes(lanes, own)
            }
            Team::Batch(handler, size) => Crew::Batch(Batch {
                handler,
                size,
                items: Vec::new(),
                keys: HashSet::new(),
                began: Timestamp(0),
            }),
        }
    }
}

impl Crew {
    /// Calls a handler on this thread; a panic in it is a failed delivery.
    #[inline]
    pub(super) fn call(&mut self, office: &Office, delivery: &Delivery<'_>) -> Outcome {
        let _cause = Cause::of(delivery);
        let span = handling(office.tracer.as_deref(), delivery);
        let _within = span.enter();
        let called = guarded("handler", || match self {
            Crew::Own(handler) | Crew::Lanes(_, handler) => handler.handle(delivery),
            Crew::Batch(batch) => batch.handler.handle(std::slice::from_ref(delivery)).at(0),
        });
        let outcome = called.unwrap_or_else(Outcome::Failed);
        note_outcome(&span, &outcome);
        outcome
    }

    /// Shares the handler with the worker's twin.
    pub(super) fn share(&mut self, sharing: &Sharing) {
        match self {
            Crew::Own(handler) => sharing.share_one(handler),
            Crew::Batch(batch) => sharing.share_batch(&mut batch.handler),
            // The twin has handlers of its own.
            Crew::Lanes(..) => {}
        }
    }

    /// Tells the handler what it is not given.
    pub(super) fn tell_skipped(&mut self, gap: Gap) -> Result<(), String> {
        guarded("handler", || match self {
            Crew::Own(handler) | Crew::Lanes(_, handler) => handler.skipped(gap),
            Crew::Batch(_) => {}
        })
    }

    /// Hands on to the threads what is held back for them.
    pub(super) fn hand_over(&mut self) {
        if let Crew::Lanes(lanes, _) = self {
            lanes.hand_over();
        }
    }

    /// Whether enough is handed on that the worker is not woken by what comes back.
    pub(super) fn has_enough(&self) -> bool {
        matches!(self, Crew::Lanes(lanes, _) if lanes.has_enough())
    }

    pub(super) fn batch(&mut self) -> Option<&mut Batch> {
        match self {
            Crew::Batch(batch) => Some(batch),
            Crew::Own(_) | Crew::Lanes(..) => None,
        }
    }
}

impl Batch {
    /// Gathers an event of this key.
    pub(super) fn push(&mut self, item: Gathered, key: u64, now: Timestamp) {
        if self.items.is_empty() {
            self.began = now;
        }
        self.keys.insert(key);
        self.items.push(item);
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Makes the end of its linger come so much earlier: the clock went back.
    pub(super) fn hasten(&mut self, by: Duration) {
        self.began = self.began.minus(by);
    }

    /// When what is gathered is handed over at the latest; `None` if that is nothing.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        (!self.items.is_empty()).then(|| self.began.plus(self.size.linger))
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= self.size.count_max
    }

    /// Whether an event of this key is gathered.
    pub(super) fn has_key(&self, key: u64) -> bool {
        self.keys.contains(&key)
    }

    /// What is gathered; the next batch begins.
    pub(super) fn take(&mut self) -> Vec<Gathered> {
        self.keys.clear();
        std::mem::take(&mut self.items)
    }

    /// Calls the handler; a panic fails them all. Says how many it was given.
    pub(super) fn call(
        &mut self,
        office: &Office,
        deliveries: &[Delivery<'_>],
    ) -> (usize, BatchOutcome) {
        let together = self.handler.together(deliveries).max(1);
        let given = deliveries.get(..together).unwrap_or(deliveries);
        let span = handling_batch(office.tracer.as_deref(), given);
        let _within = span.enter();
        let called = guarded("handler", || self.handler.handle(given));
        let failed = |reason| BatchOutcome::All(Outcome::Failed(reason));
        (given.len(), called.unwrap_or_else(failed))
    }
}

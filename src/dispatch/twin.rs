//! Twins: a second worker for a handler, which delivers the volatile events.
//!
//! ```text
//! log (disk)   ─► Reader ─► Worker "billing" ──────┐
//!                                                Gate ─► Handler
//! log (memory) ─► Reader ─► its twin ──────────────┘
//! ```
//! Both logs have a dispatcher of their own, whose queues count as one system's: a handler that emits is
//! inside both. A twin has the id of its worker, and no name: it keeps no place, and parks nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batch::BatchHandler;
use super::crew::{Handlers, Kind};
use super::delivery::Handler;
use super::gate::{Gate, Shared, Sharing};
use super::subscription::{Start, Subscription, WhenBehind, WhenParked};

/// From what a worker's twin is made, and whether it wants the handler.
pub(super) struct Twinning {
    subscription: Subscription,
    kind: Kind,
    wish: Mutex<Wish>,
}

enum Wish {
    None,
    Wanted(Sharing),
    /// The worker has ended, and shares nothing any more.
    Over,
}

impl Twinning {
    pub(super) fn new(subscription: &Subscription, kind: Kind) -> Self {
        Twinning {
            subscription: subscription.clone(),
            kind,
            wish: Mutex::new(Wish::None),
        }
    }

    /// The description of the twin of a worker that messages call so.
    pub(super) fn subscription(&self, label: &str, start: Start) -> Subscription {
        let mut twin = self.subscription.clone();
        twin.name = None;
        twin.label = Some(format!("{label} (volatile events)"));
        twin.start = start;
        twin.rules.when_parked = WhenParked::GoOn;
        // Memory holds no backlog for one that nobody waits for.
        if let WhenBehind::Pause(max) = twin.rules.when_behind {
            twin.rules.when_behind = WhenBehind::Skip(max);
        }
        twin
    }

    /// The handlers of the twin, and what has to be asked of the worker for them.
    pub(super) fn handlers(&self) -> (Handlers, Option<Sharing>) {
        match &self.kind {
            Kind::One => {
                let gate = Arc::<Gate<Box<dyn Handler>>>::default();
                let sharing = Sharing::One(gate.clone());
                (
                    Handlers::One(Box::new(Shared::volatile(gate))),
                    Some(sharing),
                )
            }
            Kind::Batch(size) => {
                let gate = Arc::<Gate<Box<dyn BatchHandler>>>::default();
                let sharing = Sharing::Batch(gate.clone());
                let handler = Box::new(Shared::volatile(gate));
                (Handlers::Batch(handler, *size), Some(sharing))
            }
            Kind::Many(make) => {
                let make = make.clone();
                let make = move || make.lock().unwrap_or_else(PoisonError::into_inner)();
                (Handlers::Many(Box::new(make)), None)
            }
        }
    }

    /// Leaves this for the worker; it must then be asked to look.
    pub(super) fn want(&self, sharing: Sharing) {
        let mut wish = self.wish();
        if !matches!(*wish, Wish::Over) {
            *wish = Wish::Wanted(sharing);
        }
    }

    /// What the worker is asked to share; for the worker.
    pub(super) fn take_wish(&self) -> Option<Sharing> {
        let mut wish = self.wish();
        match std::mem::replace(&mut *wish, Wish::None) {
            Wish::Wanted(sharing) => Some(sharing),
            Wish::None => None,
            Wish::Over => {
                *wish = Wish::Over;
                None
            }
        }
    }

    /// The worker has ended.
    pub(super) fn end(&self) {
        *self.wish() = Wish::Over;
    }

    fn wish(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

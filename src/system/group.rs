//! What a group of systems needs of each: handlers that emit from one into the other.

use std::time::{Duration, Instant};

use super::EventSystem;
use super::admission::Terms;
use super::outgoing::outgoing_all;
use super::receipt::Receipt;
use crate::durability::Durability;
use crate::error::Result;
use crate::event::Event;

impl EventSystem {
    /// Whether this thread runs a handler of this system.
    pub(crate) fn is_inside(&self) -> bool {
        self.0.dispatcher.queue().is_inside()
    }

    /// The durability of events that ask for none of their own.
    pub(crate) fn durability(&self) -> Durability {
        self.0.durability
    }

    /// How long a close waits for handlers.
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.0.drain_timeout
    }

    /// As [`EventSystem::close`], waiting for handlers until this time.
    ///
    /// # Errors
    /// As [`EventSystem::close`].
    pub(crate) fn close_by(&self, deadline: Option<Instant>) -> Result<()> {
        self.0.close_by(deadline)
    }

    /// Emits events as one batch past the bound of the queue: for a handler of another system of the
    /// group. Two that wait for a place in each other's queue would wait for ever.
    pub(crate) fn emit_past_bound(
        &self,
        events: &[Event],
        durability: Durability,
    ) -> Result<Vec<Receipt>> {
        if let Some(held) = self.hold_back(events, durability)? {
            return Ok(held);
        }
        let carried = self.carried_by_all(events);
        let records = outgoing_all(events, &carried)?;
        if let Some(admission) = &self.0.admission {
            let terms = Terms {
                queues: false,
                ..Terms::plain(durability)
            };
            return self.emit_admitted(admission, &records, terms);
        }
        let appended = self.0.log.append(&records, durability)?;
        self.receipts(&records, &appended, durability)
    }
}

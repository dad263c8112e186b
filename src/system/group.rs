//! What a group of systems needs of each: handlers that emit from one into the other.

use std::time::{Duration, Instant};

use super::EventSystem;
use super::admission::Terms;
use super::held::refuse_rehearsed;
use super::outgoing::outgoing_all;
use super::receipt::Receipt;
use super::volatile::Engine;
use crate::durability::Durability;
use crate::error::Result;
use crate::event::Event;

impl EventSystem {
    /// Whether this thread runs a handler of this system.
    pub(crate) fn is_inside(&self) -> bool {
        self.0.dispatcher.queue().is_inside()
    }

    /// How many events were emitted, volatile ones too.
    pub(crate) fn emitted(&self) -> u64 {
        let volatile = self.0.volatile.get().map_or(0, Engine::emitted);
        self.0.log.watermark().appended().0.saturating_add(volatile)
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
        refuse_rehearsed("close the system")?;
        self.0.close_by(deadline)
    }

    /// Emits events as one batch past the bound of the queue: for a handler of another system of the
    /// group. Two that wait for a place in each other's queue would wait for ever.
    pub(crate) fn emit_past_bound(
        &self,
        events: &[Event],
        asked: Option<Durability>,
    ) -> Result<Vec<Receipt>> {
        let durability = self.durability_of_all(asked, events);
        if let Some(held) = self.hold_back(events, durability)? {
            return Ok(held);
        }
        if durability == Durability::Volatile {
            return self.emit_all_volatile(events, false);
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

//! [`Receipt`]: what `emit` gives back.

use std::fmt;
use std::sync::Arc;

use crate::durability::Level;
use crate::error::Result;
use crate::event::EventId;
use crate::log::Log;
use crate::position::Seq;

/// The proof that an event is in the log, and how safe it is there.
#[derive(Clone)]
pub struct Receipt {
    /// The event's place in the total order.
    pub seq: Seq,
    /// The event's identity, made by the system unless the event had one.
    pub event_id: EventId,
    /// What was certain when the receipt was made.
    pub level: Level,
    log: Arc<Log>,
}

impl Receipt {
    pub(super) fn new(seq: Seq, event_id: EventId, level: Level, log: Arc<Log>) -> Self {
        Receipt {
            seq,
            event_id,
            level,
            log,
        }
    }

    /// The same receipt, once a higher level is reached.
    pub(super) fn at(&self, level: Level) -> Self {
        Receipt {
            level,
            ..self.clone()
        }
    }

    /// Waits until the event has reached `level`, or at once if it has.
    ///
    /// # Errors
    /// [`SyncFailed`](crate::ErrorKind::SyncFailed) if it cannot reach it: reopen the system.
    pub fn wait(&self, level: Level) -> Result<()> {
        match level {
            Level::Published => Ok(()),
            Level::Synced => self.log.wait_durable(self.seq),
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("seq", &self.seq)
            .field("event_id", &self.event_id)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

//! [`EventStore`]: the events that a system has, looked up.

use std::sync::Arc;

use crate::error::Result;
use crate::log::{Log, StoredEvent};
use crate::position::Seq;

/// Look-ups over the events of a system; see [`EventSystem::store`](super::EventSystem::store).
#[derive(Debug, Clone)]
pub struct EventStore {
    pub(super) log: Arc<Log>,
}

impl EventStore {
    /// The event of this Seq; `None` if there is none, or not any more.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it cannot be read.
    pub fn get(&self, seq: Seq) -> Result<Option<StoredEvent>> {
        self.log.get(seq)
    }

    /// The first Seq that is held; that of the next event if none is.
    pub fn first_seq(&self) -> Seq {
        self.log.first_seq()
    }

    /// The last Seq that was handed out.
    pub fn last_seq(&self) -> Seq {
        self.log.watermark().appended()
    }

    /// How many events are held.
    pub fn len(&self) -> u64 {
        self.log.count()
    }

    /// Whether no event is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

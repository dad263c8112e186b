//! [`Receipt`]: what `emit` gives back.

use serde::{Deserialize, Serialize};

use crate::durability::Level;
use crate::event::EventId;
use crate::position::Seq;

/// The proof that an event is in the log, and how safe it was there when the proof was made; or that a
/// volatile one is queued.
///
/// Plain data, to be kept, sent and stored. To wait until the event is safer, hand it to
/// [`EventSystem::wait`](crate::EventSystem::wait).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The event's place in the total order; [`Seq::ZERO`] of a volatile event, which has none.
    pub seq: Seq,
    /// The event's identity, made by the system unless the event had one.
    pub event_id: EventId,
    /// What was certain when the receipt was made.
    pub level: Level,
}

//! [`ParkedEvent`]: the copy of an event that was set aside.

use crate::clock::Timestamp;
use crate::event::Event;
use crate::position::Seq;

/// An event that was set aside because its handler failed too often, or asked for it.
///
/// It is a copy: retention may remove the event from the log, and the copy stays.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ParkedEvent {
    /// The event's place in the log.
    pub seq: Seq,
    /// The event.
    pub event: Event,
    /// Why it was parked: what the handler said last.
    pub reason: String,
    /// How many times it was delivered.
    pub attempts: u32,
    /// When the log took the event.
    pub appended_at: Timestamp,
    /// When it was parked.
    pub parked_at: Timestamp,
}

//! [`ParkedEvent`]: the copy of an event that was set aside.

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Data, Event, EventId};
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

/// A parked event as it lies in a record.
#[derive(Serialize, Deserialize)]
pub(super) struct ParkedFields {
    seq: Seq,
    attempts: u32,
    reason: String,
    parked_at: Timestamp,
    appended_at: Timestamp,
    event_id: EventId,
    event_type: String,
    source: String,
    timestamp: Timestamp,
    headers: Vec<(String, String)>,
    data: Bytes,
}

impl ParkedFields {
    pub(super) fn of(parked: &ParkedEvent) -> Self {
        let event = &parked.event;
        ParkedFields {
            seq: parked.seq,
            attempts: parked.attempts,
            reason: parked.reason.clone(),
            parked_at: parked.parked_at,
            appended_at: parked.appended_at,
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            source: event.source.clone(),
            timestamp: event.timestamp,
            headers: event.headers.clone(),
            data: Bytes(event.data.as_bytes().to_vec()),
        }
    }

    pub(super) fn into_parked(self) -> Result<ParkedEvent> {
        Ok(ParkedEvent {
            seq: self.seq,
            attempts: self.attempts,
            reason: self.reason,
            parked_at: self.parked_at,
            appended_at: self.appended_at,
            event: Event {
                event_id: self.event_id,
                event_type: self.event_type,
                source: self.source,
                timestamp: self.timestamp,
                headers: self.headers,
                data: Data::from_msgpack(self.data.0)?,
            },
        })
    }
}

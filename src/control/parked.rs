//! [`ParkedEvent`]: the copy of an event that was set aside.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bytes::{Bytes, to_bytes};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{self, Data, Event, EventId};
use crate::keys::data::DataKey;
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
    /// Reason and event as they lie in the control log of an encrypted log; without the key they are blank.
    pub(crate) sealed: Option<Arc<[u8]>>,
}

/// What the copies are encrypted for.
const PURPOSE: &str = "forelog parked event v1";

/// What of a parked event is encrypted.
#[derive(Serialize, Deserialize)]
struct Hidden {
    reason: String,
    event_type: String,
    source: String,
    headers: Vec<(String, String)>,
    data: Bytes,
}

impl ParkedEvent {
    /// What the encrypted part is bound to.
    fn place(&self) -> [u8; 24] {
        let mut place = [0; 24];
        place[..8].copy_from_slice(&self.seq.0.to_le_bytes());
        place[8..].copy_from_slice(&self.event.event_id.0.to_le_bytes());
        place
    }

    /// Encrypts the copy that goes into the control log.
    ///
    /// # Errors
    /// If it cannot be encoded, or the operating system has no random bytes to give.
    pub(super) fn seal(&mut self, key: &DataKey) -> Result<()> {
        let hidden = Hidden {
            reason: self.reason.clone(),
            event_type: self.event.event_type.clone(),
            source: self.event.source.clone(),
            headers: self.event.headers.clone(),
            data: Bytes(self.event.data.as_bytes().to_vec()),
        };
        let bytes = to_bytes(&hidden)?;
        let sealed = key.seal_bytes(PURPOSE, &self.place(), &bytes)?;
        self.sealed = Some(sealed.into());
        Ok(())
    }

    /// The event with what was encrypted of it; `None` if nothing was, for it was parked before there was a key.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if that was altered, or nothing was and there was a key by then.
    pub(super) fn opened(&self, key: &DataKey) -> Result<Option<ParkedEvent>> {
        let altered = || {
            let message = "the copy of a parked event was altered by somebody without the key; restore the \
                           folder `control` from a backup";
            Error::new(ErrorKind::Corrupt, message).at_seq(self.seq)
        };
        let Some(sealed) = &self.sealed else {
            return key
                .allows_plain(self.seq)
                .then_some(None)
                .ok_or_else(altered);
        };
        let opened = key.open_bytes(PURPOSE, &self.place(), sealed);
        let bytes = opened.ok_or_else(altered)?;
        let hidden: Hidden = event::decode(&bytes)?;
        let mut parked = self.clone();
        parked.reason = hidden.reason;
        parked.event.event_type = hidden.event_type;
        parked.event.source = hidden.source;
        parked.event.headers = hidden.headers;
        parked.event.data = Data::from_msgpack(hidden.data.0)?;
        Ok(Some(parked))
    }
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
    /// Then the texts and the data are blank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Bytes>,
}

impl ParkedFields {
    pub(super) fn of(parked: &ParkedEvent) -> Self {
        let event = &parked.event;
        if let Some(sealed) = &parked.sealed {
            return ParkedFields {
                reason: String::new(),
                event_type: String::new(),
                source: String::new(),
                headers: Vec::new(),
                data: Bytes(Data::default().as_bytes().to_vec()),
                sealed: Some(Bytes(sealed.to_vec())),
                ..ParkedFields::plain_of(parked, event)
            };
        }
        ParkedFields::plain_of(parked, event)
    }

    fn plain_of(parked: &ParkedEvent, event: &Event) -> Self {
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
            sealed: None,
        }
    }

    pub(super) fn into_parked(self) -> Result<ParkedEvent> {
        Ok(ParkedEvent {
            sealed: self.sealed.map(|sealed| sealed.0.into()),
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

#[cfg(all(test, feature = "encryption"))]
mod tests {
    use super::*;

    #[test]
    fn a_plain_copy_is_of_a_time_before_the_key_or_refused() {
        let parked = |seq: Seq| ParkedEvent {
            seq,
            event: Event::new("a", "b", &7).unwrap().with_id(EventId(9)),
            reason: "it fails".to_owned(),
            attempts: 1,
            appended_at: Timestamp(1),
            parked_at: Timestamp(2),
            sealed: None,
        };
        let key = DataKey::generate(Seq(5)).unwrap();
        assert!(parked(Seq(4)).opened(&key).unwrap().is_none());
        let error = parked(Seq(5)).opened(&key).unwrap_err();
        assert_eq!(
            (error.kind(), error.seq()),
            (ErrorKind::Corrupt, Some(Seq(5)))
        );
        let mut sealed = parked(Seq(5));
        sealed.seal(&key).unwrap();
        let opened = sealed.opened(&key).unwrap().unwrap();
        assert_eq!(opened.event, sealed.event);
        // With one of a log that was begun with it there is no such time.
        let key = DataKey::generate(Seq::ZERO).unwrap();
        assert!(parked(Seq::ZERO).opened(&key).is_err());
    }
}

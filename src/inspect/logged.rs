//! [`LoggedEvent`]: an event copied out of the log, its data not yet decoded.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId};
use crate::format::checked::Checked;
use crate::format::record::EventRef;
use crate::position::Seq;

/// An event as the log has it, in memory of its own.
///
/// Serializes as one object: `seq`, `event_id`, `event_type`, `source`, `timestamp` and `appended_at`
/// (RFC 3339, nanoseconds), `headers` where there are any (the values of one that is there more than once are
/// an array), `data`; and `data_error` in the place of
/// data that cannot be decoded.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    seq: Seq,
    /// The bytes of its frame; of one that was encrypted as they would be otherwise.
    frame: Vec<u8>,
    len: u32,
}

impl LoggedEvent {
    /// A copy of an event whose frame in the log has this length.
    pub(super) fn copy_of(event: &EventRef<'_>, len: u32) -> Self {
        LoggedEvent {
            seq: event.seq(),
            frame: event.frame().to_vec(),
            len,
        }
    }

    /// The event's place in the total order.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The length of the event's frame in the log, in bytes, without padding.
    pub fn frame_len(&self) -> u64 {
        u64::from(self.len)
    }

    /// All fields, borrowed.
    ///
    /// # Errors
    /// None in practice: the text fields were checked when the event was read.
    pub fn view(&self) -> Result<EventRef<'_>> {
        let frame = Checked::of(&self.frame);
        frame.and_then(EventRef::new).ok_or_else(|| {
            let message = "type or source is no UTF-8; run forelog-recovery verify";
            Error::new(ErrorKind::Corrupt, message).at_seq(self.seq)
        })
    }

    /// The event as a user made it: what can be emitted into another log.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the data is no `MessagePack`.
    pub fn to_event(&self) -> Result<Event> {
        self.view()?.to_event()
    }

    /// The data as a JSON value; see [`Data::to_json_value`](crate::Data::to_json_value).
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the data is no `MessagePack`, or nests too deep.
    pub fn data_json(&self) -> Result<Value> {
        let decoded = crate::event::to_value(self.view()?.data_bytes());
        decoded.map_err(|error| error.at_seq(self.seq))
    }
}

#[derive(Serialize)]
struct Line<'a> {
    seq: Seq,
    event_id: EventId,
    event_type: &'a str,
    source: &'a str,
    timestamp: Timestamp,
    appended_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Value>,
    data: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_error: Option<String>,
}

impl Serialize for LoggedEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.view().map_err(serde::ser::Error::custom)?;
        let (data, data_error) = match self.data_json() {
            Ok(data) => (data, None),
            Err(error) => (Value::Null, Some(error.message().to_owned())),
        };
        let line = Line {
            seq: event.seq(),
            event_id: event.event_id(),
            event_type: event.event_type(),
            source: event.source(),
            timestamp: event.timestamp(),
            appended_at: event.appended_at(),
            headers: event.has_headers().then(|| event.headers().to_json_value()),
            data,
            data_error,
        };
        line.serialize(serializer)
    }
}

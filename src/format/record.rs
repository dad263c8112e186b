//! [`EventRef`]: an event read where it lies, in its frame.

use serde::de::Deserialize;
use serde_json::{Map, Value};

use super::frame::{FLAG_SYNC, Frame};
pub(crate) use super::payload::Record;
pub use super::payload::{HEADERS_LEN_MAX, Headers, SOURCE_LEN_MAX, TYPE_LEN_MAX};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Data, Event, EventId};
use crate::position::Seq;

/// An event as it lies in the log: every field borrowed, the data not yet decoded.
#[derive(Debug, Clone, Copy)]
pub struct EventRef<'a> {
    frame: Frame<'a>,
    event_type: &'a str,
    source: &'a str,
    headers: &'a [u8],
    data: &'a [u8],
}

impl<'a> EventRef<'a> {
    /// The event of a checked frame; `None` if type or source is no UTF-8.
    pub(crate) fn new(frame: Frame<'a>) -> Option<Self> {
        let (event_type, rest) = frame
            .payload
            .split_at_checked(frame.header.type_len.into())?;
        let (source, rest) = rest.split_at_checked(frame.header.source_len.into())?;
        let (headers, data) = rest.split_at_checked(frame.header.headers_len.into())?;
        let event_type = std::str::from_utf8(event_type).ok()?;
        let source = std::str::from_utf8(source).ok()?;
        Some(EventRef {
            frame,
            event_type,
            source,
            headers,
            data,
        })
    }

    /// The event of a frame for which [`EventRef::new`] has succeeded before.
    pub(crate) fn of_checked(frame: Frame<'a>) -> Self {
        EventRef::new(frame).unwrap_or(EventRef {
            frame,
            event_type: "",
            source: "",
            headers: &[],
            data: &[],
        })
    }

    /// The event's place in the total order.
    pub fn seq(&self) -> Seq {
        self.frame.header.seq
    }

    /// The event's identity.
    pub fn event_id(&self) -> EventId {
        self.frame.header.event_id
    }

    /// What happened.
    pub fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// Who says so.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// When it happened, by the user's account.
    pub fn timestamp(&self) -> Timestamp {
        self.frame.header.timestamp
    }

    /// When the log took it, by the system's clock; never less than that of the event before.
    pub fn appended_at(&self) -> Timestamp {
        self.frame.header.appended_at
    }

    /// How many events were emitted in one batch with this one, itself included.
    pub fn batch_count(&self) -> u16 {
        self.frame.header.batch_count
    }

    /// How many events of the same batch stand before this one.
    pub fn batch_place(&self) -> u16 {
        self.frame.header.batch_place
    }

    /// Whether the event was emitted to be delivered only once it is synced.
    pub fn awaits_sync(&self) -> bool {
        self.frame.header.flags & FLAG_SYNC != 0
    }

    /// The headers, as pairs of name and value.
    pub fn headers(&self) -> Headers<'a> {
        Headers::new(self.headers)
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The data as `MessagePack` bytes.
    pub fn data_bytes(&self) -> &'a [u8] {
        self.data
    }

    /// The data as a value of type `T`, which may borrow from the log.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the data is of another shape.
    pub fn data<T: Deserialize<'a>>(&self) -> Result<T> {
        crate::event::decode(self.data).map_err(|error| error.at_seq(self.seq()))
    }

    /// The event on its own, copied out of the log.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the data is no `MessagePack`.
    pub fn to_event(&self) -> Result<Event> {
        let data = Data::from_msgpack(self.data).map_err(|error| error.at_seq(self.seq()))?;
        Ok(Event {
            event_id: self.event_id(),
            event_type: self.event_type.to_owned(),
            source: self.source.to_owned(),
            timestamp: self.timestamp(),
            headers: self
                .headers()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            data,
        })
    }

    /// The event as a JSON object, with `seq` first: what the tools print for each record.
    pub fn to_json_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("seq".into(), self.seq().0.into());
        object.insert("event_id".into(), self.event_id().to_string().into());
        object.insert("event_type".into(), self.event_type.into());
        object.insert("source".into(), self.source.into());
        object.insert("timestamp".into(), self.timestamp().to_string().into());
        object.insert("appended_at".into(), self.appended_at().to_string().into());
        if !self.headers.is_empty() {
            let headers = self.headers().map(|(k, v)| (k.to_owned(), v.into()));
            object.insert("headers".into(), Value::Object(headers.collect()));
        }
        object.insert(
            "data".into(),
            crate::event::to_value(self.data).unwrap_or(Value::Null),
        );
        Value::Object(object)
    }

    /// The frame that the event lies in.
    pub(crate) fn frame(&self) -> Frame<'a> {
        self.frame
    }
}

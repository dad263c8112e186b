//! [`EventRef`]: an event read where it lies, in its frame.

use serde::de::Deserialize;
use serde_json::{Map, Value};

use super::checked::Checked;
use super::frame::{FLAG_SYNC, HEADER_LEN};
pub(crate) use super::payload::Record;
pub use super::payload::{HEADERS_LEN_MAX, Headers, SOURCE_LEN_MAX, TYPE_LEN_MAX};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Data, Event, EventId};
use crate::position::Seq;

/// An event as it lies in the log: every field borrowed, the data not yet decoded.
#[derive(Debug, Clone, Copy)]
pub struct EventRef<'a> {
    frame: Checked<'a>,
    event_type: &'a str,
    source: &'a str,
}

/// The header of an event that shows no Seq: what stands for the event's own where it has none that
/// means anything to whoever reads it.
#[derive(Debug, Clone)]
pub(crate) struct Unplaced([u8; HEADER_LEN]);

impl<'a> EventRef<'a> {
    /// The event of a checked frame; `None` if type or source is no UTF-8.
    #[inline]
    pub(crate) fn new(frame: Checked<'a>) -> Option<Self> {
        let type_len = frame.type_len();
        let text_len = type_len.saturating_add(frame.source_len());
        // Looked at together: two short texts would take twice as long.
        let text = std::str::from_utf8(frame.payload().get(..text_len)?).ok()?;
        let (event_type, source) = text.split_at_checked(type_len)?;
        Some(EventRef {
            frame,
            event_type,
            source,
        })
    }

    /// The event of a frame for which [`EventRef::new`] has succeeded before.
    #[inline]
    pub(crate) fn of_checked(frame: Checked<'a>) -> Self {
        EventRef::new(frame).unwrap_or(EventRef {
            frame,
            event_type: "",
            source: "",
        })
    }

    /// A header in which this event has no Seq, for [`EventRef::shown_by`].
    pub(crate) fn unplaced(&self) -> Unplaced {
        Unplaced(self.frame.head_without_seq())
    }

    /// The same event under that header, if there is one.
    #[inline]
    pub(crate) fn shown_by<'b>(&self, head: Option<&'b Unplaced>) -> EventRef<'b>
    where
        'a: 'b,
    {
        match head {
            None => *self,
            Some(Unplaced(head)) => EventRef {
                frame: self.frame.with_head(head),
                ..*self
            },
        }
    }

    /// The event's place in the total order; [`Seq::ZERO`] of a volatile event, which has none.
    #[inline]
    pub fn seq(&self) -> Seq {
        self.frame.seq()
    }

    /// The event's identity.
    #[inline]
    pub fn event_id(&self) -> EventId {
        self.frame.event_id()
    }

    /// What happened.
    #[inline]
    pub fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// Who says so.
    #[inline]
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// When it happened, by the user's account.
    #[inline]
    pub fn timestamp(&self) -> Timestamp {
        self.frame.timestamp()
    }

    /// When the log took it, by the system's clock; never less than that of the event before.
    #[inline]
    pub fn appended_at(&self) -> Timestamp {
        self.frame.appended_at()
    }

    /// How many events were emitted in one batch with this one, itself included.
    #[inline]
    pub fn batch_count(&self) -> u16 {
        self.frame.batch_count()
    }

    /// How many events of the same batch stand before this one.
    #[inline]
    pub fn batch_place(&self) -> u16 {
        self.frame.batch_place()
    }

    /// Whether the event was emitted to be delivered only once it is synced.
    #[inline]
    pub fn awaits_sync(&self) -> bool {
        self.frame.flags() & FLAG_SYNC != 0
    }

    /// The headers, as pairs of name and value.
    pub fn headers(&self) -> Headers<'a> {
        let end = self.data_at();
        let start = end.saturating_sub(self.frame.headers_len());
        Headers::new(self.frame.payload().get(start..end).unwrap_or_default())
    }

    /// Whether it has any headers.
    #[inline]
    pub(crate) fn has_headers(&self) -> bool {
        self.frame.headers_len() > 0
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The data as `MessagePack` bytes.
    #[inline]
    pub fn data_bytes(&self) -> &'a [u8] {
        let payload = self.frame.payload();
        payload.get(self.data_at()..).unwrap_or_default()
    }

    /// Where the data starts in the payload region.
    #[inline]
    fn data_at(&self) -> usize {
        let text_len = self.event_type.len().saturating_add(self.source.len());
        text_len.saturating_add(self.frame.headers_len())
    }

    /// The data as a value of type `T`, which may borrow from the log.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the data is of another shape.
    pub fn data<T: Deserialize<'a>>(&self) -> Result<T> {
        crate::event::decode(self.data_bytes()).map_err(|error| error.at_seq(self.seq()))
    }

    /// The event on its own, copied out of the log.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the data is no `MessagePack`.
    pub fn to_event(&self) -> Result<Event> {
        let data =
            Data::from_msgpack(self.data_bytes()).map_err(|error| error.at_seq(self.seq()))?;
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
        if self.has_headers() {
            object.insert("headers".into(), self.headers().to_json_value());
        }
        object.insert(
            "data".into(),
            crate::event::to_value(self.data_bytes()).unwrap_or(Value::Null),
        );
        Value::Object(object)
    }

    /// The frame that the event lies in.
    #[inline]
    pub(crate) fn frame(&self) -> Checked<'a> {
        self.frame
    }
}

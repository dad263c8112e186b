//! Records: the payload region of a frame, written from a [`Record`] and read as an [`EventRef`].
//!
//! The region is `type ‖ source ‖ headers ‖ data`, without separators: the frame's header has the
//! lengths of the first three. Headers are `name_len: u16, value_len: u16, name, value`, repeated.
//! The region is the unit that is encrypted or compressed.

use serde::de::Deserialize;
use serde_json::{Map, Value};

use super::bytes::{put, u16_at};
use super::frame::{FLAG_SYNC, Frame, HEADER_LEN};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Data, Event, EventId};
use crate::position::Seq;

/// The longest event type in bytes.
pub const TYPE_LEN_MAX: usize = u8::MAX as usize;
/// The longest source in bytes.
pub const SOURCE_LEN_MAX: usize = 1024;
/// The longest headers of one event in bytes: names, values, and 4 bytes for each pair.
pub const HEADERS_LEN_MAX: usize = u16::MAX as usize;

const PAIR_HEAD: usize = 4;

/// A record to append: borrowed, checked, its lengths known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) event_id: EventId,
    pub(crate) timestamp: Timestamp,
    event_type: &'a str,
    source: &'a str,
    headers: &'a [(String, String)],
    data: &'a [u8],
    type_len: u8,
    source_len: u16,
    headers_len: u16,
}

impl<'a> Record<'a> {
    /// The record of an event, under this id.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if type or source is empty or too long, or the headers are.
    pub(crate) fn of(event: &'a Event, event_id: EventId) -> Result<Self> {
        let data = event.data.as_bytes();
        let mut record = Record::new(&event.event_type, &event.source, event.timestamp, data)?;
        record.event_id = event_id;
        record.headers = &event.headers;
        record.headers_len = headers_len(&event.headers)?;
        Ok(record)
    }

    /// A record without headers and with the nil id.
    pub(crate) fn new(
        event_type: &'a str,
        source: &'a str,
        timestamp: Timestamp,
        data: &'a [u8],
    ) -> Result<Self> {
        checked_len("event type", event_type, TYPE_LEN_MAX)?;
        checked_len("source", source, SOURCE_LEN_MAX)?;
        Ok(Record {
            event_id: EventId::NIL,
            timestamp,
            event_type,
            source,
            headers: &[],
            data,
            type_len: u8::try_from(event_type.len()).unwrap_or(u8::MAX),
            source_len: u16::try_from(source.len()).unwrap_or(u16::MAX),
            headers_len: 0,
        })
    }

    /// A record without a payload: what a mark carries.
    pub(crate) fn mark(event_id: EventId) -> Record<'static> {
        Record {
            event_id,
            timestamp: Timestamp(0),
            event_type: "",
            source: "",
            headers: &[],
            data: &[],
            type_len: 0,
            source_len: 0,
            headers_len: 0,
        }
    }

    pub(crate) fn type_len(&self) -> u8 {
        self.type_len
    }

    pub(crate) fn source_len(&self) -> u16 {
        self.source_len
    }

    pub(crate) fn headers_len(&self) -> u16 {
        self.headers_len
    }

    /// The length of the record's frame in bytes, without padding.
    pub(crate) fn frame_len(&self) -> usize {
        HEADER_LEN
            .saturating_add(usize::from(self.type_len))
            .saturating_add(usize::from(self.source_len))
            .saturating_add(usize::from(self.headers_len))
            .saturating_add(self.data.len())
    }

    /// Writes the payload region to the start of `out`.
    pub(crate) fn write_payload(&self, out: &mut [u8]) {
        let mut at: usize = 0;
        let mut write = |bytes: &[u8]| {
            put(out, at, bytes);
            at = at.saturating_add(bytes.len());
        };
        write(self.event_type.as_bytes());
        write(self.source.as_bytes());
        for (name, value) in self.headers {
            for len in [name.len(), value.len()] {
                write(&u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes());
            }
            write(name.as_bytes());
            write(value.as_bytes());
        }
        write(self.data);
    }
}

fn checked_len(what: &str, text: &str, max: usize) -> Result<()> {
    match text.len() {
        0 => Err(Error::new(
            ErrorKind::Invalid,
            format!("the {what} is empty"),
        )),
        len if len > max => {
            let message = format!("the {what} has {len} bytes; at most {max} are possible");
            Err(Error::new(ErrorKind::Invalid, message))
        }
        _ => Ok(()),
    }
}

fn headers_len(headers: &[(String, String)]) -> Result<u16> {
    let pairs = headers.iter().map(|(name, value)| {
        PAIR_HEAD
            .saturating_add(name.len())
            .saturating_add(value.len())
    });
    let len = pairs.fold(0_usize, usize::saturating_add);
    u16::try_from(len).map_err(|_| {
        let message =
            format!("the headers have {len} bytes; at most {HEADERS_LEN_MAX} are possible");
        Error::new(ErrorKind::Invalid, message)
    })
}

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
        Headers { rest: self.headers }
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
    /// [`Decode`](ErrorKind::Decode) if the data is of another shape.
    pub fn data<T: Deserialize<'a>>(&self) -> Result<T> {
        crate::event::decode(self.data).map_err(|error| error.at_seq(self.seq()))
    }

    /// The event on its own, copied out of the log.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the data is no `MessagePack`.
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

/// The headers of an event, as pairs of name and value.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let name_len = usize::from(u16_at(self.rest, 0)?);
        let value_len = usize::from(u16_at(self.rest, 2)?);
        let (_, rest) = self.rest.split_at_checked(PAIR_HEAD)?;
        let (name, rest) = rest.split_at_checked(name_len)?;
        let (value, rest) = rest.split_at_checked(value_len)?;
        self.rest = rest;
        Some((
            std::str::from_utf8(name).ok()?,
            std::str::from_utf8(value).ok()?,
        ))
    }
}

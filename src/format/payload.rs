//! The payload region of a frame, as a [`Record`] writes it.
//!
//! The region is `type ‖ source ‖ headers ‖ data`, without separators: the frame's header has the
//! lengths of the first three. [`Headers`] are `name_len: u16, value_len: u16, name, value`, repeated.
//! The region is the unit that is encrypted or compressed.

use super::bytes::{put, u16_at};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Data, Event, EventId};

/// The longest event type in bytes.
pub const TYPE_LEN_MAX: usize = u8::MAX as usize;
/// The longest source in bytes.
pub const SOURCE_LEN_MAX: usize = 1024;
/// The longest headers of one event in bytes: names, values, and 4 bytes for each pair.
pub const HEADERS_LEN_MAX: usize = u16::MAX as usize;

/// What stands before the name and the value of each pair of headers.
pub(super) const PAIR_HEAD: usize = 4;

/// A record to append: borrowed, its lengths known, and possible if [`check`](Record::check) says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// [`EventId::NIL`] asks the log to make one.
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
    /// The record of an event.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if type or source is empty or too long, or the headers are.
    #[inline]
    pub(crate) fn of(event: &'a Event) -> Result<Self> {
        let record = Record::unchecked(event);
        record.check()?;
        Ok(record)
    }

    /// The same before it is known whether it is possible, which [`check`](Record::check) says: who is in a
    /// hurry makes it where it stays, since to hand it on through memory costs more than to make it.
    #[inline]
    pub(crate) fn unchecked(event: &'a Event) -> Self {
        let (event_type, source) = (&event.event_type, &event.source);
        Record {
            event_id: event.event_id,
            timestamp: event.timestamp,
            event_type,
            source,
            headers: &event.headers,
            data: event.data.as_bytes(),
            type_len: u8::try_from(event_type.len()).unwrap_or(u8::MAX),
            source_len: u16::try_from(source.len()).unwrap_or(u16::MAX),
            headers_len: u16::try_from(headers_len(&event.headers)).unwrap_or(u16::MAX),
        }
    }

    /// The record, if such a one is possible.
    ///
    /// # Errors
    /// As [`Record::of`].
    #[inline]
    pub(crate) fn check(&self) -> Result<&Self> {
        checked_len("event type", self.event_type, TYPE_LEN_MAX)?;
        checked_len("source", self.source, SOURCE_LEN_MAX)?;
        // It says no more than that they may be too long.
        if self.headers_len == u16::MAX {
            checked_headers_len(self.headers)?;
        }
        Ok(self)
    }

    /// The same record with these headers, its own and those that the system adds, in place of its own.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if they are too long.
    pub(crate) fn with_headers(mut self, headers: &'a [(String, String)]) -> Result<Self> {
        let own = self.headers_len;
        self.headers = headers;
        self.headers_len = checked_headers_len(headers).map_err(|_| no_room(own, headers))?;
        Ok(self)
    }

    /// A record without headers and with the nil id.
    #[inline]
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
    pub(crate) const MARK: Record<'static> = Record {
        event_id: EventId::NIL,
        timestamp: Timestamp(0),
        event_type: "",
        source: "",
        headers: &[],
        data: &[],
        type_len: 0,
        source_len: 0,
        headers_len: 0,
    };

    /// The event that this is the record of.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the data is no `MessagePack`.
    pub(crate) fn to_event(self) -> Result<Event> {
        Ok(Event {
            event_id: self.event_id,
            event_type: self.event_type.to_owned(),
            source: self.source.to_owned(),
            timestamp: self.timestamp,
            headers: self.headers.to_vec(),
            data: Data::from_msgpack(self.data)?,
        })
    }

    /// What kind of event it is.
    pub(crate) fn event_type(&self) -> &'a str {
        self.event_type
    }

    pub(crate) fn source(&self) -> &'a str {
        self.source
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

    /// The length of the payload region in bytes.
    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        // Three short lengths and that of a slice do not overflow.
        usize::from(self.type_len)
            .wrapping_add(usize::from(self.source_len))
            .wrapping_add(usize::from(self.headers_len))
            .wrapping_add(self.data.len())
    }

    /// Writes the payload region to the start of `out`.
    #[inline]
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

#[inline]
fn checked_len(what: &str, text: &str, max: usize) -> Result<()> {
    if (1..=max).contains(&text.len()) {
        return Ok(());
    }
    Err(wrong_len(what, text.len(), max))
}

#[cold]
fn wrong_len(what: &str, len: usize, max: usize) -> Error {
    let message = match len {
        0 => format!("the {what} is empty"),
        _ => format!("the {what} has {len} bytes; at most {max} are possible"),
    };
    Error::new(ErrorKind::Invalid, message)
}

/// How many bytes headers take.
#[inline]
fn headers_len(headers: &[(String, String)]) -> usize {
    let pairs = headers.iter().map(|(name, value)| {
        PAIR_HEAD
            .saturating_add(name.len())
            .saturating_add(value.len())
    });
    pairs.fold(0, usize::saturating_add)
}

#[inline]
fn checked_headers_len(headers: &[(String, String)]) -> Result<u16> {
    let len = headers_len(headers);
    u16::try_from(len).map_err(|_| {
        let message =
            format!("the headers have {len} bytes; at most {HEADERS_LEN_MAX} are possible");
        Error::new(ErrorKind::Invalid, message)
    })
}

#[cold]
fn no_room(own: u16, headers: &[(String, String)]) -> Error {
    let len = headers_len(headers);
    let message = format!(
        "the event's headers have {own} bytes, and {len} with those that say what it is an answer to, and in \
         which span it is emitted; at most {HEADERS_LEN_MAX} are possible: shorten its own, or see \
         Builder::correlation"
    );
    Error::new(ErrorKind::Invalid, message)
}

/// The headers of an event, as pairs of name and value.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The pairs in the headers part of a payload region.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Headers { rest: bytes }
    }

    /// The pairs that are left as a JSON object; the values of a name that is there more than once are an
    /// array, in their order.
    pub fn to_json_value(&self) -> serde_json::Value {
        crate::event::headers_to_value(self.clone())
    }
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

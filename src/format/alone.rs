//! [`Alone`]: an event laid out in memory as it would lie in a log, so that it is read in the same way.

use super::checked::Checked;
use super::frame::{self, Kind, Place, Stamp, padded};
use super::record::{EventRef, Record};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::Event;
use crate::position::Seq;

/// A frame in memory belongs to no segment.
const NOWHERE: Place = Place { salt: 0, offset: 0 };

/// An event that lies in no log.
#[derive(Debug, Clone)]
pub(crate) struct Alone(Vec<u8>);

impl Alone {
    /// Lays out an event that the log took at this time, as this Seq.
    ///
    /// # Errors
    /// [`TooLarge`](crate::ErrorKind::TooLarge) if no frame takes it.
    pub(crate) fn new(event: &Event, seq: Seq, appended_at: Timestamp) -> Result<Self> {
        let stamp = Stamp {
            kind: Kind::Event,
            flags: 0,
            seq,
            event_id: event.event_id,
            appended_at,
            durable_upto: seq,
            batch_place: 0,
            batch_count: 1,
        };
        Alone::stamped(event, stamp)
    }

    /// Lays out an event that stands in for another one: where it was appended, all else its own.
    ///
    /// # Errors
    /// As [`Alone::new`].
    pub(crate) fn in_place_of(other: &EventRef<'_>, event: &Event) -> Result<Self> {
        let stamp = Stamp {
            kind: Kind::Event,
            flags: other.frame().flags(),
            seq: other.seq(),
            event_id: other.event_id(),
            appended_at: other.appended_at(),
            durable_upto: other.seq(),
            batch_place: other.batch_place(),
            batch_count: other.batch_count(),
        };
        Alone::stamped(event, stamp)
    }

    fn stamped(event: &Event, stamp: Stamp) -> Result<Self> {
        let record = Record::of(event)?;
        let len = record.frame_len();
        let mut bytes = vec![0; padded(len)];
        frame::encode(&mut bytes, &record, stamp, NOWHERE);
        bytes.truncate(len);
        Ok(Alone(bytes))
    }

    /// The event.
    pub(crate) fn event(&self) -> EventRef<'_> {
        EventRef::of_checked(Checked::of(&self.0).unwrap_or(Checked::NOTHING))
    }
}

//! A parked event, laid out so that a handler reads it like one in the log.

use crate::control::ParkedEvent;
use crate::error::{Error, ErrorKind, Result};
use crate::format::checked;
use crate::format::frame::{self, Kind, Place, Stamp, padded};
use crate::format::record::{EventRef, Record};
use crate::position::Seq;

/// A frame in memory belongs to no segment.
const NOWHERE: Place = Place { salt: 0, offset: 0 };

/// A parked event laid out like one in the log, so that a handler reads it in the same way.
pub(super) fn as_frame(parked: &ParkedEvent) -> Result<Vec<u8>> {
    let record = Record::of(&parked.event)?;
    let mut bytes = vec![0; padded(record.frame_len())];
    let stamp = Stamp {
        kind: Kind::Event,
        flags: 0,
        seq: parked.seq,
        event_id: parked.event.event_id,
        appended_at: parked.appended_at,
        durable_upto: parked.seq,
        batch_place: 0,
        batch_count: 1,
    };
    frame::encode(&mut bytes, &record, stamp, NOWHERE);
    Ok(bytes)
}

/// The event of such a frame.
pub(super) fn read_frame(bytes: &[u8], seq: Seq) -> Result<EventRef<'_>> {
    let frame = checked::check(bytes, NOWHERE);
    frame.and_then(EventRef::new).ok_or_else(|| {
        let message = "a parked event cannot be laid out for delivery; discard it";
        Error::new(ErrorKind::Corrupt, message).at_seq(seq)
    })
}

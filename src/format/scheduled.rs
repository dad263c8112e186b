//! The file of an event that is to be emitted later: one frame, as in a segment, on its own.
//!
//! Its Seq is the first one that the log had free when it was scheduled: it is emitted there or behind. (Older
//! files say 1.) Its `appended_at` is the time when it is due, and its checksum is bound to a salt of
//! its own at offset 0, so that it passes for no frame of a log.

use super::checked;
use super::frame::{self, Kind, Place, Stamp, padded};
use super::record::{EventRef, Record};
use super::sealed::{self, Opened, Seal, Sealed};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Event, EventId};
use crate::position::Seq;

/// `SCHEDULE` in ASCII.
const PLACE: Place = Place {
    salt: 0x5343_4845_4455_4c45,
    offset: 0,
};

/// The bytes of the file of an event that has an id, and is emitted in the place of `from` or behind it; sealed,
/// if there is something to seal it with, which is used for this file alone.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) if it is no event that a log would take.
pub(crate) fn encode(
    event: &Event,
    id: EventId,
    due: Timestamp,
    from: Seq,
    seal: Option<&dyn Seal>,
) -> Result<Vec<u8>> {
    let record = Record::of(event)?;
    let len = seal.map_or(record.frame_len(), |_| record.sealed_len());
    let mut bytes = vec![0; padded(len)];
    let stamp = Stamp {
        kind: Kind::Event,
        flags: 0,
        seq: from,
        event_id: id,
        appended_at: due,
        durable_upto: Seq::FIRST,
        batch_place: 0,
        batch_count: 1,
    };
    match seal {
        None => frame::encode(&mut bytes, &record, stamp, PLACE),
        Some(seal) => sealed::encode(&mut bytes, &record, stamp, PLACE, seal),
    };
    Ok(bytes)
}

/// The event, when it is due, and from which Seq on it may be in the log; `None` if the file is damaged, or
/// plain where that is not allowed. `open` opens a sealed one, if it can.
pub(crate) fn decode(
    bytes: &[u8],
    is_plain_allowed: bool,
    open: impl FnOnce(Sealed<'_>, &mut Opened) -> bool,
) -> Option<(Event, Timestamp, Seq)> {
    let mut opened = Opened::default();
    let event = if let Some(plain) = checked::check(bytes, PLACE).filter(|_| is_plain_allowed) {
        EventRef::new(plain)?
    } else {
        let sealed = Sealed::of(frame::decode(bytes, PLACE).ok()?.bytes)?;
        open(sealed, &mut opened).then_some(())?;
        opened.checked()?
    };
    Some((event.to_event().ok()?, event.appended_at(), event.seq()))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_and_no_flipped_bit_passes() {
        let event = Event::new("a", "b", &7).unwrap().with_id(EventId(9));
        let bytes = encode(&event, EventId(9), Timestamp(5), Seq(12), None).unwrap();
        let due = (event.clone(), Timestamp(5), Seq(12));
        assert_eq!(decode(&bytes, true, |_, _| false), Some(due));
        assert_eq!(decode(&bytes, false, |_, _| true), None);
        let len = frame::HEADER_LEN + 3;
        for at in 0..len {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(decode(&flipped, true, |_, _| false), None, "byte {at}");
        }
        assert_eq!(decode(&bytes[..len - 1], true, |_, _| false), None);
    }
}

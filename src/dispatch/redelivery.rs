//! Parked events, delivered once more because somebody asks for it.

use super::delivery::{Delivery, Phase};
use super::office::{clip, is_final};
use super::outcome::Outcome;
use super::worker::Worker;
use crate::control::ParkedEvent;
use crate::error::{Error, ErrorKind, Result};
use crate::format::checked;
use crate::format::frame::{self, Kind, Place, Stamp, padded};
use crate::format::record::{EventRef, Record};
use crate::position::Seq;

/// A frame in memory belongs to no segment.
const NOWHERE: Place = Place { salt: 0, offset: 0 };

impl Worker {
    /// Delivers one parked event: acknowledged, it is parked no more; else it stays, with its new
    /// reason and one attempt more.
    ///
    /// # Errors
    /// If the outcome can never be noted.
    pub(super) fn redeliver(&mut self, seq: Seq) -> Result<()> {
        let done = self.try_redeliver(seq);
        match done {
            Err(error) if !is_final(&error) => {
                self.desk.note_error(&error);
                Ok(())
            }
            done => done,
        }
    }

    fn try_redeliver(&mut self, seq: Seq) -> Result<()> {
        let office = self.desk.office.clone();
        let Some(name) = self.desk.seat.name.clone() else {
            return Ok(());
        };
        // It may have been discarded, or delivered by an earlier request.
        let Some(parked) = office.control.parked_event(&name, seq) else {
            return Ok(());
        };
        let attempts = parked.attempts.saturating_add(1);
        let bytes = as_frame(&parked)?;
        let event = read_frame(&bytes, seq)?;
        let delivery = Delivery::new(event, attempts, Phase::Redelivery);
        let reason = match self.desk.call(self.handler.as_mut(), &delivery) {
            Outcome::Ack => {
                self.desk.seat.count_delivered();
                return office.control.unpark(&name, seq);
            }
            Outcome::Park(reason) | Outcome::Failed(reason) => clip(reason),
            Outcome::Retry | Outcome::RetryAfter(_) => parked.reason.clone(),
        };
        self.desk.seat.notes().last_error = Some(reason.clone());
        let again = ParkedEvent {
            reason,
            attempts,
            parked_at: office.clock.now(),
            ..ParkedEvent::clone(&parked)
        };
        let durable = office.log.watermark().durable();
        let position = self.desk.seat.position.get();
        office.control.park(&name, again, position, durable)
    }
}

/// A parked event laid out like one in the log, so that a handler reads it in the same way.
fn as_frame(parked: &ParkedEvent) -> Result<Vec<u8>> {
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

fn read_frame(bytes: &[u8], seq: Seq) -> Result<EventRef<'_>> {
    let frame = checked::check(bytes, NOWHERE);
    frame.and_then(EventRef::new).ok_or_else(|| {
        let message = "a parked event cannot be laid out for delivery; discard it";
        Error::new(ErrorKind::Corrupt, message).at_seq(seq)
    })
}

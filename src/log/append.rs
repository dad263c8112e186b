//! Appending: a place is reserved under the tail's lock, the frames are written there without any
//! lock, and published in the order of the reservations.
//!
//! **Threads in parallel.** What has to happen in order (the reservation, and then the turn to
//! publish) takes some nanoseconds; copying and checksumming, most of the work, run beside each
//! other. A receipt is only given once everything before the event is published too: otherwise a
//! process that is killed could leave a hole before an event that was acknowledged.
//!
//! **A thread that dies** between the two leaves a hole. Nothing behind it is published or
//! acknowledged, the log takes nothing more and says so, and readers and the close go on. Nothing
//! that runs in between is known to panic: no user code does.

use std::sync::MutexGuard;

use super::segment::Segment;
use super::shared::Shared;
use super::tail::{Batch, Tail};
use crate::clock::Timestamp;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventId, IdRange};
use crate::format::frame::{self, padded};
use crate::format::record::Record;
use crate::position::Seq;
use crate::storage::Claim;

/// The Seqs of a batch that was appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) first: Seq,
    /// The one before `first` if the batch was empty.
    pub(crate) last: Seq,
    ids: IdRange,
}

impl Appended {
    /// The id under which the record at this place of the batch is in the log.
    pub(crate) fn event_id(&self, record: &Record<'_>, place: usize) -> EventId {
        if record.event_id.is_nil() {
            self.ids.get(place)
        } else {
            record.event_id
        }
    }
}

impl Shared {
    pub(super) fn append(
        &self,
        records: &[Record<'_>],
        durability: Durability,
    ) -> Result<Appended> {
        let len = self.config.room_of(records)?;
        if records.is_empty() {
            return self.appended_nothing();
        }
        let now = self.clock.now();
        let is_sync = durability == Durability::Sync;
        let count = u16::try_from(records.len()).unwrap_or(u16::MAX);
        let segment;
        let (mut claim, batch, wants_next) = {
            let mut tail = self.tail_with_room(len, records.len())?;
            segment = tail.active.clone();
            let durable_upto = self.watermark.durable();
            let reserved = tail.reserve(&segment, (len, count), now, durable_upto, is_sync);
            let (claim, batch) = reserved.ok_or_else(is_sealed)?;
            (claim, batch, tail.asks_for_next())
        };
        write(&mut claim, &segment, records, &batch);
        self.publish(claim, &segment, records, &batch)?;
        if wants_next {
            self.signal.wake();
        }
        let last = batch.first.plus(u64::from(count)).prev();
        self.watermark.wake_followers(last);
        Ok(Appended {
            first: batch.first,
            last,
            ids: batch.ids,
        })
    }

    fn appended_nothing(&self) -> Result<Appended> {
        let mut tail = self.tail();
        self.check_open(&tail)?;
        let last = self.watermark.appended();
        Ok(Appended {
            first: last.next(),
            last,
            ids: tail.ids.take(Timestamp(0), 0),
        })
    }

    /// The tail's lock, with an active segment that has this room.
    fn tail_with_room(&self, len: usize, count: usize) -> Result<MutexGuard<'_, Tail>> {
        let mut tail = self.tail();
        self.check_open(&tail)?;
        while !self.has_room(&tail, len, count) {
            tail = self.rotate(tail)?;
            self.check_open(&tail)?;
        }
        Ok(tail)
    }

    fn has_room(&self, tail: &Tail, len: usize, count: usize) -> bool {
        let events = tail.count();
        let by_count =
            events == 0 || events.saturating_add(count as u64) <= self.config.segment_events_max;
        by_count && tail.fits(len, count)
    }

    /// Lets readers see the frames, once all before them are seen.
    fn publish(
        &self,
        claim: Claim<'_>,
        segment: &Segment,
        records: &[Record<'_>],
        batch: &Batch,
    ) -> Result<()> {
        let mut offset = claim.offset();
        let mut turn = claim.turn().map_err(|_| self.abandoned())?;
        turn.publish();
        let bytes = segment.region.bytes();
        let mut seq = batch.first;
        for record in records {
            let frame_bytes = bytes.get(offset..).unwrap_or_default();
            self.sums
                .extend(frame::content_of(frame_bytes, segment.place(offset)));
            self.sums.include(record.timestamp, batch.appended_at);
            segment.note(seq, offset);
            offset += padded(record.frame_len());
            seq = seq.next();
        }
        self.watermark.set_appended(seq.prev());
        drop(turn);
        Ok(())
    }

    /// Ends the log's life because a thread died while it held a place in it.
    pub(super) fn abandoned(&self) -> Error {
        let message = "a thread ended while it was appending, so what came behind it may or may not \
                       be in the log; reopen the system and emit again with the same event id";
        self.end(Error::new(ErrorKind::SyncFailed, message))
    }
}

/// Writes the frames of a batch into its claim.
fn write(claim: &mut Claim<'_>, segment: &Segment, records: &[Record<'_>], batch: &Batch) {
    let mut offset = claim.offset();
    let mut out = claim.bytes_mut();
    for (place, record) in (0..).zip(records) {
        let (room, rest) = out.split_at_mut(padded(record.frame_len()).min(out.len()));
        let stamp = batch.stamp(record, place);
        frame::encode(room, record, stamp, segment.place(offset));
        offset += room.len();
        out = rest;
    }
}

fn is_sealed() -> Error {
    Error::new(ErrorKind::Closed, "the active segment is sealed")
}

//! Appending: a place is reserved under the tail's lock, the frames are written there without any
//! lock, and published in the order of the reservations.
//!
//! **Threads in parallel.** What has to happen in order (the reservation, and then the turn to
//! publish) takes some nanoseconds; copying and checksumming, most of the work, run beside each
//! other. A receipt is only given once everything before the event is published too: otherwise a
//! process that is killed could leave a hole before an event that was acknowledged.
//!
//! **Two ways to write.** Events that nobody waits to be synced are stored through the map, at no
//! system call. Those to be synced are laid out in private memory and written with `pwrite`, which
//! dirties only the blocks that it touches: a store through the map dirties a whole folio of the page
//! cache, which the sync would write back. Each claim is written in one way only, so no byte ever has
//! two writers.
//!
//! **A thread that dies** between the two leaves a hole. Nothing behind it is published or
//! acknowledged, the log takes nothing more and says so, and readers and the close go on. Nothing
//! that runs in between is known to panic: no user code does.

use std::cell::RefCell;
use std::sync::MutexGuard;

use super::segment::Segment;
use super::shared::Shared;
use super::tail::{Asks, Batch, Reservation, Tail};
use crate::clock::Timestamp;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventId, IdRange};
use crate::format::frame::{self, Place, padded};
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
        let reservation = Reservation {
            len,
            count: u16::try_from(records.len()).unwrap_or(u16::MAX),
            is_sync: durability == Durability::Sync,
        };
        let (mut claim, batch, asks) = {
            let mut tail = self.tail_with_room(len, records.len())?;
            let durable_upto = self.watermark.durable();
            let reserved = tail.reserve(reservation, now, durable_upto);
            let (claim, batch) = reserved.ok_or_else(is_sealed)?;
            (claim, batch, tail.asks(reservation))
        };
        if reservation.is_sync {
            write_staged(&mut claim, records, &batch).map_err(|cause| self.end(cause))?;
        } else {
            let place = place_of(&claim);
            write(claim.bytes_mut(), place, records, &batch);
        }
        let last = self.publish(claim, records, &batch)?;
        self.watermark.wake_followers(last, reservation.is_sync);
        if let Some(asks) = asks {
            self.pass_on(&asks);
        }
        Ok(Appended {
            first: batch.first,
            last,
            ids: batch.ids,
        })
    }

    /// Has the other threads do what the tail asks for.
    #[cold]
    fn pass_on(&self, asks: &Asks) {
        if asks.next_segment {
            self.signal.wake();
        }
        if let Some((region, range)) = &asks.pages
            && self.config.background
        {
            self.prefault.ask(region, range.clone());
        }
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

    /// Lets readers see the frames, once all before them are seen; returns the last Seq.
    fn publish(&self, claim: Claim<Segment>, records: &[Record<'_>], batch: &Batch) -> Result<Seq> {
        let mut place = place_of(&claim);
        let mut turn = claim.turn().map_err(|_| self.abandoned())?;
        turn.publish();
        let segment = turn.owner();
        let bytes = segment.region.bytes();
        let mut last = batch.first.prev();
        for record in records {
            last = last.next();
            let frame_bytes = bytes.get(place.offset..).unwrap_or_default();
            self.sums.extend(frame::content_of(frame_bytes, place));
            self.sums.include(record.timestamp, batch.appended_at);
            segment.note(last, place.offset);
            place.offset += padded(record.frame_len());
        }
        self.watermark.set_appended(last);
        Ok(last)
    }

    /// Ends the log's life because a thread died while it held a place in it.
    pub(super) fn abandoned(&self) -> Error {
        let message = "a thread ended while it was appending, so what came behind it may or may not \
                       be in the log; reopen the system and emit again with the same event id";
        self.end(Error::new(ErrorKind::SyncFailed, message))
    }
}

/// The longest private memory that a thread keeps for what it writes next.
const STAGE_MAX: usize = 1 << 20;

thread_local! {
    /// Where frames are laid out before they are written to the file.
    static STAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes the frames of a batch into its claim, so that few blocks have to be synced.
fn write_staged(claim: &mut Claim<Segment>, records: &[Record<'_>], batch: &Batch) -> Result<()> {
    STAGE.with_borrow_mut(|stage| {
        stage.resize(claim.len(), 0);
        write(stage, place_of(claim), records, batch);
        let written = claim.write(stage);
        if stage.len() > STAGE_MAX {
            *stage = Vec::new();
        }
        written
    })
}

/// Lays out the frames of a batch, which go to `place`.
fn write(mut out: &mut [u8], mut place: Place, records: &[Record<'_>], batch: &Batch) {
    for (batch_place, record) in (0..).zip(records) {
        let (room, rest) = out.split_at_mut(padded(record.frame_len()).min(out.len()));
        frame::encode(room, record, batch.stamp(record, batch_place), place);
        place.offset += room.len();
        out = rest;
    }
}

fn place_of(claim: &Claim<Segment>) -> Place {
    claim.owner().place(claim.offset())
}

fn is_sealed() -> Error {
    Error::new(ErrorKind::Closed, "the active segment is sealed")
}

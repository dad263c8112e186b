//! [`Tail`]: the end of the log that grows, behind one lock.

use std::sync::Arc;

use super::segment::{self, Seal, Segment};
use crate::clock::Timestamp;
use crate::event::{EventId, IdRange, IdSource};
use crate::format::frame::{self, FLAG_CLEAN, FLAG_SYNC, Kind, Stamp};
use crate::format::record::Record;
use crate::position::Seq;
use crate::storage::{Abandoned, Claim, Region};

/// What the appender changes with each event.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) active: Arc<Segment>,
    /// The last Seq that was handed out; it may not be published yet.
    pub(super) last_seq: Seq,
    pub(super) last_appended_at: Timestamp,
    pub(super) ids: IdSource,
    /// The full segment before the active one, until it is sealed and synced.
    pub(super) forerunner: Option<Unsettled>,
    /// The next segment's file, if it is there already.
    pub(super) prepared: Option<Region>,
    /// Whether the housekeeping was asked to prepare it.
    pub(super) is_next_wanted: bool,
    /// The durable Seq that the last mark witnessed.
    pub(super) marked: Seq,
    pub(super) closed: bool,
}

/// A segment that is full but not yet sealed.
#[derive(Debug, Clone)]
pub(super) struct Unsettled {
    pub(super) segment: Arc<Segment>,
    pub(super) seal: Seal,
}

/// Seqs that were handed out to the records of one batch, and what their frames share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) first: Seq,
    pub(super) ids: IdRange,
    pub(super) appended_at: Timestamp,
    durable_upto: Seq,
    flags: u16,
    count: u16,
}

impl Batch {
    /// The stamp of the record at this place.
    pub(super) fn stamp(&self, record: &Record<'_>, place: u16) -> Stamp {
        Stamp {
            kind: Kind::Event,
            flags: self.flags,
            seq: self.first.plus(u64::from(place)),
            event_id: if record.event_id.is_nil() {
                self.ids.get(usize::from(place))
            } else {
                record.event_id
            },
            appended_at: self.appended_at,
            durable_upto: self.durable_upto,
            batch_place: place,
            batch_count: self.count,
        }
    }
}

impl Tail {
    /// Hands out Seqs to `count` events, which will take the room of `len` bytes in `segment`, the
    /// active one; `None` if it has not that room.
    pub(super) fn reserve<'s>(
        &mut self,
        segment: &'s Segment,
        (len, count): (usize, u16),
        now: Timestamp,
        durable_upto: Seq,
        is_sync: bool,
    ) -> Option<(Claim<'s>, Batch)> {
        let claim = segment.region.claim(len)?;
        self.last_appended_at = self.last_appended_at.max(now);
        let batch = Batch {
            first: self.last_seq.next(),
            ids: self.ids.take(self.last_appended_at, usize::from(count)),
            appended_at: self.last_appended_at,
            durable_upto,
            flags: if is_sync { FLAG_SYNC } else { 0 },
            count,
        };
        self.last_seq = self.last_seq.plus(u64::from(count));
        Some((claim, batch))
    }

    /// How many events the active segment has, those included that are being written.
    pub(super) fn count(&self) -> u64 {
        self.last_seq.next().since(self.active.base_seq())
    }

    /// Whether `count` more frames of `len` bytes in all fit into the active segment, with the offset
    /// table, the trailer and one last mark behind them.
    pub(super) fn fits(&self, len: usize, count: usize) -> bool {
        let region = &self.active.region;
        usize::try_from(self.count()).is_ok_and(|held| {
            let events = held.saturating_add(count);
            segment::fits(region.len(), region.reserved(), events, len)
        })
    }

    /// Writes a mark that witnesses `durable_upto`; `boot_id` goes into its id field. Returns whether
    /// there was room: a mark never uses the room of the one that closes the log.
    pub(super) fn write_mark(
        &mut self,
        durable_upto: Seq,
        boot_id: u128,
        clean: bool,
    ) -> Result<bool, Abandoned> {
        let marks = usize::from(!clean);
        if !self.fits(marks * frame::HEADER_LEN, 0) {
            return Ok(false);
        }
        let Some(mut claim) = self.active.region.claim(frame::HEADER_LEN) else {
            return Ok(false);
        };
        let stamp = Stamp {
            kind: Kind::Mark,
            flags: if clean { FLAG_CLEAN } else { 0 },
            seq: self.last_seq,
            event_id: EventId(boot_id),
            appended_at: self.last_appended_at,
            durable_upto,
            batch_place: 0,
            batch_count: 0,
        };
        let place = self.active.place(claim.offset());
        frame::encode(claim.bytes_mut(), &Record::MARK, stamp, place);
        claim.publish()?;
        self.marked = durable_upto;
        Ok(true)
    }

    /// Whether it is time to have the next segment prepared; says so once for each segment. A log
    /// that stays small never pays for a second file.
    pub(super) fn asks_for_next(&mut self) -> bool {
        let region = &self.active.region;
        let asks = !self.is_next_wanted && region.reserved() > region.len() / 4;
        self.is_next_wanted |= asks;
        asks
    }
}

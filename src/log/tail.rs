//! [`Tail`]: the end of the log that grows, behind one lock.

use std::sync::Arc;

use super::segment::{Seal, Segment};
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::format::footer::TimeRanges;
use crate::format::frame::{self, Chain, FLAG_CLEAN, Kind, Stamp, padded};
use crate::format::record::Record;
use crate::position::Seq;
use crate::storage::Region;

/// What the appender changes with each event.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) active: Arc<Segment>,
    pub(super) last_seq: Seq,
    pub(super) last_appended_at: Timestamp,
    /// Over all events of the log.
    pub(super) chain: Chain,
    /// Of the active segment's events.
    pub(super) times: TimeRanges,
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

/// What all records of one batch share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) flags: u16,
    pub(super) appended_at: Timestamp,
    pub(super) durable_upto: Seq,
}

impl Tail {
    /// Writes the records as consecutive frames and publishes them together; the segment must have
    /// the room of `len` bytes. Returns `false`, with nothing written, if it has not.
    pub(super) fn write(&mut self, records: &[Record<'_>], len: usize, batch: Batch) -> bool {
        let segment = self.active.clone();
        let Some(mut claim) = segment.region.claim(len) else {
            return false;
        };
        let base = claim.offset();
        let mut out = claim.bytes_mut();
        let mut offset = base;
        let mut seq = self.last_seq;
        let count = u16::try_from(records.len()).unwrap_or(u16::MAX);
        for (batch_place, record) in (0..).zip(records) {
            seq = seq.next();
            let stamp = Stamp {
                kind: Kind::Event,
                flags: batch.flags,
                seq,
                appended_at: batch.appended_at,
                durable_upto: batch.durable_upto,
                batch_place,
                batch_count: count,
            };
            let frame_len = record.frame_len();
            let (room, rest) = out.split_at_mut(padded(frame_len));
            let content_crc = frame::encode(room, record, stamp, segment.place(offset));
            let frame_len = u32::try_from(frame_len).unwrap_or(u32::MAX);
            self.chain = self.chain.extend(frame_len, content_crc);
            self.times.include(record.timestamp, batch.appended_at);
            offset += room.len();
            out = rest;
        }
        claim.publish();
        self.note(records, base);
        self.last_appended_at = batch.appended_at;
        true
    }

    /// Notes where the frames lie, once their bytes are published.
    fn note(&mut self, records: &[Record<'_>], base: usize) {
        let mut offset = base;
        for record in records {
            self.last_seq = self.last_seq.next();
            self.active.note(self.last_seq, offset);
            offset += padded(record.frame_len());
        }
    }

    /// Writes a mark that witnesses `durable_upto`; `boot_id` goes into its id field. Returns whether
    /// there was room: a mark never uses the room of the one that closes the log.
    pub(super) fn write_mark(&mut self, durable_upto: Seq, boot_id: u128, clean: bool) -> bool {
        let segment = self.active.clone();
        let marks = usize::from(!clean);
        if !segment.fits(marks * frame::HEADER_LEN, 0) {
            return false;
        }
        let Some(mut claim) = segment.region.claim(frame::HEADER_LEN) else {
            return false;
        };
        let stamp = Stamp {
            kind: Kind::Mark,
            flags: if clean { FLAG_CLEAN } else { 0 },
            seq: self.last_seq,
            appended_at: self.last_appended_at,
            durable_upto,
            batch_place: 0,
            batch_count: 0,
        };
        let place = segment.place(claim.offset());
        let record = Record::mark(EventId(boot_id));
        frame::encode(claim.bytes_mut(), &record, stamp, place);
        claim.publish();
        self.marked = durable_upto;
        true
    }

    /// Whether it is time to have the next segment prepared; says so once for each segment. A log
    /// that stays small never pays for a second file.
    pub(super) fn asks_for_next(&mut self) -> bool {
        let region = &self.active.region;
        let asks = !self.is_next_wanted && region.published() > region.len() / 4;
        self.is_next_wanted |= asks;
        asks
    }

    /// What sealing the active segment needs to know.
    pub(super) fn seal(&self, durable_upto: Seq) -> Seal {
        Seal {
            chain: self.chain,
            times: self.times,
            durable_upto,
        }
    }
}

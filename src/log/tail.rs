//! [`Tail`]: the end of the log that grows, behind one lock.

use std::collections::VecDeque;
use std::sync::Arc;

use super::prefault::{Pages, Use};
use super::room;
use super::segment::{Seal, Segment};
use super::stage::Stage;
use crate::clock::Timestamp;
use crate::event::{EventId, IdRange, IdSource};
use crate::format::frame::{self, FLAG_CLEAN, FLAG_SYNC, Kind, Place, Stamp};
use crate::format::record::Record;
use crate::position::{SegmentId, Seq};
use crate::storage::{Abandoned, Claim, Region, Writer};

/// After how many bytes of events that nobody waits to be synced pages are mapped ahead of them.
pub(super) const PAGES_AFTER: usize = 256 << 10;
/// How far ahead pages are mapped.
pub(super) const PAGES_AHEAD: usize = 4 << 20;

/// Up to which length a stream fills a segment in about the time that it takes to make the next one.
const SHORT: usize = 64 << 20;

/// What the appender changes with each event.
#[derive(Debug)]
pub(super) struct Tail {
    /// Of the active segment.
    pub(super) writer: Writer<Segment>,
    /// The last Seq that was handed out; it may not be published yet.
    pub(super) last_seq: Seq,
    /// The last of them whose event must be synced before it is delivered.
    pub(super) last_sync: Seq,
    pub(super) last_appended_at: Timestamp,
    pub(super) ids: IdSource,
    /// The full segments before the active one, until each is sealed and synced, oldest first.
    pub(super) forerunners: VecDeque<Unsettled>,
    /// The next segment's file, if it is there already.
    pub(super) prepared: Option<Region>,
    /// Whether the housekeeping was asked to prepare it.
    pub(super) is_next_wanted: bool,
    /// Whether the active segment's header is known to be durable. (It is as well once one of the
    /// segment's events is.)
    pub(super) is_begun: bool,
    /// The durable Seq that the last mark witnessed.
    pub(super) marked: Seq,
    pub(super) closed: bool,
    /// Frames behind all that is claimed.
    pub(super) stage: Stage,
    /// How many bytes were appended since an event that was to be synced.
    pub(super) buffered_len: usize,
    /// Up to where the active segment's pages were asked to be mapped.
    pub(super) mapped_upto: usize,
    /// Where the active segment's frames end the next time that something may have to be asked for.
    pub(super) asks_at: usize,
}

/// Frames that were staged, and the claim that they are to be written into.
pub(super) type Staged = (Claim<Segment>, Vec<u8>);

/// What a batch needs of the tail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reservation {
    pub(super) len: usize,
    pub(super) count: u16,
    /// The id that the first event has of its own, if it has one.
    pub(super) first_id: EventId,
    pub(super) is_sync: bool,
    /// The time by the clock.
    pub(super) now: Timestamp,
}

/// What other threads should do ahead of the tail.
#[derive(Debug)]
pub(super) struct Asks {
    /// Whether the next segment is to be prepared.
    pub(super) next_segment: bool,
    /// Pages of the active segment to be mapped.
    pub(super) pages: Option<Pages>,
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
    pub(super) last: Seq,
    /// The id of the first event, which is the only one as a rule.
    pub(super) first_id: EventId,
    pub(super) ids: IdRange,
    pub(super) appended_at: Timestamp,
    durable_upto: Seq,
    flags: u16,
    pub(super) count: u16,
}

impl Batch {
    /// The stamp of the record at this place.
    #[inline]
    pub(super) fn stamp(&self, record: &Record<'_>, place: u16) -> Stamp {
        Stamp {
            kind: Kind::Event,
            flags: self.flags,
            seq: self.first.plus(u64::from(place)),
            event_id: match place {
                0 => self.first_id,
                _ => self.ids.of(record.event_id, usize::from(place)),
            },
            appended_at: self.appended_at,
            durable_upto: self.durable_upto,
            batch_place: place,
            batch_count: self.count,
        }
    }
}

impl Tail {
    /// Hands out Seqs to the events of a batch.
    #[inline]
    pub(super) fn hand_out(&mut self, reservation: Reservation, durable_upto: Seq) -> Batch {
        let Reservation {
            count,
            is_sync,
            now,
            ..
        } = reservation;
        self.last_appended_at = self.last_appended_at.max(now);
        let ids = self.ids.take(self.last_appended_at, usize::from(count));
        let first = self.last_seq.next();
        self.last_seq = self.last_seq.plus(u64::from(count));
        if is_sync {
            self.last_sync = self.last_seq;
        }
        Batch {
            first,
            last: self.last_seq,
            first_id: ids.of(reservation.first_id, 0),
            ids,
            appended_at: self.last_appended_at,
            durable_upto,
            flags: if is_sync { FLAG_SYNC } else { 0 },
            count,
        }
    }

    /// Takes the room of a batch that goes into the map at once; `None` if there is none, or frames
    /// before it are staged.
    #[inline]
    pub(super) fn claim(&mut self, len: usize) -> Option<Claim<Segment>> {
        if self.stage.len() > 0 {
            return None;
        }
        self.writer.claim(len)
    }

    /// Room behind the staged frames, and in which segment and where it is going to be.
    pub(super) fn stage(&mut self, len: usize) -> (&Segment, &mut [u8], Place) {
        let segment = self.writer.owner();
        let place = segment.place(segment.region.reserved() + self.stage.len());
        (segment, self.stage.extend(len), place)
    }

    /// The staged frames, to be written into this claim; `None` if there are none.
    ///
    /// # Errors
    /// [`Abandoned`] if there are some, and no claim for them: the segment has room for them.
    pub(super) fn take_staged(&mut self) -> Result<Option<Staged>, Abandoned> {
        if self.stage.len() == 0 {
            return Ok(None);
        }
        let claim = self.writer.claim(self.stage.len()).ok_or(Abandoned)?;
        Ok(Some((claim, self.stage.take())))
    }

    /// Where the frames of the active segment end, the staged ones included.
    pub(super) fn reserved(&self) -> usize {
        self.active().region.reserved() + self.stage.len()
    }

    pub(super) fn active(&self) -> &Arc<Segment> {
        self.writer.owner()
    }

    /// How many events the active segment has, those included that are being written.
    pub(super) fn count(&self) -> u64 {
        self.last_seq.next().since(self.active().base_seq())
    }

    /// Whether `count` more frames of `len` bytes in all fit into the active segment, with the offset
    /// table, the trailer and one last mark behind them.
    pub(super) fn fits(&self, len: usize, count: usize) -> bool {
        let region = &self.active().region;
        usize::try_from(self.count())
            .is_ok_and(|held| room::fits(region.len(), self.reserved(), held + count, len))
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
        let Some(mut claim) = self.claim(frame::HEADER_LEN) else {
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
        let place = self.active().place(claim.offset());
        frame::encode(claim.bytes_mut(), &Record::MARK, stamp, place);
        // A mark is no event, and nobody can append behind it while the tail is held.
        claim.publish(|_, _| {})?;
        self.marked = durable_upto;
        Ok(true)
    }

    /// What is to be done ahead of the tail now; says each thing once.
    #[inline]
    pub(super) fn asks(&mut self, reservation: Reservation) -> Option<Asks> {
        self.buffered_len = if reservation.is_sync {
            0
        } else {
            self.buffered_len.saturating_add(reservation.len)
        };
        if self.reserved() < self.asks_at {
            return None;
        }
        self.asks_now()
    }

    #[cold]
    fn asks_now(&mut self) -> Option<Asks> {
        let asks = Asks {
            next_segment: self.asks_for_next(),
            pages: self.asks_for_pages(),
        };
        self.asks_at = self.next_to_ask();
        (asks.next_segment || asks.pages.is_some()).then_some(asks)
    }

    /// Up to where nothing is asked for, however many events come.
    fn next_to_ask(&self) -> usize {
        let (reserved, len) = (self.reserved(), self.active().region.len());
        let next_segment = if self.is_next_wanted {
            usize::MAX
        } else {
            self.next_wanted_at()
        };
        let pages = match PAGES_AFTER.checked_sub(self.buffered_len) {
            Some(left) if left > 0 => reserved + left,
            _ if self.mapped_upto >= len.saturating_sub(PAGES_AHEAD / 2) => usize::MAX,
            _ => self.mapped_upto.saturating_sub(PAGES_AHEAD / 2),
        };
        next_segment.min(pages)
    }

    /// Whether it is time to have the next segment prepared; says so once for each segment.
    fn asks_for_next(&mut self) -> bool {
        let asks = !self.is_next_wanted && self.reserved() > self.next_wanted_at();
        self.is_next_wanted |= asks;
        asks
    }

    /// From where on in the active segment the next one is wanted. A log that stays small never pays for a
    /// second file; a stream that has filled a segment fills a short one as soon as another can be prepared.
    fn next_wanted_at(&self) -> usize {
        let len = self.active().region.len();
        let is_long = self.active().id() > SegmentId::FIRST && self.is_stream();
        if is_long && len <= SHORT { 0 } else { len / 4 }
    }

    /// Whether many events were appended that nobody waits to be synced, and none else among them.
    pub(super) fn is_stream(&self) -> bool {
        self.buffered_len >= PAGES_AFTER
    }

    /// Whether many pages are mapped ahead and behind; they will not be any more.
    pub(super) fn forget_pages(&mut self) -> bool {
        let is_stream = self.is_stream();
        if is_stream {
            self.mapped_upto = 0;
            self.asks_at = 0;
        }
        is_stream
    }

    /// The pages to be mapped ahead of a stream of buffered events. Each page that is mapped counts
    /// as dirty, so a log whose events are synced one by one never asks for any.
    fn asks_for_pages(&mut self) -> Option<Pages> {
        let region = &self.active().region;
        let reserved = region.reserved();
        let wanted = (reserved + PAGES_AHEAD).min(region.len());
        if !self.is_stream() || self.mapped_upto >= wanted.saturating_sub(PAGES_AHEAD / 2) {
            return None;
        }
        let from = self.mapped_upto.max(reserved);
        let region = region.clone();
        self.mapped_upto = wanted;
        Some(Pages {
            region,
            range: from..wanted,
            use_as: Use::Write,
        })
    }

    /// Goes on in another segment; returns the one that was active.
    pub(super) fn move_to(&mut self, writer: Writer<Segment>) -> Arc<Segment> {
        let before = std::mem::replace(&mut self.writer, writer);
        self.is_next_wanted = false;
        self.mapped_upto = 0;
        self.asks_at = 0;
        before.owner().clone()
    }
}

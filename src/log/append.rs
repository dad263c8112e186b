//! Appending: a place is reserved under the tail's lock, the frames are written there, and published in
//! the order of the reservations.
//!
//! **Threads in parallel.** What has to happen in order (the reservation, and then the turn to
//! publish) takes some nanoseconds; copying and checksumming, most of the work, run beside each
//! other. A short frame is the exception: to write it takes less time than to move what an append
//! touches from one processor's cache to the other's, so it is written and published before the lock
//! goes to another thread. A receipt is only given once everything before the event is published too: otherwise a
//! process that is killed could leave a hole before an event that was acknowledged.
//!
//! **Two ways to write.** Events that nobody waits to be synced are stored through the map, at no
//! system call. Those to be synced are staged in private memory, and the leader of the next sync
//! writes them all at once. A claim is written in one way only, so no byte ever has two writers; an
//! event that comes behind staged ones joins them, and has them written, so order is never in doubt.
//!
//! **A thread that dies** between the two leaves a hole. Nothing behind it is published or
//! acknowledged, the log takes nothing more and says so, and readers and the close go on. Nothing
//! that runs in between is known to panic: no user code does.

use std::ops::Range;

use super::opened::write_sealed;
use super::segment::Segment;
use super::shared::Shared;
use super::stage::STAGE_MAX;
use super::tail::{Asks, Batch, Reservation, Tail};
use crate::clock::Timestamp;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventId, IdRange};
use crate::format::frame::{self, FLAG_SYNC, Gist, Place, padded};
use crate::format::record::Record;
use crate::mutant::{self, Mutant};
use crate::position::Seq;
use crate::storage::Claim;
use crate::sync::MutexGuard;

/// Up to how many bytes are written under the tail's lock: what takes less time than the lock takes from
/// one processor to the other.
const HELD_MAX: usize = 4096;

/// The Seqs of a batch that was appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) first: Seq,
    /// The one before `first` if the batch was empty.
    pub(crate) last: Seq,
    first_id: EventId,
    ids: IdRange,
}

impl Appended {
    #[inline]
    fn of(batch: &Batch) -> Self {
        Appended {
            first: batch.first,
            last: batch.last,
            first_id: batch.first_id,
            ids: batch.ids,
        }
    }

    /// The id under which the record at this place of the batch is in the log.
    #[inline]
    pub(crate) fn event_id(&self, record: &Record<'_>, place: usize) -> EventId {
        match place {
            0 => self.first_id,
            _ => self.ids.of(record.event_id, place),
        }
    }
}

/// Where what has to be reckoned of frames that were just written is at hand.
#[derive(Debug, Clone, Copy)]
enum AtHand<'a> {
    /// It was kept as the only one of them was encoded.
    Gist(Gist),
    /// In their bytes, here.
    Bytes(&'a [u8]),
    /// In their bytes, in the map.
    Map,
}

/// What one thread has published.
#[derive(Debug)]
struct News {
    last: Option<Seq>,
    /// Whether all of it waits for a sync before it may be delivered.
    awaits_sync: bool,
}

impl Default for News {
    fn default() -> Self {
        News {
            last: None,
            awaits_sync: true,
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
        let Some(first) = records.first() else {
            return self.appended_nothing();
        };
        let reservation = Reservation {
            len,
            first_id: first.event_id,
            count: u16::try_from(records.len()).unwrap_or(u16::MAX),
            is_sync: durability == Durability::Sync,
            now: self.clock.now(),
        };
        let tail = self.tail_with_room(len, records.len())?;
        if reservation.is_sync {
            self.append_staged(tail, reservation, records)
        } else {
            self.append_mapped(tail, reservation, records)
        }
    }

    /// Stores frames through the map, and publishes them.
    fn append_mapped(
        &self,
        mut tail: MutexGuard<'_, Tail>,
        reservation: Reservation,
        records: &[Record<'_>],
    ) -> Result<Appended> {
        let Some(mut claim) = tail.claim(reservation.len) else {
            // Frames before these are staged: they go the same way, at once.
            return self.append_staged(tail, reservation, records);
        };
        let batch = tail.hand_out(reservation, self.watermark.durable());
        let asks = tail.asks(reservation);
        // A short one that nobody is before is written while no other thread has the lock.
        let is_next = tail.active().region.published() == claim.offset();
        let held = (is_next && reservation.len <= HELD_MAX).then_some(tail);
        let place = place_of(&claim);
        let at_hand = if claim.owner().header.lies_open() {
            write(claim.bytes_mut(), place, records, &batch)
        } else {
            write_claim_sealed(&mut claim, records, &batch)?;
            AtHand::Map
        };
        if mutant::is(Mutant::PublishBeforeCopy)
            && records.len() == 1
            && batch.first.0.is_multiple_of(8)
        {
            let later = claim.bytes_mut().iter_mut().skip(reservation.len / 2);
            later.for_each(|byte| *byte = 0);
        }
        let news = self.publish(claim, at_hand)?;
        drop(held);
        self.tell(&news);
        self.pass_on(asks);
        Ok(Appended::of(&batch))
    }

    /// Stages frames: the next sync writes them, or whoever wants to see them published before.
    #[inline(never)]
    fn append_staged(
        &self,
        mut tail: MutexGuard<'_, Tail>,
        reservation: Reservation,
        records: &[Record<'_>],
    ) -> Result<Appended> {
        // Before anything is handed out, for that cannot be undone.
        tail.active().sealer()?;
        let batch = tail.hand_out(reservation, self.watermark.durable());
        let (segment, room, place) = tail.stage(reservation.len);
        match segment.sealer()? {
            None => drop(write(room, place, records, &batch)),
            Some(sealer) => write_sealed(room, place, records, &batch, sealer),
        }
        let asks = tail.asks(reservation);
        // Under the same lock: a leader that took these frames would still be writing them when an
        // append that is not synced returns, and its event has to be published by then.
        if !reservation.is_sync || tail.stage.len() > STAGE_MAX {
            self.write_staged(tail)?;
        } else {
            drop(tail);
        }
        self.pass_on(asks);
        Ok(Appended::of(&batch))
    }

    /// Writes and publishes what is staged.
    fn write_staged(&self, mut tail: MutexGuard<'_, Tail>) -> Result<()> {
        let staged = tail.take_staged().map_err(|_| self.abandoned())?;
        let Some((claim, bytes)) = staged else {
            return Ok(());
        };
        drop(tail);
        self.write_out(claim, &bytes)?;
        self.tail().stage.give_back(bytes);
        Ok(())
    }

    /// Writes frames that were staged into their claim, and publishes them. Not once the log's life
    /// has ended: nobody is told any more that they are there, and a thread may have died over them.
    pub(super) fn write_out(&self, mut claim: Claim<Segment>, bytes: &[u8]) -> Result<()> {
        self.check_alive()?;
        claim.write(bytes).map_err(|cause| self.fail(cause))?;
        let news = self.publish(claim, AtHand::Bytes(bytes))?;
        self.tell(&news);
        Ok(())
    }

    #[inline]
    fn pass_on(&self, asks: Option<Asks>) {
        if let Some(asks) = asks {
            self.have_done(asks);
        }
    }

    /// Has the other threads do what the tail asks for.
    #[cold]
    fn have_done(&self, asks: Asks) {
        if asks.next_segment {
            self.signal.wake();
        }
        if let Some(pages) = asks.pages {
            self.prefault.ask(pages);
        }
    }

    fn appended_nothing(&self) -> Result<Appended> {
        let mut tail = self.tail();
        self.check_open(&tail)?;
        let last = self.watermark.appended();
        Ok(Appended {
            first: last.next(),
            last,
            first_id: EventId::NIL,
            ids: tail.ids.take(Timestamp(0), 0),
        })
    }

    /// The tail's lock, with an active segment that has this room.
    fn tail_with_room(&self, len: usize, count: usize) -> Result<MutexGuard<'_, Tail>> {
        let mut tail = self.tail();
        self.check_open(&tail)?;
        while !self.has_room(&tail, len, count) {
            self.check_kept()?;
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

    /// Lets readers see the frames of a claim, once all before them are seen.
    #[inline]
    fn publish(&self, claim: Claim<Segment>, at_hand: AtHand<'_>) -> Result<News> {
        let own = claim.offset();
        let mut news = News::default();
        let published = claim.publish(|segment, range| {
            let is_own = range.start == own;
            self.note(
                segment,
                range,
                if is_own { at_hand } else { AtHand::Map },
                &mut news,
            );
        });
        published.map_err(|_| self.abandoned())?;
        Ok(news)
    }

    /// Wakes who waits for what was published. Not before the turn has passed on, nor under the lock: a
    /// wake-up takes longer than many appends.
    #[inline]
    fn tell(&self, news: &News) {
        if let Some(last) = news.last {
            self.watermark.wake_followers(last, news.awaits_sync);
        }
    }

    /// Reckons with frames that are visible now; for the thread that publishes them.
    #[inline]
    fn note(&self, segment: &Segment, range: Range<usize>, at_hand: AtHand<'_>, news: &mut News) {
        match at_hand {
            AtHand::Gist(gist) => self.note_one(segment, range.start, &gist, news),
            AtHand::Bytes(bytes) => self.note_each(segment, range.start, bytes, news),
            AtHand::Map => {
                let mapped = segment.region.bytes().get(range.clone());
                self.note_each(segment, range.start, mapped.unwrap_or_default(), news);
            }
        }
        if let Some(last) = news.last {
            self.watermark.set_appended(last);
        }
    }

    fn note_each(&self, segment: &Segment, offset: usize, mut rest: &[u8], news: &mut News) {
        let mut place = segment.place(offset);
        while let Some(gist) = frame::gist(rest, place) {
            if gist.is_event {
                self.note_one(segment, place.offset, &gist, news);
            }
            let padded = gist.padded_len();
            place.offset += padded;
            rest = rest.get(padded..).unwrap_or_default();
        }
    }

    #[inline]
    fn note_one(&self, segment: &Segment, offset: usize, gist: &Gist, news: &mut News) {
        self.sums.extend(gist.len, gist.content_crc);
        self.sums.include(gist.timestamp, gist.appended_at);
        segment.note(gist.seq, offset);
        news.last = Some(gist.seq);
        news.awaits_sync &= gist.flags & FLAG_SYNC != 0;
    }

    /// Ends the log's life because a thread died while it held a place in it.
    pub(super) fn abandoned(&self) -> Error {
        let message = "a thread ended while it was appending, so what came behind it may or may not \
                       be in the log; reopen the system and emit again with the same event id";
        self.end(Error::new(ErrorKind::SyncFailed, message))
    }
}

/// Lays out the frames of a batch, which go to `place`; says where they are at hand afterwards, once they lie in
/// the map.
#[inline]
fn write(
    mut out: &mut [u8],
    mut place: Place,
    records: &[Record<'_>],
    batch: &Batch,
) -> AtHand<'static> {
    if let [record] = records {
        let stamp = batch.stamp(record, 0);
        let content_crc = frame::encode(out, record, stamp, place);
        return AtHand::Gist(Gist::of(record, &stamp, content_crc));
    }
    for (place_in_batch, record) in records.iter().enumerate() {
        // More than 65,535 are refused.
        let batch_place = u16::try_from(place_in_batch).unwrap_or(u16::MAX);
        let (room, rest) = out.split_at_mut(padded(record.frame_len()).min(out.len()));
        frame::encode(room, record, batch.stamp(record, batch_place), place);
        place.offset += room.len();
        out = rest;
    }
    AtHand::Map
}

/// As [`write`], into the claim of a segment with sealed frames.
#[cold]
fn write_claim_sealed(
    claim: &mut Claim<Segment>,
    records: &[Record<'_>],
    batch: &Batch,
) -> Result<()> {
    let place = place_of(claim);
    if let Some(sealer) = claim.owner().sealer()?.cloned() {
        write_sealed(claim.bytes_mut(), place, records, batch, &sealer);
    }
    Ok(())
}

fn place_of(claim: &Claim<Segment>) -> Place {
    claim.owner().place(claim.offset())
}

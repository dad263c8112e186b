//! Rotation: from the active segment to the next, and what stands before and behind it.
//!
//! A segment is prepared ahead of need and settled (sealed, synced) after it is full, in order. At most
//! [`FORERUNNERS_MAX`] full ones wait to be settled, so recovery never reads more than one more than that.

use std::sync::{Arc, PoisonError};

use super::opening::{begin_segment, ceiling_from, random};
use super::segment::{Seal, Segment};
use super::shared::Shared;
use super::tail::{Tail, Unsettled};
use crate::error::Result;
use crate::format::names;
use crate::format::segment::{OPEN_MAX, SEALED, SegmentHeader, frames_max};
use crate::position::SegmentId;
use crate::storage::Region;
use crate::sync::MutexGuard;

/// How the file of a segment to come is prepared; its blocks are allocated in any case. A file that is used
/// again, see [`recycle`](super::recycle), is filled with zeros in any case, which are synced to `Write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prepare {
    /// That is all: quick, for whoever waits for it.
    Allocate,
    /// Its blocks are written and synced, so that syncs of events need not convert them.
    Write,
    /// Zeros lie in the page cache, unsynced: for events that nobody waits to be synced. The first
    /// write-back has their bytes in place of the zeros, so the disk has half of the work.
    Fill,
}

/// How many full segments may wait to be settled: while the disk has one of them, a stream of events that
/// nobody waits to be synced goes on into the next.
const FORERUNNERS_MAX: usize = OPEN_MAX - 1;

/// How much is filled at a time.
const FILL: usize = 256 << 10;

impl Shared {
    /// Has everything synced, if that is due by an interval.
    pub(super) fn sync_if_due(&self) -> Result<()> {
        if self.signal.take_due_sync() {
            self.wait_durable(self.watermark.appended())?;
        }
        Ok(())
    }

    /// Begins the next segment. The active one becomes a forerunner; there must be room for one more. On an
    /// error nothing has changed.
    pub(super) fn rotate<'a>(
        &'a self,
        mut tail: MutexGuard<'a, Tail>,
    ) -> Result<MutexGuard<'a, Tail>> {
        let full = tail.active().id();
        while tail.forerunners.len() >= FORERUNNERS_MAX || tail.prepared.is_none() {
            drop(tail);
            self.settle(FORERUNNERS_MAX - 1)?;
            self.retain_if_behind();
            self.prepare_next(Prepare::Allocate)?;
            tail = self.tail();
            if tail.active().id() != full || tail.closed {
                return Ok(tail);
            }
        }
        // The ceiling in the active segment's header covers the Seqs of the next segment as well,
        // so that header must be durable before one of them is handed out. The keeper has seen to it.
        if !self.is_begun(&tail) {
            self.sync_header(&tail.active().region)?;
        }
        let Some(region) = tail.prepared.take() else {
            return Ok(tail);
        };
        // What was reserved in the full segment is part of it before its end is pinned.
        let staged = tail.take_staged().map_err(|_| self.abandoned())?;
        if let Some((claim, bytes)) = staged {
            self.write_out(claim, &bytes)?;
        }
        let published = tail.active().region.await_published();
        published.map_err(|_| self.abandoned())?;
        let active = Arc::new(self.begin(&tail, region));
        active.seal_with(self.view.key().map(Arc::as_ref))?;
        // The ceiling was reckoned with the segment size of its day; with a larger one now, the new
        // header has to be durable as well.
        let highest = active.base_seq().plus(frames_max(active.region.len()));
        let is_begun = highest > tail.active().header.seq_ceiling;
        if is_begun {
            self.sync_header(&active.region)?;
        }
        let durable = self.watermark.durable();
        let seal = Seal {
            chain: self.sums.chain(),
            times: self.sums.times(),
            durable_upto: durable,
        };
        let segment = tail.move_to(active.writer()?);
        tail.is_begun = is_begun;
        tail.forerunners.push_back(Unsettled { segment, seal });
        self.sums.forget_times();
        self.segments.push(active);
        if self.config.background {
            self.signal.wake();
        } else {
            drop(tail);
            self.settle_all()?;
            self.retain()?;
            tail = self.tail();
        }
        Ok(tail)
    }

    /// Whether the active segment's header is durable.
    fn is_begun(&self, tail: &Tail) -> bool {
        tail.is_begun || self.watermark.durable() >= tail.active().base_seq()
    }

    /// Makes the active segment's header durable, ahead of the next rotation, and before all that is
    /// durable of the log is removed.
    pub(super) fn begin_durably(&self) -> Result<()> {
        let tail = self.tail();
        if self.is_begun(&tail) {
            return Ok(());
        }
        let active = tail.active().clone();
        drop(tail);
        self.sync_header(&active.region)?;
        let mut tail = self.tail();
        tail.is_begun |= tail.active().id() == active.id();
        Ok(())
    }

    /// Writes the header of the segment that follows the active one.
    fn begin(&self, tail: &Tail, mut region: Region) -> Segment {
        let before = tail.active();
        let base_seq = tail.last_seq.next();
        let header = SegmentHeader {
            log_id: self.log_id,
            segment_id: before.id().next(),
            generation: 0,
            incompatible: before.header.incompatible & SEALED,
            epoch: before.header.epoch,
            segment_len: region.len() as u64,
            base_seq,
            prev_last_seq: tail.last_seq,
            prev_end: before.region.published() as u64,
            prev_chain: self.sums.chain(),
            durable_upto: self.watermark.durable(),
            seq_ceiling: ceiling_from(base_seq, region.len()),
            salt: random(),
            boot_id: self.boot_id,
            created_at: self.clock.now(),
            keys: before.header.keys,
        };
        begin_segment(&mut region, &header);
        Segment::live(header, names::segment(header.segment_id, 0), region)
    }

    /// Makes the file of a segment to come; its name and its room are durable on return.
    ///
    /// A failed sync is final here too: what a second try reported of this folder, which has the
    /// names of all segments, could not be trusted.
    fn prepare(&self, id: SegmentId, how: Prepare) -> Result<Region> {
        let name = names::segment(id, 0);
        if let Some(region) = self.prepare_again(&name, how)? {
            return Ok(region);
        }
        let mut region = self.storage.create(&name, self.config.segment_len)?;
        region.sync().map_err(|cause| self.fail(cause))?;
        self.sync_names()?;
        match how {
            Prepare::Allocate => {}
            Prepare::Fill => self.write_ahead(&mut region, |_, _| Ok(()))?,
            Prepare::Write => {
                let mut prewriting = self.prewriting();
                self.write_ahead(&mut region, |region, end| prewriting.wrote(region, end))?;
            }
        }
        Ok(region)
    }

    /// Writes all blocks of a new file, piece by piece; `wrote` is told up to where. Where somebody waits for
    /// it, what is left stays allocated: whoever syncs events there writes those blocks ahead.
    fn write_ahead(
        &self,
        region: &mut Region,
        mut wrote: impl FnMut(&Region, usize) -> Result<()>,
    ) -> Result<()> {
        for start in (0..region.len()).step_by(FILL) {
            if self.is_hurried() {
                return Ok(());
            }
            let end = start.saturating_add(FILL);
            if !region.fill(start..end)? {
                return Ok(());
            }
            wrote(region, end)?;
        }
        Ok(())
    }

    /// Makes the next segment's file ahead of need.
    pub(super) fn prepare_next(&self, how: Prepare) -> Result<()> {
        // Under this lock nobody else makes the file, and no rotation can begin without it.
        let _one_at_a_time = self.preparing.try_lock().unwrap_or_else(|_| {
            let _whoever_does = self.hurry();
            let preparing = self.preparing.lock();
            preparing.unwrap_or_else(PoisonError::into_inner)
        });
        let id = {
            let tail = self.tail();
            if tail.prepared.is_some() || tail.closed {
                return Ok(());
            }
            tail.active().id().next()
        };
        let region = self.prepare(id, how)?;
        self.tail().prepared = Some(region);
        Ok(())
    }

    /// Whether a full segment waits to be settled.
    pub(super) fn has_forerunners(&self) -> bool {
        !self.tail().forerunners.is_empty()
    }

    /// Settles all forerunners that wait for it now.
    pub(super) fn settle_all(&self) -> Result<()> {
        for _ in 0..FORERUNNERS_MAX {
            self.settle(0)?;
        }
        Ok(())
    }

    /// Where more than so many forerunners wait, seals the oldest one, syncs it, and gives back the room that
    /// it did not use.
    pub(super) fn settle(&self, left: usize) -> Result<()> {
        let _one_at_a_time = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = {
            let tail = self.tail();
            let waiting = (tail.forerunners.len() > left).then(|| tail.forerunners.front());
            waiting.flatten().cloned()
        };
        let Some(Unsettled { segment, seal }) = oldest else {
            return Ok(());
        };
        // First: it takes a fraction of a millisecond, and the next rotation waits for it.
        self.begin_durably()?;
        let last = segment.last_seq();
        let sealed = Arc::new(segment.seal(seal)?);
        sealed.region.unmap_pages();
        self.sync_region(&sealed.region)?;
        self.segments.replace(sealed.clone());
        self.tail().forerunners.pop_front();
        // Segments are settled in order, so all before this one is durable as well.
        self.watermark.set_durable(last);
        tracing::debug!(
            target: "forelog::log", segment = %sealed.id(), seq = %last, "a segment is sealed and synced"
        );
        sealed.release_room();
        Ok(())
    }
}

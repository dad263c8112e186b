//! [`View`]: what reading a log needs: its segments, and how far they are to be read.
//!
//! A [`Log`](super::Log) writes to what its view shows; a [`Mirror`](super::mirror::Mirror) brings a view
//! up to what another process has written. Whoever reads need not know which of them it is.

use std::sync::{Arc, OnceLock};

use super::packs::PackCache;
use super::prefault::Prefault;
use super::segment::Segment;
use super::segments::Segments;
use super::time_blocks::TimeBlocks;
use super::watermark::Watermark;
use super::{Lying, StoredEvent};
use crate::clock::Clock;
use crate::error::Result;
use crate::event::Expiry;
use crate::keys::data::DataKey;
use crate::position::Seq;

/// A log as its readers see it.
#[derive(Debug)]
pub(crate) struct View {
    pub(super) watermark: Watermark,
    pub(super) segments: Segments,
    pub(super) log_id: u128,
    pub(super) time_blocks: TimeBlocks,
    pub(super) packs: PackCache,
    pub(super) prefault: Prefault,
    /// For how long events of some types are worth anything.
    pub(super) expiry: Arc<Expiry>,
    pub(super) clock: Arc<dyn Clock>,
    /// What opens sealed frames. A log may become encrypted while it is followed.
    pub(super) key: OnceLock<Arc<DataKey>>,
}

impl View {
    /// How far the log is.
    #[inline]
    pub(crate) fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// The event of this Seq; `None` if the log does not hold it.
    #[inline]
    pub(crate) fn get(&self, seq: Seq) -> Result<Option<StoredEvent>> {
        let Some(segment) = self.segments.at_or_after(seq) else {
            return Ok(None);
        };
        self.get_in(segment, seq)
    }

    /// The event of this Seq, in the segment that holds it or the first one behind.
    #[inline]
    pub(super) fn get_in(&self, segment: Arc<Segment>, seq: Seq) -> Result<Option<StoredEvent>> {
        if seq > self.watermark.appended() {
            return Ok(None);
        }
        match segment.find(seq) {
            Some((offset, len)) => Ok(Some(StoredEvent(Lying::InSegment {
                segment,
                offset,
                len,
            }))),
            None if segment.header.is_sealed() => self.get_sealed(&segment, seq),
            None if segment.header.is_packed() => self.get_unpacked(&segment, seq),
            None => View::why_not_found(segment, seq),
        }
    }

    /// What a look-up that found nothing comes to.
    #[cold]
    fn why_not_found(segment: Arc<Segment>, seq: Seq) -> Result<Option<StoredEvent>> {
        let Some((offset, event)) = segment.locate(seq)? else {
            return Ok(None);
        };
        let len = event.frame().len();
        Ok(Some(StoredEvent(Lying::InSegment {
            segment,
            offset,
            len,
        })))
    }

    /// The event of this Seq in a compressed segment.
    #[cold]
    fn get_unpacked(&self, segment: &Segment, seq: Seq) -> Result<Option<StoredEvent>> {
        let Some(offset) = segment.offset_of(seq)? else {
            return Ok(None);
        };
        let unpacked = self.packs.unpacked(segment, seq, offset)?;
        let len = segment
            .checked(unpacked.frames(), seq, offset)?
            .frame()
            .len();
        Ok(Some(StoredEvent(Lying::Unpacked {
            unpacked,
            offset,
            len,
        })))
    }

    /// The first Seq held; that of the next event if none is.
    pub(crate) fn first_seq(&self) -> Seq {
        let next = self.watermark.appended().next();
        self.segments.first_seq().unwrap_or(next)
    }

    /// How many events are held.
    pub(crate) fn count(&self) -> u64 {
        self.segments.count()
    }

    /// All segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.all()
    }

    /// The identity of the log.
    pub(crate) fn log_id(&self) -> u128 {
        self.log_id
    }
}

//! [`Piece`]: a segment that is read, how far, and what its neighbours and its end say of it.

use super::damage::Damage;
use crate::error::Result;
use crate::format::footer::{Footer, TRAILER_LEN};
pub(super) use crate::format::segment::OPEN_MAX;
use crate::format::segment::SegmentHeader;
use crate::log::survey::Surveyed;
use crate::position::Seq;
use crate::storage::Storage;

/// Why a log is damaged that is in order as far as it goes.
pub(super) const CUT_SHORT: &str = "the log ends before events that were known to be durable";

/// A segment to read.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) at: Surveyed,
    /// Its frames lie before this offset.
    pub(super) limit: usize,
    /// The header that follows and says where this segment ends.
    pub(super) pin: Option<SegmentHeader>,
    /// Whether it is one of the last, which a crash may have cut off.
    pub(super) unsettled: bool,
}

/// What a place that is no frame amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Something that was once durable is not there.
    Damage,
    /// The log ends here; what follows is a torn tail.
    LogEnds,
    /// The segment ends here, as far as can be told.
    SegmentEnds,
}

impl Piece {
    /// Judges a place where the event `seq` should stand. Recovery's rule: what a witness contradicts
    /// is damage.
    pub(super) fn judge(&self, seq: Seq, blank: bool, witness: Seq) -> Judgement {
        let bounded = self.pin.is_some() || self.at.footer.is_some();
        if self.unsettled && seq > witness {
            Judgement::LogEnds
        } else if blank && !bounded && !self.unsettled {
            Judgement::SegmentEnds
        } else {
            Judgement::Damage
        }
    }

    pub(super) fn damage(&self, offset: usize, seq: Seq, reason: &str) -> Damage {
        Damage {
            file: self.at.name.clone(),
            segment: self.at.header.segment_id,
            offset: offset as u64,
            seq,
            reason: reason.to_owned(),
        }
    }

    /// What is lost if the log ends here, behind the Seq `last`, although more was durable.
    pub(super) fn cut_short(&self, offset: usize, last: Seq, witness: Seq) -> Option<Damage> {
        let is_cut = self.unsettled && self.pin.is_none() && last.next() <= witness;
        is_cut.then(|| self.damage(offset, last.next(), CUT_SHORT))
    }

    /// The footer, if it speaks of the frames that are read.
    pub(super) fn footer_in_force(&self) -> Option<Footer> {
        let ends_here = |footer: &Footer| footer.frames_end == self.limit as u64;
        self.at.footer.filter(ends_here)
    }

    /// What is wrong with the footer, in a segment that must have one.
    pub(super) fn footer_damage(&self, storage: &dyn Storage) -> Result<Option<Damage>> {
        let pinned = self
            .pin
            .as_ref()
            .is_none_or(|next| self.at.is_pinned_by(next));
        let reason = match self.at.footer {
            Some(_) if pinned => return Ok(None),
            Some(_) => "the segment's footer does not fit what the next segment says of it",
            None if self.trailer_is_blank(storage)? => "the segment's footer is missing",
            None => "the segment's footer is damaged",
        };
        let offset = usize::try_from(self.at.trailer_at()).unwrap_or(usize::MAX);
        Ok(Some(self.damage(offset, self.at.header.base_seq, reason)))
    }

    /// Whether the room of the footer was never written.
    pub(super) fn trailer_is_blank(&self, storage: &dyn Storage) -> Result<bool> {
        let region = storage.open_read_only(&self.at.name)?;
        let mut trailer = vec![0; TRAILER_LEN];
        let len = self.at.header.len_in(region.len());
        region.read_at(len.saturating_sub(TRAILER_LEN), &mut trailer)?;
        Ok(trailer.iter().all(|&byte| byte == 0))
    }
}

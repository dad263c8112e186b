//! [`End`]: where a log ends, and what is known of it.

use super::damage::Damage;
use super::piece::{OPEN_MAX, Piece};
use crate::error::Result;
use crate::format::names;
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;

/// What the last segments say of the log's end.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Everything up to here was certainly on the disk.
    pub(super) witness: Seq,
    pub(super) clean: bool,
    /// What the next opening sets aside; 0 where it refuses.
    pub(super) torn_bytes: u64,
    /// How many segments are sealed as a whole, whatever a crash may have done to those behind them.
    pub(super) settled: usize,
}

impl End {
    /// The end of a log whose last segment was rewritten: it was sealed and synced before it had its name, so that
    /// no crash has cut it off, and its frames need not stand as they were written.
    pub(super) fn of_rewritten(last: &mut Piece, witness: Seq) -> End {
        let held = last.at.footer.map_or(Seq::ZERO, |footer| footer.last_seq);
        last.unsettled = held < witness;
        End {
            witness: witness.max(last.at.header.durable_upto).max(held),
            ..End::default()
        }
    }

    /// The end of a log that has no segment.
    pub(super) fn without_segments(witness: Seq) -> Self {
        End {
            witness,
            ..End::default()
        }
    }

    /// What is wrong with the footers of the last segments. Nothing but a clean end proves that all of them were
    /// written; those of segments that are settled were in any case.
    pub(super) fn footer_damage(
        &self,
        storage: &dyn Storage,
        pieces: &[Piece],
        alone: bool,
    ) -> Result<Vec<Damage>> {
        let first = pieces.len().saturating_sub(OPEN_MAX);
        let last = match alone {
            true => pieces.len(),
            false if self.clean => pieces.len().saturating_sub(1),
            false => self.settled,
        };
        let mut found = Vec::new();
        for piece in pieces.get(first..last).unwrap_or_default() {
            // One file alone may be the segment that still grows.
            if !alone || !piece.trailer_is_blank(storage)? {
                found.extend(piece.footer_damage(storage)?);
            }
        }
        Ok(found)
    }

    /// What is lost where no segment is there.
    pub(super) fn all_missing(&self) -> Option<Damage> {
        let witness = self.witness;
        (witness > Seq::ZERO).then(|| Damage {
            file: names::segment(SegmentId::FIRST, 0),
            segment: SegmentId::FIRST,
            offset: 0,
            seq: Seq::FIRST,
            reason: format!(
                "no segment is there, but events up to {witness} are known to have been durable"
            ),
        })
    }
}

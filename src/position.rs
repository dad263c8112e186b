//! Places in the log: [`Seq`], the place in the total order, and the ids of segments.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place of an event in the one total order of a log.
///
/// Seqs start at 1, strictly increase, and are never handed out twice. [`Seq::ZERO`] means "before
/// the first event".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first event of any log.
    pub const ZERO: Seq = Seq(0);
    /// The first Seq that a new log hands out.
    pub const FIRST: Seq = Seq(1);
    /// Beyond the last event of any log.
    pub const MAX: Seq = Seq(u64::MAX);

    /// The Seq after this one (saturating).
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }

    /// The Seq before this one (saturating at [`Seq::ZERO`]).
    #[must_use]
    pub const fn prev(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }

    /// The Seq `count` places after this one (saturating).
    #[must_use]
    pub const fn plus(self, count: u64) -> Seq {
        Seq(self.0.saturating_add(count))
    }

    /// How many Seqs lie after `earlier` up to and including this one; 0 if there are none.
    pub const fn since(self, earlier: Seq) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a segment file; ids are contiguous within a log and start at 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The first segment of a new log.
    pub const FIRST: SegmentId = SegmentId(1);

    /// The id of the segment that follows (saturating).
    #[must_use]
    pub const fn next(self) -> SegmentId {
        SegmentId(self.0.saturating_add(1))
    }

    /// The id of the segment before (saturating at 0, which no segment has).
    #[must_use]
    pub const fn prev(self) -> SegmentId {
        SegmentId(self.0.saturating_sub(1))
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seqs that were skipped on purpose and hold no event: `from..=to`.
///
/// After a system crash a log goes on above every Seq that it may have handed out, so that none is
/// ever used twice; what lies between is declared as a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first skipped Seq.
    pub from: Seq,
    /// The last skipped Seq.
    pub to: Seq,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.from, self.to)
    }
}

//! [`Ledger`]: where removals are noted before they begin, so that *removed* can be told from *lost*.
//!
//! The log only asks for it; the control log keeps it, merged into one record.
//!
//! **A removal** has these steps: (1) the header of the active segment is made durable, (2) the removal is
//! noted, durably, (3) for each segment, the oldest first, its name is removed and (4) the folder synced,
//! (5) the segment leaves the list. A crash
//! - before 2, or inside it: nothing was unlinked. The ledger has the record or not; if it has, the
//!   opening does what it says.
//! - between 2 and 4: none, some or all of the names are gone, in the order of the segments where the
//!   process was killed. After a power cut the one name whose sync had not returned may be back. What the
//!   ledger covers and is still there is removed again, in the same order, before the log is opened.
//! - after 4: that segment cannot come back.
//!
//! So the log that is opened begins behind what the ledger covers, whatever the crash, and a named
//! subscription that had not seen all of it (by policy) passes it as a gap once, not twice. Where the log
//! begins *further on* than the ledger says, segments were lost, and opening refuses as with every other
//! segment that is missing. Where it ends before, its newest segments were.
//!
//! **Older directories** have no ledger: then whatever is missing before the first segment counts as
//! removed, as it always did, and the ledger begins there. The same holds after the control log was
//! damaged: a ledger whose last records may be lost proves nothing.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::limits::Limit;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::{SegmentId, Seq};

/// One removal of segments that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Removal {
    /// The oldest segment.
    pub first_segment: SegmentId,
    /// The newest segment.
    pub last_segment: SegmentId,
    /// The first Seq of the oldest segment.
    pub from: Seq,
    /// The last Seq of the newest segment.
    pub to: Seq,
    /// How many events they held.
    pub events: u64,
    /// What they took on the disk.
    pub bytes: u64,
    /// When it began, by the system's clock.
    pub at: Timestamp,
    /// What asked for it.
    pub limit: Limit,
}

/// All that retention has removed since the ledger began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Removed {
    /// All segments up to this one are removed.
    pub upto_segment: SegmentId,
    /// All Seqs up to this one.
    pub upto_seq: Seq,
    /// How many segments were removed.
    pub segments: u64,
    /// How many events they held.
    pub events: u64,
    /// What they took on the disk.
    pub bytes: u64,
    /// The last removal.
    pub last: Option<Removal>,
}

impl Removed {
    /// Of a ledger that begins where all up to this segment and this Seq is gone.
    pub(crate) fn begun(upto_segment: SegmentId, upto_seq: Seq) -> Self {
        Removed {
            upto_segment,
            upto_seq,
            ..Removed::default()
        }
    }

    /// Adds a removal to what was removed before.
    pub(crate) fn add(&mut self, removal: &Removal) {
        self.upto_segment = self.upto_segment.max(removal.last_segment);
        self.upto_seq = self.upto_seq.max(removal.to);
        let count = removal
            .last_segment
            .0
            .saturating_sub(removal.first_segment.0);
        self.segments = self.segments.saturating_add(count.saturating_add(1));
        self.events = self.events.saturating_add(removal.events);
        self.bytes = self.bytes.saturating_add(removal.bytes);
        self.last = Some(removal.clone());
    }
}

/// Notes what is going to be removed.
pub(crate) trait Ledger: Debug + Send + Sync {
    /// Notes a removal; durable on return.
    ///
    /// # Errors
    /// If it cannot be noted: then nothing may be removed.
    fn note(&self, removal: &Removal) -> Result<()>;

    /// What was noted so far.
    fn removed(&self) -> Option<Removed>;
}

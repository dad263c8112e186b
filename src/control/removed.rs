//! [`RemovedEntry`]: what is noted in the retention ledger, of what of the main log was removed.
//!
//! It is one record in the state, however much is removed. It begins with a directory; an older one gets
//! it with what is missing by then, and so does one whose control log was damaged.

use serde::{Deserialize, Serialize};

use crate::log::{Removal, Removed};
use crate::position::{SegmentId, Seq};

/// What is noted in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RemovedEntry {
    /// It begins: what lies before the first segment that is there counts as removed.
    Begun {
        upto_segment: SegmentId,
        upto_seq: Seq,
    },
    /// Segments are going to be removed.
    Going(Removal),
}

impl RemovedEntry {
    /// Takes this into what was removed before.
    pub(super) fn apply(&self, removed: &mut Option<Removed>) {
        match self {
            RemovedEntry::Begun {
                upto_segment,
                upto_seq,
            } => *removed = Some(Removed::begun(*upto_segment, *upto_seq)),
            RemovedEntry::Going(removal) => removed.get_or_insert_default().add(removal),
        }
    }
}

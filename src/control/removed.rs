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
        /// The identity of the main log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_id: Option<u128>,
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
                ..
            } => {
                // One that a removal has begun meanwhile knows better.
                removed.get_or_insert_with(|| Removed::begun(*upto_segment, *upto_seq));
            }
            RemovedEntry::Going(removal) => removed.get_or_insert_default().add(removal),
        }
    }

    /// The identity of the main log, where this tells it.
    pub(super) fn log_id(&self) -> Option<u128> {
        match self {
            RemovedEntry::Begun { log_id, .. } => *log_id,
            RemovedEntry::Going(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_begins_late_forgets_no_removal() {
        let mut removed = None;
        let begun = RemovedEntry::Begun {
            upto_segment: SegmentId(4),
            upto_seq: Seq(40),
            log_id: None,
        };
        let mut known = Some(Removed::begun(SegmentId(9), Seq(90)));
        begun.apply(&mut known);
        assert_eq!(known, Some(Removed::begun(SegmentId(9), Seq(90))));
        begun.apply(&mut removed);
        assert_eq!(removed, Some(Removed::begun(SegmentId(4), Seq(40))));
    }
}

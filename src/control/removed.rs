//! The retention ledger: what of the main log was removed, so that it is not taken for lost.
//!
//! It is one record in the state, however much is removed. It begins with a directory; an older one gets
//! it with what is missing by then, and so does one whose control log was damaged.

use serde::{Deserialize, Serialize};

use super::Control;
use super::state::Entry;
use crate::error::Result;
use crate::log::ledger::Ledger;
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

impl Control {
    /// What was removed of the main log; `None` without a ledger.
    pub(crate) fn removed(&self) -> Option<Removed> {
        self.books().state.removed.clone()
    }

    /// Begins the ledger, unless there is one: all before this segment and Seq counts as removed.
    pub(crate) fn begin_ledger(&self, first_segment: SegmentId, before_seq: Seq) -> Result<()> {
        if self.books().state.removed.is_some() {
            return Ok(());
        }
        // It need not be durable: without it, what is missing counts as removed.
        let begun = RemovedEntry::Begun {
            upto_segment: first_segment.prev(),
            upto_seq: before_seq,
        };
        self.write(|_| Entry::Removed(begun)).map(drop)
    }
}

impl Ledger for Control {
    fn note(&self, removal: &Removal) -> Result<()> {
        let going = RemovedEntry::Going(removal.clone());
        let noted = self.write(|_| Entry::Removed(going))?;
        self.wait_for(noted)
    }

    fn removed(&self) -> Option<Removed> {
        Control::removed(self)
    }
}

//! The retention ledger, as the main log and its opening see it; see [`removed`](super::removed).

use super::Control;
use super::removed::RemovedEntry;
use super::state::Entry;
use crate::error::Result;
use crate::log::ledger::Ledger;
use crate::log::{Removal, Removed};
use crate::position::{SegmentId, Seq};

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

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

    /// Takes this log for the one that the state is of. That is noted with the ledger, where it begins, and
    /// from then on with every checkpoint and close.
    pub(crate) fn belong_to(&self, log_id: u128) -> Result<()> {
        let noted = self.books().state.log_id.replace(log_id);
        // One that was lost before anything was in it had another identity.
        if noted.is_some_and(|noted| noted != log_id) {
            self.checkpoint()?;
        }
        Ok(())
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
            log_id: self.books().state.log_id,
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

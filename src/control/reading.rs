//! [`Reading`]: what a control log amounts to, for those who read it without opening it.

use super::record::Assembler;
use super::state::State;
use crate::error::Result;
use crate::format::record::EventRef;
use crate::log::Removed;
use crate::position::Seq;

/// Adds up the records of a control log, in order.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    state: State,
    assembler: Assembler,
    /// Whether records are missing.
    has_holes: bool,
}

impl Reading {
    /// Takes the next record.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it makes no sense.
    pub(crate) fn take(&mut self, event: &EventRef<'_>) -> Result<()> {
        let taken = self
            .assembler
            .take(event.seq(), event.event_type(), event.data_bytes());
        let taken = taken.map_err(|error| super::record::no_record(error, event.seq()))?;
        if let Some((_, entry)) = taken {
            self.state.apply(&entry);
        }
        Ok(())
    }

    /// Notes that records could not be read.
    pub(crate) fn note_hole(&mut self) {
        self.has_holes = true;
    }

    /// Whether every record could be read. A ledger whose last records may be lost proves nothing.
    pub(crate) fn is_whole(&self) -> bool {
        !self.has_holes
    }

    /// The highest Seq of the main log that is known to be durable.
    pub(crate) fn witness(&self) -> Seq {
        self.state.witness
    }

    /// What of the main log was removed; `None` without a ledger.
    pub(crate) fn removed(&self) -> Option<&Removed> {
        self.state.removed.as_ref()
    }

    /// All named subscriptions with their cursors, and how many events of each are parked.
    pub(crate) fn cursors(&self) -> impl Iterator<Item = (&str, Seq, u64)> {
        let all = self.state.subscriptions.iter();
        all.map(|(name, one)| (name.as_str(), one.cursor, one.parked.len() as u64))
    }
}

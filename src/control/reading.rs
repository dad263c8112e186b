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

    /// Why this is no control log of the log of this identity, if that is so.
    pub(crate) fn not_of(&self, log_id: Option<u128>) -> Option<String> {
        self.state.not_of(log_id)
    }

    /// What it amounts to for the log of this identity: nothing, if it is another's.
    pub(crate) fn of(self, log_id: Option<u128>) -> Reading {
        if self.not_of(log_id).is_none() {
            return self;
        }
        Reading {
            has_holes: true,
            ..Reading::default()
        }
    }

    /// The identity of the main log, where it is noted.
    pub(crate) fn log_id(&self) -> Option<u128> {
        self.state.log_id
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

//! [`Books`]: the state, and how much of the log it stands for.

use super::ahead::Ahead;
use super::record::{Assembler, encode_state, no_record};
use super::state::{CursorEntry, Entry, State};
use crate::error::Result;
use crate::log::Log;
use crate::position::Seq;

/// What the control log keeps in memory.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) state: State,
    /// How many bytes of records were written since the last checkpoint began.
    pub(super) written: u64,
    /// How many bytes the last checkpoint has.
    checkpoint_len: u64,
    /// Where the last checkpoint begins.
    checkpoint: Option<Seq>,
    /// Up to where nothing is needed: where the checkpoint before that begins.
    pub(super) needed_from: Option<Seq>,
}

impl Books {
    /// Notes a whole checkpoint that begins at `first` and is all that was written since.
    pub(super) fn note_checkpoint(&mut self, first: Seq) {
        self.needed_from = self.checkpoint.replace(first);
        self.checkpoint_len = std::mem::take(&mut self.written);
    }

    /// Where the state is large, checkpoints are rarer, so that they cost no more than the records.
    pub(super) fn is_checkpoint_due(&self, after: u64) -> bool {
        self.written >= after.max(self.checkpoint_len.saturating_mul(2))
    }
}

/// Where a subscription has come to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The last Seq of which all up to it are acknowledged, parked or skipped.
    pub(crate) cursor: Seq,
    /// What was handled beyond it.
    pub(crate) ahead: Ahead,
    /// How many Seqs were passed that hold no event, or were skipped.
    pub(crate) skipped: u64,
    /// The highest Seq of the main log known to be durable.
    pub(crate) durable_upto: Seq,
}

/// The record of a place, with the parkings and seeks that are on record.
pub(super) fn place(state: &State, name: &str, place: Place) -> CursorEntry {
    let standing = state.subscriptions.get(name);
    CursorEntry {
        subscription: name.to_owned(),
        cursor: place.cursor,
        parkings: standing.map_or(0, |one| one.parkings),
        durable_upto: place.durable_upto,
        ahead: place.ahead,
        seeks: standing.map_or(0, |one| one.seeks),
        skipped: place.skipped,
    }
}

/// Reads a whole control log.
pub(super) fn read(log: &Log) -> Result<Books> {
    let mut books = Books::default();
    let mut assembler = Assembler::default();
    let mut reader = log.reader(Seq::FIRST);
    while let Some(event) = reader.next_event()? {
        let frame_len = event.frame().len() as u64;
        books.written = books.written.saturating_add(frame_len);
        let taken = assembler.take(event.seq(), event.event_type(), event.data_bytes());
        let taken = taken.map_err(|error| no_record(error, event.seq()))?;
        if let Some((first, entry)) = taken {
            books.state.apply(&entry);
            if let Entry::Checkpoint(state) = &entry {
                books.written = encode_state(state)?.len() as u64;
                books.note_checkpoint(first);
            }
        }
    }
    Ok(books)
}

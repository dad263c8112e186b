//! [`Engine`]: what a rival must offer to be measured, and [`Facts`]: what is known of it beforehand.

use std::ops::ControlFlow;
use std::path::Path;

use crate::record::{Batch, Record};

/// What an engine offers: `None` where it has no such operation, which the tables show as a dash.
pub type Offer<T> = anyhow::Result<Option<T>>;

/// Where an engine says that a record is: its number, or a file and an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(pub u64, pub u64);

/// What an engine is opened for, where its settings decide that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// [`Engine::append`] and [`Engine::append_batch`] need not wait for the disk.
    Buffered,
    /// [`Engine::append_durable`] and [`Engine::append_batch`] return once the disk has the records.
    Durable,
}

/// One log, open in a directory of its own. Called from many threads at once.
pub trait Engine: Send + Sync {
    /// Appends one record and does not wait for the disk.
    fn append(&self, _record: Record<'_>) -> Offer<Place> {
        Ok(None)
    }

    /// Appends one record and returns once this one is durable.
    fn append_durable(&self, _record: Record<'_>) -> Offer<Place> {
        Ok(None)
    }

    /// Appends all records of a batch, as one where the engine can, and says where each one is.
    fn append_batch(&self, _batch: Batch<'_>, _places: &mut Vec<Place>) -> Offer<()> {
        Ok(None)
    }

    /// Returns once a killed process would not lose what was appended.
    fn flush(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Hands every record to `visit` in the engine's order, with whatever check the engine has.
    fn replay(&self, _visit: Visit<'_>) -> Offer<()> {
        Ok(None)
    }

    /// Hands the record at `place` to `visit`.
    fn read(&self, _place: Place, _visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        Ok(None)
    }

    /// The server process behind the engine, where it is one: a kill has to hit that.
    fn server(&self) -> Option<u32> {
        None
    }

    /// Closes as a careful user would.
    fn close(self: Box<Self>) -> anyhow::Result<()>;
}

/// What takes the records of a replay, until it breaks.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8]) -> ControlFlow<()>;

/// What a promise of an engine belongs to; each has tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Appends that do not wait for the disk, but survive a killed process.
    Buffered,
    /// Appends that wait for the disk.
    Durable,
    /// Replay and random reads, with a checksum over each record.
    Read,
    /// Opening after a kill, with all records back.
    Reopen,
    /// Bytes on disk.
    Disk,
}

/// What an engine comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// A package of this name in the lock file.
    Package(&'static str),
    /// A program that this machine may have.
    Program(&'static str),
}

/// What is known of an engine before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Its name in the tables and on the command line.
    pub name: &'static str,
    /// Where its version is found.
    pub origin: Origin,
    /// Where it promises less than asked, and what: such a figure stands in a row of its own.
    pub weaker: &'static [(Group, &'static str)],
    /// What a reader of its figures should know besides.
    pub remarks: &'static [(Group, &'static str)],
    /// Opens or makes a log in a directory that exists; `None` if this machine lacks the engine.
    pub open: fn(&Path, Mode) -> Offer<Box<dyn Engine>>,
}

impl Facts {
    /// Why a figure of this group cannot be compared with the others, if so.
    pub fn weaker_in(&self, group: Group) -> Option<&'static str> {
        find(self.weaker, group)
    }

    /// What to know of its figures in this group.
    pub fn remark_in(&self, group: Group) -> Option<&'static str> {
        find(self.remarks, group)
    }
}

fn find(notes: &[(Group, &'static str)], group: Group) -> Option<&'static str> {
    let found = notes.iter().find(|(of, _)| *of == group);
    found.map(|(_, note)| *note)
}

//! The lookup index: which Seq has this event id, and which Seqs have this event type or source.
//!
//! It is derived from the log, and a lookup always equals a scan of the log: complete *windows* of
//! 4,096 Seqs come from the store, the window that still grows from memory, and what is not indexed
//! yet (the index follows in the background) or cannot be trusted is scanned.
//!
//! ```text
//!  floor            next_window             tail.next        appended
//!    │  windows in the store │ tail in memory   │  not yet seen  │
//!    └──────────────────────┴──────────────────┴────────────────┘
//!      keys, values, catalog     window             scanned
//! ```
//! **Life of a window.** The follower reads events into the tail; when the window is complete it
//! becomes records ([`keys`] draws them), which go to the store in batches, the position last. Those of
//! up to some dozen windows are [held] in memory and handed on together; a process that dies leaves them
//! to be read from the log again. When its events are gone from the log, so are, later, its records.
//!
//! **Names.** Types and sources are two [dimensions](Dimension) of one mechanism. A window is a *run*
//! of level 0: its names by hash, each with the offsets of its events. 64 runs of a level are summed
//! up by one of the next: its names, each with a count and the runs below that have it. Runs are
//! never rewritten, so each event costs a few bytes on each of few levels, however many names there
//! are; a rare name is found, and any is counted, in a step per run that is not yet summed up. What a
//! name is called stands in a dictionary, once for 4,096 windows. In memory are neither names nor
//! lists, but hashes of names that the dictionary has, as far as [`IndexConfig::memory_max`] allows.
//!
//! **Nothing of the store is evidence.** sled opens without an error and with keys missing after
//! damage. What loading and lookups find broken is answered by a scan; the folder is set aside, and
//! the index is built anew in the background. No failure of the index is one of the system.
//!
//! **Ids.** A window whose ids are `UUIDv7`s that strictly ascend stores one of each 256 of them, in part
//! ([`fences`]): between these the log itself is searched, mostly with one look. Other `UUIDv7`s are stored by
//! window, at 6 bytes each, and looked for in those windows whose times allow it. Ids that tell no time are
//! looked for in [runs](ids) of ever more windows, of which there are few.

mod dimension;
mod hash;
mod keys;
mod times;
mod fences;
mod values;
mod spans;
mod store;
mod memory;
mod batch;
mod recent;
mod held;
mod pieces;
mod lists;
mod catalog;
mod visit;
mod ids;
mod window;
mod dictionary;
mod merge;
mod agree;
mod aim;
mod core;
mod backing;
mod runs;
mod follow;
mod seal;
mod resting;
mod lookup;
mod postings;
mod names;
mod tally;
mod unread;
pub(crate) mod verify;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::core::Core;
pub(crate) use self::dimension::Dimension;
pub(crate) use self::names::Names;
pub(crate) use self::postings::{Postings, PostingsBack};
pub(crate) use self::tally::Tally;
pub(crate) use self::unread::Unread;
pub(crate) use self::verify::Verifier;
use crate::error::Result;
use crate::event::EventId;
use crate::log::Log;
use crate::position::Seq;

/// The settings of the index.
#[derive(Debug, Clone)]
pub(crate) struct IndexConfig {
    /// The memory that the index may spend, in bytes, [`IndexConfig::MEMORY_MIN`] or more: an eighth
    /// is sled's cache, a quarter knows names, the rest is what sled takes besides.
    pub(crate) memory_max: u64,
    /// How long opening the store may take before it is set aside.
    pub(crate) open_deadline: Duration,
    /// How soon a folder that could not be used is tried again, once memory holds no more.
    pub(crate) retry_after: Duration,
}

impl Default for IndexConfig {
    fn default() -> Self {
        IndexConfig {
            memory_max: 64 << 20,
            open_deadline: Duration::from_secs(30),
            retry_after: Duration::from_secs(60),
        }
    }
}

impl IndexConfig {
    /// The least that `memory_max` may be.
    pub(crate) const MEMORY_MIN: u64 = 8 << 20;

    /// What sled is told to cache; it takes several times as much.
    fn cache_bytes(&self) -> u64 {
        self.memory_max / 8
    }

    /// What may be spent on knowing which names the store has.
    fn names_bytes_max(&self) -> usize {
        usize::try_from(self.memory_max / 4).unwrap_or(usize::MAX)
    }
}

/// How the index stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexState {
    /// The last Seq that lookups find without a scan.
    pub indexed_upto: Seq,
    /// Whether it is being built from nothing and has not yet caught up with the log.
    pub rebuilding: bool,
    /// Whether it lives in memory: the system has no folder, or the folder cannot be used. In the second
    /// case it takes no more than [`Builder::index_memory_max`](crate::Builder::index_memory_max) there, and
    /// then falls behind until the folder can be used.
    pub in_memory: bool,
    /// How many windows of 4,096 Seqs the store holds.
    pub windows: usize,
    /// The bytes of memory that it takes to know which names it has met.
    pub names_bytes: u64,
    /// The bytes of keys and values in the store; its files are larger.
    pub bytes: u64,
    /// How often it was set aside and begun anew since it was opened.
    pub rebuilds: u64,
    /// How many events the follower could not read and passed over.
    pub unreadable: u64,
}

/// The lookup index of a log, and the thread that keeps it up.
#[derive(Debug)]
pub(crate) struct Index {
    core: Arc<Core>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Index {
    /// Opens the index of a log in a folder of its own, or makes one; in memory without a folder.
    ///
    /// It cannot fail: whatever is wrong with the folder costs a rebuild in the background. Lookups
    /// wait until the store is open, at most for the deadlines of two attempts.
    pub(crate) fn open(log: Arc<Log>, folder: Option<PathBuf>, config: IndexConfig) -> Index {
        let core = Arc::new(Core::new(log, folder, config));
        let builder = std::thread::Builder::new().name("forelog-indexer".to_owned());
        let followed = core.clone();
        let thread = builder.spawn(move || follow::run(&followed));
        let thread = thread.map_err(|error| {
            core.report(&format!("no thread to follow the log: {error}"));
            core.set_ended();
        });
        Index {
            core,
            thread: Mutex::new(thread.ok()),
        }
    }

    /// The first event in the log that has this id.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the event that may have it cannot be read.
    pub(crate) fn by_id(&self, id: EventId) -> Result<Option<Seq>> {
        self.by_id_from(id, Seq::ZERO)
    }

    /// The first event from `from` on that has this id.
    ///
    /// # Errors
    /// As [`Index::by_id`].
    pub(crate) fn by_id_from(&self, id: EventId, from: Seq) -> Result<Option<Seq>> {
        self.core.by_id(id, from)
    }

    /// The events of this type from `from` on, up to the last that is appended now.
    pub(crate) fn by_type(&self, event_type: &str, from: Seq) -> Postings {
        Postings::new(self.core.clone(), Dimension::Type, event_type, from)
    }

    /// How the index stands.
    pub(crate) fn state(&self) -> IndexState {
        self.core.snapshot()
    }

    /// How it stands once its store is open.
    pub(crate) fn opened_state(&self) -> IndexState {
        self.core.await_open();
        self.core.snapshot()
    }

    /// Waits until all that is appended now is indexed; says whether it is. It is not if the index
    /// was closed meanwhile.
    pub(crate) fn catch_up(&self) -> bool {
        self.core.catch_up()
    }

    /// Flushes and closes the store and ends the thread. Lookups still work: they scan.
    pub(crate) fn close(&self) {
        self.core.stop();
        let thread = self.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(target: "forelog::index", "the indexing thread panicked");
        }
        self.core.forget();
    }

    /// Sets the index of a folder aside, which nobody has open: the next opening builds another.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub(crate) fn forget(folder: &Path) -> Result<()> {
        store::set_aside(folder)
    }

    /// Sets the index of a log aside and builds another, complete and closed; how it stands then.
    ///
    /// # Errors
    /// If the folder cannot be moved.
    pub(crate) fn rebuild(log: Arc<Log>, folder: &Path, config: IndexConfig) -> Result<IndexState> {
        store::set_aside(folder)?;
        let index = Index::open(log, Some(folder.to_path_buf()), config);
        index.catch_up();
        let state = index.state();
        index.close();
        Ok(state)
    }
}

impl Index {
    /// The events of this source from `from` on, up to the last that is appended now.
    #[allow(dead_code, reason = "beside `by_type`; queries name the dimension")]
    pub(crate) fn by_source(&self, source: &str, from: Seq) -> Postings {
        self.postings(Dimension::Source, source, from)
    }

    /// The events that have this name from `from` on, up to the last that is appended now.
    pub(crate) fn postings(&self, dimension: Dimension, name: &str, from: Seq) -> Postings {
        Postings::new(self.core.clone(), dimension, name, from)
    }

    /// The events that have this name, newest first, from `upto` (or the last that is appended now)
    /// down to the first that the log holds.
    pub(crate) fn newest(&self, dimension: Dimension, name: &str, upto: Seq) -> PostingsBack {
        PostingsBack::new(self.core.clone(), dimension, name, upto)
    }

    /// How many events that the log holds have this name, and the first and the last of them.
    pub(crate) fn tally(&self, dimension: Dimension, name: &str) -> Tally {
        self.core.tally(dimension, name)
    }

    /// The distinct names that the events of the log have, ascending by their bytes.
    pub(crate) fn names(&self, dimension: Dimension) -> Names {
        Names::new(self.core.clone(), dimension, &[])
    }

    /// As [`Index::names`], those that begin with one of these prefixes.
    pub(crate) fn names_with(&self, dimension: Dimension, prefixes: &[&str]) -> Names {
        Names::new(self.core.clone(), dimension, prefixes)
    }

    /// How many events that the log holds have this name at most: those that compaction has dropped count
    /// as well, so that no list has to be read.
    pub(crate) fn count_at_most(&self, dimension: Dimension, name: &str) -> u64 {
        self.core.count_at_most(dimension, name)
    }
}

#[cfg(test)]
impl Index {
    /// Breaks the index; another is not built before the guard is dropped.
    pub(crate) fn break_and_hold(&self) -> std::sync::MutexGuard<'_, ()> {
        let gate = self.core.gate.lock();
        self.core.report("a test has broken it");
        gate.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close();
    }
}

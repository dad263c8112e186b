//! [`Ids`]: ids that are no `UUIDv7`s, and so tell nothing about where their events are.
//!
//! ```text
//!  ids/FIRST-END.ids   level 3 │ level 3 │ 2 │ 2 │ 2 │ 1 │ 1 │ pending, in memory
//!                      ◄───────────── windows, in order ─────────────►
//! ```
//! The ids of 16 windows are written as a *run* of level 1: their hashes, sorted, each with its event's
//! place. 16 runs of a level become one of the next, so that a log of 100 million events has about 20,
//! and one of ten times as many hardly more. In each, one read of a block of 512 bytes tells whether it
//! has a hash. Nothing is kept in memory but the ids of the windows that are not yet in a run, two groups
//! of them at most; after an opening they are read from the log again. Runs of all levels are made on
//! threads of their own. Runs are files, because a store that takes in, merges and
//! looks up scattered values takes many times as long, and much memory.
//!
//! **Life of a run.** It is written under another name, renamed, and noted in the position. When the
//! store is flushed next, it is synced first. Runs that were merged stay noted, and are looked into,
//! until the merged one is; their files are removed once a position without them has been flushed.
//!
//! **A crash** at any of these steps leaves (1) a file under its temporary name, or one that no position
//! notes: it is removed at the next opening, or written anew by whoever makes that run again; (2) a
//! position that was taken back by a power cut, whose runs are still there, since they go only after a
//! flush; (3) a noted run that a power cut has torn: its header, a block or the store tells, and the index
//! is rebuilt, as after any damage.

pub(super) mod block;
pub(super) mod run;
pub(super) mod sort;
mod job;
mod merge;
mod pending;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::block::entry;
use self::pending::Pending;
use self::run::IdRun;
use super::catalog::broken;
use super::keys::window_of;
use super::values::RunNote;
use crate::error::Result;
use crate::format::names;
use crate::position::Seq;
use crate::storage::plain::remove_others;

pub(super) use self::merge::visit;
pub(super) use self::upkeep::Upkeep;

/// How many windows a run of level 1 spans, and how many runs of a level one of the next: tests have few.
const GROUP_BITS: u32 = if cfg!(test) { 1 } else { 4 };
/// The highest level: with 16 to a group its runs span 2^28 Seqs.
const LEVEL_MAX: u32 = 4;
/// With more runs than this, whoever adds one waits for a merge.
const RUNS_MAX: usize = 128;

const _: () = assert!(1 << (GROUP_BITS * LEVEL_MAX) <= block::WINDOWS_MAX);

/// The windows of a group from the first to before the last, and the runs that they are in.
type Due = ((u64, u64), Vec<Arc<IdRun>>);
/// The same of windows that are not yet in a run.
type Pack = ((u64, u64), Vec<Arc<Pending>>);

/// Where the ids are that tell no time.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    /// `None`: in memory.
    folder: Option<PathBuf>,
    salt: u64,
    /// Ascending.
    runs: Vec<Arc<IdRun>>,
    /// Windows before this one are in runs.
    next: u64,
    /// Windows before this one are in runs or pending.
    taken: u64,
    pending: Vec<Arc<Pending>>,
}

impl Ids {
    /// No ids; to begin with this window. `folder` is the index's.
    pub(super) fn starting_at(next: u64, folder: Option<&Path>, salt: u64) -> Ids {
        Ids {
            folder: folder.map(|folder| folder.join(names::INDEX_IDS)),
            salt,
            runs: Vec::new(),
            next,
            taken: next,
            pending: Vec::new(),
        }
    }

    /// The runs that a position notes.
    ///
    /// # Errors
    /// If one is not there, or another one.
    pub(super) fn load((notes, next): (&[RunNote], u64), folder: &Path, salt: u64) -> Result<Ids> {
        let runs = open_runs(notes, folder, salt)?;
        let mut ids = Ids::starting_at(next, Some(folder), salt);
        ids.runs = runs.into_iter().map(Arc::new).collect();
        Ok(ids)
    }

    /// Removes files that are none of these runs.
    pub(super) fn tidy(&self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let notes = self.notes();
        let held: Vec<String> = notes
            .iter()
            .map(|note| names::index_ids(note.first, note.end))
            .collect();
        remove_others(folder, |name| held.iter().any(|held| held == name))
    }

    /// What a position notes.
    pub(super) fn notes(&self) -> Vec<RunNote> {
        self.runs.iter().map(|run| run.note()).collect()
    }

    /// Windows before this one are in runs.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How long the files are together.
    pub(super) fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// The first event from `from` on whose id has this hash.
    pub(super) fn first_with(&self, hash: u64, from: Seq) -> Result<Option<Seq>> {
        let window = window_of(from);
        let start = self.runs.partition_point(|run| run.note().end <= window);
        for run in self.runs.iter().skip(start) {
            if let Some(seq) = run.find(hash, from)? {
                return Ok(Some(seq));
            }
        }
        let held = self.pending.iter().filter(|held| held.window >= window);
        let found = held.filter_map(|held| held.find(hash, from));
        Ok(found.min())
    }

    /// Takes the next window; its entries ascend.
    pub(super) fn take(&mut self, window: u64, entries: Vec<u64>) {
        self.taken = window.saturating_add(1);
        if !entries.is_empty() {
            self.pending.push(Arc::new(Pending { window, entries }));
        }
        self.advance();
    }

    /// Windows up to the group that has some pending, or is not complete, are in runs.
    fn advance(&mut self) {
        let pending = self.pending.first().map(|held| held.window);
        let group = pending.unwrap_or(self.taken) >> GROUP_BITS;
        self.next = self.next.max(group << GROUP_BITS);
    }

    /// The groups that are complete and not yet runs.
    fn complete(&self) -> impl Iterator<Item = Pack> {
        let group_of = |held: &Arc<Pending>| held.window >> GROUP_BITS;
        let groups = self
            .pending
            .chunk_by(move |a, b| group_of(a) == group_of(b));
        groups.filter_map(move |parts| {
            let group = group_of(parts.first()?);
            let windows = (group << GROUP_BITS, (group + 1) << GROUP_BITS);
            (windows.1 <= self.taken).then(|| (windows, parts.to_vec()))
        })
    }

    /// Takes the run of the first group that is complete; returns it if all of its windows have been
    /// retired meanwhile.
    fn settle(&mut self, run: IdRun) -> Option<Arc<IdRun>> {
        let (end, run) = (run.note().end, Arc::new(run));
        let written = self.pending.partition_point(|held| held.window < end);
        if written == 0 {
            return Some(run);
        }
        self.pending.drain(..written);
        self.runs.push(run);
        self.advance();
        None
    }

    /// Makes the runs durable that the store is about to note for good.
    pub(super) fn sync(&self) -> Result<()> {
        self.runs.iter().try_for_each(|run| run.sync())
    }

    /// Forgets the runs of windows before `floor`; returns them.
    pub(super) fn retire(&mut self, floor: u64) -> Vec<Arc<IdRun>> {
        self.pending.retain(|held| held.window >= floor);
        let gone = self.runs.partition_point(|run| run.note().end <= floor);
        self.runs.drain(..gone).collect()
    }

    /// The runs of a group that is complete and not yet one run.
    fn due(&self) -> Option<Due> {
        for level in (2..=LEVEL_MAX).rev() {
            let group_of = |run: &IdRun| run.note().first >> (level * GROUP_BITS);
            for parts in self.runs.chunk_by(|a, b| group_of(a) == group_of(b)) {
                let [first, .., last] = parts else {
                    continue;
                };
                let group = group_of(first);
                let end = (group + 1) << (level * GROUP_BITS);
                if end <= self.next && last.note().end <= end {
                    let windows = (group << (level * GROUP_BITS), end);
                    return Some((windows, parts.to_vec()));
                }
            }
        }
        None
    }

    /// Puts a run in the place of those that it was made of; returns them.
    fn replace(&mut self, run: IdRun) -> Vec<Arc<IdRun>> {
        let RunNote { first, end, .. } = run.note();
        let from = self.runs.partition_point(|held| held.note().first < first);
        let to = self.runs.partition_point(|held| held.note().end <= end);
        let run = Arc::new(run);
        if from >= to {
            // All that it was made of has been retired meanwhile.
            return vec![run];
        }
        self.runs.splice(from..to, [run]).collect()
    }
}

/// The entry of an event in its window.
pub(super) fn entry_of(hash: u64, offset: u16) -> u64 {
    entry(hash, offset.into())
}

/// Opens the runs that a position notes, in the folder of an index.
///
/// # Errors
/// If one is not there, or another one, or if they do not follow each other.
pub(super) fn open_runs(notes: &[RunNote], folder: &Path, salt: u64) -> Result<Vec<IdRun>> {
    let is_sound = |note: &RunNote| note.first < note.end && note.count > 0;
    let fits = |note: &RunNote| note.end.saturating_sub(note.first) <= block::WINDOWS_MAX;
    if !notes.is_sorted_by(|a, b| a.end <= b.first)
        || !notes.iter().all(|note| is_sound(note) && fits(note))
    {
        return Err(broken("its runs of ids make no sense"));
    }
    let folder = folder.join(names::INDEX_IDS);
    let open = |note: &RunNote| {
        let run = IdRun::open(&folder, *note, salt);
        run.map_err(|error| broken(error.message()))
    };
    notes.iter().map(open).collect()
}

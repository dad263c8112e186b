//! [`Verifier`]: compares an index with the events of its log, window by window.
//!
//! It works on a copy, since sled cannot open a folder without writing to it, and takes the events
//! from whoever scans them: a tool that only reads has no open log.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::IndexConfig;
use super::catalog::{Catalog, Loaded, all_in};
use super::dictionary;
use super::dimension::{Dimension, Each, names_of};
use super::hash::NameHash;
use super::ids;
use super::ids::block::parse;
use super::ids::run::{IdRun, digest};
use super::keys::{self, ERA_LEN, LEVEL_MAX, Run, first_of, last_of, window_of};
use super::merge;
use super::store::{self, Pair, Store};
use super::window::Window;
use crate::error::{ErrorKind, Result};
use crate::format::record::EventRef;
use crate::position::Seq;
use crate::storage::copied::Copied;

/// The index is not what the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The Seqs that it concerns; `None` if it is all of the index.
    pub(crate) seqs: Option<(Seq, Seq)>,
    /// What is wrong.
    pub(crate) reason: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seqs {
            Some((from, to)) => write!(f, "Seqs {from} to {to}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Takes all events of a log in order, and compares.
#[derive(Debug)]
pub(crate) struct Verifier {
    store: Arc<dyn Store>,
    /// Goes after the store.
    _copy: Copied,
    pub(super) loaded: Loaded,
    window: Window,
    salt: u64,
    hashes: NameHash,
    /// The Seq that the log begins with.
    first: Option<Seq>,
    /// The hashes of the names that the window's era has.
    names: Each<HashSet<u64>>,
    era: Option<u64>,
    /// The windows that have events.
    windows: BTreeSet<u64>,
    /// How many ids of a window belong in a run, and a sum of hashes over them.
    foreign: BTreeMap<u64, (u64, u64)>,
    runs: Vec<IdRun>,
    /// The windows of which compaction has dropped events: the index may know of them.
    cut: BTreeSet<u64>,
    mismatches: Vec<Mismatch>,
}

impl Verifier {
    /// Opens a copy of the index of this log, which is in `folder`.
    ///
    /// # Errors
    /// [`Index`](ErrorKind::Index) if the index as a whole cannot be used.
    pub(crate) fn open(
        copy: Copied,
        folder: &Path,
        log_id: u128,
        config: &IndexConfig,
    ) -> Result<Verifier> {
        store::check_meta(folder, log_id)?;
        let probe = move |store: &dyn Store| Catalog::load(store, log_id);
        let (store, loaded) = store::open_unclaimed(copy.path(), config, probe)?;
        let hashes = NameHash::of_log(log_id);
        let salt = u64::try_from(log_id & u128::from(u64::MAX)).unwrap_or(0);
        let notes = loaded.position.as_ref().map(|held| held.runs.as_slice());
        let runs = ids::open_runs(notes.unwrap_or_default(), copy.path(), salt)?;
        Ok(Verifier {
            store,
            _copy: copy,
            loaded,
            window: Window::starting_at(Seq::FIRST, hashes),
            hashes,
            salt,
            first: None,
            names: Each::default(),
            era: None,
            windows: BTreeSet::new(),
            foreign: BTreeMap::new(),
            runs,
            cut: BTreeSet::new(),
            mismatches: Vec::new(),
        })
    }

    /// Takes the next event.
    pub(crate) fn event(&mut self, event: &EventRef<'_>) -> Result<()> {
        let seq = event.seq();
        self.go_on_to(seq)?;
        self.window.add(seq, event.event_id(), &names_of(event));
        Ok(())
    }

    /// Takes Seqs whose events compaction has dropped.
    pub(crate) fn dropped(&mut self, first: Seq, last: Seq) {
        self.cut.extend(window_of(first)..=window_of(last));
    }

    /// What was found wrong, once all events have been taken.
    pub(crate) fn finish(mut self) -> Result<Vec<Mismatch>> {
        self.close_window()?;
        let from = self.first_whole_window();
        let stored = self.loaded.catalog.manifests_from(from);
        let stored: Vec<u64> = stored.map(|held| held.window).collect();
        let is_known = |held: &u64| self.windows.contains(held) || self.cut.contains(held);
        for window in stored.iter().filter(|held| !is_known(held)) {
            let reason = "the index has events that the log has not";
            self.mismatches.push(mismatch(*window, reason));
        }
        self.check_ids(from);
        if self.mismatches.is_empty() {
            self.check_runs(from)?;
            self.check_names()?;
        }
        Ok(self.mismatches)
    }

    /// Makes the runs anew from the windows, which have been compared.
    fn check_runs(&mut self, from: u64) -> Result<()> {
        for level in 1..=LEVEL_MAX {
            for dimension in Dimension::ALL {
                let windows = self.windows.range(from..);
                let mut runs: Vec<Run> = windows
                    .map(|window| Run::of(dimension, level, *window))
                    .collect();
                runs.dedup();
                // One that retention has cut into may tell of what is gone.
                let is_cut = |run: &Run| self.cut.range(run.start()..run.end()).next().is_some();
                runs.retain(|run| run.start() >= from && self.loaded.catalog.is_complete(*run));
                runs.retain(|run| !is_cut(run));
                for run in runs {
                    self.check_run(run)?;
                }
            }
        }
        Ok(())
    }

    fn check_run(&mut self, run: Run) -> Result<()> {
        let below = self.loaded.catalog.below(run);
        let mut due = Vec::new();
        merge::merge(self.store.as_ref(), run, &below, &mut |pieces| {
            due.extend_from_slice(pieces);
            Ok(())
        })?;
        if self.stored(run)? != due {
            let seqs = (
                first_of(run.start()).max(Seq::FIRST),
                last_of(run.end() - 1),
            );
            self.mismatches.push(Mismatch {
                seqs: Some(seqs),
                reason: "what sums up lists is not what they say".to_owned(),
            });
        }
        Ok(())
    }

    /// Whether the runs of ids have what the events of their windows have, no more and no less.
    fn check_ids(&mut self, from: u64) {
        let next = self.loaded.position.as_ref().map(|held| held.runs_next);
        let mut missing: BTreeSet<u64> = self.foreign.keys().copied().collect();
        for run in &self.runs {
            let note = run.note();
            missing.retain(|window| !(note.first..note.end).contains(window));
            let mut found = (0_u64, 0_u64);
            let read = ids::visit(run, |hash, seq| {
                found.0 += 1;
                found.1 = found.1.wrapping_add(digest(hash, seq));
            });
            let due = self.foreign.range(note.first..note.end);
            let due = due.fold((0, 0_u64), |sum, (_, held)| {
                (sum.0 + held.0, sum.1.wrapping_add(held.1))
            });
            // One that retention or compaction has cut into tells of what is gone.
            let is_cut = self.cut.range(note.first..note.end).next().is_some();
            if read.is_err() || note.first >= from && !is_cut && found != due {
                let reason = "a run of ids is not what the log says";
                self.mismatches.push(Mismatch {
                    seqs: Some((first_of(note.first).max(Seq::FIRST), last_of(note.end - 1))),
                    reason: reason.to_owned(),
                });
            }
        }
        missing.retain(|window| *window >= from && next.is_some_and(|next| *window < next));
        for window in missing {
            self.mismatches
                .push(mismatch(window, "its ids are in no run"));
        }
    }

    /// Whether the names that the store has are all of those that it is said to have; those of each
    /// window were looked for.
    fn check_names(&mut self) -> Result<()> {
        match dictionary::check(self.store.as_ref(), &self.loaded.catalog) {
            Err(error) if error.kind() == ErrorKind::Index => {
                let reason = error.message().to_owned();
                self.mismatches.push(Mismatch { seqs: None, reason });
                Ok(())
            }
            checked => checked,
        }
    }

    fn stored(&self, run: Run) -> Result<Vec<Pair>> {
        let (from, to) = run.keys();
        all_in(self.store.as_ref(), &from, &to)
    }

    fn go_on_to(&mut self, seq: Seq) -> Result<()> {
        self.first.get_or_insert(seq);
        if window_of(seq) != self.window.number() {
            self.close_window()?;
            self.window = Window::starting_at(seq, self.hashes);
        }
        Ok(())
    }

    /// The first window that retention has not cut into.
    fn first_whole_window(&self) -> u64 {
        let first = self.first.unwrap_or(Seq::FIRST);
        let window = window_of(first);
        if first > first_of(window).max(Seq::FIRST) {
            window.saturating_add(1)
        } else {
            window
        }
    }

    fn close_window(&mut self) -> Result<()> {
        let number = self.window.number();
        let covered = self.loaded.catalog.floor()..self.loaded.catalog.next_window();
        if self.window.is_empty() || !covered.contains(&number) {
            return Ok(());
        }
        self.load_names(number / ERA_LEN)?;
        if number >= self.first_whole_window()
            && !self.cut.contains(&number)
            && let Some(reason) = self.compare()?
        {
            self.mismatches.push(mismatch(number, reason));
        }
        self.windows.insert(number);
        self.note_foreign();
        Ok(())
    }

    fn note_foreign(&mut self) {
        let (number, base) = (self.window.number(), first_of(self.window.number()));
        let entries = self.window.foreign(self.salt);
        if entries.is_empty() {
            return;
        }
        let digests = entries.iter().map(|entry| {
            let (hash, offset) = parse(*entry);
            digest(hash, base.plus(offset))
        });
        let sum = digests.fold(0, u64::wrapping_add);
        self.foreign.insert(number, (entries.len() as u64, sum));
    }

    fn load_names(&mut self, era: u64) -> Result<()> {
        if self.era.replace(era) == Some(era) {
            return Ok(());
        }
        for dimension in Dimension::ALL {
            let names = self.names.get_mut(dimension);
            names.clear();
            let [from, to] = [era, era + 1].map(|era| keys::names(dimension, era * ERA_LEN, 0));
            let mut add = |_, name: &str| {
                names.insert(self.hashes.hash(name));
            };
            let read = dictionary::visit(self.store.as_ref(), (&from, &to), usize::MAX, &mut add);
            match read {
                // What cannot be read is found missing.
                Err(error) if error.kind() != ErrorKind::Index => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is wrong with the records of the window, if anything is.
    fn compare(&self) -> Result<Option<&'static str>> {
        let sealed = self.window.seal(self.salt);
        for (key, due) in &sealed.records {
            match self.store.get(key)? {
                None => return Ok(Some("a record is missing")),
                Some(held) if held != *due => return Ok(Some("a record is not what the log says")),
                Some(_) => {}
            }
        }
        for dimension in Dimension::ALL {
            let run = Run::of(dimension, 0, self.window.number());
            let due = sealed.records.iter().filter(|(key, _)| run.has_key(key));
            if self.stored(run)?.len() != due.count() {
                return Ok(Some("it has more records than are due"));
            }
            for named in self.window.lists(dimension).names() {
                if !self.names.get(dimension).contains(&named.hash) {
                    return Ok(Some("a name is missing"));
                }
            }
        }
        Ok(None)
    }
}

fn mismatch(window: u64, reason: &str) -> Mismatch {
    Mismatch {
        seqs: Some((first_of(window).max(Seq::FIRST), last_of(window))),
        reason: reason.to_owned(),
    }
}

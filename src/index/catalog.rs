//! [`Catalog`]: what the index knows in memory about its windows, and how it is told whether the
//! store still holds, and the log still says, what was indexed.
//!
//! **What a store may have forgotten.** The position carries a sum of hashes over every manifest,
//! and one over the names of each era. Loading takes the former anew, the first listing of names the
//! latter. A piece of a run or of ids that went missing shows by its absence when it is looked up:
//! which runs there are follows from the windows.
//!
//! **A crash between the batches of one window** leaves records of a window that the position does
//! not cover. They are ignored, and go before the window is written again. The position comes last.

use std::collections::VecDeque;

use super::dimension::{Dimension, Each};
use super::fences::Fences;
use super::keys::{self, ERA_LEN, LEVEL_MAX, Run, mix, parse_window};
use super::spans::Spans;
use super::store::{Pair, Store};
use super::values::{EraNames, Manifest, Position};
use crate::error::{Error, ErrorKind, Result};

/// The windows that the store holds.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    floor: u64,
    next_window: u64,
    /// Ascending by window; windows without events have none.
    manifests: VecDeque<Manifest>,
    /// Of each of them.
    fences: VecDeque<Fences>,
    spans: Spans,
    /// The windows with events that could not be read.
    unread: VecDeque<u64>,
    names: Each<Vec<EraNames>>,
    /// The sum that the position carries.
    sum: u64,
    /// The bytes that the manifests tell of.
    bytes: u64,
}

/// A loaded catalog; without a position the store is empty.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) catalog: Catalog,
    pub(super) position: Option<Position>,
}

/// A run to be made, and those below it.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) run: Run,
    pub(super) below: Vec<Run>,
}

impl Catalog {
    /// A catalog of nothing, to begin with this window.
    pub(super) fn starting_at(window: u64) -> Catalog {
        Catalog {
            floor: window,
            next_window: window,
            ..Catalog::default()
        }
    }

    /// Windows before this one are no part of the index.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Windows from this one on are not in the store.
    pub(super) fn next_window(&self) -> u64 {
        self.next_window
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The names that each era has.
    pub(super) fn names(&self) -> &Each<Vec<EraNames>> {
        &self.names
    }

    pub(super) fn windows(&self) -> usize {
        self.manifests.len()
    }

    /// How many windows lie before this one.
    pub(super) fn windows_before(&self, window: u64) -> usize {
        self.manifests.partition_point(|held| held.window < window)
    }

    /// The manifests from this window on.
    pub(super) fn manifests_from(&self, window: u64) -> impl Iterator<Item = &Manifest> {
        let start = self.manifests.partition_point(|held| held.window < window);
        self.manifests.range(start..)
    }

    /// The first window from this one on that has events which could not be read.
    pub(super) fn unread_from(&self, window: u64) -> Option<u64> {
        let start = self.unread.partition_point(|held| *held < window);
        self.unread.get(start).copied()
    }

    /// The last window up to this one that has events which could not be read.
    pub(super) fn unread_upto(&self, window: u64) -> Option<u64> {
        let behind = self.unread.partition_point(|held| *held <= window);
        self.unread.get(behind.checked_sub(1)?).copied()
    }

    /// The fences of a window.
    pub(super) fn fences(&self, window: u64) -> Fences {
        let held = self.fences.get(self.windows_before(window));
        held.copied().unwrap_or_default()
    }

    /// The first window from this one on that may hold an id with this time.
    pub(super) fn first_holding(&self, window: u64, millis: u64) -> Option<&Manifest> {
        self.spans.ranges(window, millis).find_map(|(from, end)| {
            let windows = self.manifests_from(from);
            let mut windows = windows.take_while(|held| held.window < end);
            windows.find(|held| held.times().may_hold(millis))
        })
    }

    /// The first window from this one on that has events.
    pub(super) fn first_from(&self, window: u64) -> Option<u64> {
        self.manifests_from(window).next().map(|held| held.window)
    }

    /// The last window up to this one that has events.
    pub(super) fn last_upto(&self, window: u64) -> Option<u64> {
        let behind = self.windows_before(window.saturating_add(1));
        let last = self.manifests.get(behind.checked_sub(1)?);
        last.map(|held| held.window)
    }

    /// Whether all windows of a run have been taken: then the store has the run, if it has any of
    /// its windows.
    pub(super) fn is_complete(&self, run: Run) -> bool {
        run.end() <= self.next_window
    }

    /// The runs that become complete once this window has been taken, lower levels first.
    pub(super) fn due_with(&self, window: u64) -> Vec<Due> {
        let mut lasts: Vec<u64> = self.last_upto(window).into_iter().collect();
        lasts.push(window);
        let mut due = Vec::new();
        for level in 1..=LEVEL_MAX {
            for dimension in Dimension::ALL {
                let runs = lasts.iter().map(|last| Run::of(dimension, level, *last));
                let mut runs: Vec<Run> = runs.collect();
                runs.dedup();
                runs.retain(|run| self.next_window < run.end() && run.end() <= window + 1);
                due.extend(runs.into_iter().map(|run| self.due(run, window)));
            }
        }
        due
    }

    fn due(&self, run: Run, window: u64) -> Due {
        let mut below = self.below(run);
        if run.start() <= window && window < run.end() {
            below.push(Run::of(run.dimension, run.level.saturating_sub(1), window));
            below.dedup();
        }
        Due { run, below }
    }

    /// The runs of the level below that this one has.
    pub(super) fn below(&self, run: Run) -> Vec<Run> {
        let windows = self.manifests_from(run.start()).map(|held| held.window);
        let windows = windows.take_while(|window| *window < run.end());
        let level = run.level.saturating_sub(1);
        let mut below: Vec<Run> = windows
            .map(|window| Run::of(run.dimension, level, window))
            .collect();
        below.dedup();
        below
    }

    /// The sum once this window has been taken.
    pub(super) fn sum_with(&self, manifest: &Manifest, fences: &Fences) -> u64 {
        self.sum.wrapping_add(manifest_digest(manifest, fences))
    }

    /// The names of each era, once a window with these new names has been taken.
    pub(super) fn names_with(&self, new: &Each<EraNames>) -> Each<Vec<EraNames>> {
        let mut names = self.names.clone();
        for dimension in Dimension::ALL {
            let (eras, new) = (names.get_mut(dimension), new.get(dimension));
            match eras.last_mut().filter(|last| last.era == new.era) {
                Some(last) => {
                    last.count = last.count.saturating_add(new.count);
                    last.sum = last.sum.wrapping_add(new.sum);
                }
                None => eras.push(*new),
            }
        }
        names
    }

    /// Takes a window that the store has taken.
    pub(super) fn take(&mut self, manifest: Manifest, fences: Fences, names: Each<Vec<EraNames>>) {
        self.sum = self.sum_with(&manifest, &fences);
        self.next_window = manifest.window.saturating_add(1);
        self.push(manifest, fences);
        self.names = names;
    }

    fn push(&mut self, manifest: Manifest, fences: Fences) {
        self.bytes = self.bytes.saturating_add(manifest.bytes.into());
        self.spans.add(&manifest);
        if manifest.unreadable > 0 {
            self.unread.push_back(manifest.window);
        }
        self.manifests.push_back(manifest);
        self.fences.push_back(fences);
    }

    /// Forgets the windows before `floor`; how many there were.
    pub(super) fn retire(&mut self, floor: u64) -> usize {
        let before = self.manifests.len();
        let gone = ..self.windows_before(floor);
        for (manifest, fences) in self.manifests.drain(gone).zip(self.fences.drain(gone)) {
            let digest = manifest_digest(&manifest, &fences);
            self.sum = self.sum.wrapping_sub(digest);
            self.bytes = self.bytes.saturating_sub(manifest.bytes.into());
        }
        for dimension in Dimension::ALL {
            let eras = self.names.get_mut(dimension);
            eras.retain(|held| held.era >= floor / ERA_LEN);
        }
        self.spans.retire(floor);
        self.unread.retain(|window| *window >= floor);
        self.floor = self.floor.max(floor);
        before - self.manifests.len()
    }

    /// What a store holds for this log.
    ///
    /// # Errors
    /// [`Index`](ErrorKind::Index) if it is not what was put there.
    pub(super) fn load(store: &dyn Store, log_id: u128) -> Result<Loaded> {
        let Some(value) = store.get(keys::POSITION)? else {
            let (from, to) = keys::ALL;
            return match super::store::first_in(store, from, to)? {
                None => Ok(Loaded::default()),
                Some(_) => Err(broken("it has records, but no position")),
            };
        };
        let position = Position::decode(&value, log_id);
        let position = position.ok_or_else(|| broken("its position does not pass the check"))?;
        let mut catalog = Catalog::starting_at(position.floor);
        catalog.next_window = position.next_window;
        catalog.names = position.names.clone();
        catalog.load_manifests(store)?;
        if catalog.sum != position.sum {
            return Err(broken("records are missing or old"));
        }
        Ok(Loaded {
            catalog,
            position: Some(position),
        })
    }

    fn load_manifests(&mut self, store: &dyn Store) -> Result<()> {
        let (from, to) = (self.floor, self.next_window);
        let pairs = all_in(store, &keys::manifest(from), &keys::manifest(to))?;
        for (key, value) in pairs {
            let manifest = parse_window(&key).and_then(|window| Manifest::decode(window, &value));
            let (manifest, fences) =
                manifest.ok_or_else(|| broken("a manifest does not pass its check"))?;
            self.sum = self.sum_with(&manifest, &fences);
            self.push(manifest, fences);
        }
        Ok(())
    }
}

pub(super) fn all_in(store: &dyn Store, from: &[u8], to: &[u8]) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    store.scan(from, to, &mut |key, value| {
        pairs.push((key.to_vec(), value.to_vec()));
        true
    })?;
    Ok(pairs)
}

/// What a manifest adds to the sum.
fn manifest_digest(manifest: &Manifest, fences: &Fences) -> u64 {
    mix(manifest.window ^ keys::digest(&manifest.encode(fences)))
}

/// The store does not hold what was put there.
pub(super) fn broken(reason: &str) -> Error {
    let message =
        format!("the index is not what was written: {reason}; it is rebuilt from the log");
    Error::new(ErrorKind::Index, message)
}

//! [`Runs`]: where in the store the events of one name are.
//!
//! The windows up to `next_window` are covered by complete runs, each as large as can be, and by the
//! single windows behind the last complete run of level 1. Of each run one piece tells whether it
//! has the name, how often, and in which runs below. So neither a rare name nor one that is not
//! there costs more than a step per run.

use super::catalog::{Catalog, broken};
use super::core::State;
use super::dimension::Dimension;
use super::keys::{LEVEL_MAX, Run, SPAN};
use super::pieces::{Branch, Piece, count_offsets, decode_offsets};
use super::store::Store;
use crate::error::Result;

/// Which way windows are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// The windows of one run of level 1 that may have the name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    run: Run,
    windows: u64,
    /// Whether each of them does have it.
    sure: bool,
}

impl Group {
    /// Takes the next window, and says whether it has the name for sure.
    pub(super) fn take(&mut self, way: Way) -> Option<(u64, bool)> {
        if self.windows == 0 {
            return None;
        }
        let place = match way {
            Way::Up => self.windows.trailing_zeros(),
            Way::Down => self.windows.ilog2(),
        };
        self.windows &= !(1 << place);
        Some((self.run.start() + u64::from(place), self.sure))
    }
}

/// One name in the store.
#[derive(Debug)]
pub(super) struct Runs<'a> {
    store: &'a dyn Store,
    catalog: &'a Catalog,
    dimension: Dimension,
    hash: u64,
}

impl<'a> Runs<'a> {
    pub(super) fn new(state: &'a State, dimension: Dimension, hash: u64) -> Runs<'a> {
        Runs {
            store: state.store.as_ref(),
            catalog: &state.catalog,
            dimension,
            hash,
        }
    }

    /// The first group that may have the name, from this window on up or down.
    pub(super) fn group(&self, from: u64, way: Way) -> Result<Option<Group>> {
        let mut at = from;
        while let Some(window) = match way {
            Way::Up => self.catalog.first_from(at),
            Way::Down => self.catalog.last_upto(at),
        } {
            let range = match way {
                Way::Up => (from.max(self.catalog.floor()), u64::MAX),
                Way::Down => (self.catalog.floor(), from),
            };
            let top = self.top(window);
            let found = match top {
                Some(run) => self.group_in(run, range, way)?,
                None => self.open_group(window, range),
            };
            if found.is_some() {
                return Ok(found);
            }
            let run = top.unwrap_or(Run::of(self.dimension, 1, window));
            at = match way {
                Way::Up => run.end(),
                Way::Down if run.start() == 0 => return Ok(None),
                Way::Down => run.start() - 1,
            };
        }
        Ok(None)
    }

    /// Whether the store has this window.
    pub(super) fn has(&self, window: u64) -> bool {
        self.catalog.first_from(window) == Some(window)
    }

    /// The offsets of the events in a window; `None` if it does not have the name.
    pub(super) fn offsets(&self, window: u64) -> Result<Option<Vec<u16>>> {
        let decode = |rest: &[u8]| decode_offsets(rest);
        self.look_up(Run::of(self.dimension, 0, window), decode)
    }

    /// How many events have the name in the windows from this one on.
    pub(super) fn count(&self, from: u64) -> Result<u64> {
        // Below the floor, runs may have gone that others still list.
        let from = from.max(self.catalog.floor());
        let (mut at, mut count) = (from, 0_u64);
        while let Some(window) = self.catalog.first_from(at) {
            let run = self.top(window);
            let run = run.unwrap_or(Run::of(self.dimension, 0, window));
            count = count.saturating_add(self.count_in(run, from)?);
            at = run.end();
        }
        Ok(count)
    }

    fn count_in(&self, run: Run, from: u64) -> Result<u64> {
        if run.level == 0 {
            let count = self.look_up(run, |rest| Some(count_offsets(rest)))?;
            return Ok(count.unwrap_or(0));
        }
        let branch = self.look_up(run, Branch::decode)?.unwrap_or_default();
        if run.start() >= from {
            return Ok(branch.count);
        }
        let mut count = 0_u64;
        for child in children(run, branch.children, (from, u64::MAX)) {
            count = count.saturating_add(self.count_in(child, from)?);
        }
        Ok(count)
    }

    /// The largest complete run that a window is in, of level 1 at least.
    fn top(&self, window: u64) -> Option<Run> {
        let mut runs = (1..=LEVEL_MAX).rev();
        runs.find_map(|level| {
            let run = Run::of(self.dimension, level, window);
            self.catalog.is_complete(run).then_some(run)
        })
    }

    fn group_in(&self, run: Run, range: (u64, u64), way: Way) -> Result<Option<Group>> {
        let Some(branch) = self.look_up(run, Branch::decode)? else {
            return Ok(None);
        };
        let below = children(run, branch.children, range);
        if run.level == 1 {
            let bits = below.map(|child| 1_u64 << child.place());
            let windows = bits.fold(0, |windows, bit| windows | bit);
            let sure = true;
            return Ok((windows != 0).then_some(Group { run, windows, sure }));
        }
        let mut below: Vec<Run> = below.collect();
        if way == Way::Down {
            below.reverse();
        }
        for child in below {
            let found = self.group_in(child, range, way)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The windows that no complete run covers.
    fn open_group(&self, window: u64, range: (u64, u64)) -> Option<Group> {
        let run = Run::of(self.dimension, 1, window);
        let mut windows = 0;
        for held in self.catalog.manifests_from(run.start().max(range.0)) {
            if held.window >= run.end() || held.window > range.1 {
                break;
            }
            windows |= 1 << Run::of(self.dimension, 0, held.window).place();
        }
        let sure = false;
        (windows != 0).then_some(Group { run, windows, sure })
    }

    fn look_up<T>(&self, run: Run, decode: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>> {
        let (from, _) = run.keys();
        let mut behind = run.key(self.hash);
        behind.push(0);
        if let Some((key, value)) = self.store.last_at_hand(&from, &behind)
            && let Some(piece) = Piece::read(&key, &value)
            && piece.covers(self.hash)
        {
            return self.entry(piece, decode);
        }
        let found = self.store.last_in(&from, &behind)?;
        let (key, value) = found.ok_or_else(|| broken("names are missing"))?;
        let piece = Piece::read(&key, &value);
        let piece = piece.ok_or_else(|| broken("names do not pass their check"))?;
        if !piece.covers(self.hash) {
            return Err(broken("names are missing"));
        }
        self.entry(piece, decode)
    }

    /// What a piece says of the name.
    fn entry<T>(&self, piece: Piece<'_>, decode: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>> {
        let nonsense = || broken("the events of a name make no sense");
        let rest = piece.find(self.hash).map_err(|_| nonsense())?;
        let decoded = rest.map(|rest| decode(rest).ok_or_else(nonsense));
        decoded.transpose()
    }
}

/// The runs below that have these bits and windows of this range.
fn children(run: Run, bits: u64, range: (u64, u64)) -> impl Iterator<Item = Run> {
    let places = (0..u32::try_from(SPAN).unwrap_or(0)).filter(move |place| bits & 1 << place != 0);
    let runs = places.map(move |place| run.child(place));
    runs.filter(move |child| child.end() > range.0 && child.start() <= range.1)
}

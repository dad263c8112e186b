//! [`Names`]: the distinct names of a dimension, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::{Core, State};
use super::dictionary;
use super::dimension::Dimension;
use super::keys::{self, ERA_LEN, first_of};
use super::postings::Postings;
use super::visit::for_each;
use crate::error::Result;
use crate::position::Seq;

/// How many names are held in memory at most. Each page of them takes a pass over the dictionary.
const PAGE_LEN: usize = 1 << 15;
/// How many records of the dictionary are read while the follower waits.
const BURST: usize = 64;

/// The distinct names of a dimension, ascending, a page in memory at a time; and in memory all names
/// of events that are not indexed.
#[derive(Debug)]
pub(crate) struct Names {
    core: Arc<Core>,
    dimension: Dimension,
    /// Only names that begin with one of these; all names if there are none.
    prefixes: Arc<[Box<str>]>,
    /// The last name of the page before.
    after: Option<Box<str>>,
    /// Descending: taken from behind. Whether each has an event for sure is found out when it is.
    page: Vec<(Box<str>, bool)>,
    /// The names of the events that were scanned, from this Seq on.
    scanned: BTreeSet<Box<str>>,
    scanned_from: Option<Seq>,
    end: Seq,
    ended: bool,
}

/// The first names behind one, and whether each has an event for sure.
#[derive(Debug)]
struct Page<'a> {
    after: Option<&'a str>,
    prefixes: &'a [Box<str>],
    names: BTreeMap<Box<str>, bool>,
    /// Whether there are others behind.
    more: bool,
}

impl Page<'_> {
    fn add(&mut self, name: &str, sure: bool) {
        if self.after.is_some_and(|after| name <= after) || !fits(self.prefixes, name) {
            return;
        }
        if let Some(held) = self.names.get_mut(name) {
            *held |= sure;
            return;
        }
        if self.names.len() == PAGE_LEN {
            self.more = true;
            if self
                .names
                .last_key_value()
                .is_some_and(|(last, _)| *name > **last)
            {
                return;
            }
            self.names.pop_last();
        }
        self.names.insert(name.into(), sure);
    }
}

/// Whether a name begins with one of these prefixes; every one does if there are none.
fn fits(prefixes: &[Box<str>], name: &str) -> bool {
    prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(&**prefix))
}

/// Checks, once, that the names in the store are all there.
fn check_names(state: &State) -> Result<()> {
    if !state.names_checked.load(Ordering::Acquire) {
        dictionary::check(state.store.as_ref(), &state.catalog)?;
        state.names_checked.store(true, Ordering::Release);
    }
    Ok(())
}

impl Names {
    /// The names of the events up to the last that is appended now: those that begin with one of these
    /// prefixes, or all without any.
    pub(super) fn new(core: Arc<Core>, dimension: Dimension, prefixes: &[&str]) -> Names {
        Names {
            end: core.log.watermark().appended(),
            core,
            dimension,
            prefixes: prefixes.iter().map(|&prefix| prefix.into()).collect(),
            after: None,
            page: Vec::new(),
            scanned: BTreeSet::new(),
            scanned_from: None,
            ended: false,
        }
    }

    fn fill(&mut self) {
        self.core.await_open();
        while self.page.is_empty() && !self.ended {
            let (after, prefixes) = (self.after.take(), self.prefixes.clone());
            let mut page = Page {
                after: after.as_deref(),
                prefixes: &prefixes,
                names: BTreeMap::new(),
                more: false,
            };
            let next = self.read_indexed(&mut page);
            let held = self.core.log.first_seq();
            self.scan(next.max(held));
            let is_whole = self.core.log.dropped_count() == 0;
            let sure = is_whole && self.scanned_from.is_some_and(|from| held <= from);
            for name in &self.scanned {
                page.add(name, sure);
            }
            let Page { names, more, .. } = page;
            self.take(names, more);
        }
    }

    /// Adds the names of the indexed events to a page; returns the Seq behind them.
    fn read_indexed(&self, page: &mut Page<'_>) -> Seq {
        let (core, dimension) = (&self.core, self.dimension);
        let changes = core.changes.load(Ordering::Relaxed);
        let held = core.log.first_seq();
        let has_all = core.log.dropped_count() == 0;
        let is_whole = |window| has_all && held <= first_of(window).max(Seq::FIRST);
        let mut from = None;
        while let Some(state) = core.trusted()
            && core.changes.load(Ordering::Relaxed) == changes
        {
            let (store, catalog) = (state.store.as_ref(), &state.catalog);
            let start = catalog.floor() / ERA_LEN * ERA_LEN;
            let start = from.unwrap_or_else(|| keys::names(dimension, start, 0));
            let end = keys::names(dimension, catalog.next_window(), 0);
            let mut add = |window, name: &str| page.add(name, is_whole(window));
            let checked = check_names(&state);
            let visited =
                checked.and_then(|()| dictionary::visit(store, (&start, &end), BURST, &mut add));
            match visited {
                Ok(next) => from = next,
                Err(reason) => {
                    // While the state is held that it is said of.
                    core.report(reason.message());
                    break;
                }
            }
            if from.is_none() {
                for named in state.tail.lists(dimension).names() {
                    page.add(&named.name, is_whole(state.tail.number()));
                }
                return state.tail.next();
            }
        }
        Seq::ZERO
    }

    /// Scans the events from `from` on, as far as they were not yet.
    fn scan(&mut self, from: Seq) {
        let upto = self.scanned_from.map_or(self.end, Seq::prev);
        if from > upto {
            return;
        }
        let (dimension, scanned) = (self.dimension, &mut self.scanned);
        let prefixes = &self.prefixes;
        for_each(&self.core.log, from, upto, |event| {
            let name = dimension.of(&event);
            if fits(prefixes, name) && !scanned.contains(name) {
                scanned.insert(name.into());
            }
            true
        });
        self.scanned_from = Some(from);
    }

    /// Hands out a page.
    fn take(&mut self, names: BTreeMap<Box<str>, bool>, more: bool) {
        self.ended = !more;
        self.after = names.last_key_value().map(|(last, _)| last.clone());
        self.page = names.into_iter().rev().collect();
    }

    fn has_events(&self, name: &str) -> bool {
        let core = self.core.clone();
        let mut seqs = Postings::new(core, self.dimension, name, Seq::FIRST);
        seqs.next().is_some()
    }
}

impl Iterator for Names {
    type Item = Box<str>;

    /// Passes over the names whose events are gone. Each is looked at when it is come to: who wants the
    /// first few pays for no others.
    fn next(&mut self) -> Option<Box<str>> {
        loop {
            if self.page.is_empty() {
                self.fill();
            }
            let (name, sure) = self.page.pop()?;
            if sure || self.has_events(&name) {
                return Some(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::durability::Durability;
    use crate::format::record::Record;
    use crate::index::tests::memory_log;
    use crate::index::{Index, IndexConfig};

    #[test]
    fn names_that_begin_otherwise_are_not_even_remembered() {
        let log = memory_log();
        let index = Index::open(log.clone(), None, IndexConfig::default());
        let append = |number: u64| {
            let wanted = number.is_multiple_of(100);
            let prefix = if wanted { "order" } else { "tick" };
            let name = format!("{prefix}.{number:05}");
            let record = Record::new(&name, "test", Timestamp(1), &[0xc0]).unwrap();
            log.append(&[record], Durability::Os).unwrap();
        };
        // In the store, in the tail, and behind what is indexed.
        for number in 0..5_000 {
            append(number);
        }
        assert!(index.catch_up());
        for number in 5_000..5_200 {
            append(number);
        }
        let prefixes = ["tick.00001", "order.", "none."];
        let mut names = Names::new(index.core.clone(), Dimension::Type, &prefixes);
        let first = names.next().unwrap();
        assert_eq!(&*first, "order.00000");
        assert_eq!(names.page.len(), 52);
        assert_eq!(names.last().as_deref(), Some("tick.00001"));
        let names = Names::new(index.core.clone(), Dimension::Type, &[]);
        assert_eq!(names.count(), 5_200);
    }
}

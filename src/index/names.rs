//! [`Names`]: the distinct names of a dimension, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::Core;
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
    /// The last name of the page before.
    after: Option<Box<str>>,
    /// Descending: taken from behind.
    page: Vec<Box<str>>,
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
    names: BTreeMap<Box<str>, bool>,
    /// Whether there are others behind.
    more: bool,
}

impl Page<'_> {
    fn add(&mut self, name: &str, sure: bool) {
        if self.after.is_some_and(|after| name <= after) {
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

impl Names {
    /// The names of the events up to the last that is appended now.
    pub(super) fn new(core: Arc<Core>, dimension: Dimension) -> Names {
        Names {
            end: core.log.watermark().appended(),
            core,
            dimension,
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
            let after = self.after.take();
            let mut page = Page {
                after: after.as_deref(),
                names: BTreeMap::new(),
                more: false,
            };
            let next = match self.read_indexed(&mut page) {
                Ok(next) => next,
                Err(reason) => {
                    self.core.report(reason.message());
                    Seq::ZERO
                }
            };
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
    fn read_indexed(&self, page: &mut Page<'_>) -> Result<Seq> {
        let (core, dimension) = (&self.core, self.dimension);
        let rebuilds = core.rebuilds.load(Ordering::Relaxed);
        let held = core.log.first_seq();
        let has_all = core.log.dropped_count() == 0;
        let is_whole = |window| has_all && held <= first_of(window).max(Seq::FIRST);
        let mut from = None;
        while let Some(state) = core.trusted()
            && core.rebuilds.load(Ordering::Relaxed) == rebuilds
        {
            let (store, catalog) = (state.store.as_ref(), &state.catalog);
            if !state.names_checked.load(Ordering::Acquire) {
                dictionary::check(store, catalog)?;
                state.names_checked.store(true, Ordering::Release);
            }
            let start = catalog.floor() / ERA_LEN * ERA_LEN;
            let start = from.unwrap_or_else(|| keys::names(dimension, start, 0));
            let end = keys::names(dimension, catalog.next_window(), 0);
            let mut add = |window, name: &str| page.add(name, is_whole(window));
            from = dictionary::visit(store, (&start, &end), BURST, &mut add)?;
            if from.is_none() {
                for named in state.tail.lists(dimension).names() {
                    page.add(&named.name, is_whole(state.tail.number()));
                }
                return Ok(state.tail.next());
            }
        }
        Ok(Seq::ZERO)
    }

    /// Scans the events from `from` on, as far as they were not yet.
    fn scan(&mut self, from: Seq) {
        let upto = self.scanned_from.map_or(self.end, Seq::prev);
        if from > upto {
            return;
        }
        let (dimension, scanned) = (self.dimension, &mut self.scanned);
        for_each(&self.core.log, from, upto, |event| {
            let name = dimension.of(&event);
            if !scanned.contains(name) {
                scanned.insert(name.into());
            }
            true
        });
        self.scanned_from = Some(from);
    }

    /// Hands out a page, without the names whose events are gone.
    fn take(&mut self, names: BTreeMap<Box<str>, bool>, more: bool) {
        self.ended = !more;
        self.after = names.last_key_value().map(|(last, _)| last.clone());
        let names = names.into_iter().rev();
        let held = names.filter(|(name, sure)| *sure || self.has_events(name));
        self.page = held.map(|(name, _)| name).collect();
    }

    fn has_events(&self, name: &str) -> bool {
        let core = self.core.clone();
        let mut seqs = Postings::new(core, self.dimension, name, Seq::FIRST);
        seqs.next().is_some()
    }
}

impl Iterator for Names {
    type Item = Box<str>;

    fn next(&mut self) -> Option<Box<str>> {
        if self.page.is_empty() {
            self.fill();
        }
        self.page.pop()
    }
}

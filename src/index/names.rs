//! [`Names`]: the distinct names of a dimension, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::core::{Core, State};
use super::dictionary;
use super::dimension::Dimension;
use super::keys::{ERA_LEN, first_of};
use super::lookup::for_each;
use super::postings::Postings;
use crate::error::Result;
use crate::position::Seq;

/// How many names are read at a time.
const PAGE_LEN: usize = 256;

/// The distinct names of a dimension, ascending, a page in memory at a time; and in memory all names
/// of events that are not indexed.
#[derive(Debug)]
pub(crate) struct Names {
    core: Arc<Core>,
    dimension: Dimension,
    /// The last name that was handed out.
    after: Option<Box<str>>,
    /// Descending: taken from behind.
    page: Vec<Box<str>>,
    /// Names that were scanned for, of the events of these Seqs.
    scanned: BTreeSet<Box<str>>,
    seqs: Option<(Seq, Seq)>,
    end: Seq,
    ended: bool,
}

/// A page of names, and whether each has an event for sure.
#[derive(Debug, Default)]
struct Page {
    names: BTreeMap<Box<str>, bool>,
    /// No names behind this one are complete.
    upto: Option<Box<str>>,
}

impl Page {
    fn add(&mut self, name: &str, sure: bool) {
        let held = self.names.entry(name.into()).or_default();
        *held |= sure;
    }

    /// Names behind this one are left for the next page.
    fn cut(&mut self, last: &str) {
        if self.upto.as_deref().is_none_or(|upto| last < upto) {
            self.upto = Some(last.into());
        }
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
            seqs: None,
            ended: false,
        }
    }

    fn fill(&mut self) {
        self.core.await_open();
        while self.page.is_empty() && !self.ended {
            let mut page = Page::default();
            let next = self.read_indexed(&mut page);
            self.scan(next.max(self.core.log.first_seq()));
            self.add_scanned(&mut page);
            self.take(page);
        }
    }

    /// Adds the names of the indexed events to a page; returns the Seq behind them.
    fn read_indexed(&self, page: &mut Page) -> Seq {
        let Some(state) = self.core.trusted() else {
            return Seq::ZERO;
        };
        match self.read_stored(&state, page) {
            Ok(()) => {
                let held = self.core.log.first_seq();
                let sure = held <= first_of(state.tail.number()).max(Seq::FIRST);
                for named in state.tail.lists(self.dimension).names() {
                    if self.is_ahead(&named.name) {
                        page.add(&named.name, sure);
                    }
                }
                state.tail.next()
            }
            Err(reason) => {
                self.core.report(reason.message());
                *page = Page::default();
                Seq::ZERO
            }
        }
    }

    fn read_stored(&self, state: &State, page: &mut Page) -> Result<()> {
        let (store, catalog) = (state.store.as_ref(), &state.catalog);
        if !state.names_checked.load(Ordering::Acquire) {
            dictionary::check(store, catalog)?;
            state.names_checked.store(true, Ordering::Release);
        }
        let held = self.core.log.first_seq();
        for era in catalog.names().get(self.dimension) {
            let sure = held <= first_of(era.era.saturating_mul(ERA_LEN)).max(Seq::FIRST);
            let place = (self.dimension, era.era);
            let names = dictionary::listed(store, catalog, place, self.after.as_deref(), PAGE_LEN)?;
            if names.len() == PAGE_LEN
                && let Some(last) = names.last()
            {
                page.cut(last);
            }
            for name in names {
                page.add(&name, sure);
            }
        }
        Ok(())
    }

    fn is_ahead(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
    }

    /// Scans the events from `from` on, as far as they were not yet.
    fn scan(&mut self, from: Seq) {
        let before = self.seqs.map_or(self.end, |(first, _)| first.prev());
        if from > before {
            return;
        }
        let (dimension, scanned) = (self.dimension, &mut self.scanned);
        for_each(&self.core.log, from, before, |event| {
            let name = dimension.of(&event);
            if !scanned.contains(name) {
                scanned.insert(name.into());
            }
            true
        });
        self.seqs = Some((from, self.end));
    }

    fn add_scanned(&self, page: &mut Page) {
        let after = self
            .after
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let ahead = self.scanned.range::<str, _>((after, Bound::Unbounded));
        let sure = self
            .seqs
            .is_some_and(|(first, _)| self.core.log.first_seq() <= first);
        for name in ahead.take(PAGE_LEN) {
            page.add(name, sure);
        }
        let left = self.scanned.range::<str, _>((after, Bound::Unbounded));
        if let Some(last) = left.take(PAGE_LEN).nth(PAGE_LEN - 1) {
            page.cut(last);
        }
    }

    /// Makes a page the one that is handed out, without the names whose events are gone.
    fn take(&mut self, page: Page) {
        let upto = page.upto;
        let names = page.names.into_iter();
        let names = names.filter(|(name, _)| upto.as_ref().is_none_or(|upto| name <= upto));
        let mut held = Vec::new();
        for (name, sure) in names {
            if sure || self.has_events(&name) {
                held.push(name);
            }
        }
        held.reverse();
        self.page = held;
        self.ended = upto.is_none();
        if upto.is_some() {
            self.after = upto;
        }
    }

    fn has_events(&self, name: &str) -> bool {
        let core = self.core.clone();
        Postings::new(core, self.dimension, name, Seq::FIRST)
            .next()
            .is_some()
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

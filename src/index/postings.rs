//! Walking the events of one name: [`Postings`] up, [`PostingsBack`] down.
//!
//! A window at a time, and lazily: the store tells which windows to look at. What is not indexed, or
//! found broken on the way, is scanned.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::catalog::broken;
use super::core::{Core, State};
use super::dimension::Dimension;
use super::keys::{first_of, last_of, window_of};
use super::runs::{Group, Runs, Way};
use super::visit::for_each;
use crate::error::Result;
use crate::position::Seq;

/// A walk over the events of one name in windows.
#[derive(Debug)]
struct Walk {
    core: Arc<Core>,
    dimension: Dimension,
    name: Box<str>,
    hash: u64,
    way: Way,
    /// The windows that are looked at next.
    group: Option<Group>,
    /// The state that told of them.
    changes: u64,
}

impl Walk {
    fn new(core: Arc<Core>, dimension: Dimension, name: &str, way: Way) -> Walk {
        Walk {
            dimension,
            name: name.into(),
            hash: core.hashes.hash(name),
            way,
            group: None,
            changes: core.changes.load(Ordering::Relaxed),
            core,
        }
    }

    /// Adds to `page` what it can of the Seqs `from..=upto` that have the name, ascending: from the
    /// front or, on the way down, from the end. Returns the first and the last Seq that it is done
    /// with.
    fn step(&mut self, from: Seq, upto: Seq, page: &mut Vec<Seq>) -> (Seq, Seq) {
        let core = self.core.clone();
        let at = match self.way {
            Way::Up => from,
            Way::Down => upto,
        };
        let mut next = Seq::ZERO;
        if let Some(state) = core.trusted() {
            next = state.tail.next();
            let stored = first_of(state.catalog.next_window());
            if at < stored {
                match self.step_in_store(&state, at, page) {
                    Ok(done) => return done,
                    Err(reason) => core.report(reason.message()),
                }
            } else if at < next {
                page.extend(state.tail.listed(self.dimension, &self.name));
                return (stored, next.prev());
            }
        }
        self.scan(at, next, page)
    }

    fn step_in_store(&mut self, state: &State, at: Seq, page: &mut Vec<Seq>) -> Result<(Seq, Seq)> {
        let done = |first: u64, last: u64| (first_of(first), last_of(last));
        let runs = Runs::new(state, self.dimension, self.hash);
        let window = window_of(at);
        let Some((found, sure)) = self.next_window(&runs, window)? else {
            return Ok(match self.way {
                Way::Up => done(window, state.catalog.next_window().saturating_sub(1)),
                Way::Down => done(0, window),
            });
        };
        match runs.offsets(found)? {
            Some(offsets) => {
                let base = first_of(found);
                page.extend(offsets.into_iter().map(|offset| base.plus(offset.into())));
            }
            None if sure => return Err(broken("the events of a name are missing")),
            None => {}
        }
        Ok((first_of(found.min(window)), last_of(found.max(window))))
    }

    /// The next window from this one on that may have the name.
    fn next_window(&mut self, runs: &Runs<'_>, from: u64) -> Result<Option<(u64, bool)>> {
        let changes = self.core.changes.load(Ordering::Relaxed);
        if self.changes != changes {
            self.changes = changes;
            self.group = None;
        }
        loop {
            while let Some((window, sure)) = self.group.as_mut().and_then(|g| g.take(self.way)) {
                let ahead = match self.way {
                    Way::Up => window >= from,
                    Way::Down => window <= from,
                };
                if ahead && runs.has(window) {
                    return Ok(Some((window, sure)));
                }
            }
            self.group = runs.group(from, self.way)?;
            if self.group.is_none() {
                return Ok(None);
            }
        }
    }

    /// Scans the part of one window that is not indexed: what lies at `next` or behind.
    fn scan(&self, at: Seq, next: Seq, page: &mut Vec<Seq>) -> (Seq, Seq) {
        let window = window_of(at);
        let (first, last) = match self.way {
            Way::Up => (at, last_of(window)),
            Way::Down if at < next => (first_of(window), at),
            Way::Down => (first_of(window).max(next), at),
        };
        for_each(&self.core.log, first, last, |event| {
            if self.dimension.of(&event) == &*self.name {
                page.push(event.seq());
            }
            true
        });
        (first, last)
    }
}

/// The Seqs of the events of one name, ascending, a page in memory at a time.
#[derive(Debug)]
pub(crate) struct Postings {
    walk: Walk,
    next: Seq,
    end: Seq,
    page: Vec<Seq>,
    /// How many Seqs of the page the iterator has handed out.
    taken: usize,
}

impl Postings {
    /// Those from `from` on, up to the last that is appended now.
    pub(super) fn new(core: Arc<Core>, dimension: Dimension, name: &str, from: Seq) -> Postings {
        Postings {
            end: core.log.watermark().appended(),
            walk: Walk::new(core, dimension, name, Way::Up),
            next: from.max(Seq::FIRST),
            page: Vec::new(),
            taken: 0,
        }
    }

    /// The same without what lies behind this Seq.
    pub(crate) fn upto(mut self, last: Seq) -> Postings {
        self.end = self.end.min(last);
        self
    }

    /// The next Seqs, at most 4,096 and at least one; none at the end. What the iterator has not yet
    /// taken of the page before is passed over.
    pub(crate) fn next_page(&mut self) -> &[Seq] {
        self.walk.core.await_open();
        self.page.clear();
        self.taken = 0;
        while self.page.is_empty() && self.next <= self.end {
            let first = self.walk.core.log.first_seq();
            self.next = self.next.max(first);
            let (_, done) = self.walk.step(self.next, self.end, &mut self.page);
            self.page.retain(|seq| (self.next..=self.end).contains(seq));
            self.walk.core.log.leave_out_dropped(&mut self.page);
            self.next = done.next();
        }
        &self.page
    }
}

impl Iterator for Postings {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        if self.taken == self.page.len() {
            self.next_page();
        }
        let seq = self.page.get(self.taken).copied()?;
        self.taken += 1;
        Some(seq)
    }
}

/// The Seqs of the events of one name, descending, a page in memory at a time.
#[derive(Debug)]
pub(crate) struct PostingsBack {
    walk: Walk,
    /// The last Seq that is looked at next; 0 at the end.
    next: Seq,
    /// Ascending; taken from behind.
    page: Vec<Seq>,
}

impl PostingsBack {
    /// Those from `upto` down, or from the last that is appended now.
    pub(super) fn new(core: Arc<Core>, dimension: Dimension, name: &str, upto: Seq) -> Self {
        PostingsBack {
            next: core.log.watermark().appended().min(upto),
            walk: Walk::new(core, dimension, name, Way::Down),
            page: Vec::new(),
        }
    }

    fn fill(&mut self) {
        self.walk.core.await_open();
        while self.page.is_empty() {
            let first = self.walk.core.log.first_seq().max(Seq::FIRST);
            if self.next < first {
                return;
            }
            let (done, _) = self.walk.step(first, self.next, &mut self.page);
            self.page.retain(|seq| (first..=self.next).contains(seq));
            self.walk.core.log.leave_out_dropped(&mut self.page);
            self.next = done.prev();
        }
    }
}

impl Iterator for PostingsBack {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        if self.page.is_empty() {
            self.fill();
        }
        self.page.pop()
    }
}

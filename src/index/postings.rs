//! What events are listed by, and walking such a list: [`Dimension`], [`Postings`],
//! [`PostingsBack`], [`Tally`].
//!
//! A list is walked a page at a time and equals a scan of the log: what is not indexed is scanned.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::core::Core;
use super::keys::{first_of, window_of};
use super::lookup::for_each;
use crate::format::record::EventRef;
use crate::position::Seq;

/// What events are listed by: each event has one name in each dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dimension {
    /// By their event type.
    Type,
    /// By their source.
    Source,
}

impl Dimension {
    /// The name that an event has in this dimension.
    pub(crate) fn of<'a>(self, event: &EventRef<'a>) -> &'a str {
        match self {
            Dimension::Type => event.event_type(),
            Dimension::Source => event.source(),
        }
    }
}

/// How many events have a name, and the ends of their list. Events that retention has removed do
/// not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    /// The Seq of the first one; `None` if there is none.
    pub(crate) first: Option<Seq>,
    /// The Seq of the last one.
    pub(crate) last: Option<Seq>,
}

/// A name in a dimension: one list of events.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) dimension: Dimension,
    pub(super) name: Box<str>,
}

impl Listed {
    pub(super) fn new(dimension: Dimension, name: &str) -> Listed {
        let name = name.into();
        Listed { dimension, name }
    }

    /// Whether the event is in the list.
    pub(super) fn lists(&self, event: &EventRef<'_>) -> bool {
        self.dimension.of(event) == &*self.name
    }
}

impl Core {
    /// How many events have the name, up to the last that is appended now.
    pub(super) fn tally(self: &Arc<Core>, dimension: Dimension, name: &str) -> Tally {
        let mut tally = Tally::default();
        for seq in Postings::new(self.clone(), dimension, name, Seq::FIRST) {
            tally.count += 1;
            tally.first.get_or_insert(seq);
            tally.last = Some(seq);
        }
        tally
    }

    /// All names that events have, ascending.
    pub(super) fn names(&self, dimension: Dimension) -> Names {
        let mut names: BTreeSet<Box<str>> = BTreeSet::new();
        let end = self.log.watermark().appended();
        for_each(&self.log, self.log.first_seq(), end, |event| {
            let name = dimension.of(&event);
            if !names.contains(name) {
                names.insert(name.into());
            }
            true
        });
        Names(names.into_iter())
    }
}

/// The distinct names of a dimension, ascending.
#[derive(Debug)]
pub(crate) struct Names(std::collections::btree_set::IntoIter<Box<str>>);

impl Iterator for Names {
    type Item = Box<str>;

    fn next(&mut self) -> Option<Box<str>> {
        self.0.next()
    }
}

/// The Seqs of the events of one name, ascending, a page in memory at a time.
#[derive(Debug)]
pub(crate) struct Postings {
    core: Arc<Core>,
    listed: Listed,
    next: Seq,
    end: Seq,
    page: Vec<Seq>,
    /// How many Seqs of the page the iterator has handed out.
    taken: usize,
}

impl Postings {
    /// Those from `from` on, up to the last that is appended now.
    pub(super) fn new(core: Arc<Core>, dimension: Dimension, name: &str, from: Seq) -> Postings {
        let end = core.log.watermark().appended();
        Postings {
            core,
            listed: Listed::new(dimension, name),
            next: from.max(Seq::FIRST),
            end,
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
        self.core.await_open();
        self.page.clear();
        self.taken = 0;
        while self.page.is_empty() && self.next <= self.end {
            let first = self.core.log.first_seq();
            self.next = self.next.max(first);
            let page = &mut self.page;
            self.next = self.core.page(&self.listed, self.next, self.end, page);
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
    core: Arc<Core>,
    listed: Listed,
    /// The last Seq that is looked at next; 0 at the end.
    next: Seq,
    /// Ascending; taken from behind.
    page: Vec<Seq>,
}

impl PostingsBack {
    /// Those from `upto` down, or from the last that is appended now.
    pub(super) fn new(core: Arc<Core>, dimension: Dimension, name: &str, upto: Seq) -> Self {
        let next = core.log.watermark().appended().min(upto);
        PostingsBack {
            core,
            listed: Listed::new(dimension, name),
            next,
            page: Vec::new(),
        }
    }

    fn fill(&mut self) {
        self.core.await_open();
        let first = self.core.log.first_seq().max(Seq::FIRST);
        while self.page.is_empty() && self.next >= first {
            let end = self.next;
            let start = first_of(window_of(end)).max(first);
            let mut from = start;
            while from <= end {
                from = self.core.page(&self.listed, from, end, &mut self.page);
            }
            self.next = start.prev();
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

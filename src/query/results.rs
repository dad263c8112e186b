//! [`QueryResults`]: the events of a query, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bounds::{Bounds, Direction};
use super::by_id::ById;
use super::criteria::Criteria;
use super::merge::Merge;
use super::route::{Lists, Route};
use super::scan::Scan;
use super::token::PageToken;
use crate::error::Result;
use crate::index::Index;
use crate::log::finder::Finder;
use crate::log::{StoredEvent, View};
use crate::position::{Gap, Seq};
use crate::upcast::Upcasters;

/// Where candidates come from, in order.
#[derive(Debug)]
enum Source {
    Ids(Box<ById>),
    /// The same, all looked up, newest first.
    IdsBack(std::vec::IntoIter<Seq>),
    Lists(Box<Merge>),
    Scan(Box<Scan>),
}

impl Source {
    fn next(&mut self) -> Result<Option<Seq>> {
        Ok(match self {
            Source::Ids(by_id) => by_id.next()?,
            Source::IdsBack(seqs) => seqs.next(),
            Source::Lists(merge) => merge.next(),
            Source::Scan(scan) => scan.next(),
        })
    }
}

/// The events that a query finds; see [`Query::run`](super::Query::run).
///
/// Each is borrowed from the log's map: nothing is copied, and a segment stays readable for as long as
/// one of its events is held. An event that may be wanted and cannot be read is an error, and the
/// iteration goes on behind it.
#[derive(Debug)]
pub struct QueryResults {
    finder: Finder,
    upcasters: Arc<Upcasters>,
    criteria: Arc<Criteria>,
    direction: Direction,
    fingerprint: u64,
    /// What was not yet come to.
    left: Bounds,
    sources: VecDeque<Source>,
    /// How many more events may be given.
    count_left: u64,
    /// The last event that was given, or that could not be read.
    place: Option<Seq>,
    gone: Option<Gap>,
}

/// What a query is about to do.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) log: Arc<View>,
    pub(super) upcasters: Arc<Upcasters>,
    pub(super) criteria: Arc<Criteria>,
    pub(super) direction: Direction,
    pub(super) fingerprint: u64,
    pub(super) bounds: Bounds,
    pub(super) limit: u64,
}

impl QueryResults {
    pub(super) fn new(job: Job, index: Option<&Arc<Index>>, route: &Route) -> Result<QueryResults> {
        let sources = job.sources(index, route)?;
        Ok(QueryResults {
            finder: Finder::new(job.log),
            upcasters: job.upcasters,
            criteria: job.criteria,
            direction: job.direction,
            fingerprint: job.fingerprint,
            left: job.bounds,
            sources,
            count_left: job.limit,
            place: None,
            gone: None,
        })
    }

    /// The place behind the last item that was given, for [`Query::after`](super::Query::after); `None`
    /// before the first.
    pub fn page_token(&self) -> Option<PageToken> {
        self.place.map(|seq| self.token_at(seq))
    }

    /// The place behind an event that this query gave: a page that begins there goes on with the next one.
    pub fn page_token_of(&self, stored: &StoredEvent) -> PageToken {
        self.token_at(stored.event().seq())
    }

    /// Which Seqs of the query's range retention had removed by the time that the query came to them,
    /// be it while it ran or since the page before: events that it would have given may have been among
    /// them. `None` if nothing is missing so far.
    pub fn gone(&self) -> Option<Gap> {
        self.gone
    }

    fn token_at(&self, seq: Seq) -> PageToken {
        PageToken {
            query: self.fingerprint,
            seq,
        }
    }

    fn candidate(&mut self) -> Result<Option<Seq>> {
        while let Some(source) = self.sources.front_mut() {
            if let Some(seq) = source.next()? {
                return Ok(Some(seq));
            }
            self.sources.pop_front();
        }
        Ok(None)
    }

    /// Notes what has been removed of the Seqs up to the next candidate, or up to the end.
    fn pass_over(&mut self, next: Option<Seq>) {
        let removed = self.finder.first_seq().prev();
        let upto = match (self.direction, next) {
            (Direction::OldestFirst, Some(seq)) => seq,
            (Direction::NewestFirst, Some(seq)) if seq > removed => Seq::ZERO,
            // The others are older, and were removed if this one was; or there are no others.
            _ => self.left.last,
        };
        self.note_gone(self.left.within(Seq::FIRST, removed.min(upto)));
    }

    fn note_gone(&mut self, gone: Bounds) {
        if !gone.is_empty() {
            let (from, to) = (gone.first, gone.last);
            self.gone = Some(self.gone.map_or(Gap { from, to }, |gap| Gap {
                from: gap.from.min(from),
                to: gap.to.max(to),
            }));
        }
    }

    /// Leaves a Seq behind.
    fn advance(&mut self, seq: Seq) {
        match self.direction {
            Direction::OldestFirst => self.left.first = self.left.first.max(seq.next()),
            Direction::NewestFirst => self.left.last = self.left.last.min(seq.prev()),
        }
    }
}

impl Iterator for QueryResults {
    type Item = Result<StoredEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.count_left > 0 {
            let seq = match self.candidate() {
                Ok(seq) => seq,
                Err(error) => return Some(Err(error)),
            };
            self.pass_over(seq);
            let Some(seq) = seq else {
                self.count_left = 0;
                return None;
            };
            self.advance(seq);
            if let Some(found) = self.finder.peek(seq) {
                if !self.criteria.matches(&found.event) {
                    continue;
                }
                let stored = found.keep();
                self.place = Some(seq);
                self.count_left -= 1;
                return Some(stored.newest(&self.upcasters));
            }
            match self.finder.get_unexpired(seq) {
                Ok(Some(stored)) if self.criteria.matches(&stored.event()) => {
                    self.place = Some(seq);
                    self.count_left -= 1;
                    return Some(stored.newest(&self.upcasters));
                }
                // It may have been removed since it was passed over.
                Ok(None) if seq < self.finder.first_seq() => self.note_gone(Bounds {
                    first: seq,
                    last: seq,
                }),
                Ok(_) => {}
                Err(error) => {
                    self.place = Some(seq);
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl std::iter::FusedIterator for QueryResults {}

impl Job {
    fn sources(&self, index: Option<&Arc<Index>>, route: &Route) -> Result<VecDeque<Source>> {
        let sources = match (route, index) {
            (Route::Nowhere, _) => Vec::new(),
            (Route::Ids, Some(index)) => vec![self.by_ids(index)?],
            (Route::Lists(lists), Some(index)) => self.by_lists(index, lists),
            // Both other routes are the index's.
            (Route::Scan, _) | (_, None) => vec![self.scan(self.bounds)],
        };
        Ok(sources.into())
    }

    fn scan(&self, bounds: Bounds) -> Source {
        let (log, criteria) = (self.log.clone(), self.criteria.clone());
        Source::Scan(Box::new(Scan::new(log, criteria, self.direction, bounds)))
    }

    /// The lists as far as the index reaches, and a scan of what lies behind.
    fn by_lists(&self, index: &Index, lists: &Lists) -> Vec<Source> {
        let listed = self.bounds.within(Seq::FIRST, lists.upto);
        let behind = self.bounds.within(lists.upto.next(), Seq::MAX);
        let mut sources = Vec::with_capacity(2);
        if !listed.is_empty() {
            let place = (&self.log, index);
            let names = (lists.dimension, lists.names.as_slice());
            let criteria = self.criteria.clone();
            let merge = Merge::new(place, criteria, self.direction, listed, names);
            sources.push(Source::Lists(Box::new(merge)));
        }
        if !behind.is_empty() {
            sources.push(self.scan(behind));
        }
        if self.direction == Direction::NewestFirst {
            sources.reverse();
        }
        sources
    }

    /// The events that have one of the ids.
    fn by_ids(&self, index: &Arc<Index>) -> Result<Source> {
        let mut by_id = ById::new(index, &self.criteria.ids, self.bounds);
        if self.direction == Direction::OldestFirst {
            return Ok(Source::Ids(Box::new(by_id)));
        }
        // An id is looked up from old to new.
        let mut seqs = Vec::new();
        while let Some(seq) = by_id.next()? {
            seqs.push(seq);
        }
        seqs.reverse();
        Ok(Source::IdsBack(seqs.into_iter()))
    }
}

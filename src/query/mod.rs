//! Queries: which events of the log are wanted, and the cheapest way to them.
//!
//! ```text
//!  Query ─► Bounds ─────────► Route ──────────────► candidates ────► QueryResults
//!  criteria  Seqs, by Seq      ids, lists of the     Scan, Merge      get, and hold it
//!            and appended_at   index, or a scan      skip segments    against the criteria
//! ```
//! A route only names candidates: each event is read from the log and held against all of the
//! [criteria](criteria::Criteria) before it is given. So a route may be wrong in one way only, by
//! leaving an event out, and what the index does not know is scanned. The inspector, which has no
//! index, matches by the same criteria.

mod fingerprint;
pub(crate) mod criteria;
mod token;
mod bounds;
mod scan;
mod merge;
mod route;
mod explain;
mod by_id;
mod results;
mod names;
mod unindexed;
mod of_type;

#[cfg(test)]
mod tests;

use std::ops::RangeBounds;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventId;
use crate::index::{Dimension, Index};
use crate::log::{StoredEvent, View};
use crate::position::Seq;
use crate::upcast::Upcasters;
use bounds::{Bounds, Direction};
use criteria::Criteria;
pub use explain::{Explanation, Plan};
pub use names::{NameSummaries, NameSummary};
pub(crate) use of_type::ListedOfType;
use results::Job;
pub use results::QueryResults;
use route::{Choice, Route};
pub use token::PageToken;
pub(crate) use unindexed::{OfType, scan_for_id};

/// Which events are wanted, and in what order: made by [`EventStore::query`](crate::EventStore::query),
/// carried out by [`run`](Query::run).
///
/// An event is wanted if every selector that was given lets it pass. The selectors may be given in any
/// order; of one that names a range the last counts, and those that name values add up.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem, Timestamp};
/// let system = EventSystem::builder().open()?;
/// for n in 0..100_i64 {
///     let event_type = if n % 2 == 0 { "order.placed" } else { "order.filled" };
///     system.emit(Event::new(event_type, "web", &n)?.at(Timestamp(n)))?;
/// }
/// let store = system.store();
/// let query = store.query().types(["order.placed"]).between(Timestamp(10), Timestamp(20));
/// assert_eq!(query.count()?, 5);
///
/// for stored in query.newest_first().limit(2).run()? {
///     println!("{}", stored?.event().to_json_value());
/// }
/// # system.close() }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a query does nothing until it is run"]
pub struct Query {
    log: Arc<View>,
    /// What lists events by name and id; a store that is only read has none, and scans.
    index: Option<Arc<Index>>,
    upcasters: Arc<Upcasters>,
    criteria: Criteria,
    direction: Direction,
    limit: u64,
    after: Option<PageToken>,
}

impl Query {
    pub(crate) fn new(
        log: Arc<View>,
        index: Option<Arc<Index>>,
        upcasters: Arc<Upcasters>,
    ) -> Query {
        Query {
            log,
            index,
            upcasters,
            criteria: Criteria::default(),
            direction: Direction::OldestFirst,
            limit: u64::MAX,
            after: None,
        }
    }

    /// Only events of these types: whole ones, or starts such as `order.*`; see
    /// [`Filter`](crate::Filter).
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.criteria.filter = self.criteria.filter.types(types);
        self
    }

    /// Only events from this source; named again, from each of them.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.criteria.filter = self.criteria.filter.source(source);
        self
    }

    /// Only events from one of these sources.
    pub fn sources<S: Into<String>>(mut self, sources: impl IntoIterator<Item = S>) -> Self {
        self.criteria.filter = self.criteria.filter.sources(sources);
        self
    }

    /// Only events with one of these ids; all of them, if several have the same.
    pub fn ids(mut self, ids: impl IntoIterator<Item = EventId>) -> Self {
        self.criteria.add_ids(ids);
        self
    }

    /// Only events whose own `timestamp`, the time that their emitter gave them, is `since` or later
    /// and lies before `until`.
    pub fn between(self, since: Timestamp, until: Timestamp) -> Self {
        self.since(since).until(until)
    }

    /// Leaves out events whose `timestamp` lies before this time.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.criteria.timestamp.since(time);
        self
    }

    /// Leaves out events whose `timestamp` is this time or lies after it.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.criteria.timestamp.until(time);
        self
    }

    /// Only events that the log took (`appended_at`) at `since` or later and before `until`. These
    /// times never decrease along the log, so the range is found without reading what lies outside.
    pub fn appended_between(self, since: Timestamp, until: Timestamp) -> Self {
        self.appended_since(since).appended_until(until)
    }

    /// Leaves out events that the log took before this time.
    pub fn appended_since(mut self, time: Timestamp) -> Self {
        self.criteria.appended.since(time);
        self
    }

    /// Leaves out events that the log took at this time or after it.
    pub fn appended_until(mut self, time: Timestamp) -> Self {
        self.criteria.appended.until(time);
        self
    }

    /// Only events of these Seqs: `Seq(100)..Seq(200)`, `..=Seq(99)`, and so on.
    pub fn seqs(mut self, range: impl RangeBounds<Seq>) -> Self {
        self.criteria.set_seqs(&range);
        self
    }

    /// Only events that have this header; with several, all of them.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.criteria.headers.push((name.into(), value.into()));
        self
    }

    /// From the newest event to the oldest. Without it, from the oldest to the newest.
    pub fn newest_first(mut self) -> Self {
        self.direction = Direction::NewestFirst;
        self
    }

    /// At most so many events.
    pub fn limit(mut self, count: u64) -> Self {
        self.limit = count;
        self
    }

    /// Goes on behind the page that ended with this token. The page is one of the log as it is now: of
    /// a query that goes from old to new, the last page leads on to what was appended since.
    pub fn after(mut self, token: PageToken) -> Self {
        self.after = Some(token);
        self
    }

    /// The events, as they are at this moment: the last one is the last that is appended now. Selectors see
    /// them as they were emitted; what is given is the [newest version](crate::Builder::upcaster) of each.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a type pattern that can match nothing, or a page token of
    /// another query; newest first, [`Corrupt`](ErrorKind::Corrupt) if an event that may have a wanted id
    /// cannot be read.
    pub fn run(&self) -> Result<QueryResults> {
        self.run_in(self.direction, self.limit)
    }

    /// How many events there are, no more than the limit. Where types, sources and Seqs are all that
    /// was asked for, and not types and sources at once, none of them is read.
    ///
    /// # Errors
    /// As [`Query::run`]; and [`Corrupt`](ErrorKind::Corrupt) if an event that may be wanted has to be
    /// read, and cannot be.
    pub fn count(&self) -> Result<u64> {
        let bounds = self.bounds()?;
        if let Some(count) = self.count_unread(bounds) {
            return Ok(count.min(self.limit));
        }
        let mut count = 0;
        for stored in self.run()? {
            stored?;
            count += 1;
        }
        Ok(count)
    }

    /// The oldest of the events, whatever the order; the limit plays no part.
    ///
    /// # Errors
    /// As [`Query::run`]; and [`Corrupt`](ErrorKind::Corrupt) if an event before it may be wanted and
    /// cannot be read.
    pub fn first(&self) -> Result<Option<StoredEvent>> {
        self.run_in(Direction::OldestFirst, 1)?.next().transpose()
    }

    /// The newest of the events, whatever the order; the limit plays no part.
    ///
    /// # Errors
    /// As [`Query::first`], for an event behind it.
    pub fn last(&self) -> Result<Option<StoredEvent>> {
        self.run_in(Direction::NewestFirst, 1)?.next().transpose()
    }

    /// How the query would be answered now, and how many events would be read for it.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), as [`Query::run`].
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// # use forelog::{Event, EventSystem};
    /// let system = EventSystem::builder().open()?;
    /// system.emit(Event::new("tick", "clock", &1)?)?;
    /// let explained = system.store().query().explain()?.to_string();
    /// assert_eq!(explained, "scan; Seqs 1 to 1, oldest first; about 1 events to read");
    /// # system.close() }
    /// ```
    pub fn explain(&self) -> Result<Explanation> {
        let bounds = self.bounds()?;
        let mut choice = self.choose(bounds, self.limit);
        if let Some(index) = &self.index
            && let Route::Lists(lists) = &mut choice.route
        {
            *lists = lists.counted(index);
        }
        let route = (&choice.route, choice.fallback);
        let (log, criteria) = (&self.log, &self.criteria);
        Ok(Explanation::of(
            log,
            criteria,
            self.direction,
            bounds,
            route,
        ))
    }

    fn run_in(&self, direction: Direction, limit: u64) -> Result<QueryResults> {
        let bounds = self.bounds()?;
        let route = self.choose(bounds, limit).route;
        let job = Job {
            log: self.log.clone(),
            upcasters: self.upcasters.clone(),
            criteria: Arc::new(self.criteria.clone()),
            direction,
            fingerprint: self.fingerprint(direction),
            bounds,
            limit,
        };
        QueryResults::new(job, self.index.as_ref(), &route)
    }

    fn choose(&self, bounds: Bounds, limit: u64) -> Choice {
        let place = (self.log.as_ref(), self.index.as_ref());
        Choice::of(place, &self.criteria, bounds, limit)
    }

    /// Where to look, once all that was given is known to make sense.
    fn bounds(&self) -> Result<Bounds> {
        self.criteria.check()?;
        if self
            .after
            .is_some_and(|token| token.query != self.fingerprint(self.direction))
        {
            let message = "the page token is of another query: it holds for the log, the selectors and \
                           the direction with which it was given; begin again with the first page";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(Bounds::of(
            &self.log,
            &self.criteria,
            self.direction,
            self.after,
        ))
    }

    /// What page tokens are checked by: the log, the criteria and the direction.
    fn fingerprint(&self, direction: Direction) -> u64 {
        let mut print = self.criteria.fingerprint();
        print.number("log", &self.log.log_id().to_le_bytes());
        print.number(
            "newest first",
            &[u8::from(direction == Direction::NewestFirst)],
        );
        print.finish()
    }

    /// How many events there are, if that is known without reading one.
    fn count_unread(&self, bounds: Bounds) -> Option<u64> {
        // What has expired is found by reading it.
        if !self.criteria.is_by_name() || self.log.has_expiry() {
            return None;
        }
        let has_types = !self.criteria.filter.type_patterns().is_empty();
        let has_sources = !self.criteria.filter.wanted_sources().is_empty();
        match (has_types, has_sources) {
            (false, false) => self.count_held(bounds),
            (true, true) => None,
            _ => self.count_listed(bounds),
        }
    }

    /// How many events lie between the bounds.
    fn count_held(&self, bounds: Bounds) -> Option<u64> {
        let mut count = 0_u64;
        let mut from = bounds.first;
        while from <= bounds.last
            && let Some(span) = self.log.span_from(from)
            && span.first <= bounds.last
        {
            let part = bounds.within(span.first, span.last).len();
            let all = span.last.next().since(span.first);
            let is_whole = part == all;
            // Of a part of a segment that has lost events, only reading them tells how many.
            if !is_whole && span.times.is_some() && span.count != all {
                return None;
            }
            count = count.saturating_add(if is_whole { part.min(span.count) } else { part });
            from = span.last.next();
        }
        Some(count)
    }

    /// How many events the lists of the index have between the bounds.
    fn count_listed(&self, bounds: Bounds) -> Option<u64> {
        let Route::Lists(lists) = self.choose(bounds, u64::MAX).route else {
            return None;
        };
        let index = self.index.as_ref()?;
        let count = |name: &str| {
            let tally = index.tally(lists.dimension, name);
            let is_within = |seq: Option<Seq>| seq.is_none_or(|seq| bounds.contains(seq));
            if is_within(tally.first) && is_within(tally.last) {
                return tally.count;
            }
            let list = index.postings(lists.dimension, name, bounds.first);
            list.upto(bounds.last).count() as u64
        };
        Some(lists.names.iter().map(|name| count(name)).sum())
    }
}

/// The event types of the log, or its sources, with their numbers.
pub(crate) fn types(log: &Arc<View>, index: Option<&Arc<Index>>) -> NameSummaries {
    NameSummaries::new(log, index, Dimension::Type)
}

/// As [`types`].
pub(crate) fn sources(log: &Arc<View>, index: Option<&Arc<Index>>) -> NameSummaries {
    NameSummaries::new(log, index, Dimension::Source)
}

//! [`Selector`]: which events to show, by place, time, type and source.

use std::str::FromStr;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventId, Filter};
use crate::format::footer::TimeRanges;
use crate::format::record::EventRef;
use crate::position::Seq;
use crate::query::criteria::Criteria;

/// An end of a range: a place in the log, or a time.
///
/// ```
/// use forelog::inspect::Bound;
/// use forelog::Seq;
/// assert_eq!("42".parse::<Bound>()?, Bound::Seq(Seq(42)));
/// assert!(matches!("2013-01-01T10:00:00Z".parse::<Bound>()?, Bound::Time(_)));
/// assert!("yesterday".parse::<Bound>().is_err());
/// # Ok::<(), forelog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The event of this Seq; it is part of the range.
    Seq(Seq),
    /// Events with this `timestamp` (the user's time); they are part of the range.
    Time(Timestamp),
}

impl FromStr for Bound {
    type Err = Error;

    /// Reads a number as a Seq and all else as an RFC 3339 time.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(seq) = text.parse() {
            return Ok(Bound::Seq(Seq(seq)));
        }
        text.parse().map(Bound::Time).map_err(|source| {
            let message = format!(
                "{text:?} is neither a Seq (such as 42) nor an RFC 3339 time (such as \
                 2013-01-01T10:00:00Z)"
            );
            Error::new(ErrorKind::Invalid, message).caused_by(source)
        })
    }
}

/// Which events to show. The default is all of them. It matches as a [`Query`](crate::Query) does.
///
/// ```
/// use forelog::Filter;
/// use forelog::inspect::Selector;
/// let selector = Selector::all()
///     .from("1000".parse()?)
///     .filter(Filter::all().types(["order.*"]).source("web"))
///     .limit(10);
/// # Ok::<(), forelog::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    criteria: Criteria,
    limit: Option<u64>,
}

impl Selector {
    /// All events.
    pub fn all() -> Self {
        Selector::default()
    }

    /// Only from here on; the bound itself is included. May be given once as a Seq and once as a
    /// time; then both must hold.
    #[must_use]
    pub fn from(mut self, bound: Bound) -> Self {
        match bound {
            Bound::Seq(seq) => self.criteria.seqs.start = seq.max(Seq::FIRST),
            Bound::Time(time) => self.criteria.timestamp.since(time),
        }
        self
    }

    /// Only up to here; the bound itself is included.
    #[must_use]
    pub fn to(mut self, bound: Bound) -> Self {
        match bound {
            Bound::Seq(seq) => self.criteria.seqs.end = seq.next(),
            Bound::Time(time) => self.criteria.timestamp.upto(time),
        }
        self
    }

    /// Leaves out events whose `timestamp` is this time or lies after it.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.criteria.timestamp.until(time);
        self
    }

    /// Leaves out events that the log took (`appended_at`) before this time.
    #[must_use]
    pub fn appended_since(mut self, time: Timestamp) -> Self {
        self.criteria.appended.since(time);
        self
    }

    /// Leaves out events that the log took at this time or after it.
    #[must_use]
    pub fn appended_until(mut self, time: Timestamp) -> Self {
        self.criteria.appended.until(time);
        self
    }

    /// Only events of these types and sources.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.criteria.filter = filter;
        self
    }

    /// Only events with one of these ids.
    #[must_use]
    pub fn ids(mut self, ids: impl IntoIterator<Item = EventId>) -> Self {
        self.criteria.add_ids(ids);
        self
    }

    /// Only events that have this header; with several, all of them.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.criteria.headers.push((name.into(), value.into()));
        self
    }

    /// At most so many events.
    #[must_use]
    pub fn limit(mut self, count: u64) -> Self {
        self.limit = Some(count);
        self
    }

    /// The same events without those before `first` or behind `last`, and without a limit.
    pub(super) fn within(&self, first: Seq, last: Seq) -> Self {
        let mut criteria = self.criteria.clone();
        criteria.seqs.start = criteria.seqs.start.max(first);
        criteria.seqs.end = criteria.seqs.end.min(last.next());
        Selector {
            criteria,
            limit: None,
        }
    }

    /// Whether the filter can match anything.
    pub(super) fn check(&self) -> Result<()> {
        self.criteria.check()
    }

    pub(super) fn count_max(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// Whether no event at or above `seq` passes.
    pub(super) fn ends_before(&self, seq: Seq) -> bool {
        seq >= self.criteria.seqs.end
    }

    /// Whether no event up to this Seq passes.
    pub(super) fn begins_behind(&self, seq: Seq) -> bool {
        seq < self.criteria.seqs.start
    }

    /// Whether some event up to this Seq, with times in these ranges, may pass.
    pub(super) fn may_pass(&self, last_seq: Seq, times: &TimeRanges) -> bool {
        last_seq >= self.criteria.seqs.start && self.criteria.may_lie_in(times)
    }

    pub(super) fn passes(&self, event: &EventRef<'_>) -> bool {
        self.criteria.matches(event)
    }
}

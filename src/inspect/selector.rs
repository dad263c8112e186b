//! [`Selector`]: which events to show, by place, time, type and source.

use std::str::FromStr;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Filter;
use crate::format::record::EventRef;
use crate::position::Seq;

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

/// Which events to show. The default is all of them.
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
    from_seq: Option<Seq>,
    to_seq: Option<Seq>,
    from_time: Option<Timestamp>,
    to_time: Option<Timestamp>,
    filter: Filter,
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
            Bound::Seq(seq) => self.from_seq = Some(seq),
            Bound::Time(time) => self.from_time = Some(time),
        }
        self
    }

    /// Only up to here; the bound itself is included.
    #[must_use]
    pub fn to(mut self, bound: Bound) -> Self {
        match bound {
            Bound::Seq(seq) => self.to_seq = Some(seq),
            Bound::Time(time) => self.to_time = Some(time),
        }
        self
    }

    /// Only events of these types and sources.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// At most so many events.
    #[must_use]
    pub fn limit(mut self, count: u64) -> Self {
        self.limit = Some(count);
        self
    }

    /// Whether the filter can match anything.
    pub(super) fn check(&self) -> Result<()> {
        self.filter.check()
    }

    pub(super) fn count_max(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// Whether no event at or above `seq` passes.
    pub(super) fn ends_before(&self, seq: Seq) -> bool {
        self.to_seq.is_some_and(|to| seq > to)
    }

    /// Whether some event between these Seqs and times may pass.
    pub(super) fn may_pass(&self, last_seq: Seq, times: (Timestamp, Timestamp)) -> bool {
        self.from_seq.is_none_or(|from| last_seq >= from)
            && self.from_time.is_none_or(|from| times.1 >= from)
            && self.to_time.is_none_or(|to| times.0 <= to)
    }

    pub(super) fn passes(&self, event: &EventRef<'_>) -> bool {
        let (seq, time) = (event.seq(), event.timestamp());
        self.from_seq.is_none_or(|from| seq >= from)
            && self.to_seq.is_none_or(|to| seq <= to)
            && self.from_time.is_none_or(|from| time >= from)
            && self.to_time.is_none_or(|to| time <= to)
            && self.filter.matches(event.event_type(), event.source())
    }
}

//! [`Explanation`]: how a query would be answered, and at what price.

use std::fmt;

use serde::Serialize;

use super::bounds::{Bounds, Direction};
use super::criteria::Criteria;
use super::route::{Lists, Route};
use crate::index::Dimension;
use crate::log::View;
use crate::position::Seq;

/// How many names of lists are shown.
const NAMES_SHOWN: usize = 3;

/// How a query finds its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Plan {
    /// There is nothing to look at: the range is empty, or no event has one of the names.
    Nothing,
    /// Each id is looked up.
    Ids,
    /// The index lists the events of these types; the lists are merged.
    Types(Vec<String>),
    /// The index lists the events of these sources; the lists are merged.
    Sources(Vec<String>),
    /// The segments whose times allow it are read.
    TimeRanges,
    /// A part of the log is read, by Seq.
    SeqRange,
    /// All of the log is read.
    Scan,
}

/// How a query would be answered at this moment; see [`Query::explain`](super::Query::explain).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// How the events are found.
    pub plan: Plan,
    /// The first Seq that is looked at.
    pub first: Seq,
    /// The last one; less than the first if there is nothing to look at.
    pub last: Seq,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// How many events are expected to be read, if all that are found are taken.
    pub expected_reads: u64,
    /// How many events of that number lie behind the index, and are read one after the other.
    pub behind_index: u64,
    /// How many segments lie in the range.
    pub segments: u64,
    /// How many of them are passed over, for their times.
    pub segments_skipped: u64,
    /// Why the log is scanned although an index could have answered: it is being rebuilt, or behind, or the
    /// store is [only read](crate::EventStore::open_read_only) and has none.
    pub fallback: Option<String>,
}

/// The segments of a range.
struct Segments {
    count: u64,
    skipped: u64,
    /// The events in the others.
    events: u64,
}

impl Explanation {
    pub(super) fn of(
        log: &View,
        criteria: &Criteria,
        direction: Direction,
        bounds: Bounds,
        (route, fallback): (&Route, Option<String>),
    ) -> Explanation {
        let segments = segments_in(log, criteria, bounds);
        let behind = match route {
            Route::Lists(lists) => bounds.within(lists.upto.next(), Seq::MAX).len(),
            _ => 0,
        };
        let expected_reads = match route {
            Route::Nowhere => 0,
            Route::Ids => criteria.ids.len() as u64,
            Route::Scan => segments.events,
            Route::Lists(lists) => {
                let listed = bounds.within(Seq::FIRST, lists.upto);
                lists.expected(log, listed).saturating_add(behind)
            }
        };
        let is_all = bounds.len() >= log.count() && segments.skipped == 0;
        Explanation {
            plan: plan_of(
                route,
                is_all,
                segments.skipped > 0 || criteria.has_timestamp(),
            ),
            first: bounds.first,
            last: bounds.last,
            newest_first: direction == Direction::NewestFirst,
            expected_reads,
            behind_index: behind,
            segments: segments.count,
            segments_skipped: segments.skipped,
            fallback,
        }
    }
}

fn plan_of(route: &Route, is_all: bool, by_time: bool) -> Plan {
    let names = |lists: &Lists| lists.names.iter().cloned().map(String::from).collect();
    match route {
        Route::Nowhere => Plan::Nothing,
        Route::Ids => Plan::Ids,
        Route::Lists(lists) if lists.dimension == Dimension::Type => Plan::Types(names(lists)),
        Route::Lists(lists) => Plan::Sources(names(lists)),
        Route::Scan if by_time => Plan::TimeRanges,
        Route::Scan if is_all => Plan::Scan,
        Route::Scan => Plan::SeqRange,
    }
}

fn segments_in(log: &View, criteria: &Criteria, bounds: Bounds) -> Segments {
    let mut segments = Segments {
        count: 0,
        skipped: 0,
        events: 0,
    };
    let mut from = bounds.first;
    while from <= bounds.last
        && let Some(span) = log.span_from(from)
        && span.first <= bounds.last
    {
        segments.count += 1;
        if span.times.is_some_and(|times| !criteria.may_lie_in(&times)) {
            segments.skipped += 1;
        } else {
            let part = bounds.within(span.first, span.last).len();
            segments.events = segments.events.saturating_add(part.min(span.count));
        }
        from = span.last.next();
    }
    segments
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.newest_first {
            "newest first"
        } else {
            "oldest first"
        };
        let (first, last) = (self.first, self.last);
        match &self.plan {
            Plan::Nothing => return f.write_str("nothing: no event can be meant"),
            Plan::Ids => write!(f, "id index")?,
            Plan::Types(names) => write_names(f, "type postings", names)?,
            Plan::Sources(names) => write_names(f, "source postings", names)?,
            Plan::TimeRanges => write!(f, "time ranges of the segments")?,
            Plan::SeqRange => write!(f, "Seq range")?,
            Plan::Scan => write!(f, "scan")?,
        }
        write!(f, "; Seqs {first} to {last}, {order}")?;
        write!(f, "; about {} events to read", self.expected_reads)?;
        if self.behind_index > 0 {
            write!(f, ", {} of them not yet indexed", self.behind_index)?;
        }
        if self.segments_skipped > 0 {
            let (skipped, all) = (self.segments_skipped, self.segments);
            write!(f, "; {skipped} of {all} segments skipped by their times")?;
        }
        match &self.fallback {
            Some(reason) => write!(f, "; {reason}"),
            None => Ok(()),
        }
    }
}

fn write_names(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    let shown = names.iter().take(NAMES_SHOWN).map(String::as_str);
    let shown: Vec<&str> = shown.collect();
    write!(f, "{what} of {}", shown.join(", "))?;
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

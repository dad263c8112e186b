//! [`Criteria`]: which events are wanted. Queries and the inspector match with it, so that both mean
//! the same.

use std::ops::{Bound, Range, RangeBounds};

use super::fingerprint::Fingerprint;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{EventId, Filter, Pattern};
use crate::format::footer::TimeRanges;
use crate::format::record::EventRef;
use crate::position::Seq;

/// A range of time, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeSpan {
    since: Timestamp,
    /// `None`: without end.
    until: Option<Timestamp>,
}

impl Default for TimeSpan {
    fn default() -> Self {
        TimeSpan {
            since: Timestamp(i64::MIN),
            until: None,
        }
    }
}

impl TimeSpan {
    pub(crate) fn since(&mut self, time: Timestamp) {
        self.since = time;
    }

    pub(crate) fn until(&mut self, time: Timestamp) {
        self.until = Some(time);
    }

    /// Ends with this time, itself included.
    pub(crate) fn upto(&mut self, time: Timestamp) {
        self.until = time.0.checked_add(1).map(Timestamp);
    }

    /// The first time of the range; `None` if it has no beginning.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        (self.since > Timestamp(i64::MIN)).then_some(self.since)
    }

    /// The time that it ends before.
    pub(crate) fn end(&self) -> Option<Timestamp> {
        self.until
    }

    fn is_all(&self) -> bool {
        *self == TimeSpan::default()
    }

    fn contains(&self, time: Timestamp) -> bool {
        time >= self.since && self.until.is_none_or(|until| time < until)
    }

    fn overlaps(&self, min: Timestamp, max: Timestamp) -> bool {
        max >= self.since && self.until.is_none_or(|until| min < until)
    }
}

/// What an event must have: all of it. The default wants every event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Criteria {
    pub(crate) filter: Filter,
    /// Ascending, each once: see [`Criteria::add_ids`].
    pub(crate) ids: Vec<EventId>,
    /// Half-open.
    pub(crate) seqs: Range<Seq>,
    /// Of the user's time.
    pub(crate) timestamp: TimeSpan,
    /// Of the time at which the log took the event.
    pub(crate) appended: TimeSpan,
    /// Each name must be there with this value.
    pub(crate) headers: Vec<(String, String)>,
}

impl Default for Criteria {
    fn default() -> Self {
        Criteria {
            filter: Filter::all(),
            ids: Vec::new(),
            seqs: Seq::FIRST..Seq::MAX,
            timestamp: TimeSpan::default(),
            appended: TimeSpan::default(),
            headers: Vec::new(),
        }
    }
}

impl Criteria {
    /// Wants events with one of these ids, too.
    pub(crate) fn add_ids(&mut self, ids: impl IntoIterator<Item = EventId>) {
        self.ids.extend(ids);
        self.ids.sort_unstable();
        self.ids.dedup();
    }

    /// Takes another range of Seqs.
    pub(crate) fn set_seqs(&mut self, range: &impl RangeBounds<Seq>) {
        let start = match range.start_bound() {
            Bound::Included(&seq) => seq,
            Bound::Excluded(&seq) => seq.next(),
            Bound::Unbounded => Seq::FIRST,
        };
        let end = match range.end_bound() {
            Bound::Included(&seq) => seq.next(),
            Bound::Excluded(&seq) => seq,
            Bound::Unbounded => Seq::MAX,
        };
        self.seqs = start.max(Seq::FIRST)..end;
    }

    /// Whether the patterns can match anything.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) as [`Filter`] says.
    pub(crate) fn check(&self) -> Result<()> {
        self.filter.check()
    }

    /// Whether the event is wanted.
    pub(crate) fn matches(&self, event: &EventRef<'_>) -> bool {
        self.seqs.contains(&event.seq())
            && self.timestamp.contains(event.timestamp())
            && self.appended.contains(event.appended_at())
            && self.filter.matches(event.event_type(), event.source())
            && (self.ids.is_empty() || self.ids.binary_search(&event.event_id()).is_ok())
            && self.has_headers(event)
    }

    fn has_headers(&self, event: &EventRef<'_>) -> bool {
        let has = |(name, value): &(String, String)| {
            let mut headers = event.headers();
            headers.any(|(held, text)| held == name && text == value)
        };
        self.headers.iter().all(has)
    }

    /// Whether an event of a segment with these times may be wanted.
    pub(crate) fn may_lie_in(&self, times: &TimeRanges) -> bool {
        self.timestamp
            .overlaps(times.timestamp_min, times.timestamp_max)
            && self
                .appended
                .overlaps(times.appended_min, times.appended_max)
    }

    /// Whether an event with one of these of the users' times may be wanted.
    pub(crate) fn may_have_time(&self, min: Timestamp, max: Timestamp) -> bool {
        self.timestamp.overlaps(min, max)
    }

    /// Whether types, sources and Seqs say all there is to say.
    pub(crate) fn is_by_name(&self) -> bool {
        self.ids.is_empty()
            && self.headers.is_empty()
            && self.timestamp.is_all()
            && self.appended.is_all()
    }

    /// Whether the user's time decides.
    pub(crate) fn has_timestamp(&self) -> bool {
        !self.timestamp.is_all()
    }

    /// A number that is the same for equal criteria, in whatever order they were given.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut print = Fingerprint::default();
        for pattern in self.filter.type_patterns() {
            match pattern {
                Pattern::Exact(text) => print.text("type", text),
                Pattern::Prefix(text) => print.text("prefix", text),
            }
        }
        for source in self.filter.wanted_sources() {
            print.text("source", source);
        }
        for EventId(id) in &self.ids {
            print.number("id", &id.to_le_bytes());
        }
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort_unstable();
        headers.dedup();
        for (name, value) in headers {
            print.text("header", name);
            print.text("value", value);
        }
        print.number("from", &self.seqs.start.0.to_le_bytes());
        print.number("end", &self.seqs.end.0.to_le_bytes());
        for (name, span) in [("timestamp", self.timestamp), ("appended", self.appended)] {
            print.number(name, &span.since.0.to_le_bytes());
            if let Some(until) = span.until {
                print.number("until", &until.0.to_le_bytes());
            }
        }
        print
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Criteria)) -> Criteria {
        let mut criteria = Criteria::default();
        change(&mut criteria);
        criteria
    }

    #[test]
    fn ranges_are_half_open() {
        let mut span = TimeSpan::default();
        assert!(span.contains(Timestamp(i64::MIN)) && span.contains(Timestamp(i64::MAX)));
        span.since(Timestamp(10));
        span.until(Timestamp(20));
        for (time, inside) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(span.contains(Timestamp(time)), inside, "{time}");
        }
        for (min, max, inside) in [
            (0, 9, false),
            (0, 10, true),
            (19, 30, true),
            (20, 30, false),
        ] {
            let found = span.overlaps(Timestamp(min), Timestamp(max));
            assert_eq!(found, inside, "{min}..={max}");
        }
        span.upto(Timestamp(i64::MAX));
        assert!(span.contains(Timestamp(i64::MAX)));
    }

    #[test]
    fn ranges_of_seqs_may_be_given_in_any_form() {
        let seqs = |range: &dyn Fn(&mut Criteria)| with(|criteria| range(criteria)).seqs;
        assert_eq!(seqs(&|c| c.set_seqs(&(Seq(2)..Seq(5)))), Seq(2)..Seq(5));
        assert_eq!(seqs(&|c| c.set_seqs(&(Seq(2)..=Seq(5)))), Seq(2)..Seq(6));
        assert_eq!(seqs(&|c| c.set_seqs(&(..Seq(5)))), Seq(1)..Seq(5));
        assert_eq!(seqs(&|c| c.set_seqs(&(Seq(0)..))), Seq(1)..Seq::MAX);
        assert_eq!(seqs(&|c| c.set_seqs(&(..))), Seq(1)..Seq::MAX);
    }

    #[test]
    fn ids_are_held_once_and_in_order_however_they_are_given() {
        let criteria = with(|c| {
            c.add_ids([EventId(9), EventId(7), EventId(9)]);
            c.add_ids([EventId(8), EventId(7)]);
        });
        assert_eq!(criteria.ids, [7, 8, 9].map(EventId));
    }

    #[test]
    fn a_fingerprint_is_of_what_is_meant_and_not_of_how_it_was_said() {
        let print = |criteria: &Criteria| criteria.fingerprint().finish();
        let one = with(|c| c.filter = Filter::all().types(["a", "b.*", "a"]).sources(["x", "y"]));
        let same = with(|c| c.filter = Filter::all().types(["b.*", "a"]).sources(["y", "x"]));
        assert_eq!(print(&one), print(&same));
        let others = [
            Criteria::default(),
            with(|c| c.filter = Filter::all().types(["a", "b."]).sources(["x", "y"])),
            with(|c| c.filter = Filter::all().types(["a", "b.*", "x"]).source("y")),
            with(|c| c.seqs = Seq(2)..Seq::MAX),
            with(|c| c.seqs = Seq(1)..Seq(2)),
            with(|c| c.timestamp.since(Timestamp(1))),
            with(|c| c.appended.since(Timestamp(1))),
            with(|c| c.timestamp.until(Timestamp(1))),
            with(|c| c.headers.push(("k".into(), "v".into()))),
            with(|c| c.add_ids([EventId(7)])),
        ];
        let mut prints: Vec<u64> = others.iter().chain([&one]).map(print).collect();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), others.len() + 1);
    }
}

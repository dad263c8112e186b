//! [`Extent`]: which past events a replay is about.

use crate::clock::Timestamp;
use crate::event::Filter;
use crate::format::record::EventRef;
use crate::position::Seq;

/// A range of events, and which of them are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    pub(crate) filter: Filter,
    pub(crate) from: Seq,
    pub(crate) to: Seq,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

impl Default for Extent {
    fn default() -> Self {
        Extent {
            filter: Filter::all(),
            from: Seq::FIRST,
            to: Seq::MAX,
            since: Timestamp(i64::MIN),
            until: Timestamp(i64::MAX),
        }
    }
}

impl Extent {
    /// Whether an event of the range is wanted.
    #[inline]
    pub(crate) fn fits(&self, event: &EventRef<'_>) -> bool {
        let time = event.timestamp();
        time >= self.since
            && time < self.until
            && self.filter.matches(event.event_type(), event.source())
    }
}

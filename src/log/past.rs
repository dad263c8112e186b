//! What of the past is held, and where a time lies in it.

use std::sync::Arc;

use super::segment::Segment;
use super::time_blocks::TimeBlocks;
use super::view::View;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::format::footer::TimeRanges;
use crate::position::{Gap, Seq};

/// The Seqs of one segment, from the first to the last that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) count: u64,
    /// The times of its events; `None` while it grows.
    pub(crate) times: Option<TimeRanges>,
}

impl Span {
    fn of(segment: &Segment) -> Option<Span> {
        let (first, last) = (segment.base_seq(), segment.last_seq());
        (last >= first).then(|| Span {
            first,
            last,
            count: segment.count(),
            times: segment.footer().map(|footer| footer.times),
        })
    }
}

impl View {
    /// What is known of the users' times, finer than by segments.
    pub(crate) fn time_blocks(&self) -> &TimeBlocks {
        &self.time_blocks
    }

    /// The segment that holds `seq`, or else the first one behind it that holds an event.
    pub(crate) fn span_from(&self, seq: Seq) -> Option<Span> {
        self.segments.first_from(seq, Span::of)
    }

    /// The segment that holds `seq`, or else the last one before it that holds an event.
    pub(crate) fn span_upto(&self, seq: Seq) -> Option<Span> {
        self.segments.last_upto(seq, Span::of)
    }

    /// The last Seq that lay before the first segment that is held: retention may have removed events
    /// up to there. [`Seq::ZERO`] if everything that ever was is held.
    pub(crate) fn removed_upto(&self) -> Seq {
        let segments = self.segments();
        segments
            .first()
            .map_or(Seq::ZERO, |first| first.header.prev_last_seq)
    }

    /// The Seqs that were skipped after crashes, as far as what lies behind them is held; oldest first.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let segments = self.segments().into_iter();
        segments
            .filter_map(|segment| segment.header.gap())
            .collect()
    }

    /// The last Seq whose event had been appended at this time, the time included; the one before the
    /// first event that is held if none of these had.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if an event that has to be looked at cannot be read.
    pub(crate) fn last_at(self: &Arc<Self>, time: Timestamp) -> Result<Seq> {
        // What is known: all up to `low` was appended by then, all from `high` on was not.
        let (mut low, mut high) = self.bracket(time);
        let mut reader = self.reader(low.next());
        while low.next() < high {
            let middle = Seq(u64::midpoint(low.0, high.0));
            reader.seek(middle);
            // Behind a gap, the event at its end decides for all of it.
            match reader.next_event()? {
                Some(event) if event.seq() < high && event.appended_at() <= time => {
                    low = event.seq();
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// A Seq up to which all was appended at this time, and one from which on nothing was, as far as the
    /// footers tell.
    fn bracket(&self, time: Timestamp) -> (Seq, Seq) {
        let end = self.watermark().appended().next();
        let is_past = |segment: &Segment| {
            let times = segment.footer().filter(|footer| footer.count > 0)?.times;
            Some(times.appended_max <= time)
        };
        let (before, after) = self.segments.part(is_past);
        let low = before.map_or_else(|| self.first_seq().prev(), |segment| segment.last_seq());
        let footer = after.as_ref().and_then(|segment| segment.footer());
        let high = footer.filter(|footer| footer.count > 0);
        (low, high.map_or(end, |footer| footer.last_seq))
    }
}

//! [`Point`]: how far a walk over the frames has come, and the batch that it is in.

use crate::clock::Timestamp;
use crate::format::footer::TimeRanges;
use crate::format::frame::{Chain, FrameHeader, Kind};
use crate::position::Seq;

/// The state of the log after some event.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// Index into `open` of the segment that the event lies in.
    pub(crate) segment: usize,
    pub(crate) last_seq: Seq,
    pub(super) last_appended_at: Timestamp,
    pub(super) chain: Chain,
    /// Where the frames up to this event end in that segment.
    pub(crate) frames_end: usize,
    /// Of the events of that segment.
    pub(super) times: TimeRanges,
    /// Where each event of that segment lies.
    pub(super) offsets: Vec<usize>,
}

impl Point {
    pub(super) fn take(&mut self, header: &FrameHeader, offset: usize) {
        self.last_seq = header.seq;
        self.last_appended_at = self.last_appended_at.max(header.appended_at);
        self.chain = self.chain.extend(header.len, header.content_crc);
        self.times.include(header.timestamp, header.appended_at);
        self.offsets.push(offset);
    }

    /// All but the offsets, which only the last point needs.
    pub(super) fn clone_from_cheaply(&mut self, other: &Point) {
        let offsets = std::mem::take(&mut self.offsets);
        *self = Point {
            offsets,
            ..Point {
                offsets: Vec::new(),
                ..other.shallow()
            }
        };
    }

    pub(super) fn shallow(&self) -> Point {
        Point {
            segment: self.segment,
            last_seq: self.last_seq,
            last_appended_at: self.last_appended_at,
            chain: self.chain,
            frames_end: self.frames_end,
            times: self.times,
            offsets: Vec::new(),
        }
    }
}

/// How much of the batch under way has been seen.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    seen: u16,
    count: u16,
}

impl Batch {
    pub(crate) fn is_whole(&self) -> bool {
        self.seen == self.count
    }

    /// The batch of a frame that follows unreadable ones: those before it in the batch are lost.
    pub(crate) fn resumed_at(header: &FrameHeader) -> Batch {
        Batch {
            seen: header.batch_place,
            count: match header.batch_place {
                0 => 0,
                _ => header.batch_count,
            },
        }
    }

    /// Why this frame cannot follow, or `None` after taking it in.
    pub(crate) fn refuses(&mut self, header: &FrameHeader, last_seq: Seq) -> Option<&'static str> {
        match header.kind {
            Kind::Mark if header.seq != last_seq || !self.is_whole() => {
                Some("a mark of another place")
            }
            Kind::Mark => None,
            Kind::Event if header.seq != last_seq.next() => Some("a frame of another Seq"),
            Kind::Event => {
                let begins = self.is_whole() && header.batch_place == 0;
                let goes_on = !self.is_whole()
                    && header.batch_place == self.seen
                    && header.batch_count == self.count;
                if !begins && !goes_on {
                    return Some("a frame of another batch");
                }
                self.seen = header.batch_place.saturating_add(1);
                self.count = header.batch_count;
                None
            }
        }
    }
}

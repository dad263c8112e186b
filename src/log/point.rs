//! [`Point`]: how far a walk over the frames has come, and the batch that it is in.

use crate::clock::Timestamp;
use crate::format::footer::TimeRanges;
use crate::format::frame::{Chain, FrameHeader, Kind};
use crate::format::segment::{BLOCK_LEN, SegmentHeader};
use crate::position::Seq;

/// The state of the log after some event, the last one of its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) last_seq: Seq,
    pub(super) last_appended_at: Timestamp,
    pub(super) chain: Chain,
    /// Where the frames end in the segment.
    pub(crate) frames_end: usize,
    /// How many events of the segment there are up to here.
    pub(super) count: usize,
    /// The room that the frames of those events take, without the marks between them.
    pub(super) events_len: usize,
    /// Of the events of the segment.
    pub(super) times: TimeRanges,
}

/// How far one segment was read, and where each event up to there lies.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) point: Point,
    pub(super) offsets: Vec<usize>,
}

impl Point {
    /// How many events of the segment there are up to here.
    pub(crate) fn event_count(&self) -> u64 {
        self.count as u64
    }

    /// When the newest of them was appended; `None` if there is none.
    pub(crate) fn newest_at(&self) -> Option<Timestamp> {
        (self.count > 0).then_some(self.last_appended_at)
    }

    /// The state before the first event of a segment. Its last Seq may be one that a gap skips.
    pub(super) fn before(header: &SegmentHeader) -> Point {
        Point {
            last_seq: header.base_seq.prev(),
            last_appended_at: Timestamp(i64::MIN),
            chain: header.prev_chain,
            frames_end: BLOCK_LEN,
            count: 0,
            events_len: 0,
            times: TimeRanges::EMPTY,
        }
    }

    /// Whether this is the end of a segment with header `own`, by the word of the one behind it.
    pub(super) fn reaches(&self, own: &SegmentHeader, next: &SegmentHeader) -> bool {
        self.last_seq == next.prev_last_seq.max(own.base_seq.prev())
            && self.frames_end as u64 == next.prev_end
            && self.chain == next.prev_chain
    }

    /// Takes in the frame at this offset.
    pub(super) fn take(&mut self, header: &FrameHeader, offset: usize) {
        self.frames_end = offset.saturating_add(header.padded_len());
        if header.kind == Kind::Event {
            self.last_seq = header.seq;
            self.last_appended_at = self.last_appended_at.max(header.appended_at);
            self.chain = self.chain.extend(header.len, header.content_crc);
            self.times.include(header.timestamp, header.appended_at);
            self.count += 1;
            self.events_len = self.events_len.saturating_add(header.padded_len());
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

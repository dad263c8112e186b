//! [`Checks`]: frames that a reader has checked ahead of handing them out.

use super::segment::Segment;
use crate::format::record::EventRef;
use crate::position::Seq;

/// How many frames are checked in one go at most.
const STRIDE_MAX: u32 = 16;
/// No frame is begun behind so many bytes: what was checked is still in the nearest cache when it is handed out.
const LEN_MAX: usize = 8 << 10;

/// How far the frames before a reader are checked.
///
/// A checksum is one long chain of instructions that each wait for the one before. Where the next frame's chain begins
/// right behind it the processor works on two or three of them at once; where each is followed by all that
/// a handler does with an event it does not get that far. A reader that was sent to a place may be sent elsewhere after
/// an event or two, so it begins with one frame and doubles.
#[derive(Debug)]
pub(super) struct Checks {
    /// Behind the last frame that was checked, in the segment that the reader is in.
    upto: usize,
    /// How many frames are checked next.
    stride: u32,
}

impl Default for Checks {
    fn default() -> Self {
        Checks { upto: 0, stride: 1 }
    }
}

impl Checks {
    /// The reader goes on in another segment.
    pub(super) fn begin_segment(&mut self) {
        self.upto = 0;
    }

    /// The event of this Seq, checked, if its frame starts at this offset. All Seqs up to `run_end` must be published
    /// and held by the segment, and a reader ask for them in order.
    #[inline]
    pub(super) fn event<'a>(
        &mut self,
        segment: &'a Segment,
        seq: Seq,
        run_end: Seq,
        offset: usize,
    ) -> Option<EventRef<'a>> {
        if offset >= self.upto {
            self.upto = segment.check_on(seq, run_end, offset, self.stride, LEN_MAX);
            self.stride = self.stride.saturating_mul(2).min(STRIDE_MAX);
            if offset >= self.upto {
                return None;
            }
        }
        segment.frames().checked_at(seq, offset)
    }
}

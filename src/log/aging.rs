//! [`Aging`]: when all events of the oldest segment have expired.
//!
//! A footer does not say of which types a segment's events are, so they are looked through, once, some at
//! a time: housekeeping has other things to do. The first event that never expires ends that.

use super::segment::Segment;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::{SegmentId, Seq};

/// How many events are looked through in a round.
const STRIDE: u64 = 4096;

/// What is known of the oldest segment's events.
#[derive(Debug, Default)]
pub(super) struct Aging {
    segment: SegmentId,
    /// The next event to look at.
    next: Seq,
    expires_at: At,
}

/// When the last of the events expires that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// At this time.
    Time(Timestamp),
    /// One of them never does, or cannot be read.
    Never,
}

impl Default for At {
    fn default() -> Self {
        At::Time(Timestamp(i64::MIN))
    }
}

impl Aging {
    /// Looks at some more events of a sealed segment. `expires_at` tells of one when it does; `None` if it
    /// was dropped by a compaction.
    pub(super) fn look(
        &mut self,
        segment: &Segment,
        expires_at: &dyn Fn(Seq) -> Result<Option<At>>,
    ) {
        if self.segment != segment.id() {
            *self = Aging {
                segment: segment.id(),
                next: segment.base_seq(),
                expires_at: At::default(),
            };
        }
        let mut left = STRIDE;
        while left > 0 && self.next <= segment.last_seq() {
            let At::Time(latest) = self.expires_at else {
                return;
            };
            self.expires_at = match expires_at(self.next) {
                Ok(Some(At::Time(at))) => At::Time(at.max(latest)),
                Ok(None) => At::Time(latest),
                Ok(Some(At::Never)) | Err(_) => At::Never,
            };
            self.next = self.next.next();
            left -= 1;
        }
    }

    /// When all events of this segment have expired; `None` if they were not all looked at.
    pub(super) fn expires_at(&self, segment: &Segment) -> Option<At> {
        let is_whole = self.segment == segment.id() && self.next > segment.last_seq();
        let is_known = is_whole || self.expires_at == At::Never;
        (self.segment == segment.id() && is_known).then_some(self.expires_at)
    }
}

//! [`Sums`]: what is reckoned over all published events, in their order.

use crate::clock::Timestamp;
use crate::format::footer::TimeRanges;
use crate::format::frame::Chain;
use crate::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The chain over all events of the log, and the times of those in the active segment.
///
/// Only the thread that has the turn to publish changes it, and the turn carries the changes on from
/// thread to thread; so none of these atomics has to order anything, and none costs more than a plain
/// field. It is read while nothing is under way.
#[derive(Debug)]
pub(super) struct Sums {
    chain: AtomicU64,
    timestamp_min: AtomicI64,
    timestamp_max: AtomicI64,
    appended_min: AtomicI64,
    appended_max: AtomicI64,
}

impl Sums {
    /// The sums of a log with this chain, whose active segment has these times.
    pub(super) fn new(chain: Chain, times: TimeRanges) -> Self {
        let sums = Sums {
            chain: AtomicU64::new(chain.0),
            timestamp_min: AtomicI64::default(),
            timestamp_max: AtomicI64::default(),
            appended_min: AtomicI64::default(),
            appended_max: AtomicI64::default(),
        };
        sums.set_times(times);
        sums
    }

    pub(super) fn chain(&self) -> Chain {
        Chain(self.chain.load(Ordering::Relaxed))
    }

    /// Takes in the content of one more event.
    pub(super) fn extend(&self, frame_len: u32, content_crc: u32) {
        let chain = self.chain().extend(frame_len, content_crc);
        self.chain.store(chain.0, Ordering::Relaxed);
    }

    pub(super) fn times(&self) -> TimeRanges {
        let time = |field: &AtomicI64| Timestamp(field.load(Ordering::Relaxed));
        TimeRanges {
            timestamp_min: time(&self.timestamp_min),
            timestamp_max: time(&self.timestamp_max),
            appended_min: time(&self.appended_min),
            appended_max: time(&self.appended_max),
        }
    }

    /// Takes in the times of one more event.
    pub(super) fn include(&self, timestamp: Timestamp, appended_at: Timestamp) {
        let mut times = self.times();
        times.include(timestamp, appended_at);
        self.set_times(times);
    }

    /// Begins anew with the times: the next event is the first of its segment.
    pub(super) fn forget_times(&self) {
        self.set_times(TimeRanges::EMPTY);
    }

    fn set_times(&self, times: TimeRanges) {
        let fields = [
            (&self.timestamp_min, times.timestamp_min),
            (&self.timestamp_max, times.timestamp_max),
            (&self.appended_min, times.appended_min),
            (&self.appended_max, times.appended_max),
        ];
        for (field, time) in fields {
            field.store(time.0, Ordering::Relaxed);
        }
    }
}

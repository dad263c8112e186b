//! [`Live`]: the positions that the queue counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::position::Seq;

/// No position is as high.
pub(super) const NOBODY: u64 = u64::MAX;

/// How far a subscription is in memory. Its worker alone writes it, with each event; on a cache line of
/// its own.
#[derive(Debug, Default)]
pub(super) struct Position(CachePadded<Place>);

#[derive(Debug, Default)]
struct Place {
    /// What the queue counts: the last Seq taken up, less one for each event that is open. With nothing
    /// open, the last Seq handled.
    seq: AtomicU64,
    /// The last Seq of which all up to it are handled; [`NOBODY`]: the same as `seq`.
    low: AtomicU64,
    /// The last position somebody waited for of which the worker has told the queue. A waiter who
    /// waits for the slower ones is not woken by each step of a faster one.
    told: AtomicU64,
}

impl Position {
    pub(super) fn new(seq: Seq) -> Self {
        Position(CachePadded::new(Place {
            seq: AtomicU64::new(seq.0),
            low: AtomicU64::new(NOBODY),
            told: AtomicU64::new(NOBODY),
        }))
    }

    /// The last Seq of which all up to it are handled, parked or passed by.
    pub(super) fn get(&self) -> Seq {
        loop {
            let low = self.0.low.load(Ordering::Acquire);
            let seq = self.0.seq.load(Ordering::Acquire);
            // `low` is set before `seq` goes on beyond it: seen unset twice, `seq` is it.
            if low == self.0.low.load(Ordering::Acquire) {
                return Seq(if low == NOBODY { seq } else { low });
            }
        }
    }

    /// What the queue counts.
    pub(super) fn counted(&self) -> u64 {
        self.0.seq.load(Ordering::Acquire)
    }

    /// All up to `seq` is handled, and nothing was open before.
    #[inline]
    pub(super) fn set(&self, seq: Seq) {
        self.0.seq.store(seq.0, Ordering::Release);
    }

    /// As [`Position::set`], where something may have been open.
    pub(super) fn set_all(&self, seq: Seq) {
        self.0.seq.store(seq.0, Ordering::Release);
        self.0.low.store(NOBODY, Ordering::Release);
    }

    /// `open` events up to `taken` are open, and all up to `low` is handled.
    pub(super) fn set_open(&self, low: Seq, taken: Seq, open: u64) {
        self.0.low.store(low.0, Ordering::Release);
        let counted = taken.0.saturating_sub(open);
        self.0.seq.store(counted, Ordering::Release);
    }

    /// Whether a position that is waited for is reached, and its worker has not said so yet.
    #[inline]
    pub(super) fn has_reached(&self, wanted: u64) -> bool {
        let place = &self.0;
        if place.seq.load(Ordering::Relaxed) < wanted || wanted == NOBODY {
            return false;
        }
        place.told.swap(wanted, Ordering::Relaxed) != wanted
    }
}

/// Who is counted, and who wants to hear of every step.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) positions: Vec<Arc<Position>>,
    /// How many wait for something else than a place.
    pub(super) watching: usize,
}

impl Live {
    /// The slowest position; `None` if nobody is live.
    pub(super) fn slowest(&self) -> Option<u64> {
        let positions = self.positions.iter();
        positions.map(|position| position.counted()).min()
    }
}

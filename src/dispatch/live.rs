//! [`Live`]: the positions that the queue counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::position::Seq;

/// No position is as high.
pub(super) const NOBODY: u64 = u64::MAX;

/// A subscription's position in memory: the last Seq that it has handled. Its worker alone writes it,
/// with each event; on a cache line of its own.
#[derive(Debug, Default)]
pub(super) struct Position(CachePadded<Place>);

#[derive(Debug, Default)]
struct Place {
    seq: AtomicU64,
    /// The last position somebody waited for of which the worker has told the queue. A waiter who
    /// waits for the slower ones is not woken by each step of a faster one.
    told: AtomicU64,
}

impl Position {
    pub(super) fn new(seq: Seq) -> Self {
        Position(CachePadded::new(Place {
            seq: AtomicU64::new(seq.0),
            told: AtomicU64::new(NOBODY),
        }))
    }

    pub(super) fn get(&self) -> Seq {
        Seq(self.0.seq.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, seq: Seq) {
        self.0.seq.store(seq.0, Ordering::Release);
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
        positions.map(|position| position.get().0).min()
    }
}

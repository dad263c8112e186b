//! [`Weakly`]: a system as seen by whoever watches over it and must not keep it open.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, TryLockError, Weak};

use hdrhistogram::Histogram;

use super::scrubbing::ScrubState;
use super::{EventSystem, Inner, Receipt};
use crate::clock::Clock;
use crate::dispatch::{HandlerId, TypeTotals};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::{SegmentId, Seq};
use crate::storage::usage::Space;

/// A system that may be gone.
#[derive(Clone)]
pub(crate) struct Weakly(Weak<Inner>);

impl Weakly {
    /// The system, unless it is closed or gone. Drop it soon: it is a handle like any other.
    pub(crate) fn system(&self) -> Option<EventSystem> {
        let system = EventSystem(self.0.upgrade()?);
        (!system.is_closed()).then_some(system)
    }
}

/// What only the monitor needs to know.
pub(crate) struct Observed {
    /// How long syncs took, in nanoseconds.
    pub(crate) syncs: Option<Histogram<u64>>,
    /// How long after it was appended each event was acknowledged, in nanoseconds.
    pub(crate) latencies: Vec<(HandlerId, Histogram<u64>)>,
    /// What handlers did, by event type.
    pub(crate) types: TypeTotals,
    /// The bytes that each segment holds.
    pub(crate) segments: Vec<(SegmentId, u64)>,
    /// Which segment begins with which Seq, in order.
    pub(crate) begins: Vec<(Seq, SegmentId)>,
    /// What the disk has left.
    pub(crate) space: Option<Space>,
    /// The failed sync that ended the log's life.
    pub(crate) failure: Option<Error>,
    /// What verifying sealed segments has found.
    pub(crate) scrub: ScrubState,
}

impl EventSystem {
    /// This system, not kept open.
    pub(crate) fn weakly(&self) -> Weakly {
        Weakly(Arc::downgrade(&self.0))
    }

    /// Where it lies; `None` in memory.
    pub fn path(&self) -> Option<PathBuf> {
        let index = self.0.directory.index.as_deref()?;
        index.parent().map(PathBuf::from)
    }

    /// The clock that it takes its time from.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock.clone()
    }

    pub(crate) fn observe(&self) -> Observed {
        let segments = self.0.log.segments();
        Observed {
            syncs: self.0.log.sync_timings().all(),
            latencies: self.0.dispatcher.latencies(),
            types: self.0.dispatcher.by_type(),
            segments: segments
                .iter()
                .map(|segment| (segment.id(), segment.used_len()))
                .collect(),
            begins: segments
                .iter()
                .map(|segment| (segment.base_seq(), segment.id()))
                .collect(),
            space: self.0.log.space(),
            failure: self.0.log.failure(),
            scrub: self.scrub_state(),
        }
    }

    /// Emits an event that must not wait for a place in a full queue, about which it may have to tell.
    pub(crate) fn emit_past_the_bound(&self, event: &Event) -> Result<Receipt> {
        self.0.dispatcher.past_the_bound(|| self.emit(event))
    }

    /// Whether it is closed, or is closing now.
    fn is_closed(&self) -> bool {
        match self.0.closed.try_lock() {
            Ok(closed) => *closed,
            Err(TryLockError::Poisoned(closed)) => *PoisonError::into_inner(closed),
            Err(TryLockError::WouldBlock) => true,
        }
    }
}

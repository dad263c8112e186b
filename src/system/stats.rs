//! [`Stats`]: a system in numbers.

use crate::index::IndexState;
use crate::log::RetentionWait;
use crate::position::Seq;

/// A system in numbers, at one moment; see [`EventSystem::stats`](super::EventSystem::stats).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The first Seq that is held; that of the next event if none is.
    pub first_seq: Seq,
    /// The last Seq that was handed out.
    pub last_seq: Seq,
    /// The last Seq that a power cut cannot take back.
    pub durable_seq: Seq,
    /// How many events are held.
    pub events: u64,
    /// How many segments hold them.
    pub segments: u64,
    /// The bytes of these segments' frames, headers and tables.
    pub bytes: u64,
    /// What retention keeps beyond a limit because somebody still needs it, and who that is.
    pub retention_waits: Option<RetentionWait>,
    /// How many files of removed segments have become those of later ones since the system was opened; see
    /// [`Builder::recycle_segments`](super::Builder::recycle_segments).
    pub segments_recycled: u64,
    /// How many events wait for the slowest handler that keeps up.
    pub queue_depth: u64,
    /// The bound of that; see [`Builder::max_queue_size`](super::Builder::max_queue_size).
    pub queue_max: u64,
    /// How many emits were refused since the system was opened because the queue was full.
    pub rejected: u64,
    /// How many volatile events were emitted. None of them is counted in the numbers above.
    pub volatile_events: u64,
    /// The bytes of the segments in memory that hold volatile events.
    pub volatile_bytes: u64,
    /// How many volatile events wait for the slowest handler that keeps up; bounded as
    /// [`Stats::queue_depth`] is.
    pub volatile_depth: u64,
    /// How the lookup index stands.
    pub index: IndexState,
}

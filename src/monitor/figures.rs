//! [`Summary`]: a system in figures, as it is serialized.

use std::collections::BTreeMap;

use serde::Serialize;

use super::percentiles::Latency;
use crate::clock::Timestamp;
use crate::position::Seq;

/// A system in figures, at one moment; see [`EventMonitor::get_summary`](super::EventMonitor::get_summary).
/// It serializes to JSON with these names.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// When it was taken, by the system's clock.
    pub timestamp: Timestamp,
    /// For how long the monitor has been watching, in seconds.
    pub watched_s: f64,
    /// How much there was.
    pub counts: Counts,
    /// How much there is per second: over the last minute (`1min`), five (`5min`) and fifteen (`15min`), or
    /// as long as it has been watched.
    pub rates: BTreeMap<&'static str, Rates>,
    /// The queue between emitters and handlers.
    pub queue: QueueFigures,
    /// From an event's append to its acknowledgement, over all subscriptions. Events that were there before
    /// their handler are left out.
    pub latency: Latency,
    /// How long the syncs take that somebody waits for.
    pub sync: Latency,
    /// The log.
    pub log: LogFigures,
    /// The lookup index.
    pub index: IndexFigures,
    /// The verification of sealed segments.
    pub scrub: ScrubFigures,
    /// What the process uses, and the disk has left.
    pub resources: Resources,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionFigures>,
    /// Event types, those with most events first: fifty at most, of the first thousand by name. Behind them
    /// all others, as one.
    pub types: Vec<TypeFigures>,
}

/// How much there was. What handlers did is counted since each was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Events emitted since the system was opened.
    pub emitted: u64,
    /// Volatile events emitted since the system was opened; `emitted` does not count them.
    pub volatile: u64,
    /// Bytes appended since the monitor began to watch: what the segments grew by.
    pub appended_bytes: u64,
    /// Deliveries that were acknowledged.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that are parked now.
    pub parked: u64,
    /// Emits refused because the queue was full.
    pub rejected: u64,
}

/// How much there is per second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Rates {
    /// Events emitted.
    pub emitted: f64,
    /// Bytes appended.
    pub appended_bytes: f64,
    /// Deliveries acknowledged.
    pub delivered: f64,
    /// Attempts failed.
    pub failed: f64,
    /// The time on processors, in seconds: 1 is one processor, busy.
    pub cpu: f64,
    /// Bytes that the process had fetched from disks.
    pub read_bytes: f64,
    /// Bytes that the process had sent to disks.
    pub written_bytes: f64,
}

/// The queue between emitters and handlers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct QueueFigures {
    /// How many events wait for the slowest handler that keeps up.
    pub depth: u64,
    /// How many may.
    pub max: u64,
    /// The one as a part of the other.
    pub fill: f64,
}

/// The log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LogFigures {
    /// The first Seq that is held.
    pub first_seq: Seq,
    /// The last Seq that was handed out.
    pub last_seq: Seq,
    /// The last Seq that a power cut cannot take back.
    pub durable_seq: Seq,
    /// How many events are held.
    pub events: u64,
    /// How many segments hold them.
    pub segments: u64,
    /// The bytes of these.
    pub bytes: u64,
}

/// The lookup index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct IndexFigures {
    /// The last Seq that look-ups find without a scan.
    pub indexed_upto: Seq,
    /// How many Seqs the log is ahead.
    pub lag: u64,
    /// Whether it is being built anew.
    pub rebuilding: bool,
    /// How many events it could not read.
    pub unreadable: u64,
}

/// The verification of sealed segments; see [`ScrubState`](crate::ScrubState).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct ScrubFigures {
    /// How many times all of them were gone through since the system was opened.
    pub passes: u64,
    /// When that was done last.
    pub last_pass: Option<Timestamp>,
    /// How many bytes were verified since then.
    pub bytes: u64,
    /// How many places are damaged.
    pub damaged: u64,
}

/// What the process uses, and the disk has left; `None` where the operating system does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Resources {
    /// The time on processors so far, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// The memory that is in RAM.
    pub resident_bytes: Option<u64>,
    /// The bytes fetched from disks so far.
    pub read_bytes: Option<u64>,
    /// The bytes sent to disks so far.
    pub written_bytes: Option<u64>,
    /// The size of the file system that the system lies in.
    pub disk_total_bytes: Option<u64>,
    /// What it has left.
    pub disk_free_bytes: Option<u64>,
}

/// One subscription; see [`SubscriptionState`](crate::SubscriptionState).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SubscriptionFigures {
    /// Its name, or `unnamed N` of one without.
    pub name: String,
    /// Whether it has a name, by which it can be paused and resumed.
    pub is_named: bool,
    /// `waiting`, `running`, `paused`, `stopped` or `detached`.
    pub status: &'static str,
    /// The last Seq of which all up to it are handled, parked or passed by.
    pub position: Seq,
    /// How many Seqs the log is ahead.
    pub lag: u64,
    /// How long ago the oldest event was appended that is not handled.
    pub lag_ms: u64,
    /// Deliveries acknowledged since its handler was registered.
    pub delivered: u64,
    /// Attempts that failed since then.
    pub failed: u64,
    /// The same by event type.
    pub failed_by_type: BTreeMap<String, u64>,
    /// Acknowledged per second in the last minute.
    pub rate: f64,
    /// Which part of the attempts of the last minute failed, as a part of 1.
    pub error_rate: f64,
    /// Attempts failed at the event that waits for its next one.
    pub attempts: u32,
    /// Events that are parked.
    pub parked: u64,
    /// Seqs that it passed without an event, or skipped.
    pub skipped: u64,
    /// The event whose handling takes longer than it may.
    pub stalled: Option<Seq>,
    /// Why it is paused.
    pub paused: Option<String>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// From append to acknowledgement.
    pub latency: Latency,
}

/// One event type. `…` is all types that are not told apart.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct TypeFigures {
    /// The type.
    pub event_type: String,
    /// How many events of it are held.
    pub events: u64,
    /// Acknowledged deliveries of it since the system was opened, over all subscriptions.
    pub delivered: u64,
    /// Failed attempts at it since then.
    pub failed: u64,
    /// Acknowledged per second in the last minute.
    pub rate: f64,
    /// Which part of the attempts of the last minute failed, as a part of 1.
    pub error_rate: f64,
    /// From append to acknowledgement.
    pub latency: Latency,
}

#[expect(clippy::cast_precision_loss, reason = "a part of 1 is no exact number")]
pub(super) fn part(of: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        of as f64 / whole as f64
    }
}

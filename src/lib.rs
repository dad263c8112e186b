//! Forelog is an embeddable, durable event engine: *every event is logged before it is dispatched*.
//!
//! ```
//! use forelog::{Delivery, Event, EventSystem, Subscription};
//!
//! # fn main() -> forelog::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! let system = EventSystem::builder().persistence_path(dir.path()).open()?;
//! system.register_handler(
//!     Subscription::named("billing").event_types(["order.*"]),
//!     |delivery: &Delivery<'_>| println!("{} {}", delivery.seq(), delivery.event_type()),
//! )?;
//! system.start()?;
//! let receipt = system.emit(Event::new("order.placed", "web", &("FRID", 10))?)?;
//! assert_eq!(receipt.seq.0, 1); // on the disk, and it will reach the handler, crash or not
//! system.close()
//! # }
//! ```
//!
//! # The one idea: only the log is pushed to
//! ```text
//!  emit(Event) ─► format ─► log ─► segment files              write path, from left to right
//!                           │
//!                       Watermark (appended Seq, durable Seq)
//!           ┌───────────────┼───────────────┐                 read path: followers pull
//!         index          dispatch         replay
//!    id, type → Seq   worker → Handler   Projection
//!                           │ Outcome::Ack
//!                         Cursor  (a handler's durable place, in the control log)
//! ```
//! A follower is a reader and a position. No lower layer calls an upper one; the only signal upward is
//! a number, the watermark, that followers wait on. The log is the queue: there is no second copy of an
//! event in memory between `emit` and its handlers.
//!
//! # What is promised
//! - **Durability.** With [`Durability::Sync`], the default, a [`Receipt`] means that neither a killed
//!   process nor a power cut loses the event. [`Durability::Interval`] and [`Durability::Os`] survive
//!   a killed process and name what a power cut may take. Events that need none of it are
//!   [`Durability::Volatile`]: queued in memory, for handlers alone.
//! - **Order.** One total order, [`Seq`]. A handler sees its events in it. After a crash the log is a
//!   prefix of what was appended and has all that was acknowledged. No Seq is ever used twice.
//! - **Delivery.** At least once for a named [`Subscription`], until it is acknowledged or parked.
//! - **Honesty.** A failed sync ends the system's life rather than being tried again; damage is never
//!   taken for a crash, nor cut away.
//!
//! # Where things are
//! The order of the `mod` lines below is the architecture: a module names only modules of the sections
//! above its own. [`manual`] has the pages on the format, on durability, and on where a change goes.

// 1 threads
mod sync;
// 1 mutants
mod mutant;
// 1 words
mod clock;
mod durability;
mod position;
// 1 timings
mod timings;
// 1 errors
mod error;
// 1 events
mod event;
// 2 format
mod format;
// 2 versions
mod upcast;
// 3 storage
mod storage;
// 3 keys
mod keys;
// 4 log
mod log;
// 5 lookups
mod control;
mod index;
mod snapshot;
// 5 queries
mod query;
// 5 inspect
pub mod inspect;
// 6 followers
mod dispatch;
// 6 replay
mod replay;
// 7 system
mod system;
// 8 partitions
mod partition;
// 8 repair
pub mod repair;
// 9 monitor
mod monitor;
// 10 test kit
pub mod testing;

pub mod manual;

/// The example of the README, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// Emit: what goes in and what comes back.
pub use durability::{Durability, Level};
pub use event::{Data, Event, EventId, MAX_DEPTH};
pub use format::lineage::{CAUSATION_HEADER, CORRELATION_HEADER};
pub use format::record::{HEADERS_LEN_MAX, SOURCE_LEN_MAX, TYPE_LEN_MAX};
pub use format::trace::{TRACE_HEADER, TraceContext};
pub use system::{Builder, DuplicatePolicy, EventSystem, PendingReceipt, Receipt, ScheduledEvent};
pub use upcast::TYPE_VERSION_HEADER;

// Handle: who gets which events, and what they say of them.
pub use control::{ControlRecovery, ParkedEvent};
pub use dispatch::{
    AckToken, BatchHandler, BatchOutcome, BatchSize, BoxFuture, Delivery, Handler, HandlerId,
    IntoBatchOutcome, IntoOutcome, KeyFn, OrderBy, Outcome, OwnedDelivery, Phase, ReplayEnd,
    ReplayFailure, RetryPolicy, Role, Start, Status, StopReason, Subscription, SubscriptionState,
    Tracer, VolatileState, WhenBehind, WhenFull, WhenParked, key_of, polling, spawning,
};

// Read: events as they lie in the log.
pub use event::{Filter, StateKey};
pub use format::FORMAT_VERSION;
pub use format::record::{EventRef, Headers};
pub use index::IndexState;
pub use log::limits::{Limit, Retention, WhenPinned};
pub use log::pins::DetachedLag;
pub use log::{
    Fate, Recovery, Removal, Removed, RetentionReport, RetentionWait, SegmentRetention, StoredEvent,
};
pub use query::{Explanation, NameSummaries, NameSummary, PageToken, Plan, Query, QueryResults};
pub use replay::{
    Following, HandlerReplay, Progress, Projection, Replay, ReplayState, RunningReplay,
};

pub use system::{ByType, EventStore, Stats};

// Encrypt: events that only who has the key can read.
pub use keys::EncryptionKey;

// Scrub: sealed segments, verified in the background.
pub use system::{DAMAGE_SOURCE, DAMAGE_TYPE, ScrubPolicy, ScrubState};

// Watch: figures, health, alerts, reports.
pub use monitor::{
    ALERT_SOURCE, ALERT_TYPE, Alert, AlertSink, AlertState, AuditLog, Bucket, Counts,
    EventDashboard, EventHealthCheck, EventMonitor, Health, HealthStatus, IndexFigures, Issue,
    Latency, LogFigures, MonitorSettings, Percentiles, QueueFigures, Rates, Resources, Rule,
    ScrubFigures, Severity, SubscriptionFigures, Summary, TypeFigures, setup_event_monitoring,
};

// Rehearse: what other handlers would have done.
pub use replay::{
    Answer, AnswerDifference, AnswerFindings, Difference, Findings, HandlerFindings, Laboratory,
    StateFailure, StateFindings, Unacknowledged,
};

// Divide: several systems behind one façade.
pub use partition::{
    PartitionKey, PartitionedBuilder, PartitionedByType, PartitionedEventSystem,
    PartitionedHandlerId, PartitionedReceipt, PartitionedStats, Repartition,
};

// Words that all of them use.
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error::{Error, ErrorKind, Result};
pub use position::{Gap, SegmentId, Seq};

//! [`Builder`]: the settings of a system, as plain data with defaults, checked when it is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::EventSystem;
use super::admission::DuplicatePolicy;
use super::scrub_policy::ScrubPolicy;
use super::selective::Selective;
use crate::clock::{Clock, SystemClock};
use crate::dispatch::{Tracer, WhenFull};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Expiry, KeepLast};
use crate::format::segment::BLOCK_LEN;
use crate::index::IndexConfig;
use crate::keys::EncryptionKey;
use crate::log::limits::{Retention, WhenPinned};
use crate::log::pins::DetachedLag;
use crate::log::{LogConfig, check_compression};
use crate::upcast::Upcasters;

/// The events that a system in memory keeps unless told otherwise.
const MAX_EVENTS_IN_MEMORY: u64 = 100_000;
/// Into how many segments what is kept is divided at least, so that whole segments can go.
const SEGMENTS_PER_STORE: u64 = 8;
/// How many segments must have room within `max_bytes`.
const SEGMENTS_MIN: u64 = 4;
const MAX_AGE_MIN: Duration = Duration::from_millis(1);
const SEGMENT_SIZE_MIN: usize = 64 << 10;
const SEGMENT_SIZE_MAX: usize = 2 << 30;

/// The settings of an [`EventSystem`]; see [`EventSystem::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct Builder {
    pub(super) persistence_path: Option<PathBuf>,
    persistence_enabled: Option<bool>,
    persistence_interval: Option<Duration>,
    durability: Option<Durability>,
    pub(super) selective: Selective,
    pub(super) upcasters: Upcasters,
    pub(super) max_queue_size: u64,
    pub(super) when_full: WhenFull,
    pub(super) drain_timeout: Duration,
    pub(super) shutdown_grace: Duration,
    pub(super) detached_lag_max: DetachedLag,
    retention: Retention,
    when_pinned: WhenPinned,
    pub(super) expiry: Expiry,
    pub(super) keep_last: KeepLast,
    pub(super) compaction_leave: usize,
    pub(super) compression: Option<i32>,
    pub(super) encryption_key: Option<EncryptionKey>,
    pub(super) scrub: Option<ScrubPolicy>,
    recycle_segments: bool,
    segment_size: Option<usize>,
    event_size_max: usize,
    index_memory_max: u64,
    pub(super) correlates: bool,
    pub(super) tracer: Option<Arc<dyn Tracer>>,
    pub(super) duplicates: DuplicatePolicy,
    pub(super) expected_positions: bool,
    pub(super) clock: Arc<dyn Clock>,
}

impl Default for Builder {
    fn default() -> Self {
        let log = LogConfig::default();
        Builder {
            persistence_path: None,
            persistence_enabled: None,
            persistence_interval: None,
            durability: None,
            selective: Selective::default(),
            upcasters: Upcasters::default(),
            max_queue_size: 10_000,
            when_full: WhenFull::Block,
            drain_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(10),
            detached_lag_max: DetachedLag::default(),
            retention: Retention::default(),
            when_pinned: WhenPinned::Keep,
            expiry: Expiry::default(),
            keep_last: KeepLast::default(),
            compaction_leave: log.compaction_leave,
            compression: log.compression,
            encryption_key: None,
            scrub: Some(ScrubPolicy::default()),
            recycle_segments: log.recycle,
            segment_size: None,
            event_size_max: log.event_len_max,
            index_memory_max: IndexConfig::default().memory_max,
            correlates: true,
            tracer: None,
            duplicates: DuplicatePolicy::Accept,
            expected_positions: false,
            clock: Arc::new(SystemClock),
        }
    }
}

impl Builder {
    /// The directory that keeps the events, made if it is not there. Without one, events are kept in
    /// memory and end with the system.
    pub fn persistence_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.persistence_path = Some(path.into());
        self
    }

    /// Whether events are kept on disk. The default is yes if a path is given.
    pub fn persistence_enabled(mut self, enabled: bool) -> Self {
        self.persistence_enabled = Some(enabled);
        self
    }

    /// Lets `emit` return once an event is published, and syncs at least this often: short for
    /// `durability(Durability::Interval(interval))`.
    pub fn persistence_interval(mut self, interval: Duration) -> Self {
        self.persistence_interval = Some(interval);
        self
    }

    /// What must be true of an event before `emit` returns. The default is [`Durability::Sync`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// What must be true of events of this type before `emit` returns, in place of the system's
    /// durability: an exact type, the start of one followed by `*`, or `*`, as for
    /// [`Filter::types`](crate::Filter::types). Of several patterns that fit, the narrowest counts: the
    /// whole type before any start of it, and a longer start before a shorter one. A call that asks for a
    /// durability wins ([`EventSystem::emit_with`]); so does [`EventSystem::emit_at`], whose events are
    /// durable.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Durability, Event, EventSystem, Level};
    /// let system = EventSystem::builder()
    ///     .durability_for("tick.*", Durability::Volatile)
    ///     .durability_for("tick.close", Durability::Sync)
    ///     .open()?;
    /// let level = |event_type| system.emit(Event::new(event_type, "exchange", &1)?).map(|one| one.level);
    /// assert_eq!(level("tick.bid")?, Level::Queued); // in memory alone
    /// assert_eq!(level("tick.close")?, Level::Synced);
    /// # system.close() }
    /// ```
    pub fn durability_for(mut self, event_type: impl Into<String>, durability: Durability) -> Self {
        self.selective.set(event_type.into(), durability);
        self
    }

    /// How many events may wait for the slowest handler before `emit` has to wait: 1 or more, 10,000
    /// by default. Only handlers that are registered and have caught up count.
    pub fn max_queue_size(mut self, events: u64) -> Self {
        self.max_queue_size = events;
        self
    }

    /// What `emit` does while the queue is full. The default is to wait.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// How long closing waits for handlers to finish what was emitted: 30 seconds by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// How long closing then waits for handlers that are still running to return, 10 seconds by default.
    /// Whoever does not is named in the error, and its thread is left to itself.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = grace;
        self
    }

    /// How much the store keeps for names that have no handler, where a limit ([`Builder::retention`]) asks
    /// for less: all by default.
    pub fn detached_lag_max(mut self, limit: DetachedLag) -> Self {
        self.detached_lag_max = limit;
        self
    }

    /// How much of the past the store keeps: the limits of [`Builder::max_events`],
    /// [`Builder::max_bytes`] and [`Builder::max_age`] at once, in place of any set before.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// How many events the store keeps at most: 1 or more. The oldest go first, in whole segments, and not
    /// while a subscription still needs them ([`Builder::when_pinned`]). By default a directory keeps all,
    /// and a system in memory that has no limit 100,000.
    pub fn max_events(mut self, events: u64) -> Self {
        self.retention.max_events = Some(events);
        self
    }

    /// How many bytes the segments take on the disk at most: 512 KiB or more. The segment that grows and
    /// the one that is prepared behind it count with their whole length, so the disk is above this by one
    /// segment at most, for the moment until the oldest one has gone; what somebody still needs comes on
    /// top ([`Builder::when_pinned`]), and a file that a reader stands in takes its room until that has
    /// gone on. The index, snapshots and parked events are not counted. A partitioned system has this for
    /// each partition.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.retention.max_bytes = Some(bytes);
        self
    }

    /// How long events are kept at most, by the time at which the log took them: 1 ms or more. A segment
    /// goes when its newest event is older; so that a quiet log gets rid of its events as well, a segment
    /// ends after an eighth of this time even if it is not full. An event is gone an eighth later at the
    /// latest, and the time of a round (a tenth of a second, as a rule).
    pub fn max_age(mut self, age: Duration) -> Self {
        self.retention.max_age = Some(age);
        self
    }

    /// What happens where one of these limits meets a subscription, a projection or a replay that still
    /// needs the oldest events. By default they are kept, and that is told.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{EventSystem, WhenPinned};
    /// let system = EventSystem::builder()
    ///     .max_bytes(16 << 20)
    ///     .when_pinned(WhenPinned::Gap) // whoever lags by more passes a gap, and is told of it
    ///     .open()?;
    /// assert_eq!(system.stats().retention_waits, None);
    /// # system.close() }
    /// ```
    pub fn when_pinned(mut self, when_pinned: WhenPinned) -> Self {
        self.when_pinned = when_pinned;
        self
    }

    /// Lets events of these types expire so long after the log took them: an exact type, the start of one
    /// followed by `*`, or `*`, as for [`Filter::types`](crate::Filter::types); of several patterns that
    /// fit, the narrowest counts. An event that has expired is no longer found by look-ups, queries and
    /// replays, nor delivered to a handler that is registered later; see
    /// [`manual::retention`](crate::manual::retention).
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use std::{sync::Arc, time::Duration};
    /// use forelog::{Event, EventSystem, ManualClock, Timestamp};
    /// let clock = Arc::new(ManualClock::new(Timestamp::now()));
    /// let system = EventSystem::builder()
    ///     .expire("tick.*", Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .open()?;
    /// let tick = system.emit(Event::new("tick.bid", "exchange", &10)?)?;
    /// let order = system.emit(Event::new("order.placed", "web", &10)?)?;
    /// clock.advance(Duration::from_secs(61));
    /// assert!(system.store().get(tick.seq)?.is_none());
    /// assert!(system.store().get(order.seq)?.is_some());
    /// # system.close() }
    /// ```
    pub fn expire(mut self, event_type: impl Into<String>, after: Duration) -> Self {
        self.expiry.set(event_type.into(), after);
        self
    }

    /// The size of a segment file in bytes: 64 KiB to 2 GiB. The default is 32 MiB, or an eighth of
    /// [`Builder::max_bytes`] if that is less.
    pub fn segment_size(mut self, bytes: usize) -> Self {
        self.segment_size = Some(bytes);
        self
    }

    /// Whether the file of a removed segment becomes that of a later one, which saves the disk most of the
    /// work of making it; no by default. It is not done while somebody reads the directory's files, with
    /// [`EventStore::open_read_only`](crate::EventStore::open_read_only) or Forelog's tools, here or in
    /// another process. Whoever says yes declares that no other program copies files of a directory that is
    /// open (a copy under way would find another segment's bytes), nor reads them from another machine.
    pub fn recycle_segments(mut self, yes: bool) -> Self {
        self.recycle_segments = yes;
        self
    }

    /// The largest event in bytes, 16 MiB by default. It is never above half a segment.
    pub fn event_size_max(mut self, bytes: usize) -> Self {
        self.event_size_max = bytes;
        self
    }

    /// How much memory the lookup index may spend, in bytes: 8 MiB or more, 64 MiB by default. Its
    /// caches are cut to fit, whatever the number of events, types and sources; with less it reads
    /// and writes more. sled takes tens of MiB besides its cache, however little is allowed. The index
    /// of a system without a directory lies in memory as the events do, and is bounded by
    /// [`Builder::max_events`]. Where a directory's disk refuses, because it is full for instance, the index
    /// lies in memory up to this limit, and then falls behind until the disk has room.
    pub fn index_memory_max(mut self, bytes: u64) -> Self {
        self.index_memory_max = bytes;
        self
    }

    /// Whether an event that a handler emits gets headers that say which event it is an answer to
    /// ([`CAUSATION_HEADER`](crate::CAUSATION_HEADER)) and what both belong to
    /// ([`CORRELATION_HEADER`](crate::CORRELATION_HEADER)), unless it has them: about 120 bytes. The
    /// default is yes. Work that a handler hands to other threads is marked with
    /// [`Event::caused_by`](crate::Event::caused_by).
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Delivery, Event, EventSystem, Subscription};
    /// let system = EventSystem::builder().open()?;
    /// let exchange = system.clone();
    /// let orders = Subscription::named("exchange").event_type("order.placed");
    /// system.register_handler(orders, move |delivery: &Delivery<'_>| {
    ///     exchange.emit_value("order.filled", "exchange", &delivery.data::<u32>()?).map(|_| ())
    /// })?;
    /// system.start()?;
    /// let placed = system.emit(Event::new("order.placed", "web", &10)?)?;
    /// system.drain(None)?;
    /// let filled = system.store().by_type("order.filled").next().unwrap()?;
    /// assert_eq!(filled.event().causation(), Some(placed.event_id));
    /// # system.close() }
    /// ```
    pub fn correlation(mut self, carried: bool) -> Self {
        self.correlates = carried;
        self
    }

    /// What knows the spans of this program, so that an event carries the place of the span in which it is
    /// emitted, and its handler's span is a child of that one; see [`Tracer`]. By default an event carries a
    /// place only if it is given one ([`Event::with_trace`](crate::Event::with_trace)).
    pub fn tracer(mut self, tracer: impl Tracer + 'static) -> Self {
        self.tracer = Some(Arc::new(tracer));
        self
    }

    /// What becomes of an event whose id was emitted before. By default it is another event.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{DuplicatePolicy, Event, EventId, EventSystem};
    /// let system = EventSystem::builder()
    ///     .duplicates(DuplicatePolicy::WithinEvents(100_000))
    ///     .open()?;
    /// let order = Event::new("order.placed", "web", &10)?.with_id(EventId(42));
    /// let first = system.emit(&order)?;
    /// let again = system.emit(&order)?; // a client that did not hear of the first
    /// assert_eq!(again, first);
    /// assert_eq!(system.store().len(), 1);
    /// # system.close() }
    /// ```
    ///
    /// The first one is found through crashes and restarts. A batch is emitted again as a whole or not
    /// at all. Emits take a little longer: each id is looked up, in memory if it is recent.
    pub fn duplicates(mut self, policy: DuplicatePolicy) -> Self {
        self.duplicates = policy;
        self
    }

    /// Whether the system keeps the last position of each source, for
    /// [`EventSystem::emit_if`]: some memory for each source, and one pass over the log when it is
    /// first asked for. By default it does not.
    pub fn expected_positions(mut self, kept: bool) -> Self {
        self.expected_positions = kept;
        self
    }

    /// Where the time comes from: a [`ManualClock`](crate::ManualClock) in tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the system: makes the directory or recovers it. Nothing is delivered before
    /// [`EventSystem::start`].
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for settings that contradict each other;
    /// [`Locked`](ErrorKind::Locked), [`ForeignDirectory`](ErrorKind::ForeignDirectory),
    /// [`Corrupt`](ErrorKind::Corrupt) and others for a directory that cannot be used. A directory
    /// that is refused is left as it was.
    pub fn open(self) -> Result<EventSystem> {
        EventSystem::open(self)
    }

    /// Whether a path is set.
    pub(crate) fn has_path(&self) -> bool {
        self.persistence_path.is_some()
    }

    /// Whether a path would be used.
    pub(crate) fn may_persist(&self) -> bool {
        self.persistence_enabled.unwrap_or(true)
    }

    /// Whether events are kept on disk.
    pub(super) fn persists(&self) -> Result<bool> {
        match (self.persistence_enabled, &self.persistence_path) {
            (Some(true), None) => Err(invalid("persistence_enabled needs a persistence_path")),
            (Some(enabled), Some(_)) => Ok(enabled),
            (None, path) => Ok(path.is_some()),
            (Some(false), None) => Ok(false),
        }
    }

    /// The durability of events that ask for none of their own.
    pub(super) fn chosen_durability(&self) -> Result<Durability> {
        self.selective.check()?;
        self.upcasters.check()?;
        match (self.durability, self.persistence_interval) {
            (Some(_), Some(_)) => Err(invalid(
                "persistence_interval and durability contradict each other; set one of them",
            )),
            (None, Some(interval)) => Ok(Durability::Interval(interval)),
            (durability, None) => Ok(durability.unwrap_or_default()),
        }
    }

    /// The settings of the lookup index.
    pub(super) fn index_config(&self) -> IndexConfig {
        IndexConfig {
            memory_max: self.index_memory_max,
            ..IndexConfig::default()
        }
    }

    /// The settings of the main log.
    pub(super) fn log_config(&self, persists: bool) -> Result<LogConfig> {
        let limits = self.retention;
        if self.max_queue_size == 0 || limits.max_events == Some(0) || self.event_size_max == 0 {
            return Err(invalid(
                "max_queue_size, max_events and event_size_max must be 1 or more",
            ));
        }
        if limits.max_age.is_some_and(|age| age < MAX_AGE_MIN) {
            return Err(invalid("max_age must be 1 ms or more"));
        }
        self.expiry.check()?;
        self.keep_last.check()?;
        check_compression(self.compression)?;
        ScrubPolicy::check(self.scrub.as_ref())?;
        if self.index_memory_max < IndexConfig::MEMORY_MIN {
            return Err(invalid("index_memory_max must be 8 MiB or more"));
        }
        let in_memory = !persists && limits.is_unlimited();
        let in_memory = in_memory.then_some(MAX_EVENTS_IN_MEMORY);
        let max_events = limits.max_events.or(in_memory);
        let mut keep_last = self.keep_last.clone();
        keep_last.spare(self.duplicates.spared());
        let share = max_events.map(|max| (max / SEGMENTS_PER_STORE).max(1));
        Ok(LogConfig {
            segment_len: self.segment_len()?,
            segment_events_max: share.unwrap_or(u64::MAX),
            event_len_max: self.event_size_max,
            retention: Retention {
                max_events,
                ..limits
            },
            when_pinned: self.when_pinned,
            expiry: Arc::new(self.expiry.clone()),
            keep_last: Arc::new(keep_last),
            compaction_leave: self.compaction_leave,
            compression: self.compression,
            access: self.access(persists)?,
            recycle: self.recycle_segments,
            ..LogConfig::default()
        })
    }

    /// The length of a segment: what is asked for, or what leaves enough of them within `max_bytes`.
    fn segment_len(&self) -> Result<usize> {
        let max_bytes = self.retention.max_bytes.unwrap_or(u64::MAX);
        let share = usize::try_from(max_bytes / SEGMENTS_PER_STORE).unwrap_or(usize::MAX);
        let usual = LogConfig::default().segment_len.min(share) / BLOCK_LEN * BLOCK_LEN;
        let len = self.segment_size.unwrap_or(usual);
        if self.segment_size.is_none() && len < SEGMENT_SIZE_MIN {
            return Err(invalid("max_bytes must be 512 KiB or more"));
        }
        if !(SEGMENT_SIZE_MIN..=SEGMENT_SIZE_MAX).contains(&len) {
            return Err(invalid("segment_size must lie between 64 KiB and 2 GiB"));
        }
        if (len as u64).saturating_mul(SEGMENTS_MIN) > max_bytes {
            return Err(invalid(
                "max_bytes must be four times segment_size or more: three segments are in use and one is \
                 prepared",
            ));
        }
        Ok(len)
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

//! [`EventSystem`]: the façade. It wires the layers below, and computes nothing itself.

mod outgoing;
mod receipt;
mod held;
mod admission;
mod selective;
mod scrub_policy;
mod scrub_place;
mod builder;
mod rewriting;
mod upcasting;
mod volatile;
mod attended;
mod batch;
mod group;
mod directory;
mod handlers;
mod schedule;
mod pending;
mod rehearsal;
mod reindex;
mod stats;
mod store;
mod reading;
mod scrubbing;
mod read_only;
mod observed;

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use admission::DuplicatePolicy;
pub use builder::Builder;
pub(crate) use observed::{Observed, Weakly};
pub use pending::PendingReceipt;
pub use receipt::Receipt;
pub use schedule::ScheduledEvent;
pub use scrub_policy::ScrubPolicy;
pub use scrubbing::{DAMAGE_SOURCE, DAMAGE_TYPE, ScrubState};
pub use stats::Stats;
pub use store::{ByType, EventStore};

use crate::clock::{Clock, Timestamp};
use crate::control::Control;
use crate::dispatch::{DispatchConfig, Dispatcher, Tracer, WhenFull};
use crate::durability::{Durability, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, encode};
use crate::format::names;
use crate::format::record::Record;
use crate::index::Index;
use crate::log::{Appended, Log, LogConfig};
use crate::position::Seq;
use crate::snapshot::Snapshots;
use crate::upcast::Upcasters;
use admission::Admission;
use directory::Directory;
use held::refuse_rehearsed;
use schedule::Schedule;
use scrubbing::Scrubber;
use selective::Selective;
use volatile::Volatile;

/// The largest memory that a thread keeps for values, in bytes.
const VALUE_MAX: usize = 1 << 20;

thread_local! {
    /// Where values are encoded.
    static VALUE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A durable event system in one directory, or in memory.
///
/// Every event is logged before it is dispatched. A clone is another handle to the same system.
#[derive(Clone)]
pub struct EventSystem(Arc<Inner>);

struct Inner {
    log: Arc<Log>,
    control: Arc<Control>,
    index: Arc<Index>,
    dispatcher: Dispatcher,
    /// What is checked before an append; most systems check nothing.
    admission: Option<Admission>,
    snapshots: Snapshots,
    clock: Arc<dyn Clock>,
    durability: Durability,
    /// The event types that have a durability of their own.
    selective: Selective,
    /// What makes the newest versions of older events.
    upcasters: Arc<Upcasters>,
    /// Whether an emit takes more than an append: a check, or a look at its type.
    attends: bool,
    volatile: Volatile,
    /// Whether what a handler emits says what caused it.
    correlates: bool,
    /// What knows in which span an event is emitted.
    tracer: Option<Arc<dyn Tracer>>,
    when_full: WhenFull,
    max_queue_size: u64,
    drain_timeout: Duration,
    shutdown_grace: Duration,
    schedule: Arc<Schedule>,
    scrubber: Arc<Scrubber>,
    /// Whether the system is closed; held while it closes.
    closed: Mutex<bool>,
    directory: Directory,
}

impl EventSystem {
    /// The settings of a new system, all at their defaults: in memory, until a
    /// [`persistence_path`](Builder::persistence_path) is set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn open(builder: Builder) -> Result<EventSystem> {
        let scrub = builder.scrub;
        let system = Self::open_still(builder)?;
        system.begin_schedule()?;
        system.begin_scrubbing(scrub)?;
        Ok(system)
    }

    /// Opens a system whose scheduled events are not emitted, so that it stays as it is.
    pub(crate) fn open_still(builder: Builder) -> Result<EventSystem> {
        let persists = builder.persists()?;
        let durability = builder.chosen_durability()?;
        let config = builder.log_config(persists)?;
        let directory = match &builder.persistence_path {
            Some(path) if persists => Directory::on_disk(path)?,
            _ => Directory::in_memory(),
        };
        let inner = Inner::open(builder, config, durability, directory)?;
        Ok(EventSystem(Arc::new(inner)))
    }

    /// Emits an event with the durability of its type ([`Builder::durability_for`]) or of the system: when
    /// this returns, the event is in the log, and as safe as the receipt says.
    ///
    /// # Errors
    /// [`SyncFailed`](crate::ErrorKind::SyncFailed): the event may or may not be in the log
    /// ([`Error::is_outcome_unknown`](crate::Error::is_outcome_unknown)). With every other error it
    /// is not.
    pub fn emit(&self, event: impl Borrow<Event>) -> Result<Receipt> {
        self.emit_event(event.borrow(), self.0.durability, false)
    }

    /// Emits an event with a durability of its own.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Delivery, Durability, Event, EventSystem, Level, Seq, Subscription};
    /// let system = EventSystem::builder().open()?;
    /// system.register_handler(Subscription::named("screen"), |delivery: &Delivery<'_>| {
    ///     assert!(delivery.is_volatile());
    /// })?;
    /// system.start()?;
    /// let tick = Event::new("tick", "exchange", &10)?;
    /// let receipt = system.emit_with(tick, Durability::Volatile)?;
    /// assert_eq!((receipt.level, receipt.seq), (Level::Queued, Seq::ZERO)); // never on disk
    /// system.drain(None)?;
    /// assert!(system.store().is_empty());
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// As [`EventSystem::emit`].
    pub fn emit_with(&self, event: impl Borrow<Event>, durability: Durability) -> Result<Receipt> {
        let event = event.borrow();
        if durability == Durability::Volatile {
            return self.emit_event_attended(event, Some(durability));
        }
        self.emit_event(event, durability, true)
    }

    /// Emits what an [`Event::new`] of these would be, without making one: the value is encoded into
    /// memory that the thread keeps.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::EventSystem;
    /// let system = EventSystem::builder().open()?;
    /// let receipt = system.emit_value("order.placed", "web", &("FRID", 10))?;
    /// assert_eq!(receipt.seq.0, 1);
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// As [`Event::new`] and [`EventSystem::emit`].
    pub fn emit_value<T: Serialize + ?Sized>(
        &self,
        event_type: &str,
        source: &str,
        value: &T,
    ) -> Result<Receipt> {
        // Taken out while user code runs, which may emit in turn.
        let mut bytes = VALUE.take();
        bytes.clear();
        let emitted = encode(&mut bytes, value).and_then(|()| {
            let record = Record::new(event_type, source, Timestamp::now(), &bytes)?;
            if self.is_attended() {
                return self.emit_attended(record, &[], None);
            }
            self.emit_record(&record, self.0.durability)
        });
        if bytes.capacity() <= VALUE_MAX {
            VALUE.set(bytes);
        }
        emitted
    }

    /// Waits until an event of this system has reached `level`, or returns at once if it has.
    ///
    /// # Errors
    /// [`SyncFailed`](crate::ErrorKind::SyncFailed) if it cannot reach it: reopen the system;
    /// [`Invalid`](crate::ErrorKind::Invalid) for a volatile event, which reaches no higher one, and for a receipt
    /// that is not of this directory, or of a later state of it than is here;
    /// [`NotFound`](crate::ErrorKind::NotFound) if the event was lost to a crash before it was synced.
    pub fn wait(&self, receipt: &Receipt, level: Level) -> Result<()> {
        if receipt.level == Level::Queued && level > Level::Queued {
            let message = format!("a volatile event is queued, and never {level}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        match level {
            Level::Queued | Level::Published => Ok(()),
            Level::Synced => self.wait_synced(receipt),
        }
    }

    /// Returns once everything emitted so far is durable.
    ///
    /// # Errors
    /// [`SyncFailed`](crate::ErrorKind::SyncFailed) if a sync failed: reopen the system.
    pub fn flush(&self) -> Result<()> {
        self.0.log.flush()
    }

    /// Closes the system in order: lets the handlers finish what is emitted by now (for at most
    /// [`Builder::drain_timeout`]), syncs everything, and ends every thread. Later emits of any handle
    /// fail with [`Closed`](crate::ErrorKind::Closed); what is held can still be read. It waits for no
    /// subscription that is paused; called from inside a handler, for none at all. Volatile events that are
    /// not handled by then are lost.
    ///
    /// # Errors
    /// [`Handler`](crate::ErrorKind::Handler) if handlers did not finish in time, naming them: what
    /// they left comes again, and a thread whose handler never returns is left to itself. Other errors
    /// if a sync fails. The system is closed all the same.
    pub fn close(&self) -> Result<()> {
        refuse_rehearsed("close the system")?;
        self.0.close()
    }

    /// The same as [`EventSystem::close`].
    ///
    /// # Errors
    /// As [`EventSystem::close`].
    pub fn stop(&self) -> Result<()> {
        self.close()
    }

    // What is called for each event is inlined from here down to the log: a result as large as a
    // record's or a receipt's costs more to hand on through memory than to make.

    /// Emits an event with a durability that the call has asked for, or else the system's, which gives way
    /// to that of its type.
    fn emit_event(&self, event: &Event, durability: Durability, is_asked: bool) -> Result<Receipt> {
        if self.is_attended() {
            return self.emit_event_attended(event, is_asked.then_some(durability));
        }
        self.emit_record(Record::unchecked(event).check()?, durability)
    }

    #[inline]
    fn emit_record(&self, record: &Record<'_>, durability: Durability) -> Result<Receipt> {
        let appended = self.append(std::slice::from_ref(record), durability)?;
        Ok(Receipt {
            seq: appended.last,
            event_id: appended.event_id(record, 0),
            level: self.reach(appended.last, durability)?,
        })
    }

    /// Appends records once the queue has places for them.
    #[expect(clippy::inline_always, reason = "the note above")]
    #[inline(always)]
    fn append(&self, records: &[Record<'_>], durability: Durability) -> Result<Appended> {
        let queue = self.0.dispatcher.queue();
        let is_over = || self.0.log.watermark().is_closed();
        let places = queue.reserve(records.len() as u64, self.0.when_full, &is_over)?;
        let appended = self.0.log.append(records, durability)?;
        places.appended();
        Ok(appended)
    }

    /// Waits for what the durability promises.
    #[inline]
    fn reach(&self, seq: Seq, durability: Durability) -> Result<Level> {
        if durability != Durability::Sync {
            return Ok(Level::Published);
        }
        self.0.log.wait_durable(seq)?;
        Ok(Level::Synced)
    }
}

impl Inner {
    fn open(
        builder: Builder,
        config: LogConfig,
        durability: Durability,
        directory: Directory,
    ) -> Result<Inner> {
        let index_config = builder.index_config();
        let (storage, clock) = (&directory.storage, builder.clock);
        let volatile = Volatile::new(&config);
        let (control, log) = directory.open_logs(config, &clock)?;
        let log = Arc::new(log);
        let dispatch = DispatchConfig {
            max_queue_size: builder.max_queue_size,
            clean: log.recovery().clean,
            detached_lag_max: builder.detached_lag_max,
        };
        let folder = directory.index.clone();
        let index = Arc::new(Index::open(log.clone(), folder, index_config));
        let (duplicates, expects) = (builder.duplicates, builder.expected_positions);
        let admission = Admission::new(duplicates, expects, &log, &index, &clock);
        let is_selective = !builder.selective.is_empty() || durability == Durability::Volatile;
        let dispatcher = Dispatcher::new(log.clone(), control.clone(), clock.clone(), dispatch)?;
        Ok(Inner {
            dispatcher: dispatcher.traced(builder.tracer.clone()),
            snapshots: Snapshots::new(storage.folder(names::SNAPSHOTS)?, log.log_id())
                .with_key(log.key().cloned()),
            attends: admission.is_some() || is_selective || builder.tracer.is_some(),
            admission,
            selective: builder.selective,
            upcasters: Arc::new(builder.upcasters),
            volatile,
            schedule: Arc::new(Schedule::open(
                storage,
                directory.has_schedule,
                log.key().cloned(),
            )?),
            index,
            log,
            control,
            clock,
            durability,
            correlates: builder.correlates,
            tracer: builder.tracer,
            when_full: builder.when_full,
            max_queue_size: builder.max_queue_size,
            drain_timeout: builder.drain_timeout,
            shutdown_grace: builder.shutdown_grace,
            scrubber: Arc::default(),
            closed: Mutex::new(false),
            directory,
        })
    }

    fn close(&self) -> Result<()> {
        self.close_by(Instant::now().checked_add(self.drain_timeout))
    }

    /// Closes; waits for handlers until this time.
    fn close_by(&self, deadline: Option<Instant>) -> Result<()> {
        let is_inside = self.dispatcher.queue().is_inside();
        let mut closed = match self.closed.try_lock() {
            Ok(closed) => closed,
            // Whoever closes it may be waiting for the handler that calls here.
            Err(TryLockError::WouldBlock) if is_inside => return Ok(()),
            Err(_) => self.closed.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if std::mem::replace(&mut *closed, true) {
            return Ok(());
        }
        let drained = if is_inside {
            Ok(Vec::new())
        } else {
            self.drain_unpaused(deadline)
        };
        self.schedule.stop();
        self.scrubber.stop();
        let left = self.stop_handlers(Instant::now().checked_add(self.shutdown_grace));
        self.schedule.join();
        self.scrubber.join();
        self.index.close();
        let closed = self.log.close();
        // Only a log that closed in order may be called durable up to its end.
        let durable = self.log.watermark().durable();
        let noted = self.control.close(durable);
        self.directory.release();
        closed.and(noted)?;
        handlers::all_ended(&left, &drained?)
    }
}

impl Drop for Inner {
    /// The last handle closes the system in order, as [`EventSystem::close`] would.
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(target: "forelog::system", %error, "the system did not close in order");
        }
    }
}

impl fmt::Debug for EventSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSystem")
            .field("directory", &self.0.directory)
            .field("durability", &self.0.durability)
            .field("recovery", self.recovery())
            .finish_non_exhaustive()
    }
}

//! Volatile events: the same path, over a log in memory.
//!
//! ```text
//! emit ─► durability? ─► log on disk   ─► Dispatcher ─► workers ─┐
//!                    └─► log in memory ─► Dispatcher ─► twins  ──┴─► handlers
//! ```
//! The second engine is made with the first volatile event, and a system that has none pays nothing for it.
//! Its Seqs are its own affair: receipts and deliveries of volatile events show none.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::outgoing::outgoing_all;
use super::receipt::Receipt;
use super::{EventSystem, Inner};
use crate::clock::Clock;
use crate::dispatch::{Dispatcher, HandlerId, Start, SubscriptionState};
use crate::durability::{Durability, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId};
use crate::format::record::Record;
use crate::log::limits::Retention;
use crate::log::{Appended, Log, LogConfig};
use crate::position::Seq;
use crate::storage::memory::MemoryStorage;

/// The length of a segment: only a full one can be given back.
const SEGMENT_LEN: usize = 4 << 20;
/// The largest event, in bytes.
const EVENT_LEN_MAX: usize = 1 << 20;
/// What keeps the first events until every handler has its place.
const ADOPTION: &str = "adoption";

/// Where volatile events go.
#[derive(Debug)]
pub(super) struct Volatile {
    config: LogConfig,
    engine: OnceLock<Engine>,
    /// Whether the system is closed; held while the engine is made.
    closed: Mutex<bool>,
    /// Held while handlers get their places in a new engine.
    adopting: Mutex<()>,
}

/// A log in memory and its dispatcher.
pub(super) struct Engine {
    log: Arc<Log>,
    dispatcher: Dispatcher,
}

impl Volatile {
    /// Nothing yet, for a system whose main log has these settings.
    pub(super) fn new(main: &LogConfig) -> Self {
        let config = LogConfig {
            segment_len: SEGMENT_LEN.min(main.segment_len),
            event_len_max: EVENT_LEN_MAX.min(main.event_len_max),
            // All that nobody needs any more goes; where the housekeeping is late, whoever emits sees to it.
            retention: Retention {
                max_events: Some(1),
                max_bytes: Some(SEGMENT_LEN as u64),
                ..Retention::default()
            },
            ..LogConfig::default()
        };
        Volatile {
            config,
            engine: OnceLock::new(),
            closed: Mutex::new(false),
            adopting: Mutex::default(),
        }
    }

    /// The engine, if there has been a volatile event.
    pub(super) fn get(&self) -> Option<&Engine> {
        self.engine.get()
    }

    /// As [`Volatile::get`], once it delivers to every handler that there was when it was made.
    pub(super) fn get_settled(&self) -> Option<&Engine> {
        let engine = self.engine.get()?;
        drop(self.adopting());
        Some(engine)
    }

    /// The engine; made if it is not there, and then others may be told to wait for its handlers.
    fn get_or_make(
        &self,
        main: &Dispatcher,
        clock: &Arc<dyn Clock>,
    ) -> Result<(&Engine, Option<MutexGuard<'_, ()>>)> {
        if let Some(engine) = self.engine.get() {
            return Ok((engine, None));
        }
        let closed = self.closed();
        if *closed {
            let message = "the system is closed; the event is not queued";
            return Err(Error::new(ErrorKind::Closed, message));
        }
        if let Some(engine) = self.engine.get() {
            return Ok((engine, None));
        }
        let storage = Arc::new(MemoryStorage::default());
        let log = Log::open(storage, self.config.clone(), clock.clone(), Seq::ZERO)?;
        let log = Arc::new(log);
        log.pins().set(ADOPTION, Seq::FIRST);
        let dispatcher = main.volatile(log.clone());
        let adopting = self.adopting();
        let engine = self.engine.get_or_init(|| Engine { log, dispatcher });
        Ok((engine, Some(adopting)))
    }

    /// From now on no engine is made; returns the one that there is.
    pub(super) fn close(&self) -> Option<&Engine> {
        *self.closed() = true;
        self.engine.get()
    }

    fn adopting(&self) -> MutexGuard<'_, ()> {
        self.adopting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Delivers to a handler of the main dispatcher, from now on.
    pub(super) fn adopt(&self, main: &Dispatcher, id: HandlerId) -> Result<()> {
        self.dispatcher.adopt(main, id, Start::Now)
    }

    /// Takes a handler away; nothing if it gets no volatile events.
    pub(super) fn unsubscribe(&self, id: HandlerId) {
        let _not_found = self.dispatcher.unsubscribe(id);
    }

    pub(super) fn start(&self) -> Result<()> {
        self.dispatcher.start()
    }

    /// As [`Dispatcher::drain`].
    pub(super) fn drain(&self, deadline: Option<Instant>) -> Result<Vec<String>> {
        self.dispatcher.drain(deadline)
    }

    /// As [`Dispatcher::drain_unpaused`].
    pub(super) fn drain_unpaused(&self, deadline: Option<Instant>) -> Result<Vec<String>> {
        self.dispatcher.drain_unpaused(deadline)
    }

    pub(super) fn complete(&self, states: &mut [SubscriptionState]) {
        self.dispatcher.complete_volatile(states);
    }

    /// How many events it was given.
    pub(super) fn emitted(&self) -> u64 {
        self.log.watermark().appended().0
    }

    /// The bytes of the segments that it holds.
    pub(super) fn bytes(&self) -> u64 {
        let segments = self.log.segments();
        segments.iter().map(|segment| segment.used_len()).sum()
    }

    pub(super) fn depth(&self) -> u64 {
        self.dispatcher.queue().depth()
    }

    /// Ends every thread; returns whose handlers had not ended by the deadline. What is not handled is lost.
    pub(super) fn stop(&self, deadline: Option<Instant>) -> Vec<String> {
        for (subscription, events) in self.dispatcher.left_over() {
            tracing::warn!(
                target: "forelog::system", %subscription, events,
                "volatile events were not handled before the system closed, and are lost"
            );
        }
        let left = self.dispatcher.stop(deadline);
        // Memory has no sync that could fail.
        let _closed = self.log.close();
        left
    }
}

impl Inner {
    /// As [`Dispatcher::drain`], of durable and volatile events.
    pub(super) fn drain(&self, deadline: Option<Instant>) -> Result<Vec<String>> {
        let mut behind = self.dispatcher.drain(deadline)?;
        if let Some(engine) = self.volatile.get_settled() {
            behind.extend(engine.drain(deadline)?);
        }
        Ok(behind)
    }

    /// As [`Dispatcher::drain_unpaused`], of durable and volatile events.
    pub(super) fn drain_unpaused(&self, deadline: Option<Instant>) -> Result<Vec<String>> {
        let mut behind = self.dispatcher.drain_unpaused(deadline)?;
        if let Some(engine) = self.volatile.get_settled() {
            behind.extend(engine.drain_unpaused(deadline)?);
        }
        Ok(behind)
    }

    /// Ends all deliveries; says whose handlers had not returned by then.
    pub(super) fn stop_handlers(&self, deadline: Option<Instant>) -> Vec<String> {
        let engine = self.volatile.close();
        let mut left = self.dispatcher.stop(deadline);
        if let Some(engine) = engine {
            left.extend(engine.stop(deadline));
        }
        left
    }

    /// Where volatile events go; the handlers that are registered get them from now on.
    fn engine(&self) -> Result<&Engine> {
        let (engine, adopting) = self.volatile.get_or_make(&self.dispatcher, &self.clock)?;
        if adopting.is_some() {
            let adopted = self.adopt_all(engine);
            engine.log.pins().remove(ADOPTION);
            adopted?;
        }
        Ok(engine)
    }

    /// Has a new engine deliver to all handlers.
    fn adopt_all(&self, engine: &Engine) -> Result<()> {
        let mut failure = None;
        for id in self.dispatcher.ids() {
            // Others may have queued events since.
            let adopted = engine
                .dispatcher
                .adopt(&self.dispatcher, id, Start::Beginning);
            // One that cannot have a twin keeps no other from having one.
            if let Err(error) = adopted {
                no_twin(id, &error);
                failure.get_or_insert(error);
            }
        }
        if self.dispatcher.is_started() {
            engine.start()?;
        }
        failure.map_or(Ok(()), Err)
    }
}

fn no_twin(id: HandlerId, error: &Error) {
    tracing::error!(
        target: "forelog::system", handler = %id, %error,
        "a handler gets no volatile events; register it anew"
    );
}

impl EventSystem {
    /// The durability of an event for which the call asks for none.
    pub(super) fn durability_of(&self, event_type: &str) -> Durability {
        self.0.selective.of(event_type).unwrap_or(self.0.durability)
    }

    /// The durability of a batch: the strongest of its events, unless the call asks for one.
    pub(super) fn durability_of_all(
        &self,
        asked: Option<Durability>,
        events: &[Event],
    ) -> Durability {
        match asked {
            Some(durability) => durability,
            None if self.0.selective.is_empty() => self.0.durability,
            None => {
                let each = events
                    .iter()
                    .map(|event| self.durability_of(&event.event_type));
                each.reduce(Durability::stronger)
                    .unwrap_or(self.0.durability)
            }
        }
    }

    /// Queues a volatile event.
    pub(super) fn emit_volatile(&self, record: &Record<'_>) -> Result<Receipt> {
        let appended = self.queue_volatile(std::slice::from_ref(record), true)?;
        Ok(receipt(appended.event_id(record, 0)))
    }

    /// Queues volatile events one behind the other; `waits`: for places in the queue.
    pub(super) fn emit_all_volatile(&self, events: &[Event], waits: bool) -> Result<Vec<Receipt>> {
        let carried = self.carried_by_all(events);
        let records = outgoing_all(events, &carried)?;
        let appended = self.queue_volatile(&records, waits)?;
        let records = records.iter().enumerate();
        Ok(records
            .map(|(place, record)| receipt(appended.event_id(record, place)))
            .collect())
    }

    fn queue_volatile(&self, records: &[Record<'_>], waits: bool) -> Result<Appended> {
        if let Some(record) = records.iter().find(|one| one.frame_len() > EVENT_LEN_MAX) {
            let message = format!(
                "a volatile event takes at most {EVENT_LEN_MAX} bytes, and this one takes {}; emit it with \
                 another durability",
                record.frame_len()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let Engine { log, dispatcher } = self.0.engine()?;
        let is_over = || log.watermark().is_closed();
        let queue = dispatcher.queue();
        let reserve = || queue.reserve(records.len() as u64, self.0.when_full, &is_over);
        let places = waits.then(reserve).transpose()?;
        let appended = log.append(records, Durability::Os)?;
        if let Some(places) = places {
            places.appended();
        }
        Ok(appended)
    }
}

fn receipt(event_id: EventId) -> Receipt {
    Receipt {
        seq: Seq::ZERO,
        event_id,
        level: Level::Queued,
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

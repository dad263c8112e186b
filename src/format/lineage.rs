//! Where an event comes from, as headers: [`CAUSATION_HEADER`] names the event that it is an answer to,
//! [`CORRELATION_HEADER`] what both belong to. The [trace](super::trace) is passed on with them.

use super::record::EventRef;
use super::trace::{TRACE_HEADER, TraceContext};
use crate::event::{Event, EventId};

/// The header with the id of the event in whose handling an event was emitted.
pub const CAUSATION_HEADER: &str = "forelog.causation";
/// The header with what an event and all that follows from it have in common: the correlation of the
/// event that caused it or, if that has none, its id.
pub const CORRELATION_HEADER: &str = "forelog.correlation";

impl Event {
    /// The same event as one that another caused. Inside a handler that is done by itself; this is for
    /// work that a handler has handed to other threads.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// # use forelog::{Event, EventSystem};
    /// # let system = EventSystem::builder().open()?;
    /// let placed = system.emit(Event::new("order.placed", "web", &10)?)?;
    /// let stored = system.store().get(placed.seq)?.unwrap();
    /// let filled = Event::new("order.filled", "exchange", &10)?.caused_by(&stored.event());
    /// assert!(filled.headers.contains(&("forelog.causation".into(), placed.event_id.to_string())));
    /// # system.close() }
    /// ```
    #[must_use]
    pub fn caused_by(mut self, cause: &EventRef<'_>) -> Self {
        let missing = Lineage::of(cause).missing_from(&self.headers);
        self.headers.extend(missing);
        self
    }
}

impl<'a> EventRef<'a> {
    /// The event in whose handling this one was emitted; see [`CAUSATION_HEADER`].
    pub fn causation(&self) -> Option<EventId> {
        self.header(CAUSATION_HEADER)?.parse().ok()
    }

    /// What this event and others that belong to it have in common; see [`CORRELATION_HEADER`].
    pub fn correlation(&self) -> Option<&'a str> {
        self.header(CORRELATION_HEADER)
    }
}

/// What an event passes on to those that it causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lineage {
    cause: EventId,
    /// If it is another than the id of the cause.
    correlation: Option<Box<str>>,
    /// The place in a trace at which the cause was emitted.
    trace: Option<TraceContext>,
}

impl Lineage {
    pub(crate) fn of(cause: &EventRef<'_>) -> Self {
        Lineage {
            cause: cause.event_id(),
            correlation: cause.correlation().map(Into::into),
            trace: cause.trace_context(),
        }
    }

    /// That of an event without headers.
    pub(crate) fn plain(cause: EventId) -> Self {
        Lineage {
            cause,
            correlation: None,
            trace: None,
        }
    }

    /// The event that causes others.
    pub(crate) fn cause(&self) -> EventId {
        self.cause
    }

    /// The headers that an event with these does not have yet.
    pub(crate) fn missing_from(&self, headers: &[(String, String)]) -> Vec<(String, String)> {
        let has = |name: &str| headers.iter().any(|(held, _)| held == name);
        let mut missing = Vec::new();
        if !has(CORRELATION_HEADER) {
            let own = || self.cause.to_string();
            let value = self.correlation.as_deref().map_or_else(own, str::to_owned);
            missing.push((CORRELATION_HEADER.to_owned(), value));
        }
        if !has(CAUSATION_HEADER) {
            missing.push((CAUSATION_HEADER.to_owned(), self.cause.to_string()));
        }
        if let Some(trace) = self.trace.filter(|_| !has(TRACE_HEADER)) {
            missing.push((TRACE_HEADER.to_owned(), trace.to_string()));
        }
        missing
    }
}

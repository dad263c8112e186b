//! [`Projection`]: a state made from events, kept beside the log, and never out of step with it.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Filter;
use crate::format::record::EventRef;
use crate::log::Log;
use crate::position::Seq;
use crate::snapshot::Snapshots;

type Apply<S> = Box<dyn FnMut(&mut S, &EventRef<'_>) -> Result<()> + Send>;

/// A state that is made by applying events in order, each exactly once.
///
/// State and position are saved together in one atomic file ([`Projection::save`]). After a crash the
/// projection is opened from there and catches up with what came later. Saving waits until the
/// position is durable in the log, so a state never holds an event that a power cut took back.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem};
/// let system = EventSystem::builder().open()?;
/// let mut sum = system.projection("sum", 1, 0_i64, |sum, event| {
///     *sum += event.data::<i64>()?;
///     Ok(())
/// })?;
/// system.emit(Event::new("payment.done", "web", &20)?)?;
/// system.emit(Event::new("payment.done", "web", &22)?)?;
/// sum.catch_up()?;
/// assert_eq!(*sum.state(), 42);
/// sum.save()?;
/// # drop(sum);
/// # system.close() }
/// ```
pub struct Projection<S> {
    name: String,
    version: u64,
    log: Arc<Log>,
    snapshots: Snapshots,
    filter: Filter,
    initial: S,
    state: S,
    position: Seq,
    saved: Option<Seq>,
    apply: Apply<S>,
}

impl<S: Serialize + DeserializeOwned + Clone> Projection<S> {
    pub(crate) fn open(
        name: &str,
        version: u64,
        initial: S,
        log: Arc<Log>,
        snapshots: Snapshots,
        apply: Apply<S>,
    ) -> Result<Self> {
        if name.is_empty() || name.len() > 64 {
            let message = format!("the projection's name {name:?} must have 1 to 64 bytes");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let state = initial.clone();
        let mut projection = Projection {
            name: name.to_owned(),
            version,
            log,
            snapshots,
            filter: Filter::all(),
            initial,
            state,
            position: Seq::ZERO,
            saved: None,
            apply,
        };
        projection.reload()?;
        Ok(projection)
    }

    /// Only events that pass this filter are applied. A filter is part of what the state means:
    /// change the version together with it.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// The state as of [`Projection::position`].
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The last event that was applied or passed over.
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Applies all events that have come since; returns how many were applied.
    ///
    /// # Errors
    /// The first error of the apply function, or of reading the log. An apply function that fails may
    /// have changed half of the state, so state and position go back to what was last saved.
    pub fn catch_up(&mut self) -> Result<u64> {
        self.filter.check()?;
        let mut reader = self.log.reader(self.position.next());
        let mut applied = 0;
        let failure = loop {
            let event = match reader.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            if self.filter.matches(event.event_type(), event.source()) {
                if let Err(error) = (self.apply)(&mut self.state, &event) {
                    break Some(error.at_seq(event.seq()));
                }
                applied += 1;
            }
            self.position = event.seq();
        };
        match failure {
            None => Ok(applied),
            Some(error) => {
                self.reload()?;
                Err(error)
            }
        }
    }

    /// Makes state and position durable, together.
    ///
    /// # Errors
    /// If the position cannot be made durable in the log, or the file cannot be written; the snapshot
    /// that was there stays.
    pub fn save(&mut self) -> Result<()> {
        if self.saved == Some(self.position) {
            return Ok(());
        }
        if self.log.watermark().is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the system is closed"));
        }
        self.log.wait_durable(self.position)?;
        self.snapshots
            .save(&self.name, self.version, self.position, &self.state)?;
        self.saved = Some(self.position);
        Ok(())
    }

    /// Forgets state and position; the next [`Projection::catch_up`] makes them anew from the first
    /// event that the log holds.
    pub fn reset(&mut self) {
        self.state = self.initial.clone();
        self.position = Seq::ZERO;
        self.saved = None;
    }

    fn reload(&mut self) -> Result<()> {
        let last = self.log.watermark().appended();
        self.reset();
        if let Some((position, state)) = self.snapshots.load(&self.name, self.version, last)? {
            self.state = state;
            self.position = position;
            self.saved = Some(position);
        }
        Ok(())
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Projection<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projection")
            .field("name", &self.name)
            .field("position", &self.position)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

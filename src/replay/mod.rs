//! Replay: events delivered again on request, through a closure ([`Replay`]), into handlers
//! ([`HandlerReplay`]), or into a state that is kept ([`Projection`]).
//!
//! A replay reads the log and writes nothing: it moves no cursor, and fires no handler with effects
//! unless asked.

mod applying;
mod handlers;
mod cadence;
mod projection;
mod time_travel;
mod laboratory;
mod following;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;

pub(crate) use applying::upcasting;
pub use following::Following;
pub use handlers::{HandlerReplay, ReplayState, RunningReplay};
pub use laboratory::{
    Answer, AnswerDifference, AnswerFindings, Difference, Findings, HandlerFindings, Laboratory,
    StateFailure, StateFindings, Unacknowledged,
};
pub(crate) use projection::Ground;
pub use projection::{Progress, Projection};

use crate::clock::Timestamp;
use crate::dispatch::{Extent, Roster};
use crate::error::Result;
use crate::format::record::EventRef;
use crate::log::Log;
use crate::position::Seq;
use crate::upcast::Upcasters;

/// A range of past events, to be gone through once more.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem};
/// let system = EventSystem::builder().open()?;
/// for amount in [1, 2, 3] {
///     system.emit(Event::new("payment.done", "web", &amount)?)?;
/// }
/// let mut sum = 0;
/// system.replay().types(["payment.*"]).run(|event| {
///     sum += event.data::<i32>()?;
///     Ok(())
/// })?;
/// assert_eq!(sum, 6);
/// # system.close() }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a replay does nothing until it is run"]
pub struct Replay {
    log: Arc<Log>,
    roster: Roster,
    upcasters: Arc<Upcasters>,
    extent: Extent,
}

impl Replay {
    pub(crate) fn new(log: Arc<Log>, roster: Roster, upcasters: Arc<Upcasters>) -> Self {
        Replay {
            log,
            roster,
            upcasters,
            extent: Extent::default(),
        }
    }

    /// Starts at this Seq.
    pub fn from(mut self, seq: Seq) -> Self {
        self.extent.from = seq;
        self
    }

    /// Ends with this Seq; without it, with the last event that is there when the replay starts.
    pub fn to(mut self, seq: Seq) -> Self {
        self.extent.to = seq;
        self
    }

    /// Leaves out events whose `timestamp` lies before this time.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.extent.since = time;
        self
    }

    /// Leaves out events whose `timestamp` is this time or lies after it.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.extent.until = time;
        self
    }

    /// Only events of these types; see [`Filter`](crate::Filter).
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.extent.filter = self.extent.filter.types(types);
        self
    }

    /// Only events from this source; named again, from each of them.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.extent.filter = self.extent.filter.source(source);
        self
    }

    /// Hands each event that has not expired to `apply`, in Seq order; returns how many.
    ///
    /// # Errors
    /// The first error of `apply`, or of reading the log.
    pub fn run(self, mut apply: impl FnMut(&EventRef<'_>) -> Result<()>) -> Result<u64> {
        self.run_until(|event| apply(event).map(ControlFlow::Continue))
    }

    /// Hands each event to `apply`, in Seq order, until that breaks; returns how many.
    ///
    /// # Errors
    /// The first error of `apply`, or of reading the log.
    pub fn run_until(
        self,
        mut apply: impl FnMut(&EventRef<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<u64> {
        self.extent.filter.check()?;
        let to = self.extent.to.min(self.log.watermark().appended());
        let mut reader = self.log.reader(self.extent.from);
        let mut count = 0;
        let mut visit = |event: &EventRef<'_>| {
            if event.seq() > to {
                return Ok(ControlFlow::Break(()));
            }
            if !self.extent.fits(event) || self.log.is_expired(event) {
                return Ok(ControlFlow::Continue(()));
            }
            count += 1;
            self.upcasters.show(event, &mut apply)
        };
        loop {
            // Nearly every event stands right behind the one before, and is not moved about then.
            let event = match reader.step_on() {
                Some(event) => event,
                None => match reader.next_event()? {
                    Some(event) => event,
                    None => break,
                },
            };
            if visit(&event)?.is_break() {
                break;
            }
        }
        Ok(count)
    }
}

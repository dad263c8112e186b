//! [`Office`]: what all workers of a dispatcher share, and the rules that they have in common.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::draining::Draining;
use super::queue::Queue;
use super::seat::Seat;
use super::tracer::Tracer;
use crate::clock::{Clock, Timestamp};
use crate::control::{Control, Place};
pub(super) use crate::error::guarded;
use crate::error::{Error, ErrorKind, Result};
use crate::format::record::{EventRef, Unplaced};
use crate::log::Log;
use crate::log::pins::Pins;
use crate::mutant::{self, Mutant};
use crate::position::Seq;

/// How often a worker looks at the clock while it waits for a time to come.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The longest reason that is kept, in bytes.
const REASON_LEN_MAX: usize = 4096;

/// What the workers of one dispatcher share.
#[derive(Debug, Clone)]
pub(super) struct Office {
    pub(super) log: Arc<Log>,
    pub(super) control: Arc<Control>,
    pub(super) queue: Arc<Queue>,
    pub(super) clock: Arc<dyn Clock>,
    /// The last Seq of the log when it was opened.
    pub(super) opened_at: Seq,
    /// Whether its log is the one in memory, of volatile events.
    pub(super) is_volatile: bool,
    /// Whose handlers are inside a drain.
    pub(super) draining: Draining,
    /// What joins the spans of emitters and handlers.
    pub(super) tracer: Option<Arc<dyn Tracer>>,
}

impl Office {
    /// What a broken engine would do: the cursor is there before the handler is.
    #[inline]
    pub(super) fn take_the_next_for_done(&self, seat: &Seat, seq: Seq) -> Result<()> {
        let name = seat.name.as_ref();
        let Some(name) = name.filter(|_| mutant::is(Mutant::AdvanceCursorEarly)) else {
            return Ok(());
        };
        let place = Place {
            cursor: seq,
            ..Place::default()
        };
        self.control.advance(name, place)
    }

    /// The time after a delay, by the system's clock.
    pub(super) fn after(&self, delay: Duration) -> Timestamp {
        self.clock.now().plus(delay)
    }

    /// What hides an event's Seq from the user's functions, where it means nothing to them.
    #[inline]
    pub(super) fn veil(&self, event: &EventRef<'_>) -> Option<Unplaced> {
        self.is_volatile.then(|| event.unplaced())
    }

    /// When to look whether that time has come: the clock may be a test's, and then moves by leaps.
    pub(super) fn look_at(&self, time: Timestamp) -> Instant {
        Instant::now() + time.since(self.clock.now()).min(LOOK_AGAIN_AFTER)
    }
}

/// Under which name a subscription asks the log to keep events.
pub(super) fn pin_name(name: Option<&str>, id: u64) -> String {
    match name {
        Some(name) => format!("subscription {name}"),
        None => format!("unnamed {id}"),
    }
}

/// Pins what the names that the control log knows have not seen: before the log is opened, for its
/// first round of retention must spare that.
pub(crate) fn pin_known(control: &Control, pins: &Pins) {
    for (name, cursor) in control.cursors() {
        pins.set_detached(&pin_name(Some(&name), 0), cursor.next());
    }
}

/// Whether no later attempt to write can succeed.
pub(super) fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Poisoned | ErrorKind::SyncFailed | ErrorKind::Closed
    )
}

pub(super) fn asked_again() -> String {
    "the handler asked for another attempt".to_owned()
}

/// The start of a reason that is too long.
pub(super) fn clip(mut reason: String) -> String {
    let end = (0..=REASON_LEN_MAX.min(reason.len())).rev();
    let end = end.into_iter().find(|&at| reason.is_char_boundary(at));
    reason.truncate(end.unwrap_or(0));
    reason
}

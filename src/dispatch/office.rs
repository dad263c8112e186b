//! [`Office`]: what all workers of a dispatcher share, and the rules that they have in common.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::Queue;
use crate::clock::Clock;
use crate::control::Control;
use crate::error::{Error, ErrorKind};
use crate::log::Log;
use crate::log::pins::Pins;
use crate::position::Seq;

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
        pins.set(&pin_name(Some(&name), 0), cursor.next());
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

/// The time after a delay; a delay beyond all bounds is a day.
pub(super) fn after(delay: Duration) -> Instant {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    Instant::now() + delay.min(DAY)
}

/// The start of a reason that is too long.
pub(super) fn clip(mut reason: String) -> String {
    let end = (0..=REASON_LEN_MAX.min(reason.len())).rev();
    let end = end.into_iter().find(|&at| reason.is_char_boundary(at));
    reason.truncate(end.unwrap_or(0));
    reason
}

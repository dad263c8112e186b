//! [`Receipt`]: what `emit` gives back.

use serde::{Deserialize, Serialize};

use super::EventSystem;
use crate::durability::Level;
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventId;
use crate::position::Seq;

/// The proof that an event is in the log, and how safe it was there when the proof was made; or that a
/// volatile one is queued.
///
/// Plain data, to be kept, sent and stored. To wait until the event is safer, hand it to
/// [`EventSystem::wait`](crate::EventSystem::wait).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The event's place in the total order; [`Seq::ZERO`] of a volatile event, which has none.
    pub seq: Seq,
    /// The event's identity, made by the system unless the event had one.
    pub event_id: EventId,
    /// What was certain when the receipt was made.
    pub level: Level,
}

impl EventSystem {
    /// Waits until the event of a receipt is synced. The receipt may be of an earlier opening: then the event
    /// is here now, or has had its time, or was lost.
    pub(super) fn wait_synced(&self, receipt: &Receipt) -> Result<()> {
        let (log, seq) = (&self.0.log, receipt.seq);
        if seq > log.watermark().appended() && seq > log.last_seq() {
            let last = log.last_seq();
            let message = format!(
                "the log ends at Seq {last}: the receipt is another directory's, or this one was restored from \
                 an older copy"
            );
            return Err(Error::new(ErrorKind::Invalid, message).at_seq(seq));
        }
        log.wait_durable(seq)?;
        let recovery = log.recovery();
        let found_there = recovery.gap.map_or(recovery.last, |gap| gap.to);
        if seq > found_there || seq < log.first_seq() || log.is_dropped(seq) {
            return Ok(());
        }
        let (kind, message) = match log.get(seq)? {
            Some(stored) if stored.event().event_id() == receipt.event_id => return Ok(()),
            Some(_) => (
                ErrorKind::Invalid,
                "another event has this Seq: the receipt is another directory's",
            ),
            None => (
                ErrorKind::NotFound,
                "the event was lost to a crash before it was synced, as its durability allows; emit it again, \
                 with the same event id",
            ),
        };
        Err(Error::new(kind, message).at_seq(seq))
    }
}

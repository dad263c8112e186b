//! [`PendingReceipt`]: what `emit_async` gives back.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::EventSystem;
use super::admission::Terms;
use super::outgoing::outgoing;
use super::receipt::Receipt;
use crate::durability::{Durability, Level};
use crate::error::Result;
use crate::event::{Event, EventId};
use crate::log::Log;
use crate::position::Seq;

/// The receipt of an event that has its place in the log, and may not be as safe yet as was asked.
///
/// It is a future on any runtime, and [`PendingReceipt::wait`] is for code without one; thousands may
/// be in flight from one thread. Dropped, it takes nothing back: the event reaches its level all the
/// same, only nobody hears of it.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem, Level};
/// let system = EventSystem::builder().open()?;
/// let mut pending = Vec::new();
/// for n in 0..1_000 {
///     pending.push(system.emit_async(Event::new("order.placed", "web", &n)?)?);
/// }
/// for receipt in pending {
///     assert_eq!(receipt.wait()?.level, Level::Synced);
/// }
/// # system.close() }
/// ```
#[must_use = "the event is only certain to be safe once this is awaited or waited for"]
pub struct PendingReceipt {
    receipt: Receipt,
    level: Level,
    log: Arc<Log>,
}

impl PendingReceipt {
    /// A receipt that is to reach `level`.
    pub(super) fn new(receipt: Receipt, level: Level, log: Arc<Log>) -> Self {
        PendingReceipt {
            receipt,
            level,
            log,
        }
    }

    /// The event's place in the total order. Until the receipt is ready, a crash may lose the event,
    /// and then another one may get its place. [`Seq::ZERO`] of a volatile event.
    pub fn seq(&self) -> Seq {
        self.receipt.seq
    }

    /// The event's identity, made by the system unless the event had one.
    pub fn event_id(&self) -> EventId {
        self.receipt.event_id
    }

    /// Blocks until the event is as safe as was asked.
    ///
    /// # Errors
    /// [`SyncFailed`](crate::ErrorKind::SyncFailed): the event may or may not be in the log. Reopen
    /// the system, and emit again with the same event id.
    pub fn wait(self) -> Result<Receipt> {
        if self.level > self.receipt.level {
            self.log.wait_durable(self.receipt.seq)?;
        }
        Ok(self.reached())
    }
}

impl EventSystem {
    /// Emits an event with the durability of its type or of the system, and does not wait for it: the
    /// receipt is a future. The event has its place in the log and its order when this returns.
    ///
    /// # Errors
    /// As [`EventSystem::emit`], but for a failed sync, which the receipt reports.
    pub fn emit_async(&self, event: impl Borrow<Event>) -> Result<PendingReceipt> {
        let event = event.borrow();
        self.emit_pending(event, self.durability_of(&event.event_type))
    }

    /// As [`EventSystem::emit_async`], with a durability of its own.
    ///
    /// # Errors
    /// As [`EventSystem::emit_async`].
    pub fn emit_async_with(
        &self,
        event: impl Borrow<Event>,
        durability: Durability,
    ) -> Result<PendingReceipt> {
        self.emit_pending(event.borrow(), durability)
    }

    fn emit_pending(&self, event: &Event, durability: Durability) -> Result<PendingReceipt> {
        let log = self.0.log.clone();
        let held = self.hold_back(std::slice::from_ref(event), durability)?;
        if let Some(receipt) = held.and_then(|held| held.first().copied()) {
            return Ok(PendingReceipt::new(receipt, receipt.level, log));
        }
        let carried = self.carried(&event.headers);
        let record = outgoing(event, carried.as_deref())?;
        if durability == Durability::Volatile {
            let receipt = self.emit_volatile(&record)?;
            return Ok(PendingReceipt::new(receipt, receipt.level, log));
        }
        let (seq, event_id) = match &self.0.admission {
            None => {
                let appended = self.append(&[record], durability)?;
                (appended.last, appended.event_id(&record, 0))
            }
            Some(admission) => self.place_one(admission, &record, Terms::plain(durability))?,
        };
        let mut level = Level::Published;
        if durability == Durability::Sync {
            log.sync_soon(seq);
            level = Level::Synced;
        }
        let receipt = Receipt {
            seq,
            event_id,
            level: Level::Published,
        };
        Ok(PendingReceipt::new(receipt, level, log))
    }
}

impl PendingReceipt {
    fn reached(&self) -> Receipt {
        Receipt {
            level: self.level,
            ..self.receipt
        }
    }
}

impl Future for PendingReceipt {
    type Output = Result<Receipt>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Receipt>> {
        if self.level <= Level::Published {
            return Poll::Ready(Ok(self.reached()));
        }
        let durable = self.log.poll_durable(self.receipt.seq, context);
        durable.map(|reached| reached.map(|()| self.reached()))
    }
}

impl fmt::Debug for PendingReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingReceipt")
            .field("seq", &self.seq())
            .field("event_id", &self.event_id())
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

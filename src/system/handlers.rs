//! The part of [`EventSystem`] that has to do with handlers.

use std::sync::Arc;
use std::time::Instant;

use super::EventSystem;
use crate::control::ParkedEvent;
use crate::dispatch::{Handler, HandlerId, Subscription, SubscriptionState};
use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;

impl EventSystem {
    /// Registers a handler for the events of a subscription. They are delivered from
    /// [`EventSystem::start`] on, on a thread of its own.
    ///
    /// A *named* subscription is durable: it goes on where it was when the process ended, and sees
    /// every event at least once. An *unnamed* one sees what is emitted from now on.
    ///
    /// The handler may return nothing, a bool, a `Result` or an [`Outcome`](crate::Outcome). An
    /// error, `false` or a panic is a failed delivery: it is tried again with growing delays, and then
    /// parked. It may emit, also on a full queue (it is let past the bound, because it would wait for
    /// itself), and unregister itself. A handler that keeps an [`EventSystem`] of its own keeps the
    /// system open: call [`EventSystem::close`] to end it.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Delivery, Event, EventSystem, Outcome, Subscription};
    /// let system = EventSystem::builder().open()?;
    /// let payments = Subscription::named("ledger").event_types(["payment.*"]);
    /// system.register_handler(payments, |delivery: &Delivery<'_>| {
    ///     match delivery.data::<i64>() {
    ///         Ok(amount) if amount > 0 => Outcome::Ack,
    ///         Ok(_) => Outcome::Park("not an amount".into()),
    ///         Err(_) => Outcome::Retry,
    ///     }
    /// })?;
    /// system.start()?;
    /// system.emit(Event::new("payment.done", "web", &-5)?)?;
    /// system.drain(None)?;
    /// assert_eq!(system.parked("ledger")[0].reason, "not an amount");
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the name has a handler already, or a pattern is none;
    /// [`Closed`](ErrorKind::Closed) once the system is closed.
    pub fn register_handler(
        &self,
        subscription: Subscription,
        handler: impl Handler,
    ) -> Result<HandlerId> {
        self.0.dispatcher.subscribe(subscription, handler)
    }

    /// Takes a handler away and waits for its delivery under way; called from inside a handler it does
    /// not wait. The place of a named subscription is kept.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such handler.
    pub fn unregister_handler(&self, handler: HandlerId) -> Result<()> {
        self.0.dispatcher.unsubscribe(handler)
    }

    /// Starts all deliveries.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed) once the system is closed.
    pub fn start(&self) -> Result<()> {
        self.0.dispatcher.start()
    }

    /// Waits until every handler has dealt with all that is emitted by now.
    ///
    /// # Errors
    /// [`Handler`](ErrorKind::Handler), naming the subscriptions that have not by the deadline or have
    /// stopped; [`SyncFailed`](ErrorKind::SyncFailed) if the events cannot be made durable.
    pub fn drain(&self, deadline: Option<Instant>) -> Result<()> {
        let behind = self.0.dispatcher.drain(deadline)?;
        if behind.is_empty() {
            return Ok(());
        }
        Err(not_drained(&behind))
    }

    /// Where all subscriptions stand: those with a handler, then names without one.
    pub fn subscriptions(&self) -> Vec<SubscriptionState> {
        self.0.dispatcher.subscriptions()
    }

    /// The parked events of a named subscription, oldest first.
    pub fn parked(&self, name: &str) -> Vec<Arc<ParkedEvent>> {
        self.0.dispatcher.parked(name)
    }

    /// Delivers a parked event again; once it is acknowledged it is parked no more.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such event, or no running handler of that
    /// name.
    pub fn redeliver(&self, name: &str, seq: Seq) -> Result<()> {
        self.0.dispatcher.redeliver(name, seq)
    }

    /// Gives a parked event up for good.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such event.
    pub fn discard(&self, name: &str, seq: Seq) -> Result<()> {
        self.0.dispatcher.discard(name, seq)
    }
}

/// Says whom a drain left behind.
pub(super) fn not_drained(behind: &[String]) -> Error {
    let message = format!(
        "not everything was handled by {}; see EventSystem::subscriptions. What is left is \
         delivered when the system is started again",
        behind.join(", ")
    );
    Error::new(ErrorKind::Handler, message)
}

//! The part of [`EventSystem`] that has to do with handlers.

use std::sync::Arc;
use std::time::Instant;

use super::held::refuse_rehearsed;
use super::volatile::Engine;
use super::{EventSystem, Inner};
use crate::control::{ParkedEvent, unknown};
use crate::dispatch::Delivery;
use crate::dispatch::{
    BatchHandler, BatchSize, Handler, HandlerId, Handlers, IntoOutcome, Start, Subscription,
    SubscriptionState,
};
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
        let handlers = Handlers::One(Box::new(handler));
        refuse_rehearsed("register a handler")?;
        self.0.subscribe(subscription, handlers)
    }

    /// Registers one function that several threads call at the same time, as many as the subscription's
    /// [`concurrency`](Subscription::concurrency). The order holds for each key
    /// ([`Subscription::order_by`]).
    ///
    /// # Errors
    /// As [`EventSystem::register_handler`].
    pub fn register_parallel<F, R>(
        &self,
        subscription: Subscription,
        handler: F,
    ) -> Result<HandlerId>
    where
        F: Fn(&Delivery<'_>) -> R + Send + Sync + 'static,
        R: IntoOutcome,
    {
        let handler = Arc::new(handler);
        self.register_handlers(subscription, move || {
            let handler = handler.clone();
            move |delivery: &Delivery<'_>| handler(delivery)
        })
    }

    /// Registers a handler for each thread of a subscription, made by this function, which is called
    /// before this returns: as often as the subscription's [`concurrency`](Subscription::concurrency),
    /// and with more than one thread once more, for parked events that are delivered again and for replays.
    /// With more than one thread it is called again, as often, when the first volatile event is emitted
    /// ([`Durability::Volatile`](crate::Durability::Volatile)).
    ///
    /// # Errors
    /// As [`EventSystem::register_handler`].
    pub fn register_handlers<H: Handler>(
        &self,
        subscription: Subscription,
        mut make: impl FnMut() -> H + Send + 'static,
    ) -> Result<HandlerId> {
        let make = move || -> Box<dyn Handler> { Box::new(make()) };
        let handlers = Handlers::Many(Box::new(make));
        refuse_rehearsed("register a handler")?;
        self.0.subscribe(subscription, handlers)
    }

    /// Registers a handler that takes many events at once; see [`BatchHandler`].
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use std::time::Duration;
    /// use forelog::{BatchSize, Delivery, Event, EventSystem, Subscription};
    /// let system = EventSystem::builder().open()?;
    /// let size = BatchSize { count_max: 100, linger: Duration::from_millis(5) };
    /// system.register_batch_handler(Subscription::named("copy"), size, |rows: &[Delivery<'_>]| {
    ///     assert!(rows.len() <= 100); // write them in one transaction
    /// })?;
    /// system.start()?;
    /// system.emit(Event::new("order.placed", "web", &1)?)?;
    /// system.drain(None)?;
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// As [`EventSystem::register_handler`].
    pub fn register_batch_handler(
        &self,
        subscription: Subscription,
        size: BatchSize,
        handler: impl BatchHandler,
    ) -> Result<HandlerId> {
        let handlers = Handlers::Batch(Box::new(handler), size);
        refuse_rehearsed("register a handler")?;
        self.0.subscribe(subscription, handlers)
    }

    /// Takes a handler away and waits for its delivery under way; called from inside a handler it does
    /// not wait. The place of a named subscription is kept.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such handler.
    pub fn unregister_handler(&self, handler: HandlerId) -> Result<()> {
        refuse_rehearsed("unregister a handler")?;
        let gone = self.0.dispatcher.unsubscribe(handler);
        // Its twin goes as well, whatever has become of it.
        if let Some(engine) = self.0.volatile.get() {
            engine.unsubscribe(handler);
        }
        gone
    }

    /// Starts all deliveries.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed) once the system is closed.
    pub fn start(&self) -> Result<()> {
        refuse_rehearsed("start deliveries")?;
        self.0.dispatcher.start()?;
        self.0.volatile.get().map_or(Ok(()), Engine::start)
    }

    /// Waits until every handler has dealt with all that is emitted by now. Called from inside a handler, it
    /// waits neither for that one nor for another that drains as well.
    ///
    /// # Errors
    /// [`Handler`](ErrorKind::Handler), naming the subscriptions that have not by the deadline or have
    /// stopped; [`SyncFailed`](ErrorKind::SyncFailed) if the events cannot be made durable.
    pub fn drain(&self, deadline: Option<Instant>) -> Result<()> {
        let behind = self.0.drain(deadline)?;
        if behind.is_empty() {
            return Ok(());
        }
        Err(not_drained(&behind))
    }

    /// Where all subscriptions stand: those with a handler, then names without one.
    pub fn subscriptions(&self) -> Vec<SubscriptionState> {
        let mut states = self.0.dispatcher.subscriptions();
        if let Some(engine) = self.0.volatile.get() {
            engine.complete(&mut states);
        }
        states
    }

    /// Up to which Seq a named subscription has everything behind it for good: that is on the disk when
    /// this returns, so that no crash brings it back. Its position in memory
    /// ([`SubscriptionState::position`]) may be ahead, for a cursor is written every 64 events and whenever
    /// nothing is left to deliver, and synced within a second: this syncs it now.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Delivery, Event, EventSystem, Subscription};
    /// let system = EventSystem::builder().open()?;
    /// system.register_handler(Subscription::named("billing"), |_: &Delivery<'_>| {})?;
    /// system.start()?;
    /// let placed = system.emit(Event::new("order.placed", "web", &10)?)?;
    /// system.drain(None)?;
    /// while system.durable_position("billing")? < placed.seq {
    ///     std::thread::yield_now(); // the cursor is being written
    /// }
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not known;
    /// [`SyncFailed`](ErrorKind::SyncFailed) if a sync failed: reopen the system.
    pub fn durable_position(&self, name: &str) -> Result<Seq> {
        let cursor = self.0.control.durable_cursor(name)?;
        cursor.ok_or_else(|| unknown(name))
    }

    /// Stops the deliveries of a named subscription, for this reason, until
    /// [`EventSystem::resume`]: also over a restart. A delivery under way is finished. Emitters do not wait
    /// for it meanwhile.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not known.
    pub fn pause(&self, name: &str, reason: &str) -> Result<()> {
        refuse_rehearsed("pause a subscription")?;
        self.0.dispatcher.pause(name, reason)
    }

    /// Lets a named subscription go on that was paused.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not known.
    pub fn resume(&self, name: &str) -> Result<()> {
        refuse_rehearsed("resume a subscription")?;
        self.0.dispatcher.resume(name)
    }

    /// Sends a named subscription to another place, backwards or forwards; durable on return. It waits
    /// for a delivery under way, unless it is called from inside a handler. Parked events stay parked, and
    /// are not delivered for it. What was put off or is with another thread no longer counts.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not known.
    pub fn seek(&self, name: &str, to: Start) -> Result<()> {
        refuse_rehearsed("seek")?;
        self.0.dispatcher.seek(name, to)
    }

    /// Forgets a named subscription that has no handler: its place and its parked events. Registered
    /// again, the name is a new one.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not known; [`Invalid`](ErrorKind::Invalid) if it
    /// has a handler: unregister it first.
    pub fn delete_subscription(&self, name: &str) -> Result<()> {
        refuse_rehearsed("delete a subscription")?;
        self.0.dispatcher.delete(name)
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
        refuse_rehearsed("have events redelivered")?;
        self.0.dispatcher.redeliver(name, seq)
    }

    /// Delivers all parked events again, oldest first; says how many there are. With
    /// [`WhenParked::KeyWaits`](crate::WhenParked::KeyWaits) those of each key come until one fails.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no running handler of that name.
    pub fn redeliver_all(&self, name: &str) -> Result<u64> {
        refuse_rehearsed("have events redelivered")?;
        self.0.dispatcher.redeliver_all(name)
    }

    /// Gives a parked event up for good.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such event.
    pub fn discard(&self, name: &str, seq: Seq) -> Result<()> {
        refuse_rehearsed("discard a parked event")?;
        self.0.dispatcher.discard(name, seq)
    }
}

impl Inner {
    /// Registers handlers, also for volatile events if there were any.
    fn subscribe(&self, subscription: Subscription, handlers: Handlers) -> Result<HandlerId> {
        let handlers = handlers.upcast(&self.upcasters);
        let id = self.dispatcher.subscribe(subscription, handlers)?;
        if let Some(engine) = self.volatile.get()
            && let Err(error) = engine.adopt(&self.dispatcher, id)
        {
            self.dispatcher.unsubscribe(id)?;
            return Err(error);
        }
        Ok(id)
    }
}

/// Says whom a drain left behind.
fn not_drained(behind: &[String]) -> Error {
    let message = format!(
        "not everything was handled by {}; see EventSystem::subscriptions. What is left is \
         delivered when the system is started again, but for volatile events, which a close loses",
        behind.join(", ")
    );
    Error::new(ErrorKind::Handler, message)
}

/// Says whose handlers did not return, or else whom a drain left behind; an error if there are any.
pub(super) fn all_ended(left: &[String], behind: &[String]) -> Result<()> {
    if left.is_empty() && behind.is_empty() {
        return Ok(());
    }
    if left.is_empty() {
        return Err(not_drained(behind));
    }
    let message = format!(
        "the handler did not return within shutdown_grace of {}: its thread is left to itself. What it \
         did not acknowledge is delivered when the system is opened again",
        left.join(", ")
    );
    Err(Error::new(ErrorKind::Handler, message))
}

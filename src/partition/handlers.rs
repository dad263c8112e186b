//! Handlers of all partitions: one name, and a cursor in each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::PartitionedEventSystem;
use crate::control::ParkedEvent;
use crate::dispatch::{Delivery, Handler, HandlerId, Outcome, Subscription, SubscriptionState};
use crate::error::Result;
use crate::position::{Gap, Seq};
use crate::system::EventSystem;

/// Names a registered handler of all partitions, to take it away again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionedHandlerId(Vec<HandlerId>);

/// A handler that several partitions' threads call, one at a time.
struct OneAtATime<H>(Arc<Mutex<H>>);

impl<H: Handler> Handler for OneAtATime<H> {
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        // A panic is a failed delivery, and the handler goes on, as in a system of its own.
        let mut handler = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handler.handle(delivery)
    }

    fn skipped(&mut self, gap: Gap) {
        let mut handler = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handler.skipped(gap);
    }
}

impl PartitionedEventSystem {
    /// Registers a handler for the events of a subscription in all partitions. A named one has a
    /// durable cursor in each. It is called by one thread at a time: in order within a partition, and
    /// in no order between them. See [`EventSystem::register_handler`].
    ///
    /// # Errors
    /// As [`EventSystem::register_handler`]; then it is registered in no partition.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is called as that of a plain system"
    )]
    pub fn register_handler(
        &self,
        subscription: Subscription,
        handler: impl Handler,
    ) -> Result<PartitionedHandlerId> {
        let shared = Arc::new(Mutex::new(handler));
        self.register_handlers(&subscription, |_| OneAtATime(shared.clone()))
    }

    /// Registers a handler for each partition, made by a function of the partition's number: they run
    /// beside each other, and events of one key meet one of them, in order.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::sync::Arc;
    /// use forelog::{Delivery, Event, PartitionedEventSystem, Subscription};
    /// let system = PartitionedEventSystem::builder().partitions(3).open()?;
    /// let seen = Arc::new(AtomicU64::new(0));
    /// system.register_handlers(&Subscription::named("count"), |_partition| {
    ///     let seen = seen.clone();
    ///     move |_: &Delivery<'_>| drop(seen.fetch_add(1, Ordering::Relaxed))
    /// })?;
    /// system.start()?;
    /// for account in 0..10 {
    ///     system.emit(Event::new("opened", format!("account-{account}"), &())?)?;
    /// }
    /// system.drain(None)?;
    /// assert_eq!(seen.load(Ordering::Relaxed), 10);
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// As [`PartitionedEventSystem::register_handler`].
    pub fn register_handlers<H: Handler>(
        &self,
        subscription: &Subscription,
        mut handler: impl FnMut(usize) -> H,
    ) -> Result<PartitionedHandlerId> {
        let mut ids = Vec::new();
        for (partition, system) in self.0.systems.iter().enumerate() {
            match system.register_handler(subscription.clone(), handler(partition)) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    for (id, system) in ids.into_iter().zip(&self.0.systems) {
                        system.unregister_handler(id)?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(PartitionedHandlerId(ids))
    }

    /// Takes a handler away in all partitions; see [`EventSystem::unregister_handler`].
    ///
    /// # Errors
    /// As [`EventSystem::unregister_handler`]; [`Invalid`](crate::ErrorKind::Invalid) inside a handler.
    pub fn unregister_handler(&self, handler: &PartitionedHandlerId) -> Result<()> {
        self.check_outside()?;
        let both = self.0.systems.iter().zip(&handler.0);
        let gone: Vec<_> = both
            .map(|(system, id)| system.unregister_handler(*id))
            .collect();
        gone.into_iter().collect()
    }

    /// Starts all deliveries.
    ///
    /// # Errors
    /// As [`EventSystem::start`].
    pub fn start(&self) -> Result<()> {
        self.0.systems.iter().try_for_each(EventSystem::start)
    }

    /// Waits until every handler has dealt with all that is emitted by now, in every partition. What
    /// handlers emit into partitions that were waited for before is not waited for.
    ///
    /// # Errors
    /// As [`EventSystem::drain`], for the first partition that was not drained in time;
    /// [`Invalid`](crate::ErrorKind::Invalid) inside a handler.
    pub fn drain(&self, deadline: Option<Instant>) -> Result<()> {
        self.check_outside()?;
        let mut systems = self.0.systems.iter();
        systems.try_for_each(|system| system.drain(deadline))
    }

    /// Where the subscriptions of every partition stand, each with its partition.
    pub fn subscriptions(&self) -> Vec<(usize, SubscriptionState)> {
        let systems = self.0.systems.iter().enumerate();
        let of = |(partition, system): (usize, &EventSystem)| {
            let states = system.subscriptions().into_iter();
            states.map(|state| (partition, state)).collect::<Vec<_>>()
        };
        systems.flat_map(of).collect()
    }

    /// The parked events of a named subscription, each with its partition.
    pub fn parked(&self, name: &str) -> Vec<(usize, Arc<ParkedEvent>)> {
        let systems = self.0.systems.iter().enumerate();
        let of = |(partition, system): (usize, &EventSystem)| {
            let parked = system.parked(name).into_iter();
            parked.map(|event| (partition, event)).collect::<Vec<_>>()
        };
        systems.flat_map(of).collect()
    }

    /// Delivers a parked event again; see [`EventSystem::redeliver`].
    ///
    /// # Errors
    /// As [`EventSystem::redeliver`].
    pub fn redeliver(&self, name: &str, partition: usize, seq: Seq) -> Result<()> {
        self.part(partition)?.redeliver(name, seq)
    }

    /// Gives a parked event up for good.
    ///
    /// # Errors
    /// As [`EventSystem::discard`].
    pub fn discard(&self, name: &str, partition: usize, seq: Seq) -> Result<()> {
        self.part(partition)?.discard(name, seq)
    }
}

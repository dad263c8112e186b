//! [`Delivery`]: an event as a handler gets it, and [`Handler`], what takes it.

use std::ops::Deref;

use super::outcome::{IntoOutcome, Outcome};
use super::phase::Phase;
use super::token::{AckToken, Origin};
use crate::format::record::EventRef;
use crate::position::{Gap, Seq};

/// One delivery of one event; it borrows the event from the log, and reads like one.
///
/// ```
/// use forelog::{Delivery, Outcome};
///
/// fn handle(delivery: &Delivery<'_>) -> forelog::Result<Outcome> {
///     let quantity: u32 = delivery.data()?;
///     if quantity == 0 {
///         return Ok(Outcome::Park("an order of nothing".into()));
///     }
///     assert_eq!(delivery.event_type(), "order.placed");
///     Ok(Outcome::Ack)
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    event: EventRef<'a>,
    /// The place of the event in its own log, which the event shows only if it is durable.
    place: Seq,
    attempt: u32,
    phase: Phase,
    origin: &'a Origin,
}

impl<'a> Delivery<'a> {
    #[inline]
    pub(super) fn new(
        event: EventRef<'a>,
        place: Seq,
        (attempt, phase): (u32, Phase),
        origin: &'a Origin,
    ) -> Self {
        Delivery {
            event,
            place,
            attempt,
            phase,
            origin,
        }
    }

    /// How the subscription is called.
    pub(super) fn subscription(&self) -> String {
        self.origin.label()
    }

    /// The same delivery, of this event in place of its own.
    pub(super) fn with<'b>(&self, event: EventRef<'b>) -> Delivery<'b>
    where
        'a: 'b,
    {
        Delivery { event, ..*self }
    }

    /// Puts the outcome off: whatever the handler returns or does then, the [`AckToken`] says what has
    /// become of the event. The token may go to any thread.
    ///
    /// The subscription goes on meanwhile with events of other keys, up to
    /// [`Subscription::in_flight_max`](crate::Subscription::in_flight_max) of them. A parked event that
    /// was asked for again ([`Phase::Redelivery`]) can be put off as well; it stays parked until then.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Delivery, Event, EventSystem, Subscription};
    /// let system = EventSystem::builder().open()?;
    /// system.register_handler(Subscription::named("slow"), |delivery: &Delivery<'_>| {
    ///     let token = delivery.defer();
    ///     std::thread::spawn(move || token.ack());
    /// })?;
    /// system.start()?;
    /// system.emit(Event::new("job", "web", &1)?)?;
    /// system.drain(None)?;
    /// # system.close() }
    /// ```
    pub fn defer(&self) -> AckToken {
        self.origin.defer(&self.event, self.place, self.attempt)
    }

    /// The event.
    pub fn event(&self) -> EventRef<'a> {
        self.event
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the event is volatile ([`Durability::Volatile`](crate::Durability::Volatile)): then it has
    /// no Seq ([`Seq::ZERO`]), is in no store, and its id is all that tells it from others.
    pub fn is_volatile(&self) -> bool {
        self.origin.is_volatile()
    }

    /// In which part of the subscription's life the event comes.
    pub fn phase(&self) -> Phase {
        self.phase
    }
}

impl<'a> Deref for Delivery<'a> {
    type Target = EventRef<'a>;

    fn deref(&self) -> &EventRef<'a> {
        &self.event
    }
}

/// What takes deliveries: any closure from `&Delivery<'_>` to something that is
/// [`IntoOutcome`], or a type of your own.
///
/// A handler is called by one thread at a time, in the order of Seq for each key
/// ([`OrderBy`](crate::OrderBy)). A panic in it is a failed delivery.
pub trait Handler: Send + 'static {
    /// Takes one delivery.
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome;

    /// Is told of Seqs that the subscription passes without a delivery: they hold no event, retention
    /// has removed it, or the subscription is one that skips when it lags
    /// ([`WhenBehind::Skip`](crate::WhenBehind::Skip)).
    fn skipped(&mut self, gap: Gap) {
        let _ = gap;
    }
}

impl<F, R> Handler for F
where
    F: FnMut(&Delivery<'_>) -> R + Send + 'static,
    R: IntoOutcome,
{
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        self(delivery).into_outcome()
    }
}

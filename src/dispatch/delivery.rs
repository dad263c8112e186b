//! [`Delivery`]: an event as a handler gets it, and [`Handler`], what takes it.

use std::fmt;
use std::ops::Deref;

use super::outcome::{IntoOutcome, Outcome};
use crate::format::record::EventRef;

/// In which part of a subscription's life an event is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The event was emitted after the handler was registered.
    Live,
    /// The event was there when the handler was registered, and comes for the first time.
    CatchUp,
    /// The event may have been delivered before the process ended, or was parked since.
    Redelivery,
    /// The event is delivered because somebody asked for the past.
    Replay,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Live => "live",
            Phase::CatchUp => "catching up",
            Phase::Redelivery => "redelivery",
            Phase::Replay => "replay",
        })
    }
}

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
    attempt: u32,
    phase: Phase,
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(event: EventRef<'a>, attempt: u32, phase: Phase) -> Self {
        Delivery {
            event,
            attempt,
            phase,
        }
    }

    /// The event.
    pub fn event(&self) -> EventRef<'a> {
        self.event
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
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
/// A handler is called by one thread at a time, in the order of Seq. A panic in it is a failed
/// delivery.
pub trait Handler: Send + 'static {
    /// Takes one delivery.
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome;
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

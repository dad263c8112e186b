//! [`BatchHandler`]: what takes many deliveries at once.

use std::time::Duration;

use super::delivery::Delivery;
use super::outcome::{IntoOutcome, Outcome};

/// How many deliveries a batch handler gets at once, and how long it waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// The most deliveries of a batch: 1 or more, and never more than
    /// [`Subscription::in_flight_max`](crate::Subscription::in_flight_max).
    pub count_max: usize,
    /// How long a batch waits for more events once it has one; with zero it is handed over as soon as
    /// no further event is there.
    pub linger: Duration,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchOutcome {
    /// The same for all deliveries.
    All(Outcome),
    /// One for each, in the order of the deliveries. Those for which there is none have failed.
    Each(Vec<Outcome>),
}

/// What a batch handler may return: what a handler may, for all deliveries, or an [`Outcome`] for each.
pub trait IntoBatchOutcome {
    /// The outcome that this stands for.
    fn into_batch_outcome(self) -> BatchOutcome;
}

impl IntoBatchOutcome for BatchOutcome {
    fn into_batch_outcome(self) -> BatchOutcome {
        self
    }
}

impl IntoBatchOutcome for Vec<Outcome> {
    fn into_batch_outcome(self) -> BatchOutcome {
        BatchOutcome::Each(self)
    }
}

impl<T: IntoOutcome> IntoBatchOutcome for T {
    fn into_batch_outcome(self) -> BatchOutcome {
        BatchOutcome::All(self.into_outcome())
    }
}

/// What takes deliveries in batches: any closure from `&[Delivery<'_>]` to something that is
/// [`IntoBatchOutcome`], or a type of your own.
///
/// The deliveries are in the order of Seq. An event that failed comes again in a batch of its own, so
/// that one bad event does not use up the attempts of its neighbours. A panic fails the whole batch.
pub trait BatchHandler: Send + 'static {
    /// Takes one batch, which is never empty.
    fn handle(&mut self, deliveries: &[Delivery<'_>]) -> BatchOutcome;

    /// How many of these, from the first one on, can be handed over together; 1 or more. The others come
    /// again, and none of them has been tried.
    #[doc(hidden)]
    fn together(&mut self, deliveries: &[Delivery<'_>]) -> usize {
        deliveries.len()
    }
}

impl<F, R> BatchHandler for F
where
    F: FnMut(&[Delivery<'_>]) -> R + Send + 'static,
    R: IntoBatchOutcome,
{
    fn handle(&mut self, deliveries: &[Delivery<'_>]) -> BatchOutcome {
        self(deliveries).into_batch_outcome()
    }
}

impl BatchOutcome {
    /// The outcome of the delivery at this place.
    pub(super) fn at(&mut self, place: usize) -> Outcome {
        match self {
            BatchOutcome::All(outcome) => outcome.clone(),
            BatchOutcome::Each(outcomes) => match outcomes.get_mut(place) {
                Some(outcome) => std::mem::replace(outcome, Outcome::Ack),
                None => Outcome::Failed("the batch handler gave no outcome for it".to_owned()),
            },
        }
    }
}

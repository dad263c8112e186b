//! [`Outcome`]: what a handler says of a delivery, and what else it may return instead.

use std::fmt::Display;
use std::time::Duration;

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Handled: the subscription goes on with the next event.
    Ack,
    /// Deliver the event again after the delay of the retry policy.
    Retry,
    /// Deliver the event again after this delay.
    RetryAfter(Duration),
    /// Set the event aside for this reason and go on.
    Park(String),
    /// It failed, for this reason: deliver the event again by the retry policy.
    Failed(String),
}

/// What a handler may return: an [`Outcome`], nothing (handled), a `bool` (`false`: failed), or a
/// `Result` (an error: failed).
pub trait IntoOutcome {
    /// The outcome that this stands for.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Ack
    }
}

impl IntoOutcome for bool {
    fn into_outcome(self) -> Outcome {
        if self {
            Outcome::Ack
        } else {
            Outcome::Failed("the handler returned false".to_owned())
        }
    }
}

impl<T: IntoOutcome, E: Display> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(value) => value.into_outcome(),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }
}

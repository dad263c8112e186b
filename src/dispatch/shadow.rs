//! [`Shadow`]: a handler that is called to see what it would do, with its effects held back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delivery::{Delivery, Handler};
use super::lineage::{Cause, HeldBack};
use super::office::{clip, guarded};
use super::outcome::Outcome;
use super::phase::Phase;
use super::seat::Seat;
use super::status::HandlerId;
use super::subscription::Subscription;
use super::token::Origin;
use super::wanted::Choice;
use crate::error::Result;
use crate::format::record::EventRef;
use crate::position::Seq;

/// A handler that belongs to no subscription, and what it would want if it did.
pub(crate) struct Shadow {
    choice: Choice,
    handler: Box<dyn Handler>,
    seat: Arc<Seat>,
    origin: Origin,
    held: HeldBack,
}

/// What a shadow has made of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answered(Outcome),
    /// The handler, or the predicate, panicked.
    Panicked(String),
    /// Its outcome was put off, and did not come in time.
    Unresolved,
}

impl Shadow {
    /// A handler for the events that this subscription wants.
    ///
    /// # Errors
    /// If the description is not valid.
    pub(crate) fn new(
        subscription: Subscription,
        handler: Box<dyn Handler>,
        held: &HeldBack,
    ) -> Result<Self> {
        subscription.check()?;
        let (name, role) = (subscription.name, subscription.role);
        let seat = Arc::new(Seat::new(HandlerId(0), name, role, Seq::ZERO));
        Ok(Shadow {
            choice: subscription.choice,
            handler,
            origin: Origin::new(seat.clone(), Arc::default(), 0).holding_back(held.clone()),
            seat,
            held: held.clone(),
        })
    }

    /// How it is called.
    pub(crate) fn label(&self) -> String {
        self.seat.label()
    }

    /// Calls the handler, if it wants the event; waits for so long for an outcome that is put off.
    pub(crate) fn call(&mut self, event: EventRef<'_>, patience: Duration) -> Option<Verdict> {
        if !self.choice.fits(&event) {
            return None;
        }
        match guarded("predicate", || self.choice.fits_closely(&event)) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(reason) => return Some(Verdict::Panicked(clip(reason))),
        }
        let delivery = Delivery::new(event, event.seq(), (1, Phase::Replay), &self.origin);
        let called = {
            let _held = Cause::held(&event, &self.held);
            guarded("handler", || self.handler.handle(&delivery))
        };
        if self.origin.take_deferred().contains(&event.seq()) {
            return Some(self.wait_for(event.seq(), patience));
        }
        Some(called.map_or_else(|reason| Verdict::Panicked(clip(reason)), answered))
    }

    /// The outcome of a delivery that was put off.
    fn wait_for(&self, seq: Seq, patience: Duration) -> Verdict {
        let deadline = Instant::now().checked_add(patience);
        while self
            .seat
            .signal
            .wait_until(deadline, || self.seat.has_news())
        {
            // Others may come back late, which were given up.
            let mut returns = self.seat.take_returns().into_iter();
            if let Some(back) = returns.find(|back| back.seq == seq) {
                return answered(back.outcome);
            }
        }
        Verdict::Unresolved
    }
}

fn answered(outcome: Outcome) -> Verdict {
    Verdict::Answered(match outcome {
        Outcome::Failed(reason) => Outcome::Failed(clip(reason)),
        Outcome::Park(reason) => Outcome::Park(clip(reason)),
        other => other,
    })
}

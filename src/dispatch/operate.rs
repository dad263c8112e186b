//! What an operator sees of subscriptions and does with parked events.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::dispatcher::Dispatcher;
use super::seat::{Seat, SubscriptionState};
use crate::control::ParkedEvent;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;

impl Dispatcher {
    /// Where all subscriptions stand: those with a handler, then names without one.
    pub(crate) fn subscriptions(&self) -> Vec<SubscriptionState> {
        let appended = self.office.log.watermark().appended();
        let control = &self.office.control;
        let parked = |name: &str| control.parked_count(name);
        let attached = self.attached();
        let state = |seat: &Arc<Seat>| seat.state(appended, seat.name.as_deref().map_or(0, parked));
        let mut states: Vec<_> = attached.iter().map(state).collect();
        let known: BTreeSet<_> = states.iter().filter_map(|one| one.name.clone()).collect();
        let detached = control.cursors().into_iter();
        states.extend(
            detached
                .filter(|(name, _)| !known.contains(name))
                .map(|(name, cursor)| {
                    let parked = parked(&name);
                    SubscriptionState::detached(name, cursor, appended, parked)
                }),
        );
        states
    }

    /// The parked events of a name, oldest first.
    pub(crate) fn parked(&self, name: &str) -> Vec<Arc<ParkedEvent>> {
        self.office.control.parked(name)
    }

    /// Asks for a parked event to be delivered again; acknowledged, it is parked no more.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such event, or the name has no handler that
    /// runs.
    pub(crate) fn redeliver(&self, name: &str, seq: Seq) -> Result<()> {
        self.check_parked(name, seq)?;
        let seats = self.running();
        let seat = seats
            .iter()
            .find(|seat| seat.name.as_deref() == Some(name))
            .ok_or_else(|| {
                let message = format!(
                    "the subscription {name:?} has no running handler; register it and start"
                );
                Error::new(ErrorKind::NotFound, message)
            })?;
        seat.ask_for(seq);
        self.office.log.watermark().notify();
        Ok(())
    }

    /// Forgets a parked event for good; durable on return.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such event.
    pub(crate) fn discard(&self, name: &str, seq: Seq) -> Result<()> {
        self.check_parked(name, seq)?;
        self.office.control.unpark(name, seq)
    }

    fn check_parked(&self, name: &str, seq: Seq) -> Result<()> {
        if self.office.control.parked_event(name, seq).is_some() {
            return Ok(());
        }
        let message = format!("the subscription {name:?} has no such parked event");
        Err(Error::new(ErrorKind::NotFound, message).at_seq(seq))
    }
}

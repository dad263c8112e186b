//! What an operator sees of subscriptions, and does with them and their parked events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::dispatcher::Dispatcher;
use super::office::pin_name;
use super::seat::{Request, Seat};
use super::status::SubscriptionState;
use super::subscription::Start;
use crate::control::{ParkedEvent, unknown};
use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;

/// How often somebody who waits for a worker looks whether it is still there.
const LOOK_AFTER: Duration = Duration::from_millis(20);

impl Dispatcher {
    /// Where all subscriptions stand: those with a handler, then names without one.
    pub(crate) fn subscriptions(&self) -> Vec<SubscriptionState> {
        let appended = self.office.log.watermark().appended();
        let control = &self.office.control;
        let attached = self.attached();
        let mut states: Vec<_> = attached.iter().map(|seat| seat.state(appended)).collect();
        let known: BTreeSet<_> = states.iter().filter_map(|one| one.name.clone()).collect();
        let cursors = control.cursors().into_iter();
        let detached = cursors.filter(|(name, _)| !known.contains(name));
        states.extend(
            detached.map(|(name, cursor)| SubscriptionState::detached(name, cursor, appended)),
        );
        for state in &mut states {
            self.complete(state);
        }
        states
    }

    /// Adds what the logs know of a subscription.
    fn complete(&self, state: &mut SubscriptionState) {
        let (log, control) = (&self.office.log, &self.office.control);
        if let Some(name) = &state.name {
            state.parked = control.parked_count(name);
            state.first_parked = control.first_parked(name);
            if state.id.is_none() {
                let place = control.place(name).unwrap_or_default();
                state.paused = control.paused(name);
                state.skipped = place.skipped;
                state.open = place.ahead.open_count();
            }
        }
        // What cannot be read is reported by the worker that is to deliver it.
        let mut reader = log.reader(state.position.next());
        if let Ok(Some(event)) = reader.next_event() {
            state.lag_time = self.office.clock.now().since(event.appended_at());
        }
    }

    /// Stops the deliveries of a subscription until it is resumed, also over a restart; durable on
    /// return. A delivery under way is finished.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name has neither a place nor a handler.
    pub(crate) fn pause(&self, name: &str, reason: &str) -> Result<()> {
        let control = &self.office.control;
        control.set_paused(name, Some(reason.to_owned()))?;
        if let Some(seat) = self.seat(name) {
            seat.ask_to_pause(reason);
        }
        Ok(())
    }

    /// Lets a subscription go on that was paused; durable on return.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name has neither a place nor a handler.
    pub(crate) fn resume(&self, name: &str) -> Result<()> {
        self.office.control.set_paused(name, None)?;
        if let Some(seat) = self.seat(name) {
            seat.ask_to_resume();
        }
        Ok(())
    }

    /// Sends a subscription to another place; durable on return. Where it has a handler that runs, this
    /// waits for its delivery under way; called from inside a handler it does not wait.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name has no place; [`Closed`](ErrorKind::Closed) if its
    /// worker ends before it has heard of it; and if it cannot be noted.
    pub(crate) fn seek(&self, name: &str, start: Start) -> Result<()> {
        self.check_known(name)?;
        let to = self.behind(start)?;
        if let Some(done) = self.seek_waiting(name, to) {
            return done;
        }
        let Some(seat) = self.seat(name) else {
            let (log, control) = (&self.office.log, &self.office.control);
            return self.while_free(name, || {
                control.seek(name, to, log.watermark().durable())?;
                log.pins().set_detached(&pin_name(Some(name), 0), to.next());
                Ok(())
            });
        };
        let (done, is_done) = channel();
        seat.ask(Request::Seek(to, done));
        if self.office.queue.is_inside() {
            return Ok(());
        }
        loop {
            match is_done.recv_timeout(LOOK_AFTER) {
                Ok(done) => return done,
                Err(RecvTimeoutError::Timeout) if !seat.has_ended() => {}
                Err(_) => {
                    let message = format!("the subscription {name:?} has ended; seek it again");
                    return Err(Error::new(ErrorKind::Closed, message));
                }
            }
        }
    }

    /// Forgets a name, its place and what it has parked; durable on return.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it has no place; [`Invalid`](ErrorKind::Invalid) if it has a
    /// handler.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        self.check_known(name)?;
        self.while_free(name, || {
            self.office.control.delete(name)?;
            // Only now may retention take what it had not seen.
            self.office.log.pins().remove(&pin_name(Some(name), 0));
            Ok(())
        })
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
        self.running_seat(name)?.ask(Request::Redeliver(seq));
        Ok(())
    }

    /// Asks for all parked events to be delivered again, oldest first, or where keys wait, those of each
    /// key until one fails; says how many there are.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name has no handler that runs.
    pub(crate) fn redeliver_all(&self, name: &str) -> Result<u64> {
        let seat = self.running_seat(name)?;
        let count = self.office.control.parked_count(name);
        seat.ask(Request::RedeliverAll);
        Ok(count)
    }

    /// Forgets a parked event for good; durable on return.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such event.
    pub(crate) fn discard(&self, name: &str, seq: Seq) -> Result<()> {
        self.check_parked(name, seq)?;
        self.office.control.unpark(name, seq)?;
        if let Some(seat) = self.seat(name) {
            seat.ask(Request::Forget(seq));
        }
        Ok(())
    }

    fn running_seat(&self, name: &str) -> Result<Arc<Seat>> {
        let mut seats = self.running().into_iter();
        let seat = seats.find(|seat| seat.name.as_deref() == Some(name));
        seat.ok_or_else(|| {
            let message =
                format!("the subscription {name:?} has no running handler; register it and start");
            Error::new(ErrorKind::NotFound, message)
        })
    }

    fn check_known(&self, name: &str) -> Result<()> {
        if self.office.control.cursor(name).is_some() {
            return Ok(());
        }
        Err(unknown(name))
    }

    fn check_parked(&self, name: &str, seq: Seq) -> Result<()> {
        if self.office.control.parked_event(name, seq).is_some() {
            return Ok(());
        }
        let message = format!("the subscription {name:?} has no such parked event");
        Err(Error::new(ErrorKind::NotFound, message).at_seq(seq))
    }
}

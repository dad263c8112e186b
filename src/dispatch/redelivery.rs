//! Parked events, delivered once more because somebody asks for it.
//!
//! Where keys wait ([`WhenParked::KeyWaits`](super::WhenParked)), the events of a key are delivered from
//! the first on, one after the other, until one of them fails again or none is left.

use super::delivery::Delivery;
use super::office::{clip, is_final};
use super::outcome::Outcome;
use super::phase::Phase;
use super::seat::Request;
use super::subscription::WhenParked;
use super::worker::Worker;
use crate::control::ParkedEvent;
use crate::error::Result;
use crate::format::alone::Alone;
use crate::position::Seq;

impl Worker {
    /// Learns which keys have to wait for a parked event.
    ///
    /// # Errors
    /// If a parked event cannot be read.
    pub(super) fn hold_keys(&mut self) -> Result<()> {
        let desk = &mut self.desk;
        let keeps = desk.rules.when_parked == WhenParked::KeyWaits;
        let Some(name) = desk.seat.name.clone().filter(|_| keeps) else {
            return Ok(());
        };
        for parked in desk.office.control.parked(&name) {
            let alone = Alone::new(&parked.event, parked.seq, parked.appended_at)?;
            desk.hold_key_of(&alone.event());
        }
        Ok(())
    }

    /// Delivers one parked event: acknowledged, it is parked no more; else it stays, with its new
    /// reason and one attempt more.
    ///
    /// # Errors
    /// If the outcome can never be noted.
    pub(super) fn redeliver(&mut self, seq: Seq) -> Result<()> {
        let seq = self.desk.first_held(seq);
        let done = self.try_redeliver(seq);
        self.excuse(done)
    }

    /// Asks for all that is parked, one event at a time, so that a stop is heard in between, and before what
    /// was asked later. Of a key that waits only the first is asked for, and it asks for the next once it is
    /// acknowledged: one that fails is tried once.
    pub(super) fn ask_for_all_parked(&self) {
        let Some(name) = self.desk.seat.name.as_deref() else {
            return;
        };
        let waiting = self.desk.waiting_behind();
        for parked in self.desk.office.control.parked(name).iter().rev() {
            if !waiting.contains(&parked.seq) {
                self.desk.seat.ask_first(Request::Redeliver(parked.seq));
            }
        }
    }

    /// Notes what has become of a parked event that was delivered again.
    ///
    /// # Errors
    /// If it can never be noted.
    pub(super) fn finish_redelivery(
        &mut self,
        seq: Seq,
        attempts: u32,
        outcome: Outcome,
    ) -> Result<()> {
        let done = self.note_redelivery(seq, attempts, outcome);
        self.excuse(done)
    }

    fn excuse(&self, done: Result<()>) -> Result<()> {
        match done {
            Err(error) if !is_final(&error) => {
                self.desk.note_error(&error);
                Ok(())
            }
            done => done,
        }
    }

    fn try_redeliver(&mut self, seq: Seq) -> Result<()> {
        let Some(name) = self.desk.seat.name.clone() else {
            return Ok(());
        };
        // It may have been discarded, or delivered by an earlier request, or be under way.
        let parked = self.desk.office.control.parked_event(&name, seq);
        let Some(parked) = parked.filter(|_| !self.put_off.contains_key(&seq)) else {
            return Ok(());
        };
        let attempts = parked.attempts.saturating_add(1);
        let alone = Alone::new(&parked.event, seq, parked.appended_at)?;
        let origin = &self.desk.origin;
        let delivery = Delivery::new(alone.event(), seq, (attempts, Phase::Redelivery), origin);
        self.desk.seat.set_busy(seq);
        let outcome = self.crew.call(&self.desk.office, &delivery);
        self.desk.seat.set_busy(Seq::ZERO);
        if origin.take_deferred().contains(&seq) {
            self.put_off.insert(seq, attempts);
            return Ok(());
        }
        self.note_redelivery(seq, attempts, outcome)
    }

    fn note_redelivery(&mut self, seq: Seq, attempts: u32, outcome: Outcome) -> Result<()> {
        let (office, seat) = (&self.desk.office, &self.desk.seat);
        let Some(name) = seat.name.clone() else {
            return Ok(());
        };
        let Some(parked) = office.control.parked_event(&name, seq) else {
            return Ok(());
        };
        let event_type = self.desk.types.find(&parked.event.event_type);
        let reason = match outcome {
            Outcome::Ack => {
                office.control.unpark(&name, seq)?;
                seat.count_delivered();
                self.desk.types.count_delivered(event_type);
                if let Some(next) = self.desk.release(seq) {
                    // The next one of its key, before what comes from the log.
                    self.desk.seat.ask_first(Request::Redeliver(next));
                }
                return Ok(());
            }
            Outcome::Park(reason) | Outcome::Failed(reason) => clip(reason),
            Outcome::Retry | Outcome::RetryAfter(_) => parked.reason.clone(),
        };
        self.desk.count_failed_of(event_type);
        let (office, seat) = (&self.desk.office, &self.desk.seat);
        seat.notes().last_error = Some(reason.clone());
        let again = ParkedEvent {
            reason,
            attempts,
            parked_at: office.clock.now(),
            ..ParkedEvent::clone(&parked)
        };
        let noted = office
            .control
            .park(&name, again, self.desk.place_but(None))?;
        office.control.wait_for(noted)
    }
}

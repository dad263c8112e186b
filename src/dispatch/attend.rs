//! What a worker does besides delivering: what is asked of it, what comes back, and what follows from
//! its lag.

use std::collections::BTreeSet;

use super::crew::Crew;
use super::replays::{Replays, Step};
use super::seat::Request;
use super::subscription::WhenBehind;
use super::worker::{Progress, Worker};
use crate::error::{Error, ErrorKind, Result};
use crate::position::{Gap, Seq};

impl Worker {
    /// Does one thing that is asked, after taking in all that came back. `None`: there was nothing.
    #[cold]
    pub(super) fn attend(&mut self) -> Result<Option<Progress>> {
        if self.desk.seat.is_asked_to_stop() {
            return Ok(Some(Progress::Stopped));
        }
        let mut did = self.take_returns()?;
        self.crew.hand_over();
        if let Some(request) = self.desk.seat.take_request() {
            self.do_as_asked(request)?;
            did = true;
        }
        Ok(did.then_some(Progress::Moved))
    }

    /// Takes in what came back; says whether that was anything.
    pub(super) fn take_returns(&mut self) -> Result<bool> {
        let mut returns = self.desk.seat.take_returns();
        if let Crew::Lanes(lanes, _) = &self.crew {
            lanes.take_back(&mut returns);
        }
        let did = !returns.is_empty();
        for back in returns {
            if Replays::is_theirs(&back) {
                self.replays.take_back(back);
            } else if self.put_off.get(&back.seq) == Some(&back.attempt) {
                self.put_off.remove(&back.seq);
                self.finish_redelivery(back.seq, back.attempt, back.outcome)?;
            } else {
                self.desk.take_back(back)?;
            }
        }
        Ok(did)
    }

    fn do_as_asked(&mut self, request: Request) -> Result<()> {
        match request {
            Request::Redeliver(seq) => self.redeliver(seq),
            Request::RedeliverAll => {
                self.ask_for_all_parked();
                Ok(())
            }
            Request::Forget(seq) => {
                // Sent back, the subscription may deliver it as any other.
                self.put_off.remove(&seq);
                self.desk.release(seq);
                Ok(())
            }
            Request::Seek(to, done) => {
                let sought = self.seek(to);
                // Whoever asked may have given up waiting.
                let _ = done.send(sought);
                Ok(())
            }
            Request::Pause(reason) => {
                self.pause(reason);
                Ok(())
            }
            Request::Share => {
                if let Some(sharing) = self.twinning.take_wish() {
                    self.crew.share(&sharing);
                }
                Ok(())
            }
            Request::Resume => {
                self.is_paused = false;
                self.was_near = false;
                self.desk.seat.notes().paused = None;
                Ok(())
            }
            Request::Replay(ticket) => {
                self.replays.add(ticket, &self.desk);
                Ok(())
            }
            Request::LookUp => Ok(()),
        }
    }

    /// Makes one delivery of a replay.
    ///
    /// # Errors
    /// If the outcome of a batch that was under way can never be noted.
    #[cold]
    pub(super) fn go_on_replaying(&mut self) -> Result<Progress> {
        let is_free = self.put_off.is_empty();
        let (replays, choice) = (&mut self.replays, &self.choice);
        match replays.step(choice, &mut self.desk, &mut self.crew, is_free)? {
            Step::Moved => Ok(Progress::Moved),
            Step::Waiting => Ok(Progress::Waiting(None)),
            Step::Over(_) => {
                // By how much it lags now is none of its own doing.
                self.was_near = false;
                Ok(Progress::Moved)
            }
        }
    }

    fn pause(&mut self, reason: String) {
        self.is_paused = true;
        self.tell_lost();
        // What waits for a thread, or for its batch, has not begun: it comes once deliveries go on.
        match &mut self.crew {
            Crew::Lanes(lanes, _) => {
                for job in lanes.forget() {
                    self.desk.put_back(job.seq, job.attempt);
                }
            }
            Crew::Batch(batch) => {
                for item in batch.take() {
                    self.desk.put_back(item.seq, item.attempt);
                }
            }
            Crew::Own(_) => {}
        }
        self.desk.seat.notes().paused = Some(reason);
        self.desk.leave_queue();
        self.desk.pin();
    }

    /// Goes on behind this Seq. What is under way goes on, and no longer counts.
    ///
    /// # Errors
    /// If that cannot be noted: the subscription stays where it is.
    pub(super) fn seek(&mut self, to: Seq) -> Result<()> {
        let desk = &mut self.desk;
        // The record of a seek carries on what is noted as skipped.
        desk.flush()?;
        let (log, control) = (&desk.office.log, &desk.office.control);
        let mut parked = Vec::new();
        if let Some(name) = &desk.seat.name {
            control.seek(name, to, log.watermark().durable())?;
            parked = control.parked(name);
        }
        desk.leave_queue();
        desk.begin_epoch();
        if let Crew::Lanes(lanes, _) = &mut self.crew {
            lanes.forget();
        }
        if let Some(batch) = self.crew.batch() {
            batch.take();
        }
        let ahead = parked.iter().map(|parked| parked.seq);
        desk.parked_ahead = ahead.filter(|&seq| seq > to).collect::<BTreeSet<_>>();
        desk.taken = to;
        desk.flushed = to;
        desk.unflushed = 0;
        desk.publish();
        desk.pin();
        self.to_reopen.clear();
        self.was_near = false;
        self.reader.seek(to.next());
        Ok(())
    }

    /// Pauses, or skips, if the subscription lags too far by its rule; says whether it did.
    pub(super) fn check_lag(&mut self) -> Result<bool> {
        let appended = self.desk.office.log.watermark().appended();
        let lag = appended.since(self.desk.taken);
        match self.desk.rules.when_behind {
            WhenBehind::Pause(max) if lag > max && self.was_near => {
                let reason = format!("it was {lag} events behind, and may be {max}; resume it");
                tracing::error!(
                    target: "forelog::dispatch", subscription = %self.desk.seat.label(), lag, max,
                    "a subscription is paused because it lags"
                );
                if let Some(name) = &self.desk.seat.name {
                    let control = &self.desk.office.control;
                    control.set_paused(name, Some(reason.clone()))?;
                }
                self.pause(reason.clone());
                // After that: a twin that is made meanwhile sees that it is paused.
                self.desk.seat.ask_twin_to_pause(&reason);
                Ok(true)
            }
            WhenBehind::Pause(max) => {
                self.was_near |= lag <= max;
                Ok(false)
            }
            WhenBehind::Skip(max) if lag > max => {
                let gap = Gap {
                    from: self.desk.taken.next(),
                    to: Seq(appended.0.saturating_sub(max / 2)),
                };
                self.reader.seek(gap.to.next());
                self.tell_skipped(gap);
                let why = "the subscription lags, and skips by its own rule";
                self.desk.pass_gap(gap, why)?;
                Ok(true)
            }
            WhenBehind::Skip(_) | WhenBehind::HoldEmitters => Ok(false),
        }
    }

    /// Tells the handler what it is not given; one that panics on it has been told all the same. Of
    /// volatile events it is not told: their places would be taken for Seqs.
    pub(super) fn tell_skipped(&mut self, gap: Gap) {
        if self.desk.office.is_volatile {
            return;
        }
        if let Err(reason) = self.crew.tell_skipped(gap) {
            let error = Error::new(ErrorKind::Handler, format!("told of {gap}: {reason}"));
            self.desk.note_error(&error);
        }
    }

    /// Tells the handler of open events that have gone.
    pub(super) fn tell_lost(&mut self) {
        for seq in std::mem::take(&mut self.desk.lost) {
            self.tell_skipped(Gap { from: seq, to: seq });
        }
    }

    /// Gives the lanes their threads, if there are lanes.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn start_lanes(&mut self) -> Result<()> {
        match &mut self.crew {
            Crew::Lanes(lanes, _) => lanes.start(),
            Crew::Own(_) | Crew::Batch(_) => Ok(()),
        }
    }
}

//! A replay into a handler that is registered: what its worker does of it, step by step.
//!
//! **Order.** The subscription's own thread makes the deliveries, between two of its others: what is with
//! other threads or tokens is waited for first, then the whole range comes, one event at a time in the
//! order of Seq, and only then what is new. So a handler that is called by one thread at a time is still
//! called by one, and a state that is made anew sees the past before the present. Meanwhile emitters do
//! not wait for the subscription.
//!
//! **What comes.** Events that the subscription has handled. Those that are open or parked are passed by,
//! as those behind its position: they come by ways of their own, and the replay would only bring them
//! twice, or too early.
//!
//! **What stays.** No cursor moves, nothing is parked or tried again, and nothing of it is written: a crash
//! ends a replay for good.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::course::{ReplayEnd, Ticket};
use super::crew::Crew;
use super::delivery::Delivery;
use super::desk::Desk;
use super::gather::deliver_batch;
use super::office::{asked_again, clip, guarded};
use super::outcome::Outcome;
use super::phase::Phase;
use super::seat::{Return, Seat};
use super::token::Origin;
use super::wanted::Choice;
use crate::error::{Error, ErrorKind, Result};
use crate::log::pins::Pins;
use crate::log::reader::Reader;
use crate::position::Seq;

/// Marks the epochs of replays: what comes back from one is taken for nothing else.
const REPLAYS: u64 = 1 << 63;
/// How many events are passed by before the worker looks up.
const PASSES: u32 = 1024;

/// The replays that a worker is to make, one after the other.
#[derive(Debug, Default)]
pub(super) struct Replays {
    line: VecDeque<Replaying>,
    count: u64,
}

/// A replay under way.
#[derive(Debug)]
struct Replaying {
    ticket: Ticket,
    seat: Arc<Seat>,
    /// Keeps what is still to come from being removed.
    _pin: Pin,
    reader: Reader,
    origin: Origin,
    /// Its last Seq, and what was parked when it began; `None` before that.
    range: Option<(Seq, BTreeSet<Seq>)>,
    /// The delivery that was put off.
    awaited: Option<Seq>,
    /// What retention had removed when it was asked for: of the rest, nothing may be missing.
    removed_upto: Seq,
}

/// What came of one step.
pub(super) enum Step {
    Moved,
    /// Something has to come back first.
    Waiting,
    /// The replay has ended.
    Over(ReplayEnd),
}

impl Replays {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether this came back from a replay.
    pub(super) fn is_theirs(back: &Return) -> bool {
        back.epoch & REPLAYS != 0
    }

    /// Makes one more, after those that wait.
    pub(super) fn add(&mut self, ticket: Ticket, desk: &Desk) {
        self.count += 1;
        let epoch = Arc::new(AtomicU64::new(REPLAYS | self.count));
        let (office, from) = (&desk.office, ticket.0.extent.from);
        let pin = Pin {
            pins: office.log.pins().clone(),
            name: format!("replay {} {}", desk.seat.id, self.count),
        };
        pin.pins.set(&pin.name, from);
        self.line.push_back(Replaying {
            _pin: pin,
            seat: desk.seat.clone(),
            reader: office.log.reader(from),
            origin: Origin::new(desk.seat.clone(), epoch, office.queue.id()),
            range: None,
            awaited: None,
            removed_upto: office.log.removed_upto(),
            ticket,
        });
    }

    /// Takes in the outcome of a delivery that was put off.
    pub(super) fn take_back(&mut self, back: Return) {
        let Some(first) = self.line.front_mut() else {
            return;
        };
        if first.awaited != Some(back.seq) || first.origin.epoch() != back.epoch {
            return;
        }
        first.awaited = None;
        first.seat.set_busy(Seq::ZERO);
        if let Step::Over(end) = first.note(back.seq, back.outcome) {
            first.ticket.0.end(end);
        }
    }

    /// Makes one delivery of the replay whose turn it is. `is_free`: no parked event that was delivered
    /// again is put off.
    pub(super) fn step(
        &mut self,
        choice: &Choice,
        desk: &mut Desk,
        crew: &mut Crew,
        is_free: bool,
    ) -> Result<Step> {
        let Some(first) = self.line.front_mut() else {
            return Ok(Step::Moved);
        };
        let ended = first.ticket.0.mileage().end;
        let step = if let Some(end) = ended {
            Step::Over(end)
        } else if first.ticket.0.is_stopped() {
            Step::Over(ReplayEnd::Stopped)
        } else if first.awaited.is_some() || !first.has_begun(desk, crew, is_free)? {
            Step::Waiting
        } else {
            // Where the log cannot be read, the replay ends; what comes next may well be read.
            first
                .deliver_next(choice, desk, crew)
                .unwrap_or_else(|error| first.fail_reading(&error))
        };
        if let Step::Over(end) = step {
            first.ticket.0.end(end);
            first.seat.set_busy(Seq::ZERO);
            self.line.pop_front();
        }
        Ok(step)
    }
}

impl Replaying {
    /// Begins, unless it has, once nothing of the subscription is under way; says whether it has.
    fn has_begun(&mut self, desk: &mut Desk, crew: &mut Crew, is_free: bool) -> Result<bool> {
        if self.range.is_none() {
            // A batch that is being gathered is handled first.
            deliver_batch(desk, crew)?;
            if desk.window.running() > 0 || !is_free {
                return Ok(false);
            }
            desk.leave_queue();
            self.begin(desk);
        }
        Ok(true)
    }

    /// Learns what it is about: nothing that the subscription has not taken up.
    fn begin(&mut self, desk: &Desk) {
        let target = self.ticket.0.extent.to.min(desk.taken);
        let control = &desk.office.control;
        let parked = desk.seat.name.as_deref().map(|name| control.parked(name));
        let parked = parked.into_iter().flatten().map(|parked| parked.seq);
        self.range = Some((target, parked.collect()));
        self.ticket.0.mileage().target = target;
    }

    /// Delivers the next event of the range that is wanted.
    fn deliver_next(&mut self, choice: &Choice, desk: &mut Desk, crew: &mut Crew) -> Result<Step> {
        let Some((target, parked)) = &self.range else {
            return Ok(Step::Moved);
        };
        let extent = &self.ticket.0.extent;
        for _ in 0..PASSES {
            let at = self.reader.position();
            let next = self.reader.next_event()?;
            if at <= *target && next.as_ref().is_none_or(|event| event.seq() > at) {
                let removed = desk.office.log.removed_upto();
                if removed >= at && removed > self.removed_upto {
                    return Err(removed_meanwhile(at, removed));
                }
            }
            let Some(event) = next.filter(|event| event.seq() <= *target) else {
                return Ok(Step::Over(ReplayEnd::Done));
            };
            let seq = event.seq();
            let is_own = desk.window.key(seq).is_some() || parked.contains(&seq);
            let is_wanted = extent.fits(&event) && choice.fits(&event);
            if is_own || !is_wanted || desk.office.log.is_expired(&event) {
                continue;
            }
            match guarded("predicate", || choice.fits_closely(&event)) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(reason) => return Ok(self.note(seq, Outcome::Failed(reason))),
            }
            desk.note_phase(Phase::Replay);
            let delivery = Delivery::new(event, seq, (1, Phase::Replay), &self.origin);
            desk.seat.set_busy(seq);
            let outcome = crew.call(&desk.office, &delivery);
            if self.origin.take_deferred().contains(&seq) {
                // Still busy with it: so it is noticed when the token takes too long.
                self.awaited = Some(seq);
                return Ok(Step::Waiting);
            }
            desk.seat.set_busy(Seq::ZERO);
            return Ok(self.note(seq, outcome));
        }
        self.ticket.0.mileage().position = self.reader.position().prev();
        Ok(Step::Moved)
    }

    /// Notes what has become of a delivery: whatever is no acknowledgement is a failure.
    fn note(&self, seq: Seq, outcome: Outcome) -> Step {
        let course = &self.ticket.0;
        let reason = match outcome {
            Outcome::Ack => {
                course.delivered(seq);
                return Step::Moved;
            }
            Outcome::Failed(reason) | Outcome::Park(reason) => reason,
            Outcome::Retry | Outcome::RetryAfter(_) => asked_again(),
        };
        if course.failed(seq, clip(reason)) {
            return Step::Over(ReplayEnd::Failed);
        }
        Step::Moved
    }

    fn fail_reading(&self, error: &Error) -> Step {
        self.ticket
            .0
            .failed(self.reader.position(), error.to_string());
        Step::Over(ReplayEnd::Failed)
    }
}

/// What a replay ends with whose events were removed under its hands.
fn removed_meanwhile(at: Seq, removed: Seq) -> Error {
    let message = format!(
        "retention has removed events up to {removed} that the replay had yet to bring: replay again \
         from what is held, or raise the limits"
    );
    Error::new(ErrorKind::NotFound, message).at_seq(at)
}

/// What retention spares for a replay.
#[derive(Debug)]
struct Pin {
    pins: Pins,
    name: String,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.remove(&self.name);
    }
}

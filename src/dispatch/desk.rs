//! [`Desk`]: what a worker knows and notes: position, cursor, attempts, and what follows a delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delivery::{Delivery, Handler, Phase};
use super::lineage::Cause;
use super::office::{Office, after, asked_again, clip, is_final, pin_name};
use super::outcome::Outcome;
use super::seat::{Seat, Status};
use super::subscription::RetryPolicy;
use crate::control::ParkedEvent;
use crate::error::{Error, Result};
use crate::format::record::EventRef;
use crate::position::{Gap, Seq};

/// After how many acknowledged events a cursor is written at the latest.
pub(super) const ACKS_PER_CURSOR: u32 = 64;
/// As many events passed by weigh like one acknowledged.
const PASSES_PER_ACK: u32 = 64;
/// How many deliveries after an unclean end are noted, durably, before they begin.
pub(super) const CAREFUL_DELIVERIES: u32 = 1024;
/// How long a worker waits when what it has to note cannot be written.
const NOTE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// One worker's notes.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) office: Office,
    pub(super) seat: Arc<Seat>,
    policy: RetryPolicy,
    /// The last Seq of the log when the handler was registered.
    attached_at: Seq,
    /// How many deliveries are still made carefully.
    careful: u32,
    /// Deliveries begun of events that are not acknowledged yet.
    attempts: BTreeMap<Seq, u32>,
    /// Events ahead of the position that are parked already: their cursor was lost to damage.
    parked_ahead: BTreeSet<Seq>,
    phase: Phase,
    /// The last Seq that the control log and the pin know of.
    flushed: Seq,
    /// How much was handled since, in events passed by.
    unflushed: u32,
    is_live: bool,
}

/// What becomes of the event at the head.
pub(super) enum Verdict {
    /// The position has moved past it.
    Done,
    /// It comes again, not before this time.
    Again(Instant),
}

/// What is known of an event before it is delivered.
enum Turn {
    Deliver { attempt: u32, phase: Phase },
    Exhausted(u32),
}

impl Desk {
    pub(super) fn new(office: Office, seat: Arc<Seat>, policy: RetryPolicy, careful: bool) -> Self {
        let position = seat.position.get();
        let name = seat.name.as_deref();
        let attempts = name.map(|name| office.control.attempts(name));
        let parked = name.map(|name| office.control.parked(name));
        let parked = parked.into_iter().flatten().map(|parked| parked.seq);
        let desk = Desk {
            policy,
            attached_at: office.log.watermark().appended(),
            careful: if careful { CAREFUL_DELIVERIES } else { 0 },
            attempts: attempts.unwrap_or_default(),
            parked_ahead: parked.filter(|&seq| seq > position).collect(),
            phase: Phase::CatchUp,
            flushed: position,
            unflushed: 0,
            is_live: false,
            office,
            seat,
        };
        desk.pin();
        desk
    }

    /// Delivers the event at the head, or parks it at once if it has had its attempts.
    ///
    /// # Errors
    /// If what must be noted can never be written again.
    pub(super) fn handle(
        &mut self,
        event: EventRef<'_>,
        handler: &mut dyn Handler,
    ) -> Result<Verdict> {
        match self.try_handle(event, handler) {
            Err(error) if !is_final(&error) => {
                self.note_error(&error);
                Ok(Verdict::Again(after(NOTE_AGAIN_AFTER)))
            }
            verdict => verdict,
        }
    }

    fn try_handle(&mut self, event: EventRef<'_>, handler: &mut dyn Handler) -> Result<Verdict> {
        let (attempt, phase) = match self.turn(event.seq())? {
            Turn::Deliver { attempt, phase } => (attempt, phase),
            Turn::Exhausted(attempts) => {
                let reason = format!("the process ended while it was handled {attempts} times");
                return self.park(&event, reason, attempts);
            }
        };
        if phase != self.phase {
            self.phase = phase;
            self.seat.notes().phase = phase;
        }
        match self.call(handler, &Delivery::new(event, attempt, phase)) {
            Outcome::Ack => self.acknowledge(event.seq()),
            Outcome::Park(reason) => self.park(&event, reason, attempt),
            Outcome::Failed(reason) => self.fail(&event, attempt, reason, None),
            Outcome::Retry => self.fail(&event, attempt, asked_again(), None),
            Outcome::RetryAfter(delay) => self.fail(&event, attempt, asked_again(), Some(delay)),
        }
    }

    /// Which attempt this would be. In careful mode it is noted, durably, before it begins.
    fn turn(&mut self, seq: Seq) -> Result<Turn> {
        let begun = self.attempts_of(seq);
        let attempt = begun.saturating_add(1);
        let careful = self.is_careful(seq);
        if let (true, Some(name)) = (careful, self.seat.name.as_deref()) {
            if begun >= self.policy.attempts_max {
                return Ok(Turn::Exhausted(begun));
            }
            self.office.control.set_attempts(name, seq, attempt, true)?;
            self.attempts.insert(seq, attempt);
            self.careful = self.careful.saturating_sub(1);
        }
        let phase = if seq <= self.office.opened_at && (attempt > 1 || careful) {
            Phase::Redelivery
        } else if seq <= self.attached_at {
            Phase::CatchUp
        } else {
            Phase::Live
        };
        Ok(Turn::Deliver { attempt, phase })
    }

    fn is_careful(&self, seq: Seq) -> bool {
        self.careful > 0 && seq <= self.office.opened_at
    }

    fn attempts_of(&self, seq: Seq) -> u32 {
        if self.attempts.is_empty() {
            return 0;
        }
        self.attempts.get(&seq).copied().unwrap_or(0)
    }

    /// Calls the handler; a panic in it is a failed delivery.
    pub(super) fn call(&self, handler: &mut dyn Handler, delivery: &Delivery<'_>) -> Outcome {
        let _inside = self.office.queue.enter();
        let _cause = Cause::of(delivery);
        // The handler may be left in any state by a panic; it is the user's to keep it sound.
        let called = catch_unwind(AssertUnwindSafe(|| handler.handle(delivery)));
        called.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Outcome::Failed(format!(
                "the handler panicked: {}",
                text.unwrap_or("no message")
            ))
        })
    }

    fn acknowledge(&mut self, seq: Seq) -> Result<Verdict> {
        self.seat.count_delivered();
        self.move_to(seq, PASSES_PER_ACK)
    }

    /// Notes a failed attempt; parks the event if it was the last.
    fn fail(
        &mut self,
        event: &EventRef<'_>,
        attempt: u32,
        reason: String,
        delay: Option<Duration>,
    ) -> Result<Verdict> {
        {
            let mut notes = self.seat.notes();
            notes.attempts = attempt;
            notes.last_error = Some(clip(reason.clone()));
        }
        if attempt >= self.policy.attempts_max {
            return self.park(event, reason, attempt);
        }
        if self.attempts.insert(event.seq(), attempt) != Some(attempt)
            && let Some(name) = &self.seat.name
        {
            let control = &self.office.control;
            control.set_attempts(name, event.seq(), attempt, false)?;
        }
        let delay = delay.unwrap_or_else(|| self.policy.delay_after(attempt));
        Ok(Verdict::Again(after(delay)))
    }

    /// Sets the event aside, durably, and only then moves past it.
    fn park(&mut self, event: &EventRef<'_>, reason: String, attempts: u32) -> Result<Verdict> {
        let seq = event.seq();
        let reason = clip(reason);
        tracing::warn!(
            target: "forelog::dispatch", subscription = %self.seat.label(), %seq, attempts, %reason,
            "an event is parked"
        );
        if let Some(name) = &self.seat.name {
            let parked = ParkedEvent {
                seq,
                event: event.to_event()?,
                reason: reason.clone(),
                attempts,
                appended_at: event.appended_at(),
                parked_at: self.office.clock.now(),
            };
            let durable = self.office.log.watermark().durable();
            self.office.control.park(name, parked, seq, durable)?;
            self.flushed = seq;
        } else {
            self.seat.notes().given_up += 1;
        }
        {
            let mut notes = self.seat.notes();
            notes.attempts = 0;
            notes.last_error = Some(reason);
        }
        self.move_to(seq, PASSES_PER_ACK)
    }

    /// Whether the event was parked already.
    pub(super) fn is_parked(&self, seq: Seq) -> bool {
        !self.parked_ahead.is_empty() && self.parked_ahead.contains(&seq)
    }

    /// Passes an event by that is not wanted.
    pub(super) fn pass(&mut self, seq: Seq) -> Result<Verdict> {
        self.move_to(seq, 1)
    }

    /// Passes Seqs by that hold no event.
    pub(super) fn pass_gap(&mut self, gap: Gap) -> Result<Verdict> {
        let count = gap.to.next().since(gap.from);
        tracing::warn!(
            target: "forelog::dispatch", subscription = %self.seat.label(), %gap,
            "these Seqs hold no event"
        );
        self.seat.notes().skipped += count;
        self.move_to(gap.to, PASSES_PER_ACK)
    }

    fn move_to(&mut self, seq: Seq, weight: u32) -> Result<Verdict> {
        if !self.attempts.is_empty() {
            self.attempts = self.attempts.split_off(&seq.next());
            self.seat.notes().attempts = 0;
        }
        self.seat.position.set(seq);
        self.office.queue.moved(&self.seat.position);
        self.unflushed = self.unflushed.saturating_add(weight);
        if self.unflushed >= ACKS_PER_CURSOR * PASSES_PER_ACK || self.is_careful(seq) {
            self.flush()?;
        }
        Ok(Verdict::Done)
    }

    /// Whether something was handled that the control log does not know of.
    pub(super) fn is_unflushed(&self) -> bool {
        self.seat.position.get() > self.flushed
    }

    /// Writes the cursor, if it has moved, and lets go of what lies before it.
    ///
    /// # Errors
    /// If it can never be written again. Other errors are noted: the cursor is written with the next.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.unflushed = 0;
        let position = self.seat.position.get();
        if position > self.flushed
            && let Some(name) = &self.seat.name
        {
            let durable = self.office.log.watermark().durable();
            match self.office.control.advance(name, position, durable) {
                Ok(()) => {}
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    self.note_error(&error);
                    return Ok(());
                }
            }
        }
        self.flushed = position.max(self.flushed);
        self.pin();
        Ok(())
    }

    fn pin(&self) {
        let name = pin_name(self.seat.name.as_deref(), self.seat.id.0);
        self.office.log.pins().set(&name, self.flushed.next());
    }

    /// Counts this subscription for the queue, once it is near the end.
    pub(super) fn join_queue(&mut self) {
        if !self.is_live && self.office.queue.is_near(self.seat.position.get()) {
            self.is_live = true;
            self.office.queue.join(self.seat.position.clone());
        }
    }

    /// Tells whoever waits for this subscription how far it is, before a pause.
    pub(super) fn rest_queue(&self) {
        self.office.queue.paused(&self.seat.position);
    }

    /// Holds nobody up any more.
    pub(super) fn leave_queue(&self) {
        self.office.queue.leave(&self.seat.position);
    }

    pub(super) fn note_error(&self, error: &Error) {
        tracing::warn!(
            target: "forelog::dispatch", subscription = %self.seat.label(), %error,
            "the place of a subscription cannot be noted"
        );
        let mut notes = self.seat.notes();
        if notes.status != Status::Stopped {
            notes.last_error = Some(clip(error.to_string()));
        }
    }
}

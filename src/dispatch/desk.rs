//! [`Desk`]: what a worker knows and notes of the events that it takes up, and what follows a delivery.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::office::{Office, asked_again, clip, guarded, is_final};
use super::outcome::Outcome;
use super::phase::Phase;
use super::seat::{Return, Seat};
use super::status::Status;
use super::subscription::Rules;
use super::token::Origin;
use super::types::TypeBook;
use super::window::Window;
use crate::control::{Place, Tries};
use crate::error::{Error, Result};
use crate::format::record::EventRef;
use crate::position::Seq;
use crate::timings::Pace;

/// After how many acknowledged events a cursor is written at the latest.
pub(super) const ACKS_PER_CURSOR: u32 = 64;
/// As many events passed by weigh like one acknowledged.
pub(super) const PASSES_PER_ACK: u32 = 64;
/// How many deliveries after an unclean end are noted, durably, before they begin.
pub(super) const CAREFUL_DELIVERIES: u32 = 1024;
/// How long a worker waits when what it has to note cannot be written.
const NOTE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// One worker's notes.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) office: Office,
    pub(super) seat: Arc<Seat>,
    pub(super) rules: Rules,
    /// What the deliveries of the worker's own handler come from.
    pub(super) origin: Origin,
    /// Counts the seeks: what comes back from before one is no longer wanted.
    epoch: Arc<AtomicU64>,
    /// The last Seq of the log when the handler was registered.
    pub(super) attached_at: Seq,
    /// How many deliveries are still made carefully.
    careful: u32,
    /// Deliveries begun of events that are not acknowledged yet.
    tries: BTreeMap<Seq, Tries>,
    /// Those that another process had begun.
    tried_before: BTreeSet<Seq>,
    /// How far the subscription had come when it was sent back.
    pub(super) passed_upto: Seq,
    pub(super) pace: Pace,
    pub(super) types: TypeBook,
    /// Events ahead of the position that are parked already: their cursor was lost to damage, or the
    /// subscription was sent back.
    pub(super) parked_ahead: BTreeSet<Seq>,
    /// The parked events of each key that has to wait for them.
    pub(super) held: HashMap<u64, BTreeSet<Seq>>,
    pub(super) window: Window,
    /// The last Seq that was taken up: all up to it is open or behind the subscription.
    pub(super) taken: Seq,
    phase: Phase,
    pub(super) skipped: u64,
    /// The last Seq that the control log and the pin know of.
    pub(super) flushed: Seq,
    /// How much was handled since, in events passed by.
    pub(super) unflushed: u32,
    /// The last parking that may not be durable yet.
    pub(super) unsynced: Option<Seq>,
    pub(super) is_live: bool,
    /// Whether events of some types expire.
    pub(super) expires: bool,
    /// Open events that retention has removed, and of which the handler was not told yet.
    pub(super) lost: Vec<Seq>,
}

/// What is known of an event before it is delivered.
pub(super) enum Turn {
    Deliver { attempt: u32, phase: Phase },
    Exhausted(u32),
}

impl Desk {
    pub(super) fn new(
        office: Office,
        seat: Arc<Seat>,
        rules: Rules,
        place: &Place,
        careful: bool,
    ) -> Self {
        let name = seat.name.as_deref();
        let tries = name.map(|name| office.control.tries(name));
        let tries = tries.unwrap_or_default();
        let parked = name.map(|name| office.control.parked(name));
        let parked = parked.into_iter().flatten().map(|parked| parked.seq);
        let epoch = Arc::<AtomicU64>::default();
        let desk = Desk {
            window: Window::new(rules.in_flight_max),
            origin: Origin::new(seat.clone(), epoch.clone(), office.queue.id()),
            epoch,
            rules,
            attached_at: if office.is_volatile {
                Seq::ZERO
            } else {
                office.log.watermark().appended()
            },
            careful: if careful { CAREFUL_DELIVERIES } else { 0 },
            tried_before: tries.keys().copied().collect(),
            tries,
            passed_upto: Seq::ZERO,
            pace: Pace::default(),
            types: TypeBook::new(seat.types.clone()),
            parked_ahead: parked.filter(|&seq| seq > place.cursor).collect(),
            held: HashMap::new(),
            taken: place.cursor,
            phase: Phase::CatchUp,
            skipped: place.skipped,
            flushed: place.cursor,
            unflushed: 0,
            unsynced: None,
            is_live: false,
            expires: office.log.has_expiry(),
            lost: Vec::new(),
            office,
            seat,
        };
        desk.seat.notes().skipped = place.skipped;
        desk.pin();
        desk
    }

    /// What deliveries of another handler of this subscription come from. It has an epoch of its own: that
    /// of the delivery at hand, which may have been taken up before a seek.
    pub(super) fn origin(&self) -> Origin {
        let epoch = Arc::default();
        Origin::new(self.seat.clone(), epoch, self.office.queue.id())
    }

    /// Nothing that was delivered before counts any more.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.passed_upto = self.passed_upto.max(self.taken);
        self.tries.clear();
        self.tried_before.clear();
        self.window.clear();
    }

    /// Which attempt this would be. In careful mode it is noted, durably, before it begins.
    #[inline]
    pub(super) fn turn(&mut self, seq: Seq) -> Result<Turn> {
        self.office.take_the_next_for_done(&self.seat, seq)?;
        let begun = self.tries_of(seq);
        let attempt = begun.map_or(0, |tries| tries.count).saturating_add(1);
        let careful = self.is_careful(seq);
        if careful && let Some(exhausted) = self.note_ahead(seq, begun, attempt)? {
            return Ok(exhausted);
        }
        let phase = if careful || self.was_tried_before(seq) {
            Phase::Redelivery
        } else if seq <= self.passed_upto {
            Phase::Replay
        } else if seq <= self.attached_at {
            Phase::CatchUp
        } else {
            Phase::Live
        };
        self.note_phase(phase);
        Ok(Turn::Deliver { attempt, phase })
    }

    /// Says in which phase a delivery is made, if that is another than before.
    #[inline]
    pub(super) fn note_phase(&mut self, phase: Phase) {
        if phase != self.phase {
            self.phase = phase;
            self.seat.notes().phase = phase;
        }
    }

    /// Whether another process may have delivered it.
    #[inline]
    fn was_tried_before(&self, seq: Seq) -> bool {
        !self.tried_before.is_empty() && self.tried_before.contains(&seq)
    }

    /// Notes an attempt before it begins, unless the event has had all of them.
    #[cold]
    fn note_ahead(&mut self, seq: Seq, begun: Option<Tries>, attempt: u32) -> Result<Option<Turn>> {
        let Some(name) = self.seat.name.as_deref() else {
            return Ok(None);
        };
        if attempt > self.rules.retry.attempts_max {
            return Ok(Some(Turn::Exhausted(attempt - 1)));
        }
        let tries = Tries {
            count: attempt,
            failing_since: begun.and_then(|tries| tries.failing_since),
        };
        self.office.control.set_tries(name, seq, tries, true)?;
        self.tries.insert(seq, tries);
        self.careful = self.careful.saturating_sub(1);
        Ok(None)
    }

    #[inline]
    pub(super) fn is_careful(&self, seq: Seq) -> bool {
        self.careful > 0 && seq <= self.office.opened_at
    }

    #[inline]
    fn tries_of(&self, seq: Seq) -> Option<Tries> {
        if self.tries.is_empty() {
            return None;
        }
        self.tries.get(&seq).copied()
    }

    /// The key of an event; 0 if the user's function panics.
    pub(super) fn key(&self, event: &EventRef<'_>) -> u64 {
        let veil = self.office.veil(event);
        let shown = event.shown_by(veil.as_ref());
        let key = guarded("key function", || self.rules.order.of(&shown));
        key.unwrap_or_else(|reason| {
            self.seat.notes().last_error = Some(clip(reason));
            0
        })
    }

    /// Notes that an event was handled where it was read.
    #[inline]
    pub(super) fn acknowledge(&mut self, event: &EventRef<'_>) -> Result<()> {
        let seq = event.seq();
        self.count_acknowledged(event);
        if !self.tries.is_empty() {
            self.forget_tries(seq);
        }
        self.move_to(seq, PASSES_PER_ACK)
    }

    /// Keeps an event that was read, but not handled, for later; it is the last that was taken up.
    pub(super) fn take_up(&mut self, seq: Seq, key: u64, event: &EventRef<'_>) {
        let event_type = self.types.find(event.event_type());
        self.window.open_typed(seq, key, event_type);
        self.taken = seq;
        self.publish();
    }

    /// An open event that was handed on for this attempt is ready again: the attempt has not begun.
    pub(super) fn put_back(&mut self, seq: Seq, attempt: u32) {
        if let Some(tries) = self.tries.get_mut(&seq) {
            // In careful mode it was counted ahead.
            tries.count = tries.count.min(attempt.saturating_sub(1));
        }
        self.window.retry_at(seq, self.office.clock.now());
    }

    /// Notes what has become of an open event; an error that may pass puts it off for a while.
    ///
    /// # Errors
    /// If what must be noted can never be written again.
    pub(super) fn settle(&mut self, seq: Seq, attempt: u32, outcome: Outcome) -> Result<()> {
        let settled = match outcome {
            Outcome::Ack => {
                self.count_delivered(seq);
                self.close(seq)
            }
            Outcome::Park(reason) => {
                self.count_failed(seq);
                self.park(seq, reason, attempt)
            }
            Outcome::Failed(reason) => self.fail(seq, attempt, reason, None),
            Outcome::Retry => self.fail(seq, attempt, asked_again(), None),
            Outcome::RetryAfter(delay) => self.fail(seq, attempt, asked_again(), Some(delay)),
        };
        self.excuse(seq, settled)
    }

    /// Takes in what came back from a lane, or by a token.
    pub(super) fn take_back(&mut self, back: Return) -> Result<()> {
        let is_wanted =
            back.epoch == self.origin.epoch() && self.window.is_running(back.seq, back.attempt);
        if !is_wanted {
            return Ok(());
        }
        self.settle(back.seq, back.attempt, back.outcome)
    }

    /// Puts an open event off for a while if something with it went wrong that may pass.
    pub(super) fn excuse(&mut self, seq: Seq, done: Result<()>) -> Result<()> {
        match done {
            Err(error) if !is_final(&error) => {
                self.note_error(&error);
                let at = self.office.after(NOTE_AGAIN_AFTER);
                self.window.retry_at(seq, at);
                Ok(())
            }
            done => done,
        }
    }

    /// Notes a failed attempt; parks the event if it was the last.
    fn fail(
        &mut self,
        seq: Seq,
        attempt: u32,
        reason: String,
        delay: Option<Duration>,
    ) -> Result<()> {
        if self.has_gone(seq) {
            return self.lose(seq);
        }
        self.count_failed(seq);
        {
            let mut notes = self.seat.notes();
            notes.attempts = attempt;
            notes.last_error = Some(clip(reason.clone()));
        }
        let (now, policy) = (self.office.clock.now(), self.rules.retry);
        let before = self.tries_of(seq);
        let since = before.and_then(|tries| tries.failing_since);
        let since = since.unwrap_or(now);
        let is_late = policy
            .deadline
            .is_some_and(|within| now.since(since) >= within);
        if attempt >= policy.attempts_max || is_late {
            return self.park(seq, reason, attempt);
        }
        let tries = Tries {
            count: attempt,
            failing_since: Some(since),
        };
        if self.tries.insert(seq, tries) != Some(tries)
            && let Some(name) = &self.seat.name
        {
            self.office.control.set_tries(name, seq, tries, false)?;
        }
        let delay = delay.unwrap_or_else(|| policy.delay_after(attempt, seq));
        self.window.retry_at(seq, now.plus(delay));
        Ok(())
    }

    /// Closes an open event: it is behind the subscription.
    pub(super) fn close(&mut self, seq: Seq) -> Result<()> {
        self.forget_tries(seq);
        self.window.close(seq);
        self.publish();
        self.count_unflushed(PASSES_PER_ACK, seq)
    }

    fn forget_tries(&mut self, seq: Seq) {
        self.tried_before.remove(&seq);
        if self.tries.remove(&seq).is_some() && self.window.next_due().is_none() {
            self.seat.notes().attempts = 0;
        }
    }

    pub(super) fn note_error(&self, error: &Error) {
        tracing::warn!(
            target: "forelog::dispatch", subscription = %self.seat.label(), %error,
            "a subscription goes on after an error"
        );
        let mut notes = self.seat.notes();
        if notes.status != Status::Stopped {
            notes.last_error = Some(clip(error.to_string()));
        }
    }
}

//! What becomes of the next event: passed by, handled where it was read, kept for later, or handed on.

use super::crew::Crew;
use super::delivery::Delivery;
use super::desk::{Desk, Turn};
use super::gather::{deliver_batch, gather};
use super::lanes::Job;
use super::office::guarded;
use super::outcome::Outcome;
use super::wanted::Choice;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::format::record::EventRef;
use crate::position::Seq;

/// Deals with the event that comes next in the log.
#[expect(
    clippy::inline_always,
    reason = "the event is not moved through memory then"
)]
#[inline(always)]
pub(super) fn pass_or_take(
    choice: &Choice,
    desk: &mut Desk,
    crew: &mut Crew,
    event: &EventRef<'_>,
) -> Result<()> {
    let seq = event.seq();
    if !choice.fits(event) || desk.is_parked(seq) {
        desk.move_to(seq, 1)
    } else if desk.expires && desk.has_expired(event) {
        desk.pass_expired(seq)
    } else if is_plain(choice, desk, crew) {
        handle_here(desk, crew, event)
    } else {
        take_in(choice, desk, crew, event)
    }
}

/// Whether the next event needs no more than to be handled where it was read.
#[inline]
fn is_plain(choice: &Choice, desk: &Desk, crew: &Crew) -> bool {
    matches!(crew, Crew::Own(_))
        && desk.window.is_empty()
        && desk.held.is_empty()
        && !choice.is_close()
}

/// Delivers an event where it was read; acknowledged, it is never open.
#[inline]
fn handle_here(desk: &mut Desk, crew: &mut Crew, event: &EventRef<'_>) -> Result<()> {
    let seq = event.seq();
    let Ok(Turn::Deliver { attempt, phase }) = desk.turn(seq) else {
        // Why not is found out where an open event is handed out.
        desk.take_up(seq, desk.key(event), event);
        return Ok(());
    };
    let veil = desk.office.veil(event);
    let shown = event.shown_by(veil.as_ref());
    let delivery = Delivery::new(shown, seq, (attempt, phase), &desk.origin);
    desk.seat.set_busy(seq);
    let outcome = crew.call(&desk.office, &delivery);
    desk.seat.set_busy(Seq::ZERO);
    if outcome == Outcome::Ack && !desk.origin.has_deferred() {
        return desk.acknowledge(event);
    }
    follow_up(desk, event, attempt, outcome)
}

/// What follows a delivery that was not acknowledged where it was read.
#[cold]
fn follow_up(desk: &mut Desk, event: &EventRef<'_>, attempt: u32, outcome: Outcome) -> Result<()> {
    let seq = event.seq();
    let deferred = desk.origin.take_deferred();
    desk.take_up(seq, desk.key(event), event);
    desk.window.run(seq, attempt, desk.office.clock.now());
    if deferred.contains(&seq) {
        return Ok(());
    }
    desk.settle(seq, attempt, outcome)
}

/// Takes an event in where others are open or it must be looked at more closely.
fn take_in(choice: &Choice, desk: &mut Desk, crew: &mut Crew, event: &EventRef<'_>) -> Result<()> {
    let seq = event.seq();
    let veil = desk.office.veil(event);
    let shown = event.shown_by(veil.as_ref());
    let fits = guarded("predicate", || choice.fits_closely(&shown));
    if fits == Ok(false) {
        return desk.move_to(seq, 1);
    }
    let key = desk.key(event);
    let is_free = fits.is_ok() && !desk.window.has_key(key) && desk.held_behind(key).is_none();
    if is_free && matches!(crew, Crew::Own(_)) {
        return handle_here(desk, crew, event);
    }
    let is_gathered = crew.batch().is_some_and(|batch| batch.has_key(key));
    desk.take_up(seq, key, event);
    let is_careful = desk.is_careful(seq);
    let is_busy = desk.window.running() > 0 && is_careful;
    if !(is_free || is_gathered) || is_busy {
        return Ok(());
    }
    let now = desk.office.clock.now();
    let Crew::Batch(batch) = crew else {
        return hand_out(choice, desk, crew, seq, now);
    };
    gather(desk, batch, seq, key, now)?;
    if is_careful {
        // On its own: its neighbours would be charged with what it does.
        deliver_batch(desk, crew)?;
    }
    Ok(())
}

/// Delivers an open event whose turn it is, or finds out that it is not to be delivered.
pub(super) fn hand_out(
    choice: &Choice,
    desk: &mut Desk,
    crew: &mut Crew,
    seq: Seq,
    now: Timestamp,
) -> Result<()> {
    let key = desk.window.key(seq);
    if let Some(first) = key.and_then(|key| desk.held_behind(key)) {
        let parked = desk.park_behind(seq, first);
        return desk.excuse(seq, parked);
    }
    let (attempt, phase) = match desk.turn(seq) {
        Ok(Turn::Deliver { attempt, phase }) => (attempt, phase),
        Ok(Turn::Exhausted(attempts)) => {
            let reason = format!("the process ended while it was handled {attempts} times");
            let parked = desk.park(seq, reason, attempts);
            return desk.excuse(seq, parked);
        }
        Err(error) => return desk.excuse(seq, Err(error)),
    };
    desk.window.run(seq, attempt, now);
    let job = Job {
        seq,
        attempt,
        phase,
        epoch: desk.origin.epoch(),
    };
    if let (Crew::Lanes(lanes, _), false) = (&mut *crew, choice.is_close()) {
        lanes.hand_on(job);
        return Ok(());
    }
    make(choice, desk, crew, job)
}

/// Makes a delivery of an open event, or has it made.
fn make(choice: &Choice, desk: &mut Desk, crew: &mut Crew, job: Job) -> Result<()> {
    let Job {
        seq,
        attempt,
        phase,
        ..
    } = job;
    let Some(stored) = desk.office.log.get(seq)? else {
        return desk.lose(seq);
    };
    let event = stored.event();
    let veil = desk.office.veil(&event);
    let event = event.shown_by(veil.as_ref());
    match guarded("predicate", || choice.fits_closely(&event)) {
        Ok(true) => {}
        Ok(false) => return desk.close(seq),
        Err(reason) => return desk.settle(seq, attempt, Outcome::Failed(reason)),
    }
    if let Crew::Lanes(lanes, _) = &mut *crew {
        lanes.hand_on(job);
        return Ok(());
    }
    let delivery = Delivery::new(event, seq, (attempt, phase), &desk.origin);
    desk.seat.set_busy(seq);
    let outcome = crew.call(&desk.office, &delivery);
    desk.seat.set_busy(Seq::ZERO);
    if desk.origin.take_deferred().contains(&seq) {
        return Ok(());
    }
    desk.settle(seq, attempt, outcome)
}

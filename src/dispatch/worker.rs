//! [`Worker`]: one subscription's reader, filter and handlers, to be stepped.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::crew::{Crew, Kind, Team};
use super::deliver::{hand_out, pass_or_take};
use super::desk::Desk;
use super::gather::deliver_batch;
use super::office::{Office, pin_name};
use super::replays::Replays;
use super::seat::Seat;
use super::status::{Status, StopReason};
use super::subscription::{Subscription, WhenBehind};
use super::twin::Twinning;
use super::wanted::Choice;
use crate::clock::Timestamp;
use crate::control::Place;
use crate::error::{Error, Result};
use crate::log::reader::{Reader, Step};
use crate::log::watermark::Wanted;
use crate::position::Seq;

/// What one step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Something was done.
    Moved,
    /// Nothing can be done before this time, or before something is asked or comes back.
    Waiting(Option<Timestamp>),
    /// There is nothing to deliver, before this time if there is one. `held`: there is an event, and it
    /// has yet to become durable.
    Idle {
        /// Whether the next event waits for a sync.
        held: bool,
        /// When something else is to be done.
        until: Option<Timestamp>,
    },
    /// The worker was asked to end, or an error has stopped it.
    Stopped,
}

/// Delivers the events of one subscription.
pub(crate) struct Worker {
    pub(super) desk: Desk,
    pub(super) crew: Crew,
    pub(super) reader: Reader,
    pub(super) choice: Choice,
    /// Whether events are delivered before they are synced.
    on_publish: bool,
    /// The events that were open when the subscription last ended, until they are open again.
    pub(super) to_reopen: Vec<Seq>,
    pub(super) is_paused: bool,
    /// Of a subscription that is paused when it lags: whether it was within its limit since.
    pub(super) was_near: bool,
    /// Parked events that are being delivered again and were put off, with the attempt.
    pub(super) put_off: BTreeMap<Seq, u32>,
    pub(super) replays: Replays,
    /// The time when something was last looked for that is due.
    last_look: Timestamp,
    pub(super) twinning: Arc<Twinning>,
}

impl Worker {
    pub(super) fn new(
        office: Office,
        seat: Arc<Seat>,
        subscription: Subscription,
        place: &Place,
        careful: bool,
        (team, kind): (Team, Kind),
    ) -> Self {
        let twinning = Twinning::new(&subscription, kind);
        let open_max = subscription.rules.in_flight_max;
        let open = place.ahead.open(place.cursor, open_max);
        let is_whole = open.len() as u64 == place.ahead.open_count();
        let taken = match open.last() {
            // Fewer may be open than were: what lies behind comes again.
            Some(&last) if !is_whole => last,
            _ => place.ahead.upto(place.cursor),
        };
        let reader = if subscription.on_publish {
            office.log.reader(taken.next())
        } else {
            office.log.durable_reader(taken.next())
        };
        let mut desk = Desk::new(office, seat, subscription.rules, place, careful);
        desk.taken = taken;
        if !open.is_empty() {
            let position = &desk.seat.position;
            position.set_open(place.cursor, taken, open.len() as u64);
        }
        let is_paused = desk.seat.is_paused();
        Worker {
            crew: team.hire(&desk),
            desk,
            reader,
            choice: subscription.choice,
            on_publish: subscription.on_publish,
            to_reopen: open,
            is_paused,
            was_near: true,
            put_off: BTreeMap::new(),
            replays: Replays::default(),
            last_look: Timestamp(i64::MIN),
            twinning: Arc::new(twinning),
        }
    }

    /// Before its thread begins: emitters must not run ahead of one that gets volatile events, however late
    /// that thread comes to run.
    pub(super) fn begin_volatile(&mut self) {
        let holds = self.desk.rules.when_behind == WhenBehind::HoldEmitters;
        if self.desk.office.is_volatile && holds && !self.desk.seat.is_paused() {
            self.desk.join_queue();
        }
    }

    /// As [`Worker::step_inside`], on a thread that is not known to run handlers.
    #[cfg(test)]
    pub(crate) fn step(&mut self) -> Progress {
        let _inside = self.desk.office.queue.enter(self.desk.seat.id.0);
        self.step_inside()
    }

    /// Does one thing: delivers at most one event, or one batch. This thread is known to run handlers of
    /// the system.
    #[inline]
    pub(super) fn step_inside(&mut self) -> Progress {
        // Before all else: a place that is written without them would pass them.
        if !self.to_reopen.is_empty()
            && let Err(error) = self.reopen()
        {
            return self.stop_with(&error);
        }
        if self.desk.seat.has_news() {
            match self.attend() {
                Ok(None) => {}
                Ok(Some(progress)) => return progress,
                Err(error) => return self.stop_with(&error),
            }
        }
        match self.go_on() {
            Ok(progress) => progress,
            Err(error) => self.stop_with(&error),
        }
    }

    #[inline]
    fn go_on(&mut self) -> Result<Progress> {
        if let Some(progress) = self.prepare()? {
            return Ok(progress);
        }
        if let Some(event) = self.reader.step_on() {
            pass_or_take(&self.choice, &mut self.desk, &mut self.crew, &event)?;
            return Ok(Progress::Moved);
        }
        self.find_next()
    }

    /// As [`Worker::go_on`], where the next event does not stand right behind the one before.
    fn find_next(&mut self) -> Result<Progress> {
        self.tell_lost();
        let next = self.reader.position();
        match self.reader.step()? {
            None => return self.look_closely(next),
            Some(Step::Gap(gap)) => {
                self.tell_skipped(gap);
                self.desk.pass_gap(gap, "they hold no event")?;
            }
            Some(Step::Event(event)) => {
                pass_or_take(&self.choice, &mut self.desk, &mut self.crew, &event)?;
            }
        }
        Ok(Progress::Moved)
    }

    /// What comes before the next event of the log.
    #[inline]
    fn prepare(&mut self) -> Result<Option<Progress>> {
        if !self.replays.is_empty() {
            return self.go_on_replaying().map(Some);
        }
        if self.is_paused {
            return Ok(Some(Progress::Waiting(None)));
        }
        if self.desk.rules.when_behind != WhenBehind::HoldEmitters {
            if self.check_lag()? {
                return Ok(Some(Progress::Moved));
            }
        } else if !self.desk.is_live && !self.is_far() {
            self.desk.join_queue();
        }
        if self.desk.window.is_empty() {
            return Ok(None);
        }
        self.tend_window()
    }

    /// Whether so much is known to lie ahead that the queue does not count this subscription yet.
    #[inline]
    fn is_far(&self) -> bool {
        let ahead = self.reader.seen_upto().since(self.desk.taken);
        ahead > self.desk.office.queue.max && !self.desk.office.is_volatile
    }

    /// Delivers an open event, if one may be delivered.
    fn tend_window(&mut self) -> Result<Option<Progress>> {
        let now = self.desk.office.clock.now();
        self.tell_lost();
        let desk = &mut self.desk;
        if now < self.last_look {
            let by = self.last_look.since(now);
            desk.window.hasten(by);
            if let Some(batch) = self.crew.batch() {
                batch.hasten(by);
            }
        }
        self.last_look = now;
        let gathered = self.crew.batch().map_or(0, |batch| batch.len());
        let is_busy = desk.window.running() > gathered;
        if let Some(seq) = desk.window.next_ready(now)
            && !(is_busy && desk.is_careful(seq))
        {
            hand_out(&self.choice, desk, &mut self.crew, seq, now)?;
            return Ok(Some(Progress::Moved));
        }
        let others = desk.window.len() > gathered as u64;
        let must_wait = desk.window.is_full()
            || (others && desk.rules.order.is_total())
            || (is_busy && desk.is_careful(desk.taken.next()));
        if !must_wait && !self.crew.batch().is_some_and(|batch| batch.is_full()) {
            return Ok(None);
        }
        if gathered > 0 {
            deliver_batch(&mut self.desk, &mut self.crew)?;
            return Ok(Some(Progress::Moved));
        }
        Ok(Some(Progress::Waiting(desk.window.next_due())))
    }

    /// Finds out why there is nothing to deliver: whether there is an event that has yet to become
    /// durable can only be said if it was there before the reader looked.
    fn look_closely(&mut self, next: Seq) -> Result<Progress> {
        self.desk.rest_queue();
        self.desk.rest();
        let held = self.desk.office.log.watermark().appended() >= next;
        if held && self.reader.step()?.is_some() {
            self.reader.seek(next);
            return Ok(Progress::Moved);
        }
        let ends_at = self.crew.batch().and_then(|batch| batch.ends_at());
        if ends_at.is_some_and(|at| self.desk.office.clock.now() >= at) {
            deliver_batch(&mut self.desk, &mut self.crew)?;
            return Ok(Progress::Moved);
        }
        let due = self.desk.window.next_due();
        let until = [ends_at, due].into_iter().flatten().min();
        Ok(Progress::Idle { held, until })
    }

    /// Opens the events again that were open when the subscription last ended.
    #[cold]
    fn reopen(&mut self) -> Result<()> {
        let desk = &mut self.desk;
        for seq in std::mem::take(&mut self.to_reopen) {
            match desk.office.log.get(seq)? {
                Some(stored) if !desk.is_parked(seq) => {
                    let event = stored.event();
                    let (key, event_type) = (desk.key(&event), desk.types.find(event.event_type()));
                    desk.window.open_typed(seq, key, event_type);
                }
                Some(_) => {}
                None => {
                    desk.count_skipped(1);
                    desk.lost.push(seq);
                }
            }
        }
        desk.publish();
        Ok(())
    }

    /// What must come about before there is something to deliver; `held`: the next event is there.
    pub(super) fn wanted(&self, held: bool) -> Wanted {
        let next = self.reader.position();
        match (held, self.on_publish) {
            (true, _) => Wanted::Durable(next),
            (false, true) => Wanted::Published(next),
            (false, false) => Wanted::Deliverable(next),
        }
    }

    /// The Seq that comes next.
    pub(super) fn next_seq(&self) -> Seq {
        self.reader.position()
    }

    /// Writes the cursor before a pause.
    pub(crate) fn rest(&mut self) {
        if let Err(error) = self.desk.flush() {
            self.stop_with(&error);
        }
    }

    /// An error ends this subscription's deliveries; the others go on.
    pub(super) fn stop_with(&mut self, error: &Error) -> Progress {
        let seat = &self.desk.seat;
        tracing::error!(
            target: "forelog::dispatch", subscription = %seat.label(), %error,
            "a subscription is stopped"
        );
        {
            let mut notes = seat.notes();
            notes.status = Status::Stopped;
            notes.last_error = Some(error.to_string());
            notes.stopped = Some(StopReason::of(error));
        }
        seat.ask_to_stop();
        seat.end();
        self.desk.leave_queue();
        Progress::Stopped
    }

    /// Writes the cursor for the last time and lets go of everything.
    pub(super) fn finish(mut self) {
        self.twinning.end();
        if let Crew::Lanes(lanes, _) = &mut self.crew {
            lanes.end();
        }
        let seat = self.desk.seat.clone();
        let mut noted = self.take_returns().map(drop);
        self.tell_lost();
        noted = noted.and_then(|()| self.desk.flush());
        if let Err(error) = noted {
            self.desk.note_error(&error);
        }
        let (pins, pin) = (
            self.desk.office.log.pins(),
            pin_name(seat.name.as_deref(), seat.id.0),
        );
        match seat.name {
            Some(_) => pins.detach(&pin),
            None => pins.remove(&pin),
        }
        self.desk.leave_queue();
        // Tokens that are dropped with the handler find nobody to tell.
        drop(self);
        seat.end();
    }
}

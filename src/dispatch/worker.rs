//! [`Worker`]: one subscription's reader, filter and handler, to be stepped.

use std::sync::Arc;
use std::time::Instant;

use super::delivery::Handler;
use super::desk::{Desk, Verdict};
use super::office::{Office, pin_name};
use super::seat::{Seat, Status};
use super::subscription::Subscription;
use crate::error::{Error, Result};
use crate::event::Filter;
use crate::log::reader::{Reader, Step};
use crate::log::watermark::Wanted;
use crate::position::Seq;

/// What one step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The position has moved, or a parked event was delivered.
    Moved,
    /// The event at the head comes again, not before this time.
    Waiting(Instant),
    /// There is nothing to deliver. `held`: there is an event, and it has yet to become durable.
    Idle {
        /// Whether the next event waits for a sync.
        held: bool,
    },
    /// The worker was asked to end, or an error has stopped it.
    Stopped,
}

/// Delivers the events of one subscription.
pub(crate) struct Worker {
    pub(super) desk: Desk,
    pub(super) handler: Box<dyn Handler>,
    reader: Reader,
    filter: Filter,
    /// Whether events are delivered before they are synced.
    on_publish: bool,
    retry_at: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        office: Office,
        seat: Arc<Seat>,
        subscription: Subscription,
        careful: bool,
        handler: Box<dyn Handler>,
    ) -> Self {
        let next = seat.position.get().next();
        let reader = if subscription.on_publish {
            office.log.reader(next)
        } else {
            office.log.durable_reader(next)
        };
        Worker {
            desk: Desk::new(office, seat, subscription.retry, careful),
            handler,
            reader,
            filter: subscription.filter,
            on_publish: subscription.on_publish,
            retry_at: None,
        }
    }

    /// Delivers at most one event.
    pub(crate) fn step(&mut self) -> Progress {
        self.step_at(Instant::now)
    }

    /// As [`Worker::step`], at a time that is only asked for where it counts.
    pub(crate) fn step_at(&mut self, now: impl FnOnce() -> Instant) -> Progress {
        if self.desk.seat.is_asked_to_stop() {
            return Progress::Stopped;
        }
        let done = match self.desk.seat.take_request() {
            Some(seq) => self.redeliver(seq).map(|()| Progress::Moved),
            None => self.go_on(now),
        };
        done.unwrap_or_else(|error| self.stop_with(&error))
    }

    fn go_on(&mut self, now: impl FnOnce() -> Instant) -> Result<Progress> {
        if let Some(at) = self.retry_at {
            if now() < at {
                return Ok(Progress::Waiting(at));
            }
            self.retry_at = None;
        }
        self.desk.join_queue();
        let next = self.reader.position();
        let verdict = match self.reader.step()? {
            None => return self.look_closely(next),
            Some(Step::Gap(gap)) => self.desk.pass_gap(gap)?,
            Some(Step::Event(event)) => {
                let seq = event.seq();
                let wanted = self.filter.matches(event.event_type(), event.source());
                if wanted && !self.desk.is_parked(seq) {
                    self.desk.handle(event, self.handler.as_mut())?
                } else {
                    self.desk.pass(seq)?
                }
            }
        };
        Ok(match verdict {
            Verdict::Done => Progress::Moved,
            Verdict::Again(at) => {
                self.reader.seek(next);
                self.retry_at = Some(at);
                Progress::Waiting(at)
            }
        })
    }

    /// Finds out why there is nothing to deliver: whether there is an event that has yet to become
    /// durable can only be said if it was there before the reader looked.
    fn look_closely(&mut self, next: Seq) -> Result<Progress> {
        self.desk.rest_queue();
        let held = self.desk.office.log.watermark().appended() >= next;
        if held && self.reader.step()?.is_some() {
            self.reader.seek(next);
            return Ok(Progress::Moved);
        }
        Ok(Progress::Idle { held })
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
        }
        seat.ask_to_stop();
        seat.end();
        self.desk.leave_queue();
        Progress::Stopped
    }

    /// Writes the cursor for the last time and lets go of everything.
    pub(super) fn finish(mut self) {
        let seat = self.desk.seat.clone();
        if let Err(error) = self.desk.flush() {
            self.desk.note_error(&error);
        }
        if seat.name.is_none() {
            let pins = self.desk.office.log.pins();
            pins.remove(&pin_name(None, seat.id.0));
        }
        seat.end();
        self.desk.leave_queue();
    }
}

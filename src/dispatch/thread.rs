//! The loop around a worker: steps it, and waits where there is nothing to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::lanes::LOOK_AGAIN;
use super::patience::Patience;
use super::status::Status;
use super::worker::{Progress, Worker};
use crate::error::{Error, ErrorKind, Result};

/// How often a worker of a closed log looks whether something became durable after all.
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// How long a worker with nothing to do waits before it writes its cursor: at a steady trickle of
/// events it is then written every few events, not with each.
const LINGER: Duration = Duration::from_millis(5);

/// Runs a worker on a thread of its own until it is asked to stop.
pub(super) fn spawn(mut worker: Worker) -> Result<JoinHandle<()>> {
    let (seat, queue) = (worker.desk.seat.clone(), worker.desk.office.queue.clone());
    worker.begin_volatile();
    let name = format!("forelog-{}", seat.id);
    seat.notes().status = Status::Running;
    let builder = thread::Builder::new().name(name);
    builder.spawn(move || run(worker)).map_err(|cause| {
        let error = Error::io("start the thread of a subscription", "", cause);
        let mut notes = seat.notes();
        notes.status = Status::Stopped;
        notes.last_error = Some(error.to_string());
        drop(notes);
        queue.leave(&seat.position);
        seat.end();
        error
    })
}

fn run(mut worker: Worker) {
    // Handlers are called under a guard of their own; this one keeps a mistake of ours from ending a
    // subscription without a word.
    if catch_unwind(AssertUnwindSafe(|| run_steps(&mut worker))).is_err() {
        let message = "the worker of a subscription panicked; this is a bug in Forelog";
        worker.stop_with(&Error::new(ErrorKind::Handler, message));
    }
    worker.finish();
}

fn run_steps(worker: &mut Worker) {
    let seat = worker.desk.seat.clone();
    seat.sit_down();
    if let Err(error) = worker.start_lanes() {
        worker.stop_with(&error);
        return;
    }
    let queue = worker.desk.office.queue.clone();
    let _inside = queue.enter(seat.id.0);
    let mut patience = Patience::default();
    let mut run = 0;
    loop {
        match worker.step_inside() {
            Progress::Moved => run += 1,
            Progress::Waiting(until) => {
                worker.crew.hand_over();
                let until = until.map(|time| worker.desk.office.look_at(time));
                wait_for_return(worker, until);
            }
            Progress::Idle { held, until } => {
                worker.crew.hand_over();
                let began = Instant::now();
                let mut until = until.map(|time| worker.desk.office.look_at(time));
                if worker.crew.has_enough() {
                    let soon = began + LOOK_AGAIN;
                    until = Some(until.map_or(soon, |until| until.min(soon)));
                }
                patience.note_run(std::mem::take(&mut run));
                wait_for_more(worker, held, until, &patience);
                patience.note_wait(began.elapsed());
            }
            Progress::Stopped => return,
        }
    }
}

/// Waits until something comes back, or is asked, or this time has come.
fn wait_for_return(worker: &mut Worker, until: Option<Instant>) {
    let seat = worker.desk.seat.clone();
    worker.desk.rest_queue();
    let has_enough = worker.crew.has_enough();
    if has_enough || worker.desk.is_unflushed() {
        let soon = Instant::now() + if has_enough { LOOK_AGAIN } else { LINGER };
        let soon = until.map_or(soon, |until| until.min(soon));
        if seat.signal.wait_until(Some(soon), || seat.has_news()) {
            return;
        }
    }
    worker.rest();
    worker.desk.note_open();
    if !has_enough {
        seat.signal.wait_until(until, || seat.has_news());
    }
}

/// Waits until there may be something to deliver, first without giving up the processor.
fn wait_for_more(worker: &mut Worker, held: bool, until: Option<Instant>, patience: &Patience) {
    let (seat, log) = (worker.desk.seat.clone(), worker.desk.office.log.clone());
    let next = worker.next_seq();
    let watermark = log.watermark();
    let ready = || {
        let reached = if held {
            watermark.durable()
        } else {
            watermark.appended()
        };
        reached >= next || seat.has_news()
    };
    if patience.look_for(ready) {
        return;
    }
    worker.desk.note_open();
    let wanted = worker.wanted(held);
    let is_over = || until.is_some_and(|until| Instant::now() >= until);
    if worker.desk.is_unflushed() {
        let linger = Instant::now() + LINGER;
        let linger = until.map_or(linger, |until| until.min(linger));
        if watermark.wait(wanted, Some(linger), |_| ready()) {
            return;
        }
        worker.rest();
        if is_over() {
            return;
        }
    }
    if !watermark.wait(wanted, until, |_| ready()) {
        // The log is closed: nothing more is appended, but a sync that was under way may still make
        // something durable, and somebody may ask for something.
        while !ready() && !is_over() {
            let soon = Instant::now() + LOOK_AFTER;
            seat.signal.wait_until(Some(soon), || seat.has_news());
        }
    }
}

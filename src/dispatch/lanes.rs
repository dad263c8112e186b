//! [`Lanes`]: the threads that handle events of different keys at the same time.
//!
//! ```text
//! Worker ── Job (Seq, attempt) ──► Lane 1 ─► Handler ─┐
//!   ▲                         └──► Lane 2 ─► Handler ─┤
//!   └──────────── Return (Seq, Outcome) ◄─────────────┘
//! ```
//! The worker decides which event may go and notes what has become of it; a lane knows one reader and
//! one handler. No event is copied: a job is a Seq, and the lane reads it out of the log itself.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::delivery::{Delivery, Handler};
use super::lineage::Cause;
use super::office::{Office, guarded};
use super::outcome::Outcome;
use super::phase::Phase;
use super::seat::{Return, Seat};
use super::token::Origin;
use crate::error::{Error, Result};
use crate::log::reader::{Reader, Step};
use crate::position::Seq;

/// A delivery to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) seq: Seq,
    pub(super) attempt: u32,
    pub(super) phase: Phase,
    pub(super) epoch: u64,
}

/// The lanes of one subscription.
pub(super) struct Lanes {
    jobs: Arc<Jobs>,
    /// Those that have no thread yet.
    waiting: Vec<Lane>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Jobs {
    list: Mutex<List>,
    added: Condvar,
}

#[derive(Debug, Default)]
struct List {
    jobs: VecDeque<Job>,
    idle: usize,
    is_closed: bool,
}

struct Lane {
    office: Office,
    seat: Arc<Seat>,
    origin: Origin,
    reader: Reader,
    handler: Box<dyn Handler>,
}

impl Lanes {
    /// A lane for each handler; `origin` makes what deliveries of one of them come from.
    pub(super) fn new(
        office: &Office,
        seat: &Arc<Seat>,
        handlers: Vec<Box<dyn Handler>>,
        origin: impl Fn() -> Origin,
    ) -> Self {
        let lane = |handler| Lane {
            office: office.clone(),
            seat: seat.clone(),
            origin: origin(),
            reader: office.log.reader(Seq::FIRST),
            handler,
        };
        Lanes {
            jobs: Arc::default(),
            waiting: handlers.into_iter().map(lane).collect(),
            threads: Vec::new(),
        }
    }

    /// Gives each lane a thread.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn start(&mut self) -> Result<()> {
        while let Some(mut lane) = self.waiting.pop() {
            let name = format!("forelog-{}-{}", lane.seat.id, self.threads.len() + 1);
            let jobs = self.jobs.clone();
            let builder = thread::Builder::new().name(name);
            let spawned = builder.spawn(move || {
                while let Some(job) = jobs.next() {
                    lane.run(job);
                }
            });
            self.threads.push(
                spawned
                    .map_err(|cause| Error::io("start a thread of a subscription", "", cause))?,
            );
        }
        Ok(())
    }

    /// Has an event delivered by the first lane that is free.
    pub(super) fn hand_on(&self, job: Job) {
        let mut list = self.jobs.list();
        list.jobs.push_back(job);
        let is_awaited = list.idle > 0;
        drop(list);
        if is_awaited {
            self.jobs.added.notify_one();
        }
    }

    /// Makes the deliveries that wait, on this thread; for lanes without threads.
    #[cfg(test)]
    pub(super) fn work_off(&mut self) -> usize {
        let jobs: Vec<_> = self.jobs.list().jobs.drain(..).collect();
        for (nth, job) in jobs.iter().enumerate() {
            let lane = nth % self.waiting.len();
            self.waiting[lane].run(*job);
        }
        jobs.len()
    }

    /// Makes one of the deliveries that a lane could take now, on this thread; says whether there was one.
    #[cfg(test)]
    pub(super) fn work_off_one(&mut self, any: usize) -> bool {
        let mut list = self.jobs.list();
        let free = list.jobs.len().min(self.waiting.len());
        let job = list.jobs.remove(any % free.max(1));
        drop(list);
        let Some(job) = job else {
            return false;
        };
        let lane = any % self.waiting.len();
        self.waiting[lane].run(job);
        true
    }

    /// Gives up the deliveries that no lane has begun, and waits for the others.
    pub(super) fn end(&mut self) {
        self.forget();
        self.jobs.list().is_closed = true;
        self.jobs.added.notify_all();
        for thread in self.threads.drain(..) {
            // Handlers are called under a guard; there is nothing to hear from it.
            let _ = thread.join();
        }
    }

    /// Gives up the deliveries that no lane has begun; says which.
    pub(super) fn forget(&self) -> VecDeque<Job> {
        std::mem::take(&mut self.jobs.list().jobs)
    }
}

impl Jobs {
    /// Waits for the next job; `None` once there will be none.
    fn next(&self) -> Option<Job> {
        let mut list = self.list();
        loop {
            if list.is_closed {
                return None;
            }
            if let Some(job) = list.jobs.pop_front() {
                return Some(job);
            }
            list.idle += 1;
            list = self
                .added
                .wait(list)
                .unwrap_or_else(PoisonError::into_inner);
            list.idle -= 1;
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn run(&mut self, job: Job) {
        let outcome = self
            .deliver(job)
            .unwrap_or_else(|error| Outcome::Failed(format!("the event cannot be read: {error}")));
        if self.origin.take_deferred().contains(&job.seq) {
            return;
        }
        self.seat.give_back(Return {
            seq: job.seq,
            attempt: job.attempt,
            epoch: job.epoch,
            outcome,
        });
    }

    fn deliver(&mut self, job: Job) -> Result<Outcome> {
        self.reader.seek(job.seq);
        let Some(Step::Event(event)) = self.reader.step()? else {
            // It was there when the worker took it up: a gap has taken its place, and it is over.
            return Ok(Outcome::Ack);
        };
        self.origin.set_epoch(job.epoch);
        let delivery = Delivery::new(event, job.attempt, job.phase, &self.origin);
        let _inside = self.office.queue.enter(self.seat.id.0);
        let _cause = Cause::of(&delivery);
        let handler = self.handler.as_mut();
        Ok(guarded("handler", || handler.handle(&delivery)).unwrap_or_else(Outcome::Failed))
    }
}

//! [`Lanes`]: the threads that handle events of different keys at the same time.
//!
//! ```text
//! Worker ── Job (Seq, attempt) ──► Lane 1 ─► Handler ─┐
//!   ▲                         └──► Lane 2 ─► Handler ─┤
//!   └──────────── Return (Seq, Outcome) ◄─────────────┘
//! ```
//! The worker decides which event may go and notes what has become of it; a lane knows one reader and
//! one handler. No event is copied: a job is a Seq, and the lane reads it out of the log itself.
//!
//! **Waking.** A wake-up costs as much as a quick handler. So while enough jobs wait for the lanes, what
//! comes back is left where the worker finds it: it is woken when they run dry, and looks by itself every
//! [`LOOK_AGAIN`]. Jobs are handed on some at a time as long as enough of them wait.
//!
//! **Cache lines.** With each event a lane writes to its own tray and takes a job from the list that all
//! share. It only reads how many jobs wait, and whether the worker knows of something that was left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::utils::CachePadded;

use super::delivery::{Delivery, Handler};
use super::lineage::Cause;
use super::office::{Office, guarded};
use super::outcome::Outcome;
use super::phase::Phase;
use super::seat::{Return, Seat};
use super::token::Origin;
use super::tracer::{handling, note_outcome};
use crate::error::{Error, Result};
use crate::log::reader::{Reader, Step};
use crate::position::Seq;

/// How many jobs that wait, for each lane, keep a worker asleep.
const ENOUGH: usize = 8;
/// How many jobs are handed on at a time while enough of them wait.
const PART: usize = 8;
/// How soon a worker looks for what was left to it while enough jobs wait.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(2);

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
    /// Jobs that are not handed on yet.
    held: Vec<Job>,
    /// What each lane has left for the worker.
    trays: Vec<Arc<Tray>>,
    /// Those that have no thread yet.
    waiting: Vec<Lane>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Jobs {
    list: Mutex<List>,
    added: Condvar,
    /// How many wait in the list.
    waiting: CachePadded<AtomicUsize>,
    /// With as many waiting the worker need not be woken.
    enough: usize,
}

#[derive(Debug, Default)]
struct List {
    jobs: VecDeque<Job>,
    idle: usize,
    is_closed: bool,
}

/// What has become of the jobs of one lane; it and the worker write there, and no other lane.
#[derive(Debug, Default)]
struct Tray(CachePadded<Mutex<Vec<Return>>>);

struct Lane {
    office: Office,
    tray: Arc<Tray>,
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
            tray: Arc::default(),
            origin: origin(),
            reader: office.log.reader(Seq::FIRST),
            handler,
        };
        let waiting: Vec<_> = handlers.into_iter().map(lane).collect();
        Lanes {
            jobs: Arc::new(Jobs {
                list: Mutex::default(),
                added: Condvar::new(),
                waiting: CachePadded::default(),
                enough: ENOUGH * waiting.len(),
            }),
            held: Vec::new(),
            trays: waiting.iter().map(|lane| lane.tray.clone()).collect(),
            waiting,
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
                    if let Some(back) = lane.run(job) {
                        jobs.give_back(&lane, back);
                    }
                }
            });
            self.threads.push(
                spawned
                    .map_err(|cause| Error::io("start a thread of a subscription", "", cause))?,
            );
        }
        Ok(())
    }

    /// Has an event delivered by the first lane that is free: at once unless enough others wait, and by the
    /// next [`Lanes::hand_over`] at the latest.
    pub(super) fn hand_on(&mut self, job: Job) {
        self.held.push(job);
        if self.held.len() >= PART || !self.jobs.has_enough() {
            self.hand_over();
        }
    }

    /// Hands on what is held. To be called before the worker waits, and when it was woken.
    pub(super) fn hand_over(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let mut list = self.jobs.list();
        let awaited = list.idle.min(self.held.len());
        list.jobs.extend(self.held.drain(..));
        self.jobs.count(&list);
        drop(list);
        for _ in 0..awaited {
            self.jobs.added.notify_one();
        }
    }

    /// Adds what the lanes have left.
    pub(super) fn take_back(&self, returns: &mut Vec<Return>) {
        for tray in &self.trays {
            returns.append(&mut tray.returns());
        }
    }

    /// Makes the deliveries that wait, on this thread; for lanes without threads.
    #[cfg(test)]
    pub(super) fn work_off(&mut self) -> usize {
        let jobs = self.forget();
        for (nth, job) in jobs.iter().enumerate() {
            let lane = nth % self.waiting.len();
            let lane = &mut self.waiting[lane];
            if let Some(back) = lane.run(*job) {
                lane.seat.give_back(back);
            }
        }
        jobs.len()
    }

    /// Makes one of the deliveries that a lane could take now, on this thread; says whether there was one.
    #[cfg(test)]
    pub(super) fn work_off_one(&mut self, any: usize) -> bool {
        self.hand_over();
        let mut list = self.jobs.list();
        let free = list.jobs.len().min(self.waiting.len());
        let job = list.jobs.remove(any % free.max(1));
        self.jobs.count(&list);
        drop(list);
        let Some(job) = job else {
            return false;
        };
        let lane = any % self.waiting.len();
        let lane = &mut self.waiting[lane];
        if let Some(back) = lane.run(job) {
            lane.seat.give_back(back);
        }
        true
    }

    /// Whether so many jobs wait that nobody wakes the worker.
    pub(super) fn has_enough(&self) -> bool {
        self.jobs.has_enough()
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
    pub(super) fn forget(&mut self) -> VecDeque<Job> {
        let mut list = self.jobs.list();
        let mut jobs = std::mem::take(&mut list.jobs);
        self.jobs.count(&list);
        jobs.extend(self.held.drain(..));
        jobs
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
                self.count(&list);
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

    fn has_enough(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= self.enough
    }

    /// Tells those who do not lock the list how many jobs wait.
    fn count(&self, list: &List) {
        self.waiting.store(list.jobs.len(), Ordering::Relaxed);
    }

    /// Gives the worker what has become of a job.
    fn give_back(&self, lane: &Lane, back: Return) {
        let is_acknowledged = back.outcome == Outcome::Ack;
        lane.tray.returns().push(back);
        lane.seat.note_left();
        // A worker that has found fewer of them, and nothing left, waits and does not look by itself. With
        // the fence before it waits this one sees to it that the same is found here.
        fence(Ordering::SeqCst);
        if !is_acknowledged || !self.has_enough() {
            lane.seat.tell();
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tray {
    fn returns(&self) -> MutexGuard<'_, Vec<Return>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Makes a delivery; what has become of it, unless the handler says so later.
    fn run(&mut self, job: Job) -> Option<Return> {
        let outcome = self
            .deliver(job)
            .unwrap_or_else(|error| Outcome::Failed(format!("the event cannot be read: {error}")));
        if self.origin.take_deferred().contains(&job.seq) {
            return None;
        }
        Some(Return {
            seq: job.seq,
            attempt: job.attempt,
            epoch: job.epoch,
            outcome,
        })
    }

    fn deliver(&mut self, job: Job) -> Result<Outcome> {
        self.reader.seek(job.seq);
        let Some(Step::Event(event)) = self.reader.step()? else {
            // It was there when the worker took it up, and has gone since: the worker finds that out.
            return Ok(Outcome::Retry);
        };
        self.origin.set_epoch(job.epoch);
        let veil = self.office.veil(&event);
        let event = event.shown_by(veil.as_ref());
        let turn = (job.attempt, job.phase);
        let delivery = Delivery::new(event, job.seq, turn, &self.origin);
        let _inside = self.office.queue.enter(self.seat.id.0);
        let _cause = Cause::of(&delivery);
        let span = handling(self.office.tracer.as_deref(), &delivery);
        let _within = span.enter();
        let handler = self.handler.as_mut();
        let called = guarded("handler", || handler.handle(&delivery));
        let outcome = called.unwrap_or_else(Outcome::Failed);
        note_outcome(&span, &outcome);
        Ok(outcome)
    }
}

//! [`Seat`]: what others see of a worker, and ask of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use super::course::Ticket;
use super::live::Position;
use super::notes::Notes;
use super::outcome::Outcome;
use super::role::Role;
use super::signal::Signal;
use super::status::{HandlerId, Status, SubscriptionState, VolatileState};
use super::types::TypeTallies;
use crate::error::Result;
use crate::position::Seq;
use crate::timings::Timings;

/// What is asked of a worker.
#[derive(Debug)]
pub(super) enum Request {
    /// Deliver this parked event, or with the rule that keys wait, those of its key.
    Redeliver(Seq),
    /// Deliver all that are parked by now, one after the other.
    RedeliverAll,
    /// This event is parked no more.
    Forget(Seq),
    /// Go on behind this Seq, and say whether that is noted.
    Seek(Seq, Sender<Result<()>>),
    /// Deliver nothing until asked to go on.
    Pause(String),
    /// Go on.
    Resume,
    /// Deliver a range of the past, before anything else.
    Replay(Ticket),
    /// See what has changed.
    LookUp,
    /// Share the handler with the twin.
    Share,
}

/// What has become of a delivery that was handed on.
#[derive(Debug)]
pub(super) struct Return {
    pub(super) seq: Seq,
    pub(super) attempt: u32,
    /// In which epoch it was delivered: a seek begins a new one.
    pub(super) epoch: u64,
    pub(super) outcome: Outcome,
}

const STOP: u32 = 1;
const ASKED: u32 = 2;
const RETURNED: u32 = 4;
/// Something has come back for which the worker need not be woken.
const LEFT: u32 = 8;

/// The shared side of one attached subscription.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: HandlerId,
    pub(super) name: Option<String>,
    pub(super) role: Role,
    /// How messages call it if it has no name.
    called: Option<String>,
    /// Whether its events are volatile, and their Seqs mean nothing to others.
    pub(super) is_volatile: bool,
    /// The seat of the worker that delivers the volatile events, once there are any.
    twin: OnceLock<Arc<Seat>>,
    pub(super) position: Arc<Position>,
    /// Raised by everything that a worker must look up for while it waits for a retry.
    pub(super) signal: Signal,
    /// The thread that runs the worker.
    thread: OnceLock<Thread>,
    /// What the worker has to look up for: [`STOP`], [`ASKED`], [`RETURNED`], [`LEFT`].
    news: AtomicU32,
    ended: AtomicBool,
    requests: Mutex<VecDeque<Request>>,
    returns: Mutex<Vec<Return>>,
    delivered: AtomicU64,
    /// How long after it was appended each event was acknowledged that came while the handler was there.
    pub(super) latency: Timings,
    /// The same, and more, by event type.
    pub(super) types: Arc<TypeTallies>,
    /// The Seq that the worker's own handler is called for; 0: none.
    busy: AtomicU64,
    notes: Mutex<Notes>,
}

impl Seat {
    pub(super) fn new(id: HandlerId, name: Option<String>, role: Role, position: Seq) -> Self {
        Seat {
            id,
            name,
            role,
            called: None,
            is_volatile: false,
            twin: OnceLock::new(),
            position: Arc::new(Position::new(position)),
            signal: Signal::default(),
            thread: OnceLock::new(),
            news: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            requests: Mutex::default(),
            returns: Mutex::default(),
            delivered: AtomicU64::new(0),
            latency: Timings::default(),
            types: Arc::default(),
            busy: AtomicU64::new(0),
            notes: Mutex::default(),
        }
    }

    /// The same seat for a twin, which has no name.
    pub(super) fn volatile(self, label: Option<String>) -> Self {
        Seat {
            called: label,
            is_volatile: true,
            ..self
        }
    }

    /// How messages call it.
    pub(super) fn label(&self) -> String {
        let unnamed = || format!("unnamed subscription {}", self.id);
        let label = self.name.clone().or_else(|| self.called.clone());
        label.unwrap_or_else(unnamed)
    }

    /// A Seq as others see it: a volatile event has none.
    pub(super) fn shown(&self, seq: Seq) -> Seq {
        if self.is_volatile { Seq::ZERO } else { seq }
    }

    /// From now on this is its twin, which is paused when it is.
    pub(super) fn set_twin(&self, twin: Arc<Seat>) {
        let _ = self.twin.set(twin);
    }

    /// Asks the worker and its twin to pause. It counts as paused from now on, and pauses before its next
    /// delivery.
    pub(super) fn ask_to_pause(&self, reason: &str) {
        self.notes().paused = Some(reason.to_owned());
        self.ask(Request::Pause(reason.to_owned()));
        self.ask_twin_to_pause(reason);
    }

    pub(super) fn ask_twin_to_pause(&self, reason: &str) {
        if let Some(twin) = self.twin.get() {
            twin.ask_to_pause(reason);
        }
    }

    /// Asks the worker and its twin to go on.
    pub(super) fn ask_to_resume(&self) {
        self.notes().paused = None;
        self.ask(Request::Resume);
        if let Some(twin) = self.twin.get() {
            twin.ask_to_resume();
        }
    }

    /// This thread runs the worker from now on.
    pub(super) fn sit_down(&self) {
        let _ = self.thread.set(thread::current());
    }

    /// Asks the worker to end; it does so before its next delivery.
    pub(super) fn ask_to_stop(&self) {
        self.raise(STOP);
    }

    /// Asks something of the worker; it does it before its next delivery.
    pub(super) fn ask(&self, request: Request) {
        self.requests().push_back(request);
        self.raise(ASKED);
    }

    /// As [`Seat::ask`], before all else.
    pub(super) fn ask_first(&self, request: Request) {
        self.requests().push_front(request);
        self.raise(ASKED);
    }

    /// Says what has become of a delivery that was handed on.
    pub(super) fn give_back(&self, back: Return) {
        if !self.has_ended() {
            self.returns().push(back);
            self.tell();
        }
    }

    /// Notes that a lane has left something for the worker, without waking it. To be called after that was
    /// put where [`Seat::take_returns`] is followed by a look, under a lock: whoever looked before has
    /// cleared the note before.
    pub(super) fn note_left(&self) {
        if self.news.load(Ordering::Acquire) & LEFT == 0 {
            self.news.fetch_or(LEFT, Ordering::AcqRel);
        }
    }

    /// Wakes the worker to look at what was left.
    pub(super) fn tell(&self) {
        self.raise(RETURNED);
    }

    /// Sets a bit of the news, and wakes the worker unless it was set before.
    fn raise(&self, bit: u32) {
        if self.news.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
            return;
        }
        self.signal.notify();
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Whether the worker has to look up.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) != 0
    }

    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.news.load(Ordering::Acquire) & STOP != 0
    }

    /// The next request.
    pub(super) fn take_request(&self) -> Option<Request> {
        if self.news.load(Ordering::Acquire) & ASKED == 0 {
            return None;
        }
        let mut requests = self.requests();
        let next = requests.pop_front();
        if requests.is_empty() {
            self.news.fetch_and(!ASKED, Ordering::AcqRel);
        }
        next
    }

    /// All that came back since the last time.
    pub(super) fn take_returns(&self) -> Vec<Return> {
        if self.news.load(Ordering::Acquire) & (RETURNED | LEFT) == 0 {
            return Vec::new();
        }
        let mut returns = self.returns();
        self.news.fetch_and(!(RETURNED | LEFT), Ordering::AcqRel);
        std::mem::take(&mut *returns)
    }

    /// Notes for which event the worker's own handler is called; [`Seq::ZERO`]: none.
    #[inline]
    pub(super) fn set_busy(&self, seq: Seq) {
        self.busy.store(seq.0, Ordering::Relaxed);
    }

    pub(super) fn busy(&self) -> Seq {
        Seq(self.busy.load(Ordering::Relaxed))
    }

    /// The worker delivers nothing any more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // Whoever waits for a request to be done hears that it will not be.
        self.requests().clear();
        self.signal.notify();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Counts a delivery; for the worker alone.
    #[inline]
    pub(super) fn count_delivered(&self) {
        let delivered = self.delivered.load(Ordering::Relaxed);
        self.delivered.store(delivered + 1, Ordering::Relaxed);
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.notes().paused.is_some()
    }

    /// Why it is paused, if it is.
    pub(super) fn paused(&self) -> Option<String> {
        self.notes().paused.clone()
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn returns(&self) -> MutexGuard<'_, Vec<Return>> {
        self.returns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the subscription stands, in a log that is appended up to this Seq.
    pub(super) fn state(&self, appended: Seq) -> SubscriptionState {
        let position = self.position.get();
        let delivered = self.delivered();
        let mut notes = self.notes();
        let rate = notes.reckon_rate(delivered);
        let status = match notes.status {
            Status::Running if notes.paused.is_some() => Status::Paused,
            status => status,
        };
        SubscriptionState {
            id: Some(self.id),
            name: self.name.clone(),
            role: Some(self.role),
            status,
            position,
            lag: appended.since(position),
            lag_time: Duration::ZERO,
            open: notes.open,
            phase: notes.phase,
            delivered,
            rate,
            failed: notes.failed,
            failed_by_type: self.types.failed(),
            attempts: notes.attempts,
            parked: notes.given_up,
            first_parked: None,
            skipped: notes.skipped,
            expired: notes.expired,
            last_error: notes.last_error.clone(),
            stopped: notes.stopped.clone(),
            paused: notes.paused.clone(),
            stalled: notes.stalled,
            volatile: VolatileState::default(),
        }
    }
}

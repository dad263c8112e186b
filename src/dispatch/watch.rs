//! [`Watch`]: finds deliveries that take too long, and says so.
//!
//! A handler that hangs can't say anything itself, and taking the time of each delivery would cost more
//! than many a handler does. So one thread for all subscriptions looks now and then which event each is
//! at: seen at the same one for its limit, it is reported as stalled, once, with its name and the Seq.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::seat::Seat;
use super::signal::Signal;
use super::status::HandlerId;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::position::Seq;

/// How often the thread looks at most, and at least.
const LOOK_AFTER: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// How often it looks within the shortest limit.
const LOOKS_PER_LIMIT: u32 = 4;

/// Watches over the subscriptions of a dispatcher.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    seats: Mutex<Vec<(Weak<Seat>, Duration)>>,
    is_over: AtomicBool,
    signal: Signal,
}

/// Since when each subscription is at which event.
#[derive(Debug, Default)]
struct Seen(HashMap<HandlerId, (Seq, Instant)>);

impl Watch {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Watch {
            shared: Arc::new(Shared {
                clock,
                seats: Mutex::default(),
                is_over: AtomicBool::new(false),
                signal: Signal::default(),
            }),
            thread: Mutex::default(),
        }
    }

    /// Watches over this subscription too, from the next look on.
    pub(super) fn add(&self, seat: &Arc<Seat>, limit: Duration) {
        let mut seats = self.shared.seats();
        seats.push((Arc::downgrade(seat), limit));
        drop(seats);
        self.shared.signal.notify();
    }

    /// Starts the thread, unless it runs.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(&self) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            let builder = thread::Builder::new().name("forelog-watch".to_owned());
            let spawned = builder.spawn(move || shared.run());
            let failed = |cause| Error::io("start the thread that watches handlers", "", cause);
            *thread = Some(spawned.map_err(failed)?);
        }
        Ok(())
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.signal.notify();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread.filter(|one| one.thread().id() != thread::current().id()) {
            // It calls nothing that could panic with a message for us.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut seen = Seen::default();
        while !self.is_over() {
            let count = self.seats().len();
            let soon = Instant::now() + self.look(&mut seen);
            let has_news = || self.is_over() || self.seats().len() != count;
            self.signal.wait_until(Some(soon), has_news);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Looks at all subscriptions once; says when to look again.
    fn look(&self, seen: &mut Seen) -> Duration {
        let mut seats = self.seats();
        seats.retain(|(seat, _)| seat.upgrade().is_some_and(|seat| !seat.has_ended()));
        let mut shortest = Duration::MAX;
        for (seat, limit) in seats.iter() {
            if let Some(seat) = seat.upgrade() {
                seen.look_at(&seat, *limit, self.clock.as_ref());
            }
            shortest = shortest.min(*limit);
        }
        (shortest / LOOKS_PER_LIMIT).clamp(LOOK_AFTER.0, LOOK_AFTER.1)
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Vec<(Weak<Seat>, Duration)>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn look_at(&mut self, seat: &Seat, limit: Duration, clock: &dyn Clock) {
        let stalled = self.own(seat, limit).or_else(|| {
            let (seq, since) = seat.notes().handed_on?;
            (clock.now().since(since) >= limit).then_some(seq)
        });
        let mut notes = seat.notes();
        if notes.stalled == stalled {
            return;
        }
        notes.stalled = stalled;
        drop(notes);
        let label = seat.label();
        if let Some(seq) = stalled.map(|seq| seat.shown(seq)) {
            tracing::error!(
                target: "forelog::dispatch", subscription = %label, %seq, ?limit,
                "a handler takes longer than its limit; later events wait"
            );
        } else {
            tracing::info!(
                target: "forelog::dispatch", subscription = %label,
                "a handler that was stalled goes on"
            );
        }
    }

    /// The event that the worker's own handler has been at for the limit.
    fn own(&mut self, seat: &Seat, limit: Duration) -> Option<Seq> {
        let busy = seat.busy();
        if busy == Seq::ZERO {
            self.0.remove(&seat.id);
            return None;
        }
        let (seq, since) = self.0.entry(seat.id).or_insert((busy, Instant::now()));
        if *seq != busy {
            (*seq, *since) = (busy, Instant::now());
        }
        (since.elapsed() >= limit).then_some(busy)
    }
}

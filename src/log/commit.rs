//! [`Commit`]: group commit. One thread syncs for all who wait.
//!
//! Whoever needs a Seq to be durable and finds no sync under way becomes the leader and syncs all
//! that is appended by then; who comes meanwhile parks, each on its own. At the end of a sync the lead
//! is handed to one of those who came too late for it, before the others are woken: so the next sync
//! begins at once, and a hundred wake-ups run beside it. A thread alone never changes context: it
//! syncs by itself.
//!
//! **Gathering.** Threads that were woken by one sync come back together. A leader that began as soon
//! as the first of them was there would sync for it alone, and make all others wait twice; so after a
//! sync that others had waited for it lets them run first, as long as more of them come.
//!
//! A sync that fails is final: the error goes to everybody who waits, and to all who come later.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::watermark::Watermark;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, MutexGuard};
use crate::timings::Timings;

#[derive(Debug, Default)]
pub(super) struct Commit {
    state: Mutex<State>,
    failure: OnceLock<Error>,
    /// How long syncs took.
    pub(super) timings: Timings,
}

#[derive(Debug, Default)]
struct State {
    is_led: bool,
    waiters: Vec<Arc<Waiter>>,
    /// Tasks that wait, by the Seq that they wait for: more than one where an event was emitted twice.
    tasks: BTreeMap<Seq, Vec<Waker>>,
    /// How many the last sync woke, so how many may be about to come back.
    woken: usize,
}

#[derive(Debug)]
struct Waiter {
    seq: Seq,
    thread: Thread,
    word: AtomicU8,
}

/// What a parked waiter is told: nothing yet; to look whether it is durable; to lead.
const WAIT: u8 = 0;
const LOOK: u8 = 1;
const LEAD: u8 = 2;

impl Waiter {
    fn tell(&self, word: u8) {
        self.word.store(word, Ordering::Release);
        self.thread.unpark();
    }

    /// Parks until it is told something.
    fn wait(&self) -> u8 {
        loop {
            match self.word.load(Ordering::Acquire) {
                WAIT => thread::park(),
                word => return word,
            }
        }
    }
}

impl Commit {
    /// Returns once `seq` is durable. `sync` makes everything appended so far durable and returns
    /// the last Seq that it covers.
    ///
    /// # Errors
    /// [`SyncFailed`](crate::ErrorKind::SyncFailed) if a sync failed, now or earlier.
    pub(super) fn wait(
        &self,
        watermark: &Watermark,
        seq: Seq,
        sync: &dyn Fn() -> Result<Seq>,
    ) -> Result<()> {
        loop {
            if watermark.durable() >= seq {
                return Ok(());
            }
            if let Some(failure) = self.failure.get() {
                return Err(failure.duplicate());
            }
            let mut state = self.state();
            if watermark.durable() >= seq || self.failure.get().is_some() {
                continue;
            }
            if state.is_led {
                let waiter = Arc::new(Waiter {
                    seq,
                    thread: thread::current(),
                    word: AtomicU8::new(WAIT),
                });
                state.waiters.push(waiter.clone());
                drop(state);
                if waiter.wait() == LEAD {
                    self.lead(watermark, sync);
                }
            } else {
                state.is_led = true;
                drop(state);
                self.lead(watermark, sync);
            }
        }
    }

    /// Runs one sync, hands the lead on, and wakes those whom the sync covers: also when the sync
    /// panics, or they would wait for ever.
    fn lead(&self, watermark: &Watermark, sync: &dyn Fn() -> Result<Seq>) {
        self.gather();
        let begun = Instant::now();
        let synced = catch_unwind(AssertUnwindSafe(sync));
        let took = begun.elapsed();
        self.timings.note(took, 1);
        tracing::trace!(target: "forelog::log", ?took, "a sync has ended");
        match &synced {
            Ok(Ok(covered)) => watermark.set_durable(*covered),
            // The sync has noted its own failure; an error before it came to that is one as well.
            Ok(Err(error)) => self.end(error.duplicate()),
            Err(_) => self.end(panicked()),
        }
        self.hand_on(watermark);
        self.wake_pending(watermark);
        if let Err(panic) = synced {
            resume_unwind(panic);
        }
    }

    /// Hands the lead on, and wakes those whom the last sync covers.
    fn hand_on(&self, watermark: &Watermark) {
        let (durable, failed) = (watermark.durable(), self.failure.get().is_some());
        let mut state = self.state();
        let waiters = std::mem::take(&mut state.waiters);
        let is_covered = |waiter: &Arc<Waiter>| failed || waiter.seq <= durable;
        let (covered, mut others): (Vec<_>, Vec<_>) = waiters.into_iter().partition(is_covered);
        let next = others.pop();
        state.waiters = others;
        state.is_led = next.is_some();
        state.woken = covered.len();
        drop(state);
        if let Some(next) = next {
            next.tell(LEAD);
        }
        for waiter in &covered {
            waiter.tell(LOOK);
        }
    }

    /// Lets those come who were woken by the last sync.
    fn gather(&self) {
        let mut seen = 0;
        loop {
            let (waiting, woken) = {
                let state = self.state();
                (state.waiters.len(), state.woken)
            };
            if waiting >= woken || waiting < seen {
                return;
            }
            seen = waiting + 1;
            thread::yield_now();
        }
    }

    /// Whether `seq` is durable, or cannot be; if neither, the task is woken once it is one of both.
    /// Somebody else has to sync.
    pub(super) fn poll(
        &self,
        watermark: &Watermark,
        seq: Seq,
        context: &Context<'_>,
    ) -> Poll<Result<()>> {
        // A waker is the user's code: it is cloned before the lock is taken, and one that is not needed
        // is dropped after it.
        let waker = context.waker().clone();
        // Looked at under the lock: whoever moves the watermark wakes the tasks afterwards.
        let mut state = self.state();
        if watermark.durable() >= seq {
            return Poll::Ready(Ok(()));
        }
        if let Some(failure) = self.failure.get() {
            return Poll::Ready(Err(failure.duplicate()));
        }
        let tasks = state.tasks.entry(seq).or_default();
        if !tasks.iter().any(|task| task.will_wake(&waker)) {
            tasks.push(waker);
        }
        Poll::Pending
    }

    /// Wakes the tasks whose Seq is durable, or all after a failure.
    pub(super) fn wake_pending(&self, watermark: &Watermark) {
        let failed = self.failure.get().is_some();
        let durable = watermark.durable();
        let woken = {
            let mut state = self.state();
            if state.tasks.is_empty() {
                return;
            }
            let later = if failed {
                Seq(u64::MAX)
            } else {
                durable.next()
            };
            let later = state.tasks.split_off(&later);
            std::mem::replace(&mut state.tasks, later)
        };
        // A waker may run anything, so it runs without the lock; and if it panics, the others must
        // still be woken, and this thread has others' work to do.
        for waker in woken.into_values().flatten() {
            if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
                tracing::error!(target: "forelog::log", "a task's waker panicked");
            }
        }
    }

    /// Notes why nothing is durable from now on, and tells all who wait.
    pub(super) fn end(&self, error: Error) {
        // Only the first failure counts; later ones follow from it.
        if self.failure.set(error).is_err() {
            return;
        }
        // A leader at work wakes all at its end; where there is none they have nobody else.
        let mut state = self.state();
        if !state.is_led {
            state.waiters.drain(..).for_each(|waiter| waiter.tell(LOOK));
        }
    }

    /// The failure that ended this log's life, if there was one.
    pub(super) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    /// How many threads wait.
    #[cfg(test)]
    pub(super) fn waiting_count(&self) -> usize {
        self.state().waiters.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What those are told whose leader has died.
fn panicked() -> Error {
    let message = "a thread panicked while it synced, so the event may or may not be on the disk; \
                   reopen the system and emit again with the same event id";
    Error::new(ErrorKind::SyncFailed, message)
}

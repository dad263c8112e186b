//! [`Commit`]: group commit. One thread syncs for all who wait.
//!
//! Whoever needs a Seq to be durable and finds no sync under way becomes the leader and syncs all
//! that is appended by then; who comes meanwhile parks, each on its own, and is woken when a sync
//! covers it, or to lead the next one. A thread alone never changes context: it syncs by itself.
//!
//! A sync that fails is final: the error goes to everybody who waits, and to all who come later.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};

use super::watermark::Watermark;
use crate::error::{Error, Result};
use crate::position::Seq;

#[derive(Debug, Default)]
pub(super) struct Commit {
    state: Mutex<State>,
    failure: OnceLock<Error>,
}

#[derive(Debug, Default)]
struct State {
    leading: bool,
    waiters: Vec<Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    seq: Seq,
    thread: Thread,
    woken: AtomicBool,
}

impl Waiter {
    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Commit {
    /// Returns once `seq` is durable. `sync` makes everything appended so far durable and returns
    /// the last Seq that it covers.
    ///
    /// # Errors
    /// [`SyncFailed`](ErrorKind::SyncFailed) if a sync failed, now or earlier.
    pub(super) fn wait(
        &self,
        watermark: &Watermark,
        seq: Seq,
        sync: &dyn Fn() -> Result<Seq>,
    ) -> Result<()> {
        let mut was_woken = false;
        let waited = loop {
            if watermark.durable() >= seq {
                break Ok(());
            }
            if let Some(failure) = self.failure.get() {
                break Err(failure.duplicate());
            }
            let mut state = self.state();
            if watermark.durable() >= seq || self.failure.get().is_some() {
                continue;
            }
            if state.leading {
                let waiter = Arc::new(Waiter {
                    seq,
                    thread: thread::current(),
                    woken: AtomicBool::new(false),
                });
                state.waiters.push(waiter.clone());
                drop(state);
                while !waiter.woken.load(Ordering::Acquire) {
                    thread::park();
                }
                was_woken = true;
            } else {
                was_woken = false;
                state.leading = true;
                drop(state);
                self.lead(watermark, sync);
            }
        };
        if was_woken {
            // It may have been woken to lead, and found that it need not: then another has to.
            self.wake(watermark, &mut self.state());
        }
        waited
    }

    /// Runs one sync and wakes those whom it covers, and one of the others to lead the next.
    fn lead(&self, watermark: &Watermark, sync: &dyn Fn() -> Result<Seq>) {
        match sync() {
            Ok(covered) => watermark.set_durable(covered),
            // The sync has noted its own failure; an error before it came to that is one as well.
            Err(error) => self.end(error),
        }
        let mut state = self.state();
        state.leading = false;
        self.wake(watermark, &mut state);
    }

    /// Wakes those who wait for nothing any more, and one of the others to lead; with a leader at
    /// work, nobody: it does so at its end.
    fn wake(&self, watermark: &Watermark, state: &mut State) {
        if state.leading {
            return;
        }
        let durable = watermark.durable();
        let failed = self.failure.get().is_some();
        let mut next_leader_found = false;
        state.waiters.retain(|waiter| {
            let covered = failed || waiter.seq <= durable;
            let wake = covered || !next_leader_found;
            next_leader_found |= wake && !covered;
            if wake {
                waiter.wake();
            }
            !wake
        });
    }

    /// Notes why nothing is durable from now on, and tells all who wait.
    pub(super) fn end(&self, error: Error) {
        // Only the first failure counts; later ones follow from it.
        if self.failure.set(error).is_err() {
            return;
        }
        // A leader at work wakes all at its end; where there is none they have nobody else.
        let mut state = self.state();
        if !state.leading {
            state.waiters.drain(..).for_each(|waiter| waiter.wake());
        }
    }

    /// The failure that ended this log's life, if there was one.
    pub(super) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! [`Signal`]: how appends and rotations wake the housekeeping thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Signal {
    /// Whether the keeper sleeps without a near deadline, so that an append has to wake it.
    idle: AtomicBool,
    state: Mutex<State>,
    woken: Condvar,
    /// Within how many nanoseconds the sync was asked for that is to come; 0: none is to come.
    asked_within: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    awake: bool,
    /// By when a sync has to start.
    sync_by: Option<Instant>,
}

/// When the next round of housekeeping is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// After this time.
    After(Duration),
    /// When something is appended; at the latest after this time, if there is one.
    WhenWoken(Option<Duration>),
}

impl Signal {
    /// Asks for a sync that starts within this time, after an append: one load while a sync is to come
    /// that was asked for no later, and to start no later.
    pub(super) fn sync_within(&self, within: Duration) {
        let nanos = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        // Either this sees that the sync was begun (see `take_due_sync`), or the sync covers the event:
        // the exchange that published it is the fence on this side.
        if (1..=nanos).contains(&self.asked_within.load(Ordering::SeqCst)) {
            return;
        }
        // An interval beyond the clock's range never comes due.
        let Some(by) = Instant::now().checked_add(within) else {
            return;
        };
        let mut state = self.lock();
        if state.sync_by.is_none_or(|earlier| by < earlier) {
            state.sync_by = Some(by);
            self.asked_within.store(nanos, Ordering::SeqCst);
            state.awake = true;
            drop(state);
            self.woken.notify_one();
        }
    }

    /// To be called after an append; a load of one flag while the keeper is awake.
    pub(super) fn wake_if_idle(&self) {
        if self.idle.load(Ordering::SeqCst) && self.idle.swap(false, Ordering::AcqRel) {
            self.lock().awake = true;
            self.woken.notify_one();
        }
    }

    /// Has the thread do a round at once.
    pub(super) fn wake(&self) {
        self.lock().awake = true;
        self.woken.notify_one();
    }

    /// Ends the thread's loop.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.woken.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits to be woken, or for the time to come, or for a sync that is due; says whether to stop. Where
    /// appends wake it, it does not wait if `moved` says that there was one since the last round.
    pub(super) fn wait(&self, again: Again, moved: impl Fn() -> bool) -> bool {
        let (timeout, is_quiet) = match again {
            Again::After(time) => (Some(time), false),
            Again::WhenWoken(time) => (time, true),
        };
        let mut state = self.lock();
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let is_idle = is_quiet && state.sync_by.is_none();
        self.idle.store(is_idle, Ordering::Release);
        // Either the appender sees that the thread is idle, or the thread sees what was appended.
        fence(Ordering::SeqCst);
        state.awake |= is_quiet && moved();
        while !state.stop && !state.awake {
            let deadline = [until, state.sync_by].into_iter().flatten().min();
            let Some(deadline) = deadline else {
                state = self
                    .woken
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .woken
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.awake = false;
        self.idle.store(false, Ordering::Release);
        state.stop
    }

    /// Whether a sync is due now; it is then no longer asked for.
    pub(super) fn take_due_sync(&self) -> bool {
        let mut state = self.lock();
        let due = state.sync_by.is_some_and(|by| by <= Instant::now());
        if due {
            state.sync_by = None;
            self.asked_within.store(0, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        due
    }
}

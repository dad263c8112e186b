//! [`Keeper`]: the housekeeping thread of a log.
//!
//! It seals and syncs full segments, prepares the next one, syncs by interval, writes idle marks and
//! applies retention. With nothing to do it sleeps until an append wakes it: a quiet log costs
//! nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::storage::Prepare;

/// How long the keeper waits before it tries again what failed, such as preparing on a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Keeper {
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Signal {
    /// Whether the keeper sleeps without a deadline, so that an append has to wake it.
    idle: AtomicBool,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    awake: bool,
    /// By when a sync has to start.
    sync_by: Option<Instant>,
}

impl Keeper {
    /// Starts the thread, unless the log does its own housekeeping.
    pub(super) fn start(shared: Arc<Shared>) -> Keeper {
        let signal = Arc::new(Signal::default());
        signal.lock().awake = true;
        let mut thread = None;
        if shared.config.background {
            let (shared, signal) = (shared.clone(), signal.clone());
            let builder = std::thread::Builder::new().name("forelog-keeper".to_owned());
            // Without the thread the log still works: `append` prepares and settles by itself.
            thread = builder.spawn(move || run(&shared, &signal)).ok();
        }
        Keeper {
            signal,
            thread: Mutex::new(thread),
        }
    }

    /// Asks for a sync that starts within this time.
    pub(super) fn sync_within(&self, within: Duration) {
        let mut state = self.signal.lock();
        let by = Instant::now() + within;
        if state.sync_by.is_none_or(|earlier| by < earlier) {
            state.sync_by = Some(by);
            state.awake = true;
            drop(state);
            self.signal.woken.notify_one();
        }
    }

    /// To be called after an append; a load of one flag while the keeper is awake.
    pub(super) fn wake_if_idle(&self) {
        if self.signal.idle.load(Ordering::Relaxed)
            && self.signal.idle.swap(false, Ordering::AcqRel)
        {
            self.signal.lock().awake = true;
            self.signal.woken.notify_one();
        }
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        self.signal.lock().stop = true;
        self.signal.woken.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(target: "forelog::log", "the housekeeping thread panicked");
        }
    }
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits to be woken, at most for `timeout`, or for a sync that is due; says whether to stop.
    fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut state = self.lock();
        let until = timeout.map(|timeout| Instant::now() + timeout);
        self.idle.store(
            until.is_none() && state.sync_by.is_none(),
            Ordering::Release,
        );
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
    fn take_due_sync(&self) -> bool {
        let mut state = self.lock();
        let due = state.sync_by.is_some_and(|by| by <= Instant::now());
        if due {
            state.sync_by = None;
        }
        due
    }
}

fn run(shared: &Shared, signal: &Signal) {
    let mut seen = shared.watermark.appended();
    loop {
        let now_at = shared.watermark.appended();
        let quiet = now_at == seen;
        seen = now_at;
        let again = match keep(shared, signal, quiet) {
            Ok(again) => again,
            Err(error) => {
                tracing::warn!(target: "forelog::log", %error, "housekeeping failed");
                Some(RETRY_AFTER)
            }
        };
        if signal.wait(again) {
            return;
        }
    }
}

/// One round; returns when the next one is wanted without being woken.
fn keep(shared: &Shared, signal: &Signal, quiet: bool) -> crate::error::Result<Option<Duration>> {
    shared.settle()?;
    shared.prepare_next(Prepare::Write)?;
    shared.retain()?;
    if signal.take_due_sync() {
        shared.wait_durable(shared.watermark.appended())?;
    }
    if !quiet {
        return Ok(Some(shared.config.mark_after));
    }
    shared.mark_if_idle()?;
    Ok(None)
}

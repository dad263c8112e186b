//! [`Signal`]: where a worker waits for what others ask of it.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// A place to wait for a condition that other threads make true.
#[derive(Debug, Default)]
pub(super) struct Signal {
    waiters: AtomicUsize,
    lock: Mutex<()>,
    raised: Condvar,
}

impl Signal {
    /// To be called after the condition was made true.
    pub(super) fn notify(&self) {
        // Pairs with the fence in `wait_until`: either this sees the waiter, or the waiter sees what
        // was stored before.
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::Relaxed) > 0 {
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.raised.notify_all();
        }
    }

    /// Waits until `ready` holds or the deadline has passed; says whether `ready` held.
    pub(super) fn wait_until(&self, deadline: Option<Instant>, ready: impl Fn() -> bool) -> bool {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let held = loop {
            if ready() {
                break true;
            }
            let Some(deadline) = deadline else {
                let waited = self.raised.wait(guard);
                guard = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break false;
            }
            let waited = self.raised.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(guard);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        held
    }
}

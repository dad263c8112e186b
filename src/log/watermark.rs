//! [`Watermark`]: how far the log is appended and durable. The only signal that goes upward.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::position::Seq;

/// No Seq is as high.
const NOBODY: u64 = u64::MAX;

/// Two numbers that only grow, and that followers wait on.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    appended: AtomicU64,
    durable: AtomicU64,
    closed: AtomicBool,
    waiters: AtomicUsize,
    /// The lowest appended Seq that a waiter wants to hear of; a wake-up costs as much as hundreds of
    /// appends, so that a follower who works in batches must not be woken for each event.
    wanted: AtomicU64,
    lock: Mutex<()>,
    moved: Condvar,
}

impl Watermark {
    pub(crate) fn new(appended: Seq, durable: Seq) -> Self {
        Watermark {
            appended: AtomicU64::new(appended.0),
            durable: AtomicU64::new(durable.0),
            wanted: AtomicU64::new(NOBODY),
            ..Watermark::default()
        }
    }

    /// The last Seq that readers may see.
    pub(crate) fn appended(&self) -> Seq {
        Seq(self.appended.load(Ordering::Acquire))
    }

    /// The last Seq that a power cut cannot take back.
    pub(crate) fn durable(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    /// Whether the log is closed or poisoned, so that neither number will move again.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Notes that all up to `seq` is published; for the one thread whose turn it is.
    pub(super) fn set_appended(&self, seq: Seq) {
        self.appended.store(seq.0, Ordering::Release);
    }

    /// Wakes those who wait for an appended Seq that has been reached, `seq` being one that was.
    pub(super) fn wake_followers(&self, seq: Seq) {
        // As in `notify`, for those who wait for this number.
        fence(Ordering::SeqCst);
        if seq.0 >= self.wanted.load(Ordering::Relaxed) {
            self.wake_all();
        }
    }

    pub(super) fn set_durable(&self, seq: Seq) {
        self.durable.fetch_max(seq.0, Ordering::AcqRel);
        self.notify();
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.notify();
    }

    /// Wakes all waiters, also when no number has moved: a follower whose own conditions (pause,
    /// stop) have changed calls this.
    pub(crate) fn notify(&self) {
        // Pairs with the fence in `wait_until`: either this sees the waiter, or the waiter sees the
        // number that was stored before.
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::Relaxed) > 0 {
            self.wake_all();
        }
    }

    /// Wakes all; those who wait on say again what they want to hear of.
    fn wake_all(&self) {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.store(NOBODY, Ordering::Relaxed);
        drop(guard);
        self.moved.notify_all();
    }

    /// Waits until `ready` holds, the log is closed, or the deadline has passed; says whether
    /// `ready` held.
    pub(crate) fn wait_until(
        &self,
        deadline: Option<Instant>,
        ready: impl FnMut(&Self) -> bool,
    ) -> bool {
        self.wait_appended(Seq::ZERO, deadline, ready)
    }

    /// As [`Watermark::wait_until`], but appends wake the waiter only from `seq` on: `ready` must not
    /// depend on an earlier one.
    pub(crate) fn wait_appended(
        &self,
        seq: Seq,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&Self) -> bool,
    ) -> bool {
        if ready(self) {
            return true;
        }
        self.waiters.fetch_add(1, Ordering::Relaxed);
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let held = loop {
            self.wanted.fetch_min(seq.0, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if ready(self) {
                break true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if self.is_closed() || left.is_some_and(|left| left.is_zero()) {
                break false;
            }
            guard = match left {
                None => self
                    .moved
                    .wait(guard)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.moved
                        .wait_timeout(guard, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        };
        drop(guard);
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        held
    }
}

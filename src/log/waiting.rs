//! [`Waiting`]: those who wait until a number has grown far enough, each parked and woken alone.
//!
//! 1. A waiter puts itself on the list, so that `wanted` is at most its number; then it looks whether
//!    the number is there already; then it parks.
//! 2. Whoever moves the number stores it, and then looks at `wanted`.
//!
//! With a full fence between the two steps of each, either the mover finds the waiter, or the waiter
//! finds the number: no wake-up is lost. While nobody wants to hear of it, a move costs one load of
//! a word that nobody writes. An unpark that comes late makes the next park return at once, which is
//! why a waiter looks again each time.

use std::sync::PoisonError;

use crate::position::Seq;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, MutexGuard};

/// No Seq is as high.
const NOBODY: u64 = u64::MAX;

/// The threads that wait for one number.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The lowest number that somebody waits for.
    wanted: AtomicU64,
    waiters: Mutex<Vec<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    wanted: u64,
    thread: Thread,
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting {
            wanted: AtomicU64::new(NOBODY),
            waiters: Mutex::default(),
        }
    }
}

impl Waiting {
    /// Puts this thread on the list, once: it is unparked, and taken off, when the number reaches
    /// `seq`. A fence, and a look at the number, must follow before it parks.
    pub(super) fn enlist(&self, seq: Seq) {
        let thread = thread::current();
        let mut waiters = self.waiters();
        waiters.retain(|waiter| waiter.thread.id() != thread.id());
        let wanted = seq.0;
        waiters.push(Waiter { wanted, thread });
        self.set_wanted(&waiters);
    }

    /// Takes this thread off the list, if it is still there.
    pub(super) fn delist(&self) {
        let here = thread::current().id();
        let mut waiters = self.waiters();
        waiters.retain(|waiter| waiter.thread.id() != here);
        self.set_wanted(&waiters);
    }

    /// Wakes those who wait for `seq` or less. The number must have been stored by a sequentially
    /// consistent exchange, or a fence stand between its store and this.
    #[inline]
    pub(super) fn reached(&self, seq: Seq) {
        if seq.0 >= self.wanted.load(Ordering::SeqCst) {
            self.wake(seq.0);
        }
    }

    /// Wakes all, so that they look again.
    pub(super) fn wake_all(&self) {
        self.wake(NOBODY);
    }

    #[cold]
    fn wake(&self, seq: u64) {
        let mut waiters = self.waiters();
        let reached = waiters.extract_if(.., |waiter| waiter.wanted <= seq);
        let reached: Vec<Waiter> = reached.collect();
        self.set_wanted(&waiters);
        // Whoever wakes takes this lock next.
        drop(waiters);
        for waiter in reached {
            waiter.thread.unpark();
        }
    }

    fn set_wanted(&self, waiters: &[Waiter]) {
        let lowest = waiters.iter().map(|waiter| waiter.wanted).min();
        self.wanted
            .store(lowest.unwrap_or(NOBODY), Ordering::Relaxed);
    }

    fn waiters(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn wanted(waiting: &Waiting) -> u64 {
        waiting.wanted.load(Ordering::SeqCst)
    }

    /// Whether this thread was unparked since the last time.
    fn was_woken() -> bool {
        let began = Instant::now();
        thread::park_timeout(Duration::from_secs(30));
        began.elapsed() < Duration::from_secs(30)
    }

    #[test]
    fn a_waiter_is_woken_once_what_it_wants_is_reached_and_not_before() {
        let waiting = Waiting::default();
        waiting.reached(Seq(7));
        waiting.enlist(Seq(5));
        waiting.reached(Seq(4));
        assert_eq!(wanted(&waiting), 5);
        waiting.reached(Seq(6));
        assert_eq!(wanted(&waiting), NOBODY);
        assert!(was_woken());
    }

    #[test]
    fn a_thread_stands_on_the_list_once_and_can_leave_it() {
        let waiting = Waiting::default();
        waiting.enlist(Seq(5));
        waiting.enlist(Seq(9));
        assert_eq!(wanted(&waiting), 9);
        waiting.delist();
        assert_eq!(wanted(&waiting), NOBODY);
        waiting.delist();
        waiting.enlist(Seq(9));
        waiting.wake_all();
        assert_eq!(wanted(&waiting), NOBODY);
        assert!(was_woken());
    }

    #[test]
    fn others_wait_on() {
        let waiting = Waiting::default();
        thread::scope(|scope| {
            let early = scope.spawn(|| {
                waiting.enlist(Seq(3));
                was_woken()
            });
            waiting.enlist(Seq(8));
            while wanted(&waiting) != 3 {
                thread::yield_now();
            }
            waiting.reached(Seq(3));
            assert!(early.join().unwrap());
            assert_eq!(wanted(&waiting), 8);
        });
        waiting.delist();
    }
}

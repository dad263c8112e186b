//! [`Patience`]: whether it pays to look for more events for a while before giving up the processor.
//!
//! Being woken takes tens of microseconds, and whoever wakes pays a system call. So a worker that had
//! to wait only shortly looks for a while the next time. One that had to wait long parks at once: with
//! nothing to do, or with an event now and then, no processor time is spent.

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

/// How long a worker looks before it parks.
const LOOK_FOR: Duration = Duration::from_micros(30);
/// After a longer wait than this the next one is expected to be long as well.
const SHORT: Duration = Duration::from_micros(60);
/// How many pauses lie between two looks: each look takes a cache line from the emitter, and what
/// comes in meanwhile is handled in one run.
const PAUSES: u32 = 32;
/// After how many looks the processor is offered to others, the emitter perhaps.
const LOOKS: u32 = 16;

/// What a worker has learned from its last wait.
#[derive(Debug, Default)]
pub(super) struct Patience {
    was_short: bool,
}

impl Patience {
    /// Looks for a while whether `ready` holds, if that is worth it; says whether it held.
    pub(super) fn look_for(&self, ready: impl Fn() -> bool) -> bool {
        if !self.was_short {
            return ready();
        }
        let began = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if ready() {
                    return true;
                }
                (0..PAUSES).for_each(|_| hint::spin_loop());
            }
            if began.elapsed() >= LOOK_FOR {
                return ready();
            }
            thread::yield_now();
        }
    }

    /// Notes how long the wait was in all.
    pub(super) fn learn(&mut self, waited: Duration) {
        self.was_short = waited <= SHORT;
    }
}

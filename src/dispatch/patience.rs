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
/// How many lie between them in a stream, some ten microseconds: fewer and longer runs, and the emitter is
/// disturbed less.
const PAUSES_IN_STREAM: u32 = 256;
/// As many events in one run make a stream.
const STREAM: u64 = 3;
/// After how many pauses the processor is offered to others, the emitter perhaps.
const PAUSES_MAX: u32 = 512;

/// What a worker has learned from its last run and its last wait.
#[derive(Debug, Default)]
pub(super) struct Patience {
    was_short: bool,
    is_stream: bool,
}

impl Patience {
    /// Looks for a while whether `ready` holds, if that is worth it; says whether it held.
    pub(super) fn look_for(&self, ready: impl Fn() -> bool) -> bool {
        if !self.was_short {
            return ready();
        }
        let began = Instant::now();
        let pauses = if self.is_stream {
            PAUSES_IN_STREAM
        } else {
            PAUSES
        };
        loop {
            for _ in 0..PAUSES_MAX / pauses {
                if ready() {
                    return true;
                }
                (0..pauses).for_each(|_| hint::spin_loop());
            }
            if began.elapsed() >= LOOK_FOR {
                return ready();
            }
            thread::yield_now();
        }
    }

    /// Notes how many events were handled before a wait.
    pub(super) fn note_run(&mut self, events: u64) {
        self.is_stream = events >= STREAM;
    }

    /// Notes how long the wait was in all.
    pub(super) fn note_wait(&mut self, waited: Duration) {
        self.was_short = waited <= SHORT;
    }
}

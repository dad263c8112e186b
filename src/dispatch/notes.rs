//! [`Notes`]: what a worker says of itself, beside its place.

use std::time::Instant;

use super::phase::Phase;
use super::status::{Status, StopReason};
use crate::clock::Timestamp;
use crate::position::Seq;

#[derive(Debug)]
pub(super) struct Notes {
    pub(super) status: Status,
    pub(super) phase: Phase,
    pub(super) attempts: u32,
    pub(super) failed: u64,
    pub(super) given_up: u64,
    pub(super) skipped: u64,
    pub(super) expired: u64,
    /// How many events are taken up and not handled.
    pub(super) open: u64,
    pub(super) last_error: Option<String>,
    pub(super) stopped: Option<StopReason>,
    pub(super) paused: Option<String>,
    /// The delivery that was handed on longest ago and is not back, and since when.
    pub(super) handed_on: Option<(Seq, Timestamp)>,
    pub(super) stalled: Option<Seq>,
    /// When the rate was last reckoned, how many were delivered by then, and what it was.
    pub(super) rate: (Instant, u64, f64),
}

impl Default for Notes {
    fn default() -> Self {
        Notes {
            status: Status::Waiting,
            phase: Phase::CatchUp,
            attempts: 0,
            failed: 0,
            given_up: 0,
            skipped: 0,
            expired: 0,
            open: 0,
            last_error: None,
            stopped: None,
            paused: None,
            handed_on: None,
            stalled: None,
            rate: (Instant::now(), 0, 0.0),
        }
    }
}

impl Notes {
    /// How many deliveries per second there were since the last time; over less than a second nothing
    /// is said anew.
    pub(super) fn reckon_rate(&mut self, delivered: u64) -> f64 {
        let (at, before, rate) = self.rate;
        let seconds = at.elapsed().as_secs_f64();
        if seconds < 1.0 && rate > 0.0 {
            return rate;
        }
        let count = u32::try_from(delivered.saturating_sub(before)).unwrap_or(u32::MAX);
        let rate = f64::from(count) / seconds.max(1e-3);
        if seconds >= 1.0 {
            self.rate = (Instant::now(), delivered, rate);
        }
        rate
    }
}

//! [`Notes`]: what a worker says of itself, beside its place.

use std::collections::BTreeMap;
use std::time::Instant;

use super::phase::Phase;
use super::status::{Status, StopReason};
use crate::clock::Timestamp;
use crate::position::Seq;

/// How many event types are told apart where failures are counted, and where all others are.
const TYPES_MAX: usize = 100;
const OTHER_TYPES: &str = "…";

#[derive(Debug)]
pub(super) struct Notes {
    pub(super) status: Status,
    pub(super) phase: Phase,
    pub(super) attempts: u32,
    pub(super) failed: u64,
    pub(super) failed_by_type: BTreeMap<String, u64>,
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
            failed_by_type: BTreeMap::new(),
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
    /// Counts a failed attempt at an event of this type.
    pub(super) fn count_failed(&mut self, event_type: &str) {
        self.failed += 1;
        let is_told = self.failed_by_type.len() < TYPES_MAX;
        let is_known = is_told || self.failed_by_type.contains_key(event_type);
        let name = if is_known { event_type } else { OTHER_TYPES };
        *self.failed_by_type.entry(name.to_owned()).or_default() += 1;
    }

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

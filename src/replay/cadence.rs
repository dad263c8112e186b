//! [`Cadence`]: how often a projection is saved by itself, and how many snapshots it keeps.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// How many snapshots are kept unless told otherwise.
const KEEP: usize = 3;

#[derive(Debug)]
pub(super) struct Cadence {
    pub(super) events: Option<u64>,
    pub(super) time: Option<Duration>,
    pub(super) keep: usize,
    clock: Arc<dyn Clock>,
    /// When the state was last saved or loaded.
    saved_at: Timestamp,
}

impl Cadence {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Cadence {
            events: None,
            time: None,
            keep: KEEP,
            saved_at: clock.now(),
            clock,
        }
    }

    /// Whether a state is to be saved that has gone on by so many events since it was.
    pub(super) fn is_due(&self, events: u64) -> bool {
        let by_events = self.events.is_some_and(|every| events >= every);
        let by_time = |every| self.clock.now().since(self.saved_at) >= every;
        events > 0 && (by_events || self.time.is_some_and(by_time))
    }

    /// Whether states are saved at all without being asked to.
    pub(super) fn is_set(&self) -> bool {
        self.events.is_some() || self.time.is_some()
    }

    pub(super) fn saved(&mut self) {
        self.saved_at = self.clock.now();
    }
}

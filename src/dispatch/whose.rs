//! Whose queue it is, which of its handlers runs, and what it has refused.

use std::sync::atomic::Ordering;

use super::inside::Inside;
use super::queue::Queue;

impl Queue {
    /// How many emits were refused because it was full.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Tells the queues of a process apart.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Notes that this thread runs this handler of this queue's system.
    pub(super) fn enter(&self, handler_id: u64) -> Inside {
        Inside::of(self.id, handler_id)
    }

    /// The registration whose handler this thread runs, if it is one of this queue's system.
    pub(super) fn inside(&self) -> Option<u64> {
        Inside::handler_of(self.id)
    }

    /// Whether this thread runs a handler of this queue's system.
    pub(crate) fn is_inside(&self) -> bool {
        self.inside().is_some()
    }
}

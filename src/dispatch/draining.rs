//! [`Draining`]: whose handlers are inside a drain.
//!
//! Two handlers that drain at the same time would wait for each other for ever: neither event is handled
//! before its handler returns. So a handler that drains waits for no other that does. Whoever drains from
//! outside waits for both, for their drains end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The registrations whose handlers drain, of the durable events and the volatile ones of a system.
#[derive(Debug, Clone, Default)]
pub(super) struct Draining(Arc<Mutex<BTreeMap<u64, usize>>>);

/// While it lives, a handler of this registration drains.
#[derive(Debug)]
pub(super) struct Drains<'d> {
    all: &'d Draining,
    id: u64,
}

impl Draining {
    /// A handler of this registration drains from now on; several threads of it may.
    pub(super) fn enter(&self, id: u64) -> Drains<'_> {
        *self.counts().entry(id).or_default() += 1;
        Drains { all: self, id }
    }

    /// The registrations whose handlers drain now.
    pub(super) fn all(&self) -> BTreeSet<u64> {
        self.counts().keys().copied().collect()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Drains<'_> {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if let Some(count) = counts.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.id);
            }
        }
    }
}

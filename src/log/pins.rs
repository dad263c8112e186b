//! [`Pins`]: upper layers register the Seqs that they still need, so that retention spares them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::position::Seq;

/// The registered pins of a log, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins(Arc<Mutex<BTreeMap<String, Seq>>>);

impl Pins {
    /// Asks to keep all events from `seq` on under this name, in place of what it asked before.
    pub(crate) fn set(&self, name: &str, seq: Seq) {
        let mut pins = self.lock();
        match pins.get_mut(name) {
            Some(pinned) => *pinned = seq,
            None => drop(pins.insert(name.to_owned(), seq)),
        }
    }

    /// Asks to keep everything under this name, if it asks for nothing yet; says whether it did not.
    pub(crate) fn hold(&self, name: &str) -> bool {
        let mut pins = self.lock();
        let is_new = !pins.contains_key(name);
        if is_new {
            pins.insert(name.to_owned(), Seq::FIRST);
        }
        is_new
    }

    /// Gives the name's pin up.
    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The lowest Seq that somebody needs, and who; `None` without pins.
    pub(crate) fn lowest(&self) -> Option<(String, Seq)> {
        let pins = self.lock();
        let lowest = pins.iter().min_by_key(|(_, seq)| **seq);
        lowest.map(|(name, seq)| (name.clone(), *seq))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Seq>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

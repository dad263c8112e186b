//! [`Recent`]: what was lately found in the store below, until that changes.
//!
//! Those who ask for the newest events of one name soon ask for those of another, whose lists stand in
//! the same records. sled has them in its cache too, but copies a whole node for the last key of a range.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::memory;
use super::store::Pair;

/// How many bytes are kept, values and keys.
const BYTES_MAX: usize = 512 << 10;

/// Records by their keys, as they stand in the store below.
#[derive(Debug, Default)]
pub(super) struct Recent {
    found: RwLock<Found>,
    changes: AtomicU64,
}

#[derive(Debug, Default)]
struct Found {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Recent {
    /// How often the store has changed: for whoever reads from it what is to be kept.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Keeps a record that was read after the store had changed this often.
    ///
    /// If it has changed since, the record may be an old one, and is not kept. What is full begins anew:
    /// an order of use would cost each look-up more than that.
    pub(super) fn keep(&self, (key, value): &Pair, changes: u64) {
        let len = key.len() + value.len();
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        if changes != self.changes() || len > BYTES_MAX || found.records.contains_key(key) {
            return;
        }
        if found.bytes + len > BYTES_MAX {
            *found = Found::default();
        }
        found.bytes += len;
        found.records.insert(key.clone(), value.clone());
    }

    /// The last record of a range, of those that are kept.
    pub(super) fn last_in(&self, from: &[u8], to: &[u8]) -> Option<Pair> {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        let last = memory::range(&found.records, from, to).next_back();
        last.map(|(key, value)| (key.clone(), value.clone()))
    }

    /// Forgets all, since the store has changed.
    pub(super) fn forget(&self) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::Release);
        *found = Found::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: u8, len: usize) -> Pair {
        (vec![key], vec![key; len])
    }

    #[test]
    fn the_last_of_a_range_is_found_until_the_store_changes() {
        let recent = Recent::default();
        for key in [3, 7, 5] {
            recent.keep(&pair(key, 9), recent.changes());
        }
        assert_eq!(recent.last_in(&[3], &[7]), Some(pair(5, 9)));
        assert_eq!(recent.last_in(&[3], &[8]), Some(pair(7, 9)));
        assert_eq!(recent.last_in(&[4], &[5]), None);
        recent.forget();
        assert_eq!(recent.last_in(&[0], &[9]), None);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_behind_it() {
        let recent = Recent::default();
        let before = recent.changes();
        recent.forget();
        recent.keep(&pair(1, 9), before);
        assert_eq!(recent.last_in(&[0], &[9]), None);
        recent.keep(&pair(1, 9), recent.changes());
        assert_eq!(recent.last_in(&[0], &[9]), Some(pair(1, 9)));
    }

    #[test]
    fn it_takes_so_much_memory_and_no_more() {
        let recent = Recent::default();
        let len = BYTES_MAX / 10;
        for key in 0..100 {
            recent.keep(&pair(key, len), recent.changes());
            assert_eq!(recent.last_in(&[0], &[100]), Some(pair(key, len)));
            // What is there already is not counted again.
            recent.keep(&pair(key, len), recent.changes());
            let found = recent.found.read().unwrap();
            let held = found.records.iter();
            let bytes: usize = held.map(|(key, value)| key.len() + value.len()).sum();
            assert_eq!(bytes, found.bytes);
            assert!(bytes <= BYTES_MAX);
        }
        recent.keep(&pair(200, BYTES_MAX), recent.changes());
        assert_eq!(recent.last_in(&[200], &[201]), None, "too large to keep");
    }
}

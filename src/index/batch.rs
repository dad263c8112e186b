//! Putting and removing many records, in batches of a size that sled bears.

use super::store::{Pair, Store};
use crate::error::Result;

/// How many keys a batch has at most: sled takes far more memory for larger ones.
const KEYS_MAX: usize = 100;

/// Puts records in order.
pub(super) fn put(store: &dyn Store, records: &[Pair]) -> Result<()> {
    records
        .chunks(KEYS_MAX)
        .try_for_each(|batch| store.apply(batch, &[]))
}

/// Removes all keys with `from <= key < to`, a batch at a time.
pub(super) fn remove(store: &dyn Store, from: &[u8], to: &[u8]) -> Result<()> {
    loop {
        let mut keys = Vec::new();
        store.scan(from, to, &mut |key, _| {
            keys.push(key.to_vec());
            keys.len() < KEYS_MAX
        })?;
        if keys.is_empty() {
            return Ok(());
        }
        store.apply(&[], &keys)?;
    }
}

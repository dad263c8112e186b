//! [`MemoryStore`]: the store of a system without persistence, and of one whose disk refuses.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::sync::{PoisonError, RwLock};

use super::store::{Pair, Store};
use crate::error::Result;

type Bytes = Box<[u8]>;

/// A store in memory.
#[derive(Debug, Default)]
pub(super) struct MemoryStore(RwLock<BTreeMap<Bytes, Bytes>>);

/// The pairs with `from <= key < to`. The map itself panics at a range that ends before it begins.
pub(super) fn range<'m, K: Borrow<[u8]> + Ord, V>(
    map: &'m BTreeMap<K, V>,
    from: &[u8],
    to: &[u8],
) -> impl DoubleEndedIterator<Item = (&'m K, &'m V)> {
    let bounds = (Included(from), Excluded(to));
    let found = (from < to).then(|| map.range::<[u8], _>(bounds));
    found.into_iter().flatten()
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(map.get(key).map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in range(&map, from, to) {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn last_in(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(range(&map, from, to)
            .next_back()
            .map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    fn apply(&self, puts: &[Pair], removals: &[Vec<u8>]) -> Result<()> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in puts {
            map.insert(key.as_slice().into(), value.as_slice().into());
        }
        for key in removals {
            map.remove(key.as_slice());
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn size(&self) -> Result<u64> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let bytes = map.iter().map(|(key, value)| key.len() + value.len());
        Ok(bytes.sum::<usize>() as u64)
    }
}

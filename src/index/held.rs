//! [`Held`]: a store that keeps what is put for a while, and hands it on many records at a time.
//!
//! Each batch that sled is given is written and waited for on its own, and wakes all of its threads. A
//! window is a handful of records, so under load that came to more than all else that indexing costs;
//! many windows together are one batch. What is held is lost with the process, and read from the log
//! again: the position that says how much is indexed is handed on behind the records that it counts.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::batch;
use super::memory;
use super::recent::Recent;
use super::store::{Pair, Store};
use crate::error::Result;

/// How many records are held, and how many bytes of them: as many as sled bears in one batch.
const RECORDS_MAX: usize = 96;
const BYTES_MAX: usize = 128 << 10;

/// A store whose newest records are in memory.
#[derive(Debug)]
pub(super) struct Held {
    store: Arc<dyn Store>,
    recent: Recent,
    newest: RwLock<Newest>,
}

/// Records by their keys, each with the number of the put that it is of.
#[derive(Debug, Default)]
struct Newest {
    records: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    bytes: usize,
    puts: u64,
}

impl Newest {
    fn put(&mut self, (key, value): &Pair) {
        self.puts = self.puts.saturating_add(1);
        self.bytes = self.bytes.saturating_add(key.len() + value.len());
        let before = self.records.insert(key.clone(), (self.puts, value.clone()));
        if let Some((_, before)) = before {
            self.bytes = self.bytes.saturating_sub(key.len() + before.len());
        }
    }

    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX || self.bytes >= BYTES_MAX
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl DoubleEndedIterator<Item = Pair> {
        let held = memory::range(&self.records, from, to);
        held.map(|(key, (_, value))| (key.clone(), value.clone()))
    }

    /// All records, in the order in which they were put.
    fn in_order(&self) -> Vec<Pair> {
        let mut records: Vec<_> = self.records.iter().collect();
        records.sort_unstable_by_key(|(_, (put, _))| *put);
        let pairs = records.into_iter();
        pairs
            .map(|(key, (_, value))| (key.clone(), value.clone()))
            .collect()
    }
}

/// Of two with one key, the one that is held: it is the newer.
fn later(held: Option<Pair>, below: Option<Pair>) -> Option<Pair> {
    match (held, below) {
        (Some(held), Some(below)) if below.0 > held.0 => Some(below),
        (held, below) => held.or(below),
    }
}

impl Held {
    pub(super) fn over(store: Arc<dyn Store>) -> Held {
        Held {
            store,
            recent: Recent::default(),
            newest: RwLock::default(),
        }
    }

    /// Hands on all that is held. It is looked up here until it can be found there.
    fn hand_on(&self) -> Result<()> {
        let records = self.read().in_order();
        let put = batch::put(self.store.as_ref(), &records);
        self.recent.forget();
        put?;
        *self.write() = Newest::default();
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Newest> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Newest> {
        self.newest.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Held {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let held = self.read().records.get(key).map(|(_, value)| value.clone());
        match held {
            Some(value) => Ok(Some(value)),
            None => self.store.get(key),
        }
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let held: Vec<Pair> = self.read().range(from, to).collect();
        let mut held = held.iter().peekable();
        let mut wants_more = true;
        self.store.scan(from, to, &mut |key, value| {
            while let Some((own, own_value)) = held.next_if(|(own, _)| own.as_slice() < key) {
                wants_more = visit(own, own_value);
                if !wants_more {
                    return false;
                }
            }
            let newer = held.next_if(|(own, _)| own.as_slice() == key);
            wants_more = visit(key, newer.map_or(value, |(_, newer)| newer));
            wants_more
        })?;
        for (key, value) in held {
            if !wants_more {
                break;
            }
            wants_more = visit(key, value);
        }
        Ok(())
    }

    fn last_in(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        let held = self.read().range(from, to).next_back();
        let changes = self.recent.changes();
        let below = self.store.last_in(from, to)?;
        if let Some(below) = &below {
            self.recent.keep(below, changes);
        }
        Ok(later(held, below))
    }

    fn last_at_hand(&self, from: &[u8], to: &[u8]) -> Option<Pair> {
        let held = self.read().range(from, to).next_back();
        later(held, self.recent.last_in(from, to))
    }

    /// Only one thread changes a store, the follower.
    fn apply(&self, puts: &[Pair], removals: &[Vec<u8>]) -> Result<()> {
        let is_full = {
            let mut newest = self.write();
            for pair in puts {
                newest.put(pair);
            }
            newest.is_full()
        };
        if is_full || !removals.is_empty() {
            self.hand_on()?;
        }
        if removals.is_empty() {
            return Ok(());
        }
        let removed = self.store.apply(&[], removals);
        self.recent.forget();
        removed
    }

    fn flush(&self) -> Result<()> {
        self.hand_on()?;
        self.store.flush()
    }

    #[cfg(test)]
    fn size(&self) -> Result<u64> {
        self.store.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::memory::MemoryStore;

    fn pair(key: u8, value: u8) -> Pair {
        (vec![key], vec![value])
    }

    fn all(store: &dyn Store, from: u8, to: u8) -> Vec<Pair> {
        let mut found = Vec::new();
        let visit = &mut |key: &[u8], value: &[u8]| {
            found.push((key.to_vec(), value.to_vec()));
            true
        };
        store.scan(&[from], &[to], visit).unwrap();
        found
    }

    /// A store below with the even keys, and one over it that holds the odd ones and a newer 4.
    fn both() -> (Arc<MemoryStore>, Held) {
        let below = Arc::new(MemoryStore::default());
        let pairs: Vec<Pair> = (0..10).step_by(2).map(|key| pair(key, 0)).collect();
        below.apply(&pairs, &[]).unwrap();
        let held = Held::over(below.clone());
        let pairs: Vec<Pair> = (1..10).step_by(2).map(|key| pair(key, 1)).collect();
        held.apply(&pairs, &[]).unwrap();
        held.apply(&[pair(4, 1)], &[]).unwrap();
        (below, held)
    }

    #[test]
    fn what_is_held_and_what_is_below_are_read_as_one() {
        let (below, held) = both();
        assert_eq!(all(below.as_ref(), 0, 10).len(), 5);
        let found = all(&held, 0, 10);
        let expected: Vec<Pair> = (0..10)
            .map(|key| pair(key, u8::from(key % 2 == 1 || key == 4)))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(all(&held, 3, 6), expected[3..6]);
        assert_eq!(all(&held, 6, 3), []);
        for key in 0..10 {
            assert_eq!(
                held.get(&[key]).unwrap(),
                Some(expected[usize::from(key)].1.clone())
            );
            let last = held.last_in(&[0], &[key + 1]).unwrap();
            assert_eq!(last, Some(expected[usize::from(key)].clone()), "{key}");
        }
        assert_eq!(held.get(&[11]).unwrap(), None);
        assert_eq!(held.last_in(&[11], &[20]).unwrap(), None);
    }

    #[test]
    fn what_is_at_hand_is_the_last_of_what_is_held_until_that_is_handed_on() {
        let (_, held) = both();
        assert_eq!(held.last_at_hand(&[0], &[10]), Some(pair(9, 1)));
        assert_eq!(held.last_at_hand(&[0], &[9]), Some(pair(7, 1)));
        assert_eq!(held.last_at_hand(&[4], &[5]), Some(pair(4, 1)));
        assert_eq!(held.last_at_hand(&[6], &[7]), None, "below, and not held");
        held.flush().unwrap();
        assert_eq!(held.last_at_hand(&[0], &[10]), None);
    }

    #[test]
    fn what_was_found_below_is_at_hand_until_it_may_have_changed() {
        let (_, held) = both();
        held.flush().unwrap();
        assert_eq!(held.last_in(&[0], &[8]).unwrap(), Some(pair(7, 1)));
        assert_eq!(held.last_at_hand(&[0], &[8]), Some(pair(7, 1)));
        held.apply(&[pair(7, 2)], &[]).unwrap();
        assert_eq!(held.last_at_hand(&[0], &[8]), Some(pair(7, 2)), "the newer");
        held.flush().unwrap();
        assert_eq!(held.last_at_hand(&[0], &[8]), None);
        assert_eq!(held.last_in(&[0], &[8]).unwrap(), Some(pair(7, 2)));
        held.apply(&[], &[vec![7]]).unwrap();
        assert_eq!(held.last_at_hand(&[0], &[8]), None, "removed");
    }

    #[test]
    fn a_scan_ends_when_it_has_enough_wherever_that_is() {
        let (_, held) = both();
        for enough in 1..=10 {
            let mut seen = 0;
            held.scan(&[0], &[10], &mut |_, _| {
                seen += 1;
                seen < enough
            })
            .unwrap();
            assert_eq!(seen, enough);
        }
    }

    #[test]
    fn it_is_handed_on_by_a_flush_and_before_anything_is_removed() {
        let (below, held) = both();
        held.flush().unwrap();
        assert_eq!(all(below.as_ref(), 0, 10).len(), 10);
        assert_eq!(below.get(&[4]).unwrap(), Some(vec![1]));
        held.apply(&[pair(20, 1)], &[]).unwrap();
        assert_eq!(below.get(&[20]).unwrap(), None);
        held.apply(&[], &[vec![20], vec![1]]).unwrap();
        assert_eq!(
            (held.get(&[20]).unwrap(), held.get(&[1]).unwrap()),
            (None, None)
        );
    }

    #[test]
    fn it_is_handed_on_once_it_is_much_in_the_order_in_which_it_was_put() {
        for (value_len, expected) in [(1, RECORDS_MAX), (BYTES_MAX / 8, 8)] {
            let below = Arc::new(MemoryStore::default());
            let held = Held::over(below.clone());
            let mut puts = 0;
            while all(below.as_ref(), 0, 255).is_empty() {
                let key = u8::try_from(puts).unwrap();
                held.apply(&[(vec![key], vec![7; value_len])], &[]).unwrap();
                puts += 1;
            }
            assert_eq!(puts, expected);
            assert_eq!(all(below.as_ref(), 0, 255).len(), puts);
        }
        // A record that is put again goes behind those that came between.
        let mut newest = Newest::default();
        for put in [pair(9, 1), pair(1, 1), pair(9, 2)] {
            newest.put(&put);
        }
        assert_eq!(newest.in_order(), [pair(1, 1), pair(9, 2)]);
        assert_eq!(newest.bytes, 4);
    }
}

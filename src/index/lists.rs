//! [`Lists`]: which events of a window in memory have which name, in one dimension.

use std::collections::HashMap;

use super::hash::{Hashed, NameHash};

/// A name that events of the window have.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) hash: u64,
    pub(super) name: Box<str>,
}

/// The names of the events of one window.
#[derive(Debug)]
pub(super) struct Lists {
    hashes: NameHash,
    names: Vec<Named>,
    /// By hash, the place in `names`.
    places: HashMap<u64, u16, Hashed>,
    /// For each event, the place of its name.
    events: Vec<u16>,
}

impl Lists {
    pub(super) fn new(hashes: NameHash) -> Lists {
        Lists {
            hashes,
            names: Vec::new(),
            places: HashMap::default(),
            events: Vec::new(),
        }
    }

    /// The next event has this name.
    pub(super) fn add(&mut self, name: &str) {
        // The next event often has the name of the last one.
        if let Some(last) = self.events.last()
            && let Some(named) = self.names.get(usize::from(*last))
            && *named.name == *name
        {
            self.events.push(*last);
            return;
        }
        let hash = self.hashes.hash(name);
        let place = self.places.entry(hash).or_insert_with(|| {
            let name = name.into();
            self.names.push(Named { hash, name });
            // A window has no more events than fit.
            u16::try_from(self.names.len() - 1).unwrap_or(u16::MAX)
        });
        self.events.push(*place);
    }

    pub(super) fn names(&self) -> &[Named] {
        &self.names
    }

    /// The places of the events that have this name among all events, ascending.
    pub(super) fn places_of(&self, name: &str) -> impl DoubleEndedIterator<Item = usize> {
        let wanted = self.places.get(&self.hashes.hash(name)).copied();
        let places = self.events.iter().enumerate();
        let places = places.filter(move |(_, held)| Some(**held) == wanted);
        places.map(|(place, _)| place)
    }

    /// The offsets of each name's events, by ascending hash; `offsets` has those of all events.
    pub(super) fn by_hash(&self, offsets: &[u16]) -> Vec<(u64, Vec<u16>)> {
        let mut counts = vec![0_usize; self.names.len()];
        for place in &self.events {
            if let Some(count) = counts.get_mut(usize::from(*place)) {
                *count += 1;
            }
        }
        let named = self.names.iter().zip(counts);
        let empty = named.map(|(named, count)| (named.hash, Vec::with_capacity(count)));
        let mut lists: Vec<(u64, Vec<u16>)> = empty.collect();
        for (place, offset) in self.events.iter().zip(offsets) {
            if let Some((_, list)) = lists.get_mut(usize::from(*place)) {
                list.push(*offset);
            }
        }
        lists.sort_unstable_by_key(|(hash, _)| *hash);
        lists
    }
}

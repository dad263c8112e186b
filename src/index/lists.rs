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
    /// By a quick guess at the name, the place that it had: a name that comes again is compared once
    /// and not hashed.
    recent: Box<[u16; RECENT]>,
    /// For each event, the place of its name.
    events: Vec<u16>,
}

/// How many events are looked at together.
const GROUP: usize = 32;
/// How many names are found without their hashes.
const RECENT: usize = 1024;

impl Lists {
    pub(super) fn new(hashes: NameHash) -> Lists {
        Lists {
            hashes,
            names: Vec::new(),
            places: HashMap::default(),
            recent: Box::new([u16::MAX; RECENT]),
            events: Vec::new(),
        }
    }

    /// The next event has this name.
    pub(super) fn add(&mut self, name: &str) {
        let guess = guess(name);
        let recent = self.recent.get(guess).copied().unwrap_or(u16::MAX);
        if let Some(named) = self.names.get(usize::from(recent))
            && *named.name == *name
        {
            self.events.push(recent);
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
        if let Some(recent) = self.recent.get_mut(guess) {
            *recent = *place;
        }
    }

    pub(super) fn names(&self) -> &[Named] {
        &self.names
    }

    /// The places of the events that have this name among all events, ascending.
    pub(super) fn places_of(&self, name: &str) -> impl DoubleEndedIterator<Item = usize> {
        let wanted = self.places.get(&self.hashes.hash(name)).copied();
        // No event has that place: a window has far fewer names.
        let wanted = wanted.unwrap_or(u16::MAX);
        let groups = self.events.chunks(GROUP).enumerate();
        let groups = groups.filter(move |(_, group)| has(group, wanted));
        groups.flat_map(move |(number, group)| {
            let places = group.iter().enumerate();
            let places = places.filter(move |(_, held)| **held == wanted);
            places.map(move |(place, _)| number * GROUP + place)
        })
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

/// Whether an event of a group has its name at this place: without a branch for each, the processor compares many
/// at once.
#[expect(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
fn has(group: &[u16], wanted: u16) -> bool {
    group
        .iter()
        .fold(false, |any, held| any | (*held == wanted))
}

/// Where a name may have been noted: names differ most in their ends.
fn guess(name: &str) -> usize {
    let bytes = name.as_bytes();
    let end = match bytes.last_chunk() {
        Some(end) => u64::from_le_bytes(*end),
        None => bytes
            .iter()
            .fold(0, |end, byte| end << 8 | u64::from(*byte)),
    };
    let mixed = end
        .wrapping_add(bytes.len() as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 54).unwrap_or(0) % RECENT
}

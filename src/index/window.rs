//! [`Window`]: the events of one window in memory. The last one, which still grows, is the index's
//! tail; one that is complete is turned into the records that the store keeps.

use std::collections::HashMap;

use super::catalog::{Catalog, Sealed};
use super::keys::{self, first_of, millis_of, offset_of};
use super::values::{Chunk, Manifest, encode_ids};
use crate::event::EventId;
use crate::position::Seq;

/// Ids and types of the events of one window.
#[derive(Debug)]
pub(super) struct Window {
    number: u64,
    /// The Seq that is looked at next: events before it are in here.
    next: Seq,
    ids: Vec<EventId>,
    offsets: Vec<u16>,
    types: HashMap<Box<str>, usize>,
    postings: Vec<(Box<str>, Vec<u16>)>,
    /// The place in `postings` of the last event's type: the next one often has the same.
    last_type: usize,
    unreadable: u16,
}

impl Window {
    /// An empty window that begins with the events from `next` on.
    pub(super) fn starting_at(next: Seq) -> Window {
        Window {
            number: keys::window_of(next),
            next,
            ids: Vec::new(),
            offsets: Vec::new(),
            types: HashMap::new(),
            postings: Vec::new(),
            last_type: 0,
            unreadable: 0,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn next(&self) -> Seq {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.unreadable == 0
    }

    /// Whether nothing more can come into it.
    pub(super) fn is_full(&self) -> bool {
        self.next > keys::last_of(self.number)
    }

    /// Takes the next event, which must lie in this window.
    pub(super) fn add(&mut self, seq: Seq, id: EventId, event_type: &str) {
        self.next = seq.next();
        self.ids.push(id);
        self.offsets.push(offset_of(seq));
        let known = self.postings.get(self.last_type);
        if known.is_none_or(|(name, _)| **name != *event_type) {
            self.last_type = self.place_of(event_type);
        }
        if let Some((_, offsets)) = self.postings.get_mut(self.last_type) {
            offsets.push(offset_of(seq));
        }
    }

    /// Passes over an event that cannot be read.
    pub(super) fn skip(&mut self, seq: Seq) {
        self.next = seq.next();
        self.unreadable = self.unreadable.saturating_add(1);
    }

    fn place_of(&mut self, event_type: &str) -> usize {
        if let Some(place) = self.types.get(event_type) {
            return *place;
        }
        let place = self.postings.len();
        self.types.insert(event_type.into(), place);
        self.postings.push((event_type.into(), Vec::new()));
        place
    }

    /// The first event from `from` on with this id.
    pub(super) fn find(&self, id: EventId, from: Seq) -> Option<Seq> {
        let same = self.ids.iter().zip(&self.offsets);
        let seqs = same.filter(|(held, _)| **held == id);
        let mut seqs = seqs.map(|(_, offset)| self.seq_at(*offset));
        seqs.find(|seq| *seq >= from)
    }

    /// The Seqs of the events of this type, ascending.
    pub(super) fn of_type(&self, event_type: &str) -> impl Iterator<Item = Seq> {
        let place = self.types.get(event_type);
        let offsets = place.and_then(|place| self.postings.get(*place));
        let offsets = offsets.map_or(&[][..], |(_, offsets)| offsets.as_slice());
        offsets.iter().map(|offset| self.seq_at(*offset))
    }

    fn seq_at(&self, offset: u16) -> Seq {
        first_of(self.number).plus(u64::from(offset))
    }

    /// The records of this window, to follow what the catalog holds.
    pub(super) fn seal(&self, catalog: &Catalog, salt: u64) -> Sealed {
        let mut records = Vec::new();
        let mut types = Vec::with_capacity(self.postings.len());
        let mut new_number = catalog.next_type();
        for (name, offsets) in &self.postings {
            let (number, link) = catalog.type_of(name).unwrap_or_else(|| {
                let key = keys::name(new_number);
                let value = keys::seal(&key, &[], name.as_bytes());
                records.push((key, value));
                new_number = new_number.saturating_add(1);
                (new_number - 1, None)
            });
            let key = keys::chunk(number, self.number);
            let value = Chunk::encode(link, offsets, &key, name);
            records.push((key, value));
            types.push((name.clone(), number));
        }
        let mut manifest = self.manifest();
        if !manifest.ordered {
            records.extend(encode_ids(self.number, &self.ids, &self.offsets, salt));
        }
        // Without the names: which window met a type first is nothing that the log says.
        let own = records
            .iter()
            .filter(|(key, _)| keys::parse_name(key).is_none());
        let bytes: usize = own.map(|(key, value)| key.len() + value.len()).sum();
        manifest.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        records.push((keys::manifest(self.number), manifest.encode()));
        Sealed {
            records,
            manifest,
            types,
        }
    }

    fn manifest(&self) -> Manifest {
        let times = || self.ids.iter().copied().filter_map(millis_of);
        let foreign = self.ids.iter().any(|id| millis_of(*id).is_none());
        let held = u64::try_from(self.ids.len()).unwrap_or(0);
        let whole = keys::last_of(self.number).next().0 - first_of(self.number).max(Seq::FIRST).0;
        Manifest {
            window: self.number,
            count: u16::try_from(self.ids.len())
                .unwrap_or(u16::MAX)
                .saturating_add(self.unreadable),
            ordered: held == whole && !foreign && self.ids.is_sorted_by(|a, b| a < b),
            foreign,
            millis_min: times().min().unwrap_or(u64::MAX),
            millis_max: times().max().unwrap_or(0),
            bytes: 0,
        }
    }
}

//! [`Window`]: the events of one window in memory. The last one, which still grows, is the index's
//! tail; one that is complete is turned into the records that the store keeps.

use super::dimension::{Dimension, Each};
use super::fences::Fences;
use super::hash::NameHash;
use super::ids::{self, block::hash_of};
use super::keys::{self, Run, first_of, millis_of, offset_of};
use super::lists::Lists;
use super::pieces::{PieceWriter, encode_offsets};
use super::store::Pair;
use super::values::{Manifest, encode_ids};
use crate::event::EventId;
use crate::position::Seq;

/// A window in the form that the store keeps.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) records: Vec<Pair>,
    pub(super) manifest: Manifest,
    pub(super) fences: Fences,
    /// The entries of the ids that tell no time, ascending.
    pub(super) foreign: Vec<u64>,
}

/// Ids and names of the events of one window.
#[derive(Debug)]
pub(super) struct Window {
    number: u64,
    /// The Seq that is looked at next: events before it are in here.
    next: Seq,
    ids: Vec<EventId>,
    offsets: Vec<u16>,
    lists: Each<Lists>,
    unreadable: u16,
}

impl Window {
    /// An empty window that begins with the events from `next` on.
    pub(super) fn starting_at(next: Seq, hashes: NameHash) -> Window {
        Window {
            number: keys::window_of(next),
            next,
            ids: Vec::new(),
            offsets: Vec::new(),
            lists: Each::with(|_| Lists::new(hashes)),
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
    pub(super) fn add(&mut self, seq: Seq, id: EventId, names: &Each<&str>) {
        self.next = seq.next();
        self.ids.push(id);
        self.offsets.push(offset_of(seq));
        for dimension in Dimension::ALL {
            self.lists.get_mut(dimension).add(names.get(dimension));
        }
    }

    /// Passes over an event that cannot be read.
    pub(super) fn skip(&mut self, seq: Seq) {
        self.next = seq.next();
        self.unreadable = self.unreadable.saturating_add(1);
    }

    /// Whether it lacks events that could not be read.
    pub(super) fn has_unread(&self) -> bool {
        self.unreadable > 0
    }

    /// The first event from `from` on with this id.
    pub(super) fn find(&self, id: EventId, from: Seq) -> Option<Seq> {
        let same = self.ids.iter().zip(&self.offsets);
        let seqs = same.filter(|(held, _)| **held == id);
        let mut seqs = seqs.map(|(_, offset)| self.seq_at(*offset));
        seqs.find(|seq| *seq >= from)
    }

    /// The Seqs of the events that have this name, ascending.
    pub(super) fn listed(&self, dimension: Dimension, name: &str) -> impl Iterator<Item = Seq> {
        let places = self.lists.get(dimension).places_of(name);
        let offsets = places.filter_map(|place| self.offsets.get(place));
        offsets.map(|offset| self.seq_at(*offset))
    }

    pub(super) fn lists(&self, dimension: Dimension) -> &Lists {
        self.lists.get(dimension)
    }

    fn seq_at(&self, offset: u16) -> Seq {
        first_of(self.number).plus(u64::from(offset))
    }

    /// The records of this window.
    pub(super) fn seal(&self, salt: u64) -> Sealed {
        let mut records = Vec::new();
        for dimension in Dimension::ALL {
            let mut writer = PieceWriter::new(Run::of(dimension, 0, self.number));
            for (hash, offsets) in self.lists(dimension).by_hash(&self.offsets) {
                writer.push(hash, &encode_offsets(&offsets));
            }
            records.extend(writer.finish());
        }
        let mut manifest = self.manifest();
        if !manifest.ordered {
            records.extend(self.timed(salt));
        }
        let bytes: usize = records
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        manifest.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let fences = if manifest.ordered {
            Fences::of(self.number, &self.ids, manifest.times())
        } else {
            Fences::default()
        };
        records.push((keys::manifest(self.number), manifest.encode(&fences)));
        Sealed {
            records,
            manifest,
            fences,
            foreign: self.foreign(salt),
        }
    }

    /// The records of the ids that tell their times, if there are any.
    fn timed(&self, salt: u64) -> Vec<Pair> {
        let all = self.ids.iter().zip(&self.offsets);
        let timed = all.filter(|(id, _)| millis_of(**id).is_some());
        let (ids, offsets): (Vec<EventId>, Vec<u16>) = timed.unzip();
        if ids.is_empty() {
            return Vec::new();
        }
        encode_ids(self.number, &ids, &offsets, salt)
    }

    /// The entries of the ids that tell no time, ascending.
    pub(super) fn foreign(&self, salt: u64) -> Vec<u64> {
        let all = self.ids.iter().zip(&self.offsets);
        let foreign = all.filter(|(id, _)| millis_of(**id).is_none());
        let entries = foreign.map(|(id, offset)| ids::entry_of(hash_of(*id, salt), *offset));
        let mut entries: Vec<u64> = entries.collect();
        ids::sort::sort(&mut entries, &mut Vec::new());
        entries
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
            unreadable: self.unreadable,
            millis_min: times().min().unwrap_or(u64::MAX),
            millis_max: times().max().unwrap_or(0),
            bytes: 0,
        }
    }
}

//! The values of the index: ids, [`Manifest`] with its [`Fences`], [`Position`]. Bytes that were read are
//! hostile even behind a checksum: what does not hold is `None`.

use super::dimension::{Dimension, Each};
use super::fences::Fences;
use super::keys::{self, PIECES, SCHEMA, seal, unseal};
use super::times::Times;
use crate::event::EventId;

/// Takes little-endian integers off the front of a slice.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// A number of 7 bits a byte, the low ones first.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

const ID_ENTRY_LEN: usize = 6;

/// The values of all pieces of a window's ids: for each id, a hash of 32 bits and the offset of the
/// first event that has it, big-endian, sorted.
pub(super) fn encode_ids(
    window: u64,
    ids: &[EventId],
    offsets: &[u16],
    salt: u64,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    // The piece, the hash and the place among the ids, packed so that one sort does it all.
    let packed = |(place, id): (u64, &EventId)| {
        let (piece, hash) = keys::id_hash(*id, salt);
        u64::from(piece) << 48 | u64::from(hash) << 16 | place
    };
    let mut entries: Vec<u64> = (0_u64..).zip(ids).map(packed).collect();
    entries.sort_unstable();
    let place = |entry: u64| usize::try_from(entry & 0xffff).unwrap_or(0);
    entries.dedup_by(|later, first| {
        *later >> 16 == *first >> 16 && ids.get(place(*later)) == ids.get(place(*first))
    });
    let mut bodies = vec![Vec::new(); usize::from(PIECES)];
    for entry in entries {
        let body = usize::try_from(entry >> 48)
            .ok()
            .and_then(|piece| bodies.get_mut(piece));
        if let (Some(body), Some(offset)) = (body, offsets.get(place(entry))) {
            let hash = u32::try_from(entry >> 16 & 0xffff_ffff).unwrap_or(0);
            body.extend_from_slice(&hash.to_be_bytes());
            body.extend_from_slice(&offset.to_be_bytes());
        }
    }
    let pieces = (0_u8..).zip(bodies).map(|(piece, body)| {
        let key = keys::piece(window, piece);
        let value = seal(&key, &[], &body);
        (key, value)
    });
    pieces.collect()
}

/// The offsets, ascending, of the events in a piece whose ids have this hash; `None` if the value
/// does not pass its check.
pub(super) fn find_ids(value: &[u8], key: &[u8], hash: u32) -> Option<Vec<u16>> {
    let (entries, rest) = unseal(key, &[], value)?.as_chunks::<ID_ENTRY_LEN>();
    rest.is_empty().then_some(())?;
    let hash_of = |[a, b, c, d, ..]: &[u8; ID_ENTRY_LEN]| u32::from_be_bytes([*a, *b, *c, *d]);
    let start = entries.partition_point(|entry| hash_of(entry) < hash);
    let found = entries
        .iter()
        .skip(start)
        .take_while(|entry| hash_of(entry) == hash);
    Some(
        found
            .map(|[.., high, low]| u16::from_be_bytes([*high, *low]))
            .collect(),
    )
}

/// Every Seq of the window has an event, and their ids are `UUIDv7`s that strictly ascend: there are
/// no pieces, because the log itself can be searched.
const ORDERED: u8 = 1;
/// There are ids that are no `UUIDv7`.
const FOREIGN: u8 = 2;
/// The other bits count the events that could not be read; where they are all set, the count
/// stands as 16 bits behind `bytes`, before the fences.
const UNREADABLE_SHIFT: u32 = 2;
const UNREADABLE_MANY: u8 = u8::MAX >> UNREADABLE_SHIFT;

/// What a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) window: u64,
    /// How many events the log has there, also such as could not be read.
    pub(super) count: u16,
    pub(super) ordered: bool,
    /// Whether there are ids that are no `UUIDv7`: they are in a run.
    pub(super) foreign: bool,
    /// How many events could not be read: nothing is known of them but their Seqs.
    pub(super) unreadable: u16,
    /// The earliest time in a `UUIDv7` there, in milliseconds; above `millis_max` if there is none.
    pub(super) millis_min: u64,
    pub(super) millis_max: u64,
    /// The bytes of keys and values of the window: its lists and its ids.
    pub(super) bytes: u32,
}

impl Manifest {
    /// The times in its ids.
    pub(super) fn times(&self) -> Times {
        Times {
            min: self.millis_min,
            max: self.millis_max,
        }
    }

    /// The value of a manifest; `fences` go with it where the ids ascend.
    pub(super) fn encode(&self, fences: &Fences) -> Vec<u8> {
        let mut flags = 0;
        if self.ordered {
            flags |= ORDERED;
        }
        if self.foreign {
            flags |= FOREIGN;
        }
        let few = u8::try_from(self.unreadable).unwrap_or(UNREADABLE_MANY);
        let few = few.min(UNREADABLE_MANY);
        flags |= few << UNREADABLE_SHIFT;
        let mut body = self.count.to_le_bytes().to_vec();
        body.push(flags);
        body.extend(self.millis_min.to_le_bytes());
        body.extend(self.millis_max.to_le_bytes());
        body.extend(self.bytes.to_le_bytes());
        if few == UNREADABLE_MANY {
            body.extend(self.unreadable.to_le_bytes());
        }
        if self.ordered {
            body.extend(fences.0.into_iter().flat_map(u32::to_le_bytes));
        }
        seal(&keys::manifest(self.window), &[], &body)
    }

    /// The manifest of a value, and the fences that stand with it.
    pub(super) fn decode(window: u64, value: &[u8]) -> Option<(Manifest, Fences)> {
        let mut fields = Fields(unseal(&keys::manifest(window), &[], value)?);
        let count = fields.u16()?;
        let flags = fields.u8()?;
        let mut manifest = Manifest {
            window,
            count,
            ordered: flags & ORDERED != 0,
            foreign: flags & FOREIGN != 0,
            unreadable: (flags >> UNREADABLE_SHIFT).into(),
            millis_min: fields.u64()?,
            millis_max: fields.u64()?,
            bytes: fields.u32()?,
        };
        if manifest.unreadable == u16::from(UNREADABLE_MANY) {
            manifest.unreadable = fields.u16()?;
        }
        let mut fences = Fences::default();
        if manifest.ordered {
            for kept in &mut fences.0 {
                *kept = fields.u32()?;
            }
            fences.0.is_sorted().then_some(())?;
        }
        fields.end()?;
        Some((manifest, fences))
    }
}

/// The records of names that an era has: what has gone missing shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EraNames {
    pub(super) era: u64,
    pub(super) count: u64,
    /// A sum of hashes over them.
    pub(super) sum: u64,
}

/// A run of ids that tell no time: those of the windows from `first` up to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunNote {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) count: u64,
    /// A sum of hashes over its entries.
    pub(super) sum: u64,
}

/// How far the index goes, and what the log must say to agree with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Windows before this one are no part of the index: their events are gone.
    pub(super) floor: u64,
    /// Windows from this one on are not indexed.
    pub(super) next_window: u64,
    /// A hash over all manifests: what is missing shows.
    pub(super) sum: u64,
    /// The newest sealed segment that is wholly indexed, 0 if there is none, and its footer's chain.
    pub(super) segment: u64,
    pub(super) chain: u64,
    /// The Seq of the last event that is indexed, 0 if there is none, and a hash of that event.
    pub(super) last_seq: u64,
    pub(super) last_hash: u64,
    /// By ascending era.
    pub(super) names: Each<Vec<EraNames>>,
    /// By ascending window.
    pub(super) runs: Vec<RunNote>,
    /// Ids of windows before this one are in a run, if they belong there.
    pub(super) runs_next: u64,
}

impl Position {
    pub(super) fn encode(&self, log_id: u128) -> Vec<u8> {
        let mut body = SCHEMA.to_le_bytes().to_vec();
        for field in [
            self.floor,
            self.next_window,
            self.sum,
            self.segment,
            self.chain,
            self.last_seq,
            self.last_hash,
        ] {
            body.extend(field.to_le_bytes());
        }
        for dimension in Dimension::ALL {
            let eras = self.names.get(dimension);
            body.extend((eras.len() as u64).to_le_bytes());
            for held in eras {
                body.extend(
                    [held.era, held.count, held.sum]
                        .into_iter()
                        .flat_map(u64::to_le_bytes),
                );
            }
        }
        body.extend(self.runs_next.to_le_bytes());
        for note in &self.runs {
            let fields = [note.first, note.end, note.count, note.sum];
            body.extend(fields.into_iter().flat_map(u64::to_le_bytes));
        }
        seal(keys::POSITION, &log_id.to_le_bytes(), &body)
    }

    /// The position of a value that was stored for this log.
    pub(super) fn decode(value: &[u8], log_id: u128) -> Option<Position> {
        let mut fields = Fields(unseal(keys::POSITION, &log_id.to_le_bytes(), value)?);
        (fields.u32()? == SCHEMA).then_some(())?;
        let mut position = Position {
            floor: fields.u64()?,
            next_window: fields.u64()?,
            sum: fields.u64()?,
            segment: fields.u64()?,
            chain: fields.u64()?,
            last_seq: fields.u64()?,
            last_hash: fields.u64()?,
            names: Each::default(),
            runs: Vec::new(),
            runs_next: 0,
        };
        for dimension in Dimension::ALL {
            let eras = position.names.get_mut(dimension);
            for _ in 0..fields.u64()? {
                let (era, count, sum) = (fields.u64()?, fields.u64()?, fields.u64()?);
                eras.push(EraNames { era, count, sum });
            }
            eras.is_sorted_by(|a, b| a.era < b.era).then_some(())?;
        }
        position.runs_next = fields.u64()?;
        while !fields.0.is_empty() {
            position.runs.push(RunNote {
                first: fields.u64()?,
                end: fields.u64()?,
                count: fields.u64()?,
                sum: fields.u64()?,
            });
        }
        Some(position)
    }
}

//! The pieces of a [`Run`]: its names by ascending hash, each with what the run knows of it.
//!
//! ```text
//! piece   the last hash that it covers u64, then entries; the first hash stands in its key
//! entry   hash u64, length of the rest, the rest:
//!           at level 0   the offsets of the events, as distances or as a bitmap
//!           above        how many events, and which runs below have them: numbers or a bitmap
//! ```
//! Lengths, distances and counts have 7 bits a byte, the low ones first. The pieces of a run cover
//! all hashes, so that one that went missing is told from a name that is not there.

use super::keys::{self, Run, SPAN, WINDOW_LEN, seal, unseal};
use super::store::Pair;
use super::values::Fields;

/// A piece that has reached this many bytes is complete.
const PIECE_LEN: usize = 2048;
const LAST_LEN: usize = 8;
/// The length of offsets as a bitmap: no list longer than this is written.
const OFFSETS_LEN: usize = (WINDOW_LEN / 8) as usize;
/// The same of children.
const CHILDREN_LEN: usize = (SPAN / 8) as usize;

/// Writes the pieces of a run, names by ascending hash.
#[derive(Debug)]
pub(super) struct PieceWriter {
    run: Run,
    /// The first hash that the piece which is written covers.
    first: u64,
    body: Vec<u8>,
    pieces: Vec<Pair>,
}

impl PieceWriter {
    pub(super) fn new(run: Run) -> PieceWriter {
        PieceWriter {
            run,
            first: 0,
            body: vec![0; LAST_LEN],
            pieces: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, hash: u64, rest: &[u8]) {
        if self.body.len() >= PIECE_LEN {
            self.end_piece(hash.wrapping_sub(1));
            self.first = hash;
        }
        self.body.extend(hash.to_le_bytes());
        push_number(&mut self.body, rest.len() as u64);
        self.body.extend_from_slice(rest);
    }

    /// The pieces that are complete and were not yet taken.
    pub(super) fn take(&mut self) -> Vec<Pair> {
        std::mem::take(&mut self.pieces)
    }

    /// How many there are to take.
    pub(super) fn ready(&self) -> usize {
        self.pieces.len()
    }

    /// The pieces that were not yet taken, with the last.
    pub(super) fn finish(mut self) -> Vec<Pair> {
        self.end_piece(u64::MAX);
        self.pieces
    }

    fn end_piece(&mut self, last: u64) {
        if let Some(field) = self.body.first_chunk_mut() {
            *field = last.to_le_bytes();
        }
        let key = self.run.key(self.first);
        let value = seal(&key, &[], &self.body);
        self.pieces.push((key, value));
        self.body.truncate(LAST_LEN);
    }
}

/// Bytes that pass their check, and still cannot be what was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

/// A piece that was read.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    first: u64,
    /// The last hash that it covers.
    pub(super) last: u64,
    entries: Fields<'a>,
}

impl<'a> Piece<'a> {
    /// `None` if the value does not pass its check.
    pub(super) fn read(key: &[u8], value: &'a [u8]) -> Option<Piece<'a>> {
        let mut entries = Fields(unseal(key, &[], value)?);
        let (first, last) = (keys::parse_hash(key)?, entries.u64()?);
        (first <= last).then_some(Piece {
            first,
            last,
            entries,
        })
    }

    pub(super) fn covers(&self, hash: u64) -> bool {
        (self.first..=self.last).contains(&hash)
    }

    /// The next entry; `None` at the end.
    pub(super) fn next_entry(&mut self) -> Result<Option<(u64, &'a [u8])>, Nonsense> {
        if self.entries.0.is_empty() {
            return Ok(None);
        }
        self.read_entry().map(Some).ok_or(Nonsense)
    }

    fn read_entry(&mut self) -> Option<(u64, &'a [u8])> {
        let hash = self.entries.u64()?;
        let len = usize::try_from(self.entries.number()?).ok()?;
        Some((hash, self.entries.bytes(len)?))
    }

    /// What the run knows of this name; `None` if it does not have it.
    pub(super) fn find(mut self, hash: u64) -> Result<Option<&'a [u8]>, Nonsense> {
        while let Some((held, rest)) = self.next_entry()? {
            if held >= hash {
                return Ok((held == hash).then_some(rest));
            }
        }
        Ok(None)
    }
}

/// What a run above level 0 knows of a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Branch {
    /// How many events.
    pub(super) count: u64,
    /// A bit for each run below that has some.
    pub(super) children: u64,
}

impl Branch {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut rest = Vec::with_capacity(2 + CHILDREN_LEN);
        push_number(&mut rest, self.count);
        let few = usize::try_from(self.children.count_ones()).is_ok_and(|few| few < CHILDREN_LEN);
        if few {
            rest.extend((0..64_u8).filter(|child| self.children & 1 << child != 0));
        } else {
            rest.extend(self.children.to_le_bytes());
        }
        rest
    }

    /// `None` if the bytes make no sense.
    pub(super) fn decode(rest: &[u8]) -> Option<Branch> {
        let mut fields = Fields(rest);
        let count = fields.number()?;
        let children = if fields.0.len() == CHILDREN_LEN {
            fields.u64()?
        } else {
            fields.0.iter().try_fold(0_u64, |children, child| {
                let bit = 1_u64.checked_shl((*child).into())?;
                (children & bit == 0).then_some(children | bit)
            })?
        };
        (count > 0 && children != 0).then_some(Branch { count, children })
    }
}

/// The bytes of ascending offsets.
pub(super) fn encode_offsets(offsets: &[u16]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(offsets.len().saturating_mul(2).min(OFFSETS_LEN));
    let mut before = 0_u16;
    for offset in offsets {
        push_number(&mut rest, u64::from(offset - before));
        before = *offset;
        if rest.len() >= OFFSETS_LEN {
            return bitmap(offsets).to_vec();
        }
    }
    rest
}

/// The offsets of these bytes; `None` if they make no sense.
pub(super) fn decode_offsets(rest: &[u8]) -> Option<Vec<u16>> {
    let offsets = if rest.len() == OFFSETS_LEN {
        from_bitmap(rest)
    } else {
        from_distances(Fields(rest))?
    };
    (!offsets.is_empty()).then_some(offsets)
}

/// How many offsets these bytes have.
pub(super) fn count_offsets(rest: &[u8]) -> u64 {
    if rest.len() == OFFSETS_LEN {
        rest.iter().map(|byte| u64::from(byte.count_ones())).sum()
    } else {
        rest.iter().filter(|byte| **byte & 0x80 == 0).count() as u64
    }
}

fn bitmap(offsets: &[u16]) -> [u8; OFFSETS_LEN] {
    let mut bits = [0; OFFSETS_LEN];
    for offset in offsets {
        if let Some(byte) = bits.get_mut(usize::from(offset / 8)) {
            *byte |= 1 << (offset % 8);
        }
    }
    bits
}

fn from_bitmap(bits: &[u8]) -> Vec<u16> {
    let places = (0_u16..).zip(bits);
    let offsets = places.flat_map(|(place, byte)| {
        let set = (0..8).filter(move |bit| byte & (1 << bit) != 0);
        set.map(move |bit| place * 8 + bit)
    });
    offsets.collect()
}

fn from_distances(mut fields: Fields<'_>) -> Option<Vec<u16>> {
    let mut offsets = Vec::with_capacity(fields.0.len());
    let mut before = 0_u16;
    while !fields.0.is_empty() {
        let distance = u16::try_from(fields.number()?).ok()?;
        before = before.checked_add(distance)?;
        let ascends = offsets.is_empty() || distance > 0;
        (ascends && u64::from(before) < WINDOW_LEN).then_some(())?;
        offsets.push(before);
    }
    Some(offsets)
}

pub(super) fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

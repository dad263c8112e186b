//! The keys of the index and how its values are sealed. Keys are big-endian, so that they sort.
//!
//! | key | value |
//! | --- | --- |
//! | `n` dimension, window u64, record u32 | [names](super::dictionary) that the window met |
//! | `l` dimension, level u8, run u64, hash u64 | the names from this hash on, up to the next piece's: a [piece](super::pieces) of a run |
//! | `i` window u64, piece u8 | hashes of the window's `UUIDv7`s, sorted, each with its event's offset |
//! | `m` window u64 | what the window holds: a [`Manifest`](super::values::Manifest), and [`Fences`](super::fences::Fences) |
//! | `w` | how far all this goes: a [`Position`](super::values::Position); written last |
//!
//! Each value begins with a CRC-32 over its key, what else it belongs to, and its body: a value
//! under another's key does not pass.

use super::dimension::Dimension;
use crate::event::EventId;
use crate::format::crc::{crc32, crc32_append};
use crate::position::Seq;

/// The version of all this; an index of another one is rebuilt.
pub(super) const SCHEMA: u32 = 4;
/// How many Seqs a window spans; window w begins at Seq `w * WINDOW_LEN`.
pub(super) const WINDOW_LEN: u64 = 4096;
/// How many windows a run of level 1 spans, and how many runs of a level one of the next.
pub(super) const SPAN: u64 = 1 << SPAN_BITS;
pub(super) const SPAN_BITS: u32 = 6;
/// The highest level: its runs span 2^30 Seqs.
pub(super) const LEVEL_MAX: u8 = 3;
/// How many windows make up an era, in which each name is written once or a little more.
pub(super) const ERA_LEN: u64 = SPAN * SPAN;
/// Into how many pieces the ids of a window are cut, by the top bits of their hash.
pub(super) const PIECES: u8 = 8;
/// The key of the position.
pub(super) const POSITION: &[u8] = b"w";
/// Below and above all keys.
pub(super) const ALL: (&[u8], &[u8]) = (b"", b"~");

/// The window that a Seq lies in.
pub(super) fn window_of(seq: Seq) -> u64 {
    seq.0 / WINDOW_LEN
}

/// The first Seq of a window.
pub(super) fn first_of(window: u64) -> Seq {
    Seq(window.saturating_mul(WINDOW_LEN))
}

/// The last Seq of a window.
pub(super) fn last_of(window: u64) -> Seq {
    first_of(window).plus(WINDOW_LEN - 1)
}

/// The place of a Seq in its window.
pub(super) fn offset_of(seq: Seq) -> u16 {
    u16::try_from(seq.0 % WINDOW_LEN).unwrap_or(0)
}

/// The key of a record of a window's names.
pub(super) fn names(dimension: Dimension, window: u64, record: u32) -> Vec<u8> {
    let kind = [b'n', dimension.letter()];
    [
        kind.as_slice(),
        &window.to_be_bytes(),
        &record.to_be_bytes(),
    ]
    .concat()
}

/// The window in the key of a record of names.
pub(super) fn parse_names(key: &[u8]) -> Option<u64> {
    let (window, _) = key.get(2..)?.split_first_chunk()?;
    Some(u64::from_be_bytes(*window))
}

/// A run: the events of `SPAN ^ level` windows, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) dimension: Dimension,
    pub(super) level: u8,
    /// Run r of level l begins with window `r * SPAN ^ l`.
    pub(super) number: u64,
}

impl Run {
    /// The run of this level that a window is in.
    pub(super) fn of(dimension: Dimension, level: u8, window: u64) -> Run {
        let number = window >> (u32::from(level) * SPAN_BITS);
        Run {
            dimension,
            level,
            number,
        }
    }

    /// The first window in it.
    pub(super) fn start(self) -> u64 {
        self.number << (u32::from(self.level) * SPAN_BITS)
    }

    /// The first window behind it.
    pub(super) fn end(self) -> u64 {
        self.number.saturating_add(1) << (u32::from(self.level) * SPAN_BITS)
    }

    /// The run of the level below that is its `child`th.
    pub(super) fn child(self, child: u32) -> Run {
        Run {
            level: self.level.saturating_sub(1),
            number: (self.number << SPAN_BITS) + u64::from(child),
            ..self
        }
    }

    /// Which child of the run above it is.
    pub(super) fn place(self) -> u32 {
        u32::try_from(self.number % SPAN).unwrap_or(0)
    }

    /// The keys that it may have: from the first up to before the second.
    pub(super) fn keys(self) -> (Vec<u8>, Vec<u8>) {
        let next = Run {
            number: self.number.saturating_add(1),
            ..self
        };
        (self.key(0), next.key(0))
    }

    /// Whether a key is one of its own.
    pub(super) fn has_key(self, key: &[u8]) -> bool {
        let (from, to) = self.keys();
        *from <= *key && *key < *to
    }

    /// The key of its piece that begins with this hash.
    pub(super) fn key(self, hash: u64) -> Vec<u8> {
        let kind = [b'l', self.dimension.letter(), self.level];
        [
            &kind,
            self.number.to_be_bytes().as_slice(),
            &hash.to_be_bytes(),
        ]
        .concat()
    }
}

/// The hash in the key of a run's piece.
pub(super) fn parse_hash(key: &[u8]) -> Option<u64> {
    key.last_chunk().copied().map(u64::from_be_bytes)
}

/// The key of a piece of a window's ids.
pub(super) fn piece(window: u64, piece: u8) -> Vec<u8> {
    [b"i".as_slice(), &window.to_be_bytes(), &[piece]].concat()
}

/// The key of a window's manifest.
pub(super) fn manifest(window: u64) -> Vec<u8> {
    [b"m".as_slice(), &window.to_be_bytes()].concat()
}

/// The window in a manifest's key.
pub(super) fn parse_window(key: &[u8]) -> Option<u64> {
    key.last_chunk().copied().map(u64::from_be_bytes)
}

/// A value: the checksum, then the body.
pub(super) fn seal(key: &[u8], owner: &[u8], body: &[u8]) -> Vec<u8> {
    let mut value = checksum(key, owner, body).to_le_bytes().to_vec();
    value.extend_from_slice(body);
    value
}

/// The body of a value; `None` if it does not pass its check.
pub(super) fn unseal<'a>(key: &[u8], owner: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (stored, body) = value.split_first_chunk()?;
    (u32::from_le_bytes(*stored) == checksum(key, owner, body)).then_some(body)
}

fn checksum(key: &[u8], owner: &[u8], body: &[u8]) -> u32 {
    let parts = [key, owner, body];
    parts.into_iter().fold(0, crc32_append)
}

/// A mix of 64 bits, one to one: the finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of bytes, to be summed up with others: sums do not depend on order.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    mix(u64::from(crc32(bytes)) << 32 | (bytes.len() as u64 & 0xffff_ffff))
}

/// Where an id's hash lies: the piece, and 32 bits to look for in it.
///
/// `salt` is the log's own, so that ids made to collide in one log do not in another.
pub(super) fn id_hash(id: EventId, salt: u64) -> (u8, u32) {
    let [high, low] = halves(id.0);
    let hash = mix(mix(low ^ salt) ^ high);
    let piece = u8::try_from(hash >> 61).unwrap_or(0);
    let rest = u32::try_from(hash >> 29 & 0xffff_ffff).unwrap_or(0);
    (piece, rest)
}

fn halves(id: u128) -> [u64; 2] {
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    [half(id >> 64), half(id)]
}

/// The milliseconds since the Unix epoch in a `UUIDv7`; `None` if the id is none.
pub(super) fn millis_of(id: EventId) -> Option<u64> {
    let version = id.0 >> 76 & 0xf;
    let variant = id.0 >> 62 & 0b11;
    if version == 7 && variant == 0b10 {
        u64::try_from(id.0 >> 80).ok()
    } else {
        None
    }
}

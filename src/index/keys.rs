//! The keys of the index and how its values are sealed. Keys are big-endian, so that they sort.
//!
//! | key | value |
//! | --- | --- |
//! | `n` type u32 | the name of the event type with this number |
//! | `t` type u32, window u64 | which events of the window have the type: a [`Chunk`](super::values::Chunk) |
//! | `i` window u64, piece u8 | hashes of the window's event ids, sorted, each with its event's offset |
//! | `m` window u64 | what the window holds: a [`Manifest`](super::values::Manifest) |
//! | `w` | how far all this goes: a [`Position`](super::values::Position); written last |
//!
//! Each value begins with a CRC-32 over its key, what else it belongs to, and its body: a value
//! under another's key does not pass.

use crate::event::EventId;
use crate::position::Seq;

/// The version of all this; an index of another one is rebuilt.
pub(super) const SCHEMA: u32 = 1;
/// How many Seqs a window spans; window w begins at Seq `w * WINDOW_LEN`.
pub(super) const WINDOW_LEN: u64 = 4096;
/// Into how many pieces the ids of a window are cut, by the top bits of their hash.
pub(super) const PIECES: u8 = 8;
/// The key of the position.
pub(super) const POSITION: &[u8] = b"w";
/// Below and above all keys.
pub(super) const ALL: (&[u8], &[u8]) = (b"", b"~");
/// Below and above all keys of names.
pub(super) const NAMES: (&[u8], &[u8]) = (b"n", b"o");

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

/// The key of a type's name.
pub(super) fn name(number: u32) -> Vec<u8> {
    [b"n".as_slice(), &number.to_be_bytes()].concat()
}

/// The number of the type whose name has this key.
pub(super) fn parse_name(key: &[u8]) -> Option<u32> {
    let (kind, number) = key.split_first()?;
    (*kind == b'n').then_some(())?;
    Some(u32::from_be_bytes(number.try_into().ok()?))
}

/// The key of a type's events in a window.
pub(super) fn chunk(number: u32, window: u64) -> Vec<u8> {
    [
        b"t".as_slice(),
        &number.to_be_bytes(),
        &window.to_be_bytes(),
    ]
    .concat()
}

/// The number of the type in a chunk's key.
pub(super) fn parse_type(key: &[u8]) -> Option<u32> {
    let (kind, rest) = key.split_first()?;
    (*kind == b't').then_some(())?;
    rest.first_chunk().copied().map(u32::from_be_bytes)
}

/// The key of a piece of a window's ids.
pub(super) fn piece(window: u64, piece: u8) -> Vec<u8> {
    [b"i".as_slice(), &window.to_be_bytes(), &[piece]].concat()
}

/// The key of a window's manifest.
pub(super) fn manifest(window: u64) -> Vec<u8> {
    [b"m".as_slice(), &window.to_be_bytes()].concat()
}

/// The window in the last 8 bytes of a chunk's or a manifest's key.
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
    let mut hasher = crc32fast::Hasher::new();
    for part in [key, owner, body] {
        hasher.update(part);
    }
    hasher.finalize()
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
    mix(u64::from(crc32fast::hash(bytes)) << 32 | (bytes.len() as u64 & 0xffff_ffff))
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

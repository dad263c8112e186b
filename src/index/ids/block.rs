//! The blocks of a run of ids, and the entries in them.
//!
//! ```text
//! entry   hash of the id 36 bits, offset of the event in its run 28 bits
//! block   CRC-32 over the run, the block's number and its entries; 63 entries, ascending
//! ```
//! What a block has no entry for is filled with ones. A block *passes on* if it is full: what would
//! stand in it may stand in the next one.

use super::super::keys::{WINDOW_LEN, mix};
use crate::event::EventId;
use crate::format::crc::crc32_append;

pub(in super::super) const BLOCK_LEN: usize = 512;
pub(in super::super) const ENTRIES_MAX: usize = (BLOCK_LEN - CHECK_LEN) / ENTRY_LEN;
const CHECK_LEN: usize = 4;
const ENTRY_LEN: usize = 8;
pub(super) const OFFSET_BITS: u32 = 28;
pub(super) const HASH_BITS: u32 = 64 - OFFSET_BITS;
/// Stands for no entry; the last hash is not used.
const NONE: u64 = u64::MAX;
/// How many entries a block has on average: at this number one in ten is full.
const ENTRIES_MEAN: u64 = 53;

/// How many windows a run spans at most, so that an offset fits.
pub(super) const WINDOWS_MAX: u64 = (1 << OFFSET_BITS) / WINDOW_LEN;
/// One more than the last hash that there may be.
pub(in super::super) const HASH_END: u64 = (1 << HASH_BITS) - 1;

/// The hash by which an id is looked for.
///
/// `salt` is the log's own, so that ids made to collide in one log do not in another.
pub(in super::super) fn hash_of(id: EventId, salt: u64) -> u64 {
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    let hash = mix(mix(half(id.0) ^ salt) ^ half(id.0 >> 64));
    (hash >> OFFSET_BITS).min(HASH_END - 1)
}

pub(super) fn entry(hash: u64, offset: u64) -> u64 {
    hash << OFFSET_BITS | offset
}

pub(in super::super) fn parse(entry: u64) -> (u64, u64) {
    (entry >> OFFSET_BITS, entry & ((1 << OFFSET_BITS) - 1))
}

/// How many blocks there are for so many entries, without those that overflow.
pub(super) fn blocks_for(count: u64) -> u64 {
    count.div_ceil(ENTRIES_MEAN).max(1)
}

/// In which of so many blocks an entry stands, or behind it, if those before are full.
pub(super) fn home(entry: u64, blocks: u64) -> u64 {
    let (hash, _) = parse(entry);
    let home = (u128::from(hash) * u128::from(blocks)) >> HASH_BITS;
    u64::try_from(home).unwrap_or(u64::MAX)
}

/// A block that was read: its entries, and how many there are.
#[derive(Debug)]
pub(super) struct Block {
    entries: [u64; ENTRIES_MAX],
    count: usize,
}

impl Block {
    pub(super) fn entries(&self) -> &[u64] {
        self.entries.get(..self.count).unwrap_or_default()
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == ENTRIES_MAX
    }

    /// Whether what comes before `entry` fills it, so that `entry` may stand in the next one.
    pub(super) fn passes_on(&self, entry: u64) -> bool {
        self.is_full() && self.entries.last().is_some_and(|last| *last < entry)
    }

    /// `None` if it is not what was written.
    pub(super) fn read(bytes: &[u8; BLOCK_LEN], owner: u32, number: u64) -> Option<Block> {
        let (check, body) = bytes.split_first_chunk()?;
        (checksum(owner, number, body) == u32::from_le_bytes(*check)).then_some(())?;
        let (stored, _) = body.as_chunks::<ENTRY_LEN>();
        let mut entries = [NONE; ENTRIES_MAX];
        for (entry, stored) in entries.iter_mut().zip(stored) {
            *entry = u64::from_le_bytes(*stored);
        }
        let count = entries.partition_point(|entry| *entry != NONE);
        let held = entries.get(..count)?;
        held.is_sorted().then_some(Block { entries, count })
    }
}

/// The bytes of a block.
pub(super) fn bytes_of(entries: &[u64], owner: u32, number: u64) -> [u8; BLOCK_LEN] {
    let mut bytes = [0xff; BLOCK_LEN];
    if let Some((check, body)) = bytes.split_first_chunk_mut() {
        let (places, _) = body.as_chunks_mut::<ENTRY_LEN>();
        for (place, entry) in places.iter_mut().zip(entries) {
            *place = entry.to_le_bytes();
        }
        *check = checksum(owner, number, body).to_le_bytes();
    }
    bytes
}

fn checksum(owner: u32, number: u64, body: &[u8]) -> u32 {
    crc32_append(crc32_append(owner, &number.to_le_bytes()), body)
}

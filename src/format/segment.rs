//! The header block of a segment: its first 4 KiB.
//!
//! The header proper is one sector (512 bytes), which disks write whole or not at all, and stands
//! twice: in the first and in the last sector of the block. Between them lie the two slots of the key
//! envelope ([`key_slot`](super::key_slot)), apart from the header, so that keys can be wrapped anew
//! without touching it. They are zero in an unencrypted segment.
//!
//! All zeros means *prepared*: the file has its room but was never used. What the key slots hold plays no part
//! in that: of a header that was not synced a crash may leave them alone.

use super::FORMAT_VERSION;
use super::bytes::{array_at, i64_at, put, u16_at, u32_at, u64_at, u128_at};
use super::crc::crc32;
use super::frame::{Chain, HEADER_LEN as FRAME_HEADER_LEN};
pub(crate) use super::key_slot::SECTOR_LEN;
use super::key_slot::{KEY_SLOT_A, KEY_SLOT_B, KeySlots};
use crate::clock::Timestamp;
use crate::position::{SegmentId, Seq};

/// The length of the header block; frames start here.
pub(crate) const BLOCK_LEN: usize = 4096;
/// How many segments at the end of a log may be unsealed, or not wholly on the disk: the active one, and
/// full ones before it. All before those are settled, and of them none is settled before an earlier one.
pub(crate) const OPEN_MAX: usize = 3;
/// The length of a sealed segment's trailer: its last sector, written whole or not at all.
pub(crate) const TRAILER_LEN: usize = SECTOR_LEN;
/// The second copy of the header.
pub(crate) const COPY: usize = BLOCK_LEN - SECTOR_LEN;
const _: () = assert!(KEY_SLOT_B + SECTOR_LEN <= COPY && KEY_SLOT_A >= SECTOR_LEN);

/// No log gets as far as this Seq: what names a higher one is damaged, though it passes its check. So there
/// is always room to reckon with.
pub(crate) const SEQ_LIMIT: Seq = Seq(1 << 62);

const MAGIC: &[u8; 8] = b"FORELOG\x01";

const MAGIC_AT: usize = 0;
const VERSION: usize = MAGIC_AT + 8;
const RESERVED: usize = VERSION + 2;
const GENERATION: usize = RESERVED + 2;
const COMPATIBLE: usize = GENERATION + 4;
const INCOMPATIBLE: usize = COMPATIBLE + 8;
const LOG_ID: usize = INCOMPATIBLE + 8;
const SEGMENT_ID: usize = LOG_ID + 16;
const SEGMENT_LEN: usize = SEGMENT_ID + 8;
const EPOCH: usize = SEGMENT_LEN + 8;
const BASE_SEQ: usize = EPOCH + 8;
const PREV_LAST_SEQ: usize = BASE_SEQ + 8;
const PREV_END: usize = PREV_LAST_SEQ + 8;
const PREV_CHAIN: usize = PREV_END + 8;
const DURABLE_UPTO: usize = PREV_CHAIN + 8;
const SEQ_CEILING: usize = DURABLE_UPTO + 8;
const SALT: usize = SEQ_CEILING + 8;
const BOOT_ID: usize = SALT + 8;
const CREATED_AT: usize = BOOT_ID + 16;
const FIELDS_END: usize = CREATED_AT + 8;
const CHECKSUM: usize = SECTOR_LEN - 4;
const _: () = assert!(FIELDS_END <= CHECKSUM);

/// Name, place and length of each field, for the manual's byte map.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("magic", MAGIC_AT, 8),
    ("version", VERSION, 2),
    ("reserved", RESERVED, 2),
    ("generation", GENERATION, 4),
    ("compatible", COMPATIBLE, 8),
    ("incompatible", INCOMPATIBLE, 8),
    ("log_id", LOG_ID, 16),
    ("segment_id", SEGMENT_ID, 8),
    ("segment_len", SEGMENT_LEN, 8),
    ("epoch", EPOCH, 8),
    ("base_seq", BASE_SEQ, 8),
    ("prev_last_seq", PREV_LAST_SEQ, 8),
    ("prev_end", PREV_END, 8),
    ("prev_chain", PREV_CHAIN, 8),
    ("durable_upto", DURABLE_UPTO, 8),
    ("seq_ceiling", SEQ_CEILING, 8),
    ("salt", SALT, 8),
    ("boot_id", BOOT_ID, 16),
    ("created_at", CREATED_AT, 8),
    ("zeros", FIELDS_END, CHECKSUM - FIELDS_END),
    ("checksum", CHECKSUM, 4),
];

/// Feature bits that this version knows among those that a reader must know.
const INCOMPATIBLE_KNOWN: u64 = REWRITTEN
    | if cfg!(feature = "compression") {
        PACKED
    } else {
        0
    }
    | if cfg!(feature = "encryption") {
        SEALED
    } else {
        0
    };

/// Feature bit: the segment was rewritten after it was sealed. Its frames need not end where the next
/// header says, and Seqs of it may be [dropped](super::dropped).
pub(crate) const REWRITTEN: u64 = 1 << 0;

/// Feature bit: the frames stand in [packs](super::packs), compressed. Only in a rewritten segment.
pub(crate) const PACKED: u64 = 1 << 1;

/// Feature bit: frames of it may be [sealed](super::sealed), and the key envelope is filled.
pub(crate) const SEALED: u64 = 1 << 2;

/// The header of a segment, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The identity of the log; the same in all its segments.
    pub(crate) log_id: u128,
    pub(crate) segment_id: SegmentId,
    /// 0 as first written; one more each time the segment is written anew.
    pub(crate) generation: u32,
    /// Feature bits that a reader must know.
    pub(crate) incompatible: u64,
    /// Fencing number of the writer; 0 until replication hands out others.
    pub(crate) epoch: u64,
    /// The length of the file in bytes.
    pub(crate) segment_len: u64,
    /// The Seq of the first event here; what lies between `prev_last_seq` and it is a declared gap.
    pub(crate) base_seq: Seq,
    /// The last Seq of the segment before.
    pub(crate) prev_last_seq: Seq,
    /// Where the frames of the segment before end: what stands behind is no part of the log.
    pub(crate) prev_end: u64,
    /// The chain over all events before this segment.
    pub(crate) prev_chain: Chain,
    /// The highest Seq known to be synced when the segment was begun.
    pub(crate) durable_upto: Seq,
    /// Seqs up to and including this one may have been handed out.
    pub(crate) seq_ceiling: Seq,
    /// Random; bound into every checksum of the segment.
    pub(crate) salt: u64,
    /// The boot of the operating system in which it was begun; 0 if not known.
    pub(crate) boot_id: u128,
    pub(crate) created_at: Timestamp,
    /// The key envelope.
    pub(crate) keys: KeySlots,
}

/// What stands where a header should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderState {
    /// A header that passes its check. `damaged_copy`: one of the two copies does not.
    Valid {
        /// The header.
        header: SegmentHeader,
        /// Whether only one copy is whole, or one of the key slots is not.
        damaged_copy: bool,
    },
    /// Only zeros: prepared and never used.
    Prepared,
    /// Written by a newer version of Forelog, or needing a feature that this one lacks.
    Unsupported,
    /// Something else.
    Invalid,
}

/// How many frames a segment can hold at most.
pub(crate) fn frames_max(segment_len: usize) -> u64 {
    let room = segment_len
        .saturating_sub(BLOCK_LEN)
        .saturating_sub(TRAILER_LEN);
    (room / FRAME_HEADER_LEN) as u64
}

impl SegmentHeader {
    /// How much of a file of `len` bytes is the segment: a file may be longer than its header says.
    pub(crate) fn len_in(&self, len: usize) -> usize {
        usize::try_from(self.segment_len).map_or(len, |said| said.min(len))
    }

    /// The header block.
    pub(crate) fn encode(&self) -> [u8; BLOCK_LEN] {
        let mut sector = [0_u8; SECTOR_LEN];
        put(&mut sector, MAGIC_AT, MAGIC);
        put(&mut sector, VERSION, &FORMAT_VERSION.to_le_bytes());
        put(&mut sector, GENERATION, &self.generation.to_le_bytes());
        put(&mut sector, INCOMPATIBLE, &self.incompatible.to_le_bytes());
        put(&mut sector, LOG_ID, &self.log_id.to_le_bytes());
        put(&mut sector, SEGMENT_ID, &self.segment_id.0.to_le_bytes());
        put(&mut sector, SEGMENT_LEN, &self.segment_len.to_le_bytes());
        put(&mut sector, EPOCH, &self.epoch.to_le_bytes());
        put(&mut sector, BASE_SEQ, &self.base_seq.0.to_le_bytes());
        put(
            &mut sector,
            PREV_LAST_SEQ,
            &self.prev_last_seq.0.to_le_bytes(),
        );
        put(&mut sector, PREV_END, &self.prev_end.to_le_bytes());
        put(&mut sector, PREV_CHAIN, &self.prev_chain.0.to_le_bytes());
        put(
            &mut sector,
            DURABLE_UPTO,
            &self.durable_upto.0.to_le_bytes(),
        );
        put(&mut sector, SEQ_CEILING, &self.seq_ceiling.0.to_le_bytes());
        put(&mut sector, SALT, &self.salt.to_le_bytes());
        put(&mut sector, BOOT_ID, &self.boot_id.to_le_bytes());
        put(&mut sector, CREATED_AT, &self.created_at.0.to_le_bytes());
        let checksum = crc32(sector.get(..CHECKSUM).unwrap_or_default());
        put(&mut sector, CHECKSUM, &checksum.to_le_bytes());

        let mut block = [0_u8; BLOCK_LEN];
        put(&mut block, 0, &sector);
        put(&mut block, COPY, &sector);
        self.keys.write_to(&mut block);
        block
    }

    /// Reads a header block.
    pub(crate) fn decode(block: &[u8]) -> HeaderState {
        if block.len() >= BLOCK_LEN && is_blank(block) {
            return HeaderState::Prepared;
        }
        match SegmentHeader::decode_copies(block) {
            HeaderState::Valid {
                mut header,
                damaged_copy,
            } => {
                header.keys = KeySlots::decode(block);
                let damaged_slot = header.is_sealed() && !header.keys.is_whole();
                HeaderState::Valid {
                    header,
                    damaged_copy: damaged_copy || damaged_slot,
                }
            }
            other => other,
        }
    }

    fn decode_copies(block: &[u8]) -> HeaderState {
        let first_bytes = block.get(..SECTOR_LEN).unwrap_or_default();
        let copy_bytes = block.get(COPY..BLOCK_LEN).unwrap_or_default();
        match (sector_state(first_bytes), sector_state(copy_bytes)) {
            (HeaderState::Valid { header, .. }, HeaderState::Valid { header: copy, .. }) => {
                HeaderState::Valid {
                    header,
                    damaged_copy: header != copy,
                }
            }
            // A flipped bit makes a version look newer; a copy that really is has a right checksum.
            (HeaderState::Valid { .. }, HeaderState::Unsupported) if is_whole(copy_bytes) => {
                HeaderState::Unsupported
            }
            (HeaderState::Unsupported, HeaderState::Valid { .. }) if is_whole(first_bytes) => {
                HeaderState::Unsupported
            }
            (HeaderState::Valid { header, .. }, _) | (_, HeaderState::Valid { header, .. }) => {
                HeaderState::Valid {
                    header,
                    damaged_copy: true,
                }
            }
            (HeaderState::Unsupported, _) | (_, HeaderState::Unsupported) => {
                HeaderState::Unsupported
            }
            _ => HeaderState::Invalid,
        }
    }

    /// A header with nothing in it but the segment's id: the first of a log that has none yet.
    pub(crate) fn blank(segment_id: SegmentId, salt: u64) -> SegmentHeader {
        SegmentHeader {
            log_id: 0,
            segment_id,
            generation: 0,
            incompatible: 0,
            epoch: 0,
            segment_len: 0,
            base_seq: Seq::FIRST,
            prev_last_seq: Seq::ZERO,
            prev_end: 0,
            prev_chain: Chain::default(),
            durable_upto: Seq::ZERO,
            seq_ceiling: Seq::ZERO,
            salt,
            boot_id: 0,
            created_at: Timestamp(0),
            keys: KeySlots::default(),
        }
    }

    /// Whether the segment was rewritten after it was sealed.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.incompatible & REWRITTEN != 0
    }

    /// Whether its frames are compressed.
    pub(crate) fn is_packed(&self) -> bool {
        self.incompatible & PACKED != 0
    }

    /// Whether frames of it may be encrypted.
    pub(crate) fn is_sealed(&self) -> bool {
        self.incompatible & SEALED != 0
    }

    /// Whether an event of it can be encrypted: in a compressed segment none is, whatever else is said of it.
    pub(crate) fn may_be_sealed(&self) -> bool {
        self.is_sealed() && !self.is_packed()
    }

    /// Whether its events can be borrowed where they lie: frames are neither compressed nor encrypted.
    #[inline]
    pub(crate) fn lies_open(&self) -> bool {
        self.incompatible & (PACKED | SEALED) == 0
    }

    /// The Seqs that are skipped before this segment.
    pub(crate) fn gap(&self) -> Option<crate::position::Gap> {
        let from = self.prev_last_seq.next();
        (from < self.base_seq).then(|| crate::position::Gap {
            from,
            to: self.base_seq.prev(),
        })
    }
}

/// Whether no header was ever written, or nothing of it came to the disk but for key slots.
fn is_blank(block: &[u8]) -> bool {
    const SLOTS_END: usize = KEY_SLOT_B + SECTOR_LEN;
    let parts = [block.get(..KEY_SLOT_A), block.get(SLOTS_END..)];
    parts.into_iter().flatten().flatten().all(|&byte| byte == 0)
}

fn sector_state(sector: &[u8]) -> HeaderState {
    if array_at::<8>(sector, MAGIC_AT).as_ref() != Some(MAGIC) {
        return HeaderState::Invalid;
    }
    // Told apart before the checksum, so that a newer version may move even that.
    if u16_at(sector, VERSION).is_none_or(|version| version > FORMAT_VERSION) {
        return HeaderState::Unsupported;
    }
    if !is_whole(sector) {
        return HeaderState::Invalid;
    }
    if u64_at(sector, INCOMPATIBLE).is_none_or(|bits| bits & !INCOMPATIBLE_KNOWN != 0) {
        return HeaderState::Unsupported;
    }
    fields(sector).map_or(HeaderState::Invalid, |header| HeaderState::Valid {
        header,
        damaged_copy: false,
    })
}

fn is_whole(sector: &[u8]) -> bool {
    let checksum = crc32(sector.get(..CHECKSUM).unwrap_or_default());
    u32_at(sector, CHECKSUM) == Some(checksum)
}

fn fields(sector: &[u8]) -> Option<SegmentHeader> {
    let header = SegmentHeader {
        log_id: u128_at(sector, LOG_ID)?,
        segment_id: SegmentId(u64_at(sector, SEGMENT_ID)?),
        generation: u32_at(sector, GENERATION)?,
        incompatible: u64_at(sector, INCOMPATIBLE)?,
        epoch: u64_at(sector, EPOCH)?,
        segment_len: u64_at(sector, SEGMENT_LEN)?,
        base_seq: Seq(u64_at(sector, BASE_SEQ)?),
        prev_last_seq: Seq(u64_at(sector, PREV_LAST_SEQ)?),
        prev_end: u64_at(sector, PREV_END)?,
        prev_chain: Chain(u64_at(sector, PREV_CHAIN)?),
        durable_upto: Seq(u64_at(sector, DURABLE_UPTO)?),
        seq_ceiling: Seq(u64_at(sector, SEQ_CEILING)?),
        salt: u64_at(sector, SALT)?,
        boot_id: u128_at(sector, BOOT_ID)?,
        created_at: Timestamp(i64_at(sector, CREATED_AT)?),
        keys: KeySlots::default(),
    };
    let seqs = [
        header.base_seq,
        header.prev_last_seq,
        header.durable_upto,
        header.seq_ceiling,
    ];
    seqs.iter().all(|seq| *seq < SEQ_LIMIT).then_some(header)
}

//! The end of a sealed segment: the offset table behind its frames, and the trailer in its last
//! sector. With them, opening reads no frame and `get` needs one look into the table.
//!
//! The table has one `u32` for each Seq from the first to the last: the byte offset of its frame, or
//! 0 where the event was dropped by compaction.

use super::bytes::{array_at, i64_at, put, u32_at, u64_at};
use super::crc::crc32;
use super::frame::Chain;
pub(crate) use super::segment::TRAILER_LEN;
use super::segment::{BLOCK_LEN, SEQ_LIMIT};
use crate::clock::Timestamp;
use crate::position::{SegmentId, Seq};

/// The length of an entry of the offset table.
pub(crate) const ENTRY_LEN: usize = 4;

/// Codec: frames stand plain.
const PLAIN: u32 = 0;
/// Codec: frames stand in packs, each a Zstandard frame (RFC 8878).
const ZSTD: u32 = 1;

const MAGIC: &[u8; 8] = b"FORELOGF";

const MAGIC_AT: usize = 0;
const SEGMENT_ID: usize = MAGIC_AT + 8;
const GENERATION: usize = SEGMENT_ID + 8;
const CODEC: usize = GENERATION + 4;
const SALT: usize = CODEC + 4;
const FIRST_SEQ: usize = SALT + 8;
const LAST_SEQ: usize = FIRST_SEQ + 8;
const COUNT: usize = LAST_SEQ + 8;
const FRAMES_END: usize = COUNT + 8;
const TABLE_CHECKSUM: usize = FRAMES_END + 8;
const DROPPED_CHECKSUM: usize = TABLE_CHECKSUM + 4;
const CHAIN: usize = DROPPED_CHECKSUM + 4;
const TIMESTAMP_MIN: usize = CHAIN + 8;
const TIMESTAMP_MAX: usize = TIMESTAMP_MIN + 8;
const APPENDED_MIN: usize = TIMESTAMP_MAX + 8;
const APPENDED_MAX: usize = APPENDED_MIN + 8;
const DURABLE_UPTO: usize = APPENDED_MAX + 8;
const DROPPED_AT: usize = DURABLE_UPTO + 8;
const DROPPED_LEN: usize = DROPPED_AT + 8;
const PACKS_AT: usize = DROPPED_LEN + 8;
const PACKS_LEN: usize = PACKS_AT + 8;
const PINNED_END: usize = PACKS_LEN + 8;
const TABLE_AT: usize = PINNED_END + 8;
const PACKS_CHECKSUM: usize = TABLE_AT + 8;
const FIELDS_END: usize = PACKS_CHECKSUM + 4;
const CHECKSUM: usize = TRAILER_LEN - 4;
const _: () = assert!(FIELDS_END <= CHECKSUM);

/// Name, place and length of each field, for the manual's byte map.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("magic", MAGIC_AT, 8),
    ("segment_id", SEGMENT_ID, 8),
    ("generation", GENERATION, 4),
    ("codec", CODEC, 4),
    ("salt", SALT, 8),
    ("first_seq", FIRST_SEQ, 8),
    ("last_seq", LAST_SEQ, 8),
    ("count", COUNT, 8),
    ("frames_end", FRAMES_END, 8),
    ("table_checksum", TABLE_CHECKSUM, 4),
    ("dropped_checksum", DROPPED_CHECKSUM, 4),
    ("chain", CHAIN, 8),
    ("timestamp_min", TIMESTAMP_MIN, 8),
    ("timestamp_max", TIMESTAMP_MAX, 8),
    ("appended_min", APPENDED_MIN, 8),
    ("appended_max", APPENDED_MAX, 8),
    ("durable_upto", DURABLE_UPTO, 8),
    ("dropped_at", DROPPED_AT, 8),
    ("dropped_len", DROPPED_LEN, 8),
    ("packs_at", PACKS_AT, 8),
    ("packs_len", PACKS_LEN, 8),
    ("pinned_end", PINNED_END, 8),
    ("table_at", TABLE_AT, 8),
    ("packs_checksum", PACKS_CHECKSUM, 4),
    ("zeros", FIELDS_END, CHECKSUM - FIELDS_END),
    ("checksum", CHECKSUM, 4),
];

/// Both time ranges of a segment's events; empty ranges have `min > max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRanges {
    pub(crate) timestamp_min: Timestamp,
    pub(crate) timestamp_max: Timestamp,
    pub(crate) appended_min: Timestamp,
    pub(crate) appended_max: Timestamp,
}

impl TimeRanges {
    pub(crate) const EMPTY: TimeRanges = TimeRanges {
        timestamp_min: Timestamp(i64::MAX),
        timestamp_max: Timestamp(i64::MIN),
        appended_min: Timestamp(i64::MAX),
        appended_max: Timestamp(i64::MIN),
    };

    /// Takes one more event into the ranges.
    pub(crate) fn include(&mut self, timestamp: Timestamp, appended_at: Timestamp) {
        self.timestamp_min = self.timestamp_min.min(timestamp);
        self.timestamp_max = self.timestamp_max.max(timestamp);
        self.appended_min = self.appended_min.min(appended_at);
        self.appended_max = self.appended_max.max(appended_at);
    }
}

/// A part of the file with a checksum of its own; all zeros where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) checksum: u32,
}

impl Part {
    /// Where it ends, if it starts at `start` or behind it; `start` if there is none.
    fn end_behind(&self, start: usize) -> Option<usize> {
        let at = usize::try_from(self.at).ok()?;
        let end = at.checked_add(usize::try_from(self.len).ok()?)?;
        match self.len {
            0 => Some(start),
            _ => (at >= start).then_some(end),
        }
    }
}

/// What the trailer says of a segment that was rewritten; all zeros where none was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rewritten {
    /// Where the frames ended when the next segment's header pinned that; never 0.
    pub(crate) pinned_end: u64,
    /// The [ranges of dropped Seqs](super::dropped).
    pub(crate) dropped: Part,
    /// Where the packs are if the frames are compressed.
    pub(crate) packed: Option<Packed>,
}

/// What the trailer says of a segment whose frames are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Where the packs end in the file and the offset table starts.
    pub(crate) table_at: u64,
    /// The [list of packs](super::packs).
    pub(crate) list: Part,
}

/// The trailer of a sealed segment, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) segment_id: SegmentId,
    pub(crate) generation: u32,
    /// The segment's salt: a trailer that was left in a recycled file does not pass.
    pub(crate) salt: u64,
    pub(crate) first_seq: Seq,
    /// `first_seq - 1` if the segment holds no event.
    pub(crate) last_seq: Seq,
    pub(crate) count: u64,
    /// Where the frames end. They are followed by the offset table, if they are not compressed.
    pub(crate) frames_end: u64,
    pub(crate) table_checksum: u32,
    /// The chain over all events of the log up to the end of this segment.
    pub(crate) chain: Chain,
    pub(crate) times: TimeRanges,
    /// The highest Seq known to be synced when the segment was sealed.
    pub(crate) durable_upto: Seq,
    pub(crate) rewritten: Rewritten,
}

impl Footer {
    /// The trailer's bytes.
    pub(crate) fn encode(&self) -> [u8; TRAILER_LEN] {
        let mut out = [0_u8; TRAILER_LEN];
        put(&mut out, MAGIC_AT, MAGIC);
        put(&mut out, SEGMENT_ID, &self.segment_id.0.to_le_bytes());
        put(&mut out, GENERATION, &self.generation.to_le_bytes());
        put(&mut out, SALT, &self.salt.to_le_bytes());
        put(&mut out, FIRST_SEQ, &self.first_seq.0.to_le_bytes());
        put(&mut out, LAST_SEQ, &self.last_seq.0.to_le_bytes());
        put(&mut out, COUNT, &self.count.to_le_bytes());
        put(&mut out, FRAMES_END, &self.frames_end.to_le_bytes());
        put(&mut out, TABLE_CHECKSUM, &self.table_checksum.to_le_bytes());
        put(&mut out, CHAIN, &self.chain.0.to_le_bytes());
        put(
            &mut out,
            TIMESTAMP_MIN,
            &self.times.timestamp_min.0.to_le_bytes(),
        );
        put(
            &mut out,
            TIMESTAMP_MAX,
            &self.times.timestamp_max.0.to_le_bytes(),
        );
        put(
            &mut out,
            APPENDED_MIN,
            &self.times.appended_min.0.to_le_bytes(),
        );
        put(
            &mut out,
            APPENDED_MAX,
            &self.times.appended_max.0.to_le_bytes(),
        );
        put(&mut out, DURABLE_UPTO, &self.durable_upto.0.to_le_bytes());
        self.rewritten.encode(&mut out);
        let checksum = crc32(out.get(..CHECKSUM).unwrap_or_default());
        put(&mut out, CHECKSUM, &checksum.to_le_bytes());
        out
    }

    /// Reads a trailer; `None` if the bytes are none, or of a codec that this version lacks.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Footer> {
        let sector: [u8; TRAILER_LEN] = array_at(bytes, 0)?;
        let bytes = sector.as_slice();
        let checksum = crc32(bytes.get(..CHECKSUM)?);
        if array_at::<8>(bytes, MAGIC_AT)? != *MAGIC
            || u32_at(bytes, CHECKSUM)? != checksum
            || ![PLAIN, ZSTD].contains(&u32_at(bytes, CODEC)?)
        {
            return None;
        }
        let footer = Footer {
            segment_id: SegmentId(u64_at(bytes, SEGMENT_ID)?),
            generation: u32_at(bytes, GENERATION)?,
            salt: u64_at(bytes, SALT)?,
            first_seq: Seq(u64_at(bytes, FIRST_SEQ)?),
            last_seq: Seq(u64_at(bytes, LAST_SEQ)?),
            count: u64_at(bytes, COUNT)?,
            frames_end: u64_at(bytes, FRAMES_END)?,
            table_checksum: u32_at(bytes, TABLE_CHECKSUM)?,
            chain: Chain(u64_at(bytes, CHAIN)?),
            times: TimeRanges {
                timestamp_min: Timestamp(i64_at(bytes, TIMESTAMP_MIN)?),
                timestamp_max: Timestamp(i64_at(bytes, TIMESTAMP_MAX)?),
                appended_min: Timestamp(i64_at(bytes, APPENDED_MIN)?),
                appended_max: Timestamp(i64_at(bytes, APPENDED_MAX)?),
            },
            durable_upto: Seq(u64_at(bytes, DURABLE_UPTO)?),
            rewritten: Rewritten::decode(bytes)?,
        };
        let seqs = [footer.first_seq, footer.last_seq, footer.durable_upto];
        seqs.iter().all(|seq| *seq < SEQ_LIMIT).then_some(footer)
    }

    /// Where the frames ended when the next segment's header pinned that.
    pub(crate) fn pinned_end(&self) -> u64 {
        match self.rewritten.pinned_end {
            0 => self.frames_end,
            end => end,
        }
    }

    /// Where the offset table starts in the file.
    pub(crate) fn table_at(&self) -> usize {
        let at = self
            .rewritten
            .packed
            .map_or(self.frames_end, |packed| packed.table_at);
        usize::try_from(at).unwrap_or(usize::MAX)
    }

    /// How many bytes the frames take in the file, if they are compressed.
    pub(crate) fn compressed_len(&self) -> Option<u64> {
        let packed = self.rewritten.packed?;
        Some(packed.table_at.saturating_sub(BLOCK_LEN as u64))
    }

    /// Where everything but the trailer ends in the file; `None` if the parts do not fit together.
    pub(crate) fn parts_end(&self) -> Option<usize> {
        let table_end = self.table_at().checked_add(self.table_len()?)?;
        let dropped_end = self.rewritten.dropped.end_behind(table_end)?;
        match &self.rewritten.packed {
            Some(packed) => packed.list.end_behind(dropped_end),
            None => Some(dropped_end),
        }
    }

    /// Whether each Seq from the first to the last is there: compaction has dropped none.
    pub(crate) fn is_full(&self) -> bool {
        self.last_seq.next().since(self.first_seq) == self.count
    }

    /// How many Seqs from the first to the last hold no event.
    pub(crate) fn dropped(&self) -> u64 {
        let span = self.last_seq.next().since(self.first_seq);
        span.saturating_sub(self.count)
    }

    /// By how many bytes less it takes since it was rewritten.
    pub(crate) fn saved(&self) -> u64 {
        let Some((end, table)) = self.parts_end().zip(self.table_len()) else {
            return 0;
        };
        let before = self.pinned_end().saturating_add(table as u64);
        before.saturating_sub(end as u64)
    }

    /// The length of the offset table in bytes; `None` if the Seqs do not fit together.
    pub(crate) fn table_len(&self) -> Option<usize> {
        let entries = self.last_seq.next().0.checked_sub(self.first_seq.0)?;
        usize::try_from(entries).ok()?.checked_mul(ENTRY_LEN)
    }
}

impl Rewritten {
    fn encode(&self, out: &mut [u8]) {
        put(out, DROPPED_AT, &self.dropped.at.to_le_bytes());
        put(out, DROPPED_LEN, &self.dropped.len.to_le_bytes());
        put(out, DROPPED_CHECKSUM, &self.dropped.checksum.to_le_bytes());
        put(out, PINNED_END, &self.pinned_end.to_le_bytes());
        let Some(packed) = &self.packed else { return };
        put(out, CODEC, &ZSTD.to_le_bytes());
        put(out, TABLE_AT, &packed.table_at.to_le_bytes());
        put(out, PACKS_AT, &packed.list.at.to_le_bytes());
        put(out, PACKS_LEN, &packed.list.len.to_le_bytes());
        put(out, PACKS_CHECKSUM, &packed.list.checksum.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Rewritten> {
        Some(Rewritten {
            pinned_end: u64_at(bytes, PINNED_END)?,
            dropped: Part {
                at: u64_at(bytes, DROPPED_AT)?,
                len: u64_at(bytes, DROPPED_LEN)?,
                checksum: u32_at(bytes, DROPPED_CHECKSUM)?,
            },
            packed: match u32_at(bytes, CODEC)? {
                PLAIN => None,
                _ => Some(Packed::decode(bytes)?),
            },
        })
    }
}

impl Packed {
    fn decode(bytes: &[u8]) -> Option<Packed> {
        Some(Packed {
            table_at: u64_at(bytes, TABLE_AT)?,
            list: Part {
                at: u64_at(bytes, PACKS_AT)?,
                len: u64_at(bytes, PACKS_LEN)?,
                checksum: u32_at(bytes, PACKS_CHECKSUM)?,
            },
        })
    }
}

/// The offset of the `index`th Seq in a table's bytes; `None` beyond the table or if dropped.
pub(crate) fn table_entry(table: &[u8], index: usize) -> Option<usize> {
    let offset = u32_at(table, index.checked_mul(ENTRY_LEN)?)?;
    usize::try_from(offset).ok().filter(|&offset| offset != 0)
}

//! The ranges of Seqs that a compaction has dropped from a segment, as they stand behind its offset table.
//!
//! Each has the chain before its first and behind its last event. So whoever goes through the frames that
//! are left reckons the chain over *all* events of the log: up to a range it must be the one that the range
//! begins with, and goes on with the one that it ends with.
//!
//! A repair declares Seqs in the same way whose events damage has taken: such a range is *lost*. What its
//! events were nobody knows, so its chains only join those on both of its sides.

use super::bytes::{put, u64_at};
use super::frame::Chain;
use crate::position::Seq;

const FIRST_SEQ: usize = 0;
const LAST_SEQ: usize = FIRST_SEQ + 8;
const CHAIN_BEFORE: usize = LAST_SEQ + 8;
const CHAIN_AFTER: usize = CHAIN_BEFORE + 8;
/// The length of a range in bytes.
pub(crate) const RANGE_LEN: usize = CHAIN_AFTER + 8;

/// The bit of `last_seq` that is set in a range that was lost.
const LOST: u64 = 1 << 63;

/// Name, place and length of each field, for the manual's byte map.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("first_seq", FIRST_SEQ, 8),
    ("last_seq", LAST_SEQ, 8),
    ("chain_before", CHAIN_BEFORE, 8),
    ("chain_after", CHAIN_AFTER, 8),
];

/// Seqs that follow each other and were dropped, or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DroppedRange {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    /// The chain over all events of the log before the first.
    pub(crate) before: Chain,
    /// The chain over all events of the log up to the last.
    pub(crate) after: Chain,
    /// Whether damage took the events, rather than a later one of each key.
    pub(crate) lost: bool,
}

impl DroppedRange {
    /// The range's bytes.
    pub(crate) fn encode(&self) -> [u8; RANGE_LEN] {
        let mut out = [0; RANGE_LEN];
        put(&mut out, FIRST_SEQ, &self.first.0.to_le_bytes());
        let mark = if self.lost { LOST } else { 0 };
        put(&mut out, LAST_SEQ, &(self.last.0 | mark).to_le_bytes());
        put(&mut out, CHAIN_BEFORE, &self.before.0.to_le_bytes());
        put(&mut out, CHAIN_AFTER, &self.after.0.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<DroppedRange> {
        let last = u64_at(bytes, LAST_SEQ)?;
        let range = DroppedRange {
            first: Seq(u64_at(bytes, FIRST_SEQ)?),
            last: Seq(last & !LOST),
            before: Chain(u64_at(bytes, CHAIN_BEFORE)?),
            after: Chain(u64_at(bytes, CHAIN_AFTER)?),
            lost: last & LOST != 0,
        };
        (range.first <= range.last).then_some(range)
    }
}

/// The ranges of a segment, ascending; borrowed from where they were read. Bytes that are no range end them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DroppedRanges<'a>(&'a [u8]);

impl<'a> DroppedRanges<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        DroppedRanges(bytes)
    }

    /// All of them.
    pub(crate) fn iter(self) -> impl Iterator<Item = DroppedRange> + 'a {
        let ranges = self.0.chunks_exact(RANGE_LEN);
        ranges.map_while(DroppedRange::decode)
    }

    /// Whether all of them lie between these Seqs, ascend, and do not overlap: others would hide events.
    pub(crate) fn lie_within(self, first: Seq, last: Seq) -> bool {
        let mut next = first;
        let in_order = self.iter().all(|range| {
            let follows = range.first >= next && range.last <= last;
            next = range.last.next();
            follows
        });
        in_order && self.iter().count().checked_mul(RANGE_LEN) == Some(self.0.len())
    }

    /// The range that holds this Seq, or else the first one behind it.
    pub(crate) fn at_or_after(self, seq: Seq) -> Option<DroppedRange> {
        let (mut low, mut high) = (0, self.0.len() / RANGE_LEN);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.nth(middle).is_some_and(|range| range.last < seq) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        self.nth(low)
    }

    fn nth(self, place: usize) -> Option<DroppedRange> {
        let start = place.checked_mul(RANGE_LEN)?;
        self.0.get(start..).and_then(DroppedRange::decode)
    }
}

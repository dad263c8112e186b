//! [`SegmentCheck`]: sums over the frames of one segment, held against what is said of them.

use std::sync::Arc;

use super::damage::Damage;
use super::piece::{CUT_SHORT, Piece};
use super::table::TableCheck;
use super::walk::{Lent, Walk};
use crate::error::Result;
use crate::format::dropped::DroppedRange;
use crate::format::footer::TimeRanges;
use crate::format::frame::{Chain, FrameHeader};
use crate::keys::data::DataKey;
use crate::position::Seq;
use crate::storage::Region;

/// What is gathered from the frames of one segment, to be held against what is said of them.
pub(super) struct SegmentCheck<'a> {
    pub(super) piece: &'a Piece,
    pub(super) walk: Walk,
    table: Option<TableCheck>,
    count: u64,
    chain: Chain,
    /// The Seq behind the last event.
    next: Seq,
    /// The ranges that were passed and not yet [taken](SegmentCheck::take_dropped).
    dropped: Vec<DroppedRange>,
    /// Whether the chain was the one that each range of dropped Seqs begins with.
    is_chained: bool,
    times: TimeRanges,
    /// Whether nothing was broken so far.
    pub(super) intact: bool,
}

impl<'a> SegmentCheck<'a> {
    pub(super) fn new(
        piece: &'a Piece,
        region: Arc<Region>,
        key: Option<&Arc<DataKey>>,
    ) -> Result<Self> {
        let footer = piece.footer_in_force();
        let header = &piece.at.header;
        let walk = Walk::new(region.clone(), header, footer.as_ref(), piece.limit)?;
        Ok(SegmentCheck {
            piece,
            walk: walk.with_key(key),
            table: footer.map(|footer| TableCheck::new(region, footer)),
            count: 0,
            chain: piece.at.header.prev_chain,
            next: piece.at.header.base_seq,
            dropped: Vec::new(),
            is_chained: true,
            times: TimeRanges::EMPTY,
            intact: true,
        })
    }

    /// Takes an event that the walk has just seen; returns what is wrong with it.
    pub(super) fn event(&mut self, offset: usize, header: &FrameHeader) -> Result<Option<Damage>> {
        self.pass_dropped();
        self.next = header.seq.next();
        self.count = self.count.saturating_add(1);
        self.chain = self.chain.extend(header.len, header.content_crc);
        self.times.include(header.timestamp, header.appended_at);
        if let Lent::Bad(reason) = self.walk.event() {
            return Ok(Some(self.piece.damage(offset, header.seq, reason)));
        }
        let listed = match &mut self.table {
            Some(table) => table.has(header.seq, offset)?,
            None => true,
        };
        if listed {
            return Ok(None);
        }
        let at = self.table.take().map_or(0, |table| table.start());
        let reason = "the offset table has another place for the event";
        Ok(Some(self.piece.damage(at, header.seq, reason)))
    }

    /// Holds the sums against footer and next header, after the last frame.
    pub(super) fn ending(mut self, at_end: bool, witness: Seq) -> Result<Vec<Damage>> {
        let mut found = Vec::new();
        self.pass_dropped();
        let last = self.walk.last();
        let table = self.table.take();
        if at_end
            && self.intact
            && let Some(reason) = self.contradiction(last, witness)
        {
            found.push(self.piece.damage(self.walk.offset(), last.next(), reason));
        }
        if let Some(table) = table {
            let start = table.start();
            if !table.finish()? {
                let reason = "the checksum of the offset table does not match";
                found.push(
                    self.piece
                        .damage(start, self.piece.at.header.base_seq, reason),
                );
            }
        }
        Ok(found)
    }

    /// Goes on behind the Seqs that were dropped, with the chain that they left.
    fn pass_dropped(&mut self) {
        while let Some(range) = self.walk.dropped_from(self.next) {
            self.is_chained &= self.chain == range.before;
            self.chain = range.after;
            self.next = range.last.next();
            self.dropped.push(range);
        }
    }

    /// The ranges of dropped Seqs that were passed since it was last asked.
    pub(super) fn take_dropped(&mut self) -> Vec<DroppedRange> {
        self.pass_dropped();
        std::mem::take(&mut self.dropped)
    }

    /// What speaks against frames that are in order by themselves.
    fn contradiction(&self, last: Seq, witness: Seq) -> Option<&'static str> {
        let at = &self.piece.at;
        if let Some(next) = &self.piece.pin {
            if last != at.expected_last(next) {
                return Some(
                    "the segment ends before the event that the next one names as its last",
                );
            }
            if self.chain != next.prev_chain {
                return Some(
                    "the chain hash over the events is not the one that the next segment says",
                );
            }
        } else if self.piece.unsettled && last.next() <= witness {
            return Some(CUT_SHORT);
        }
        if !self.is_chained {
            return Some(
                "the chain hash before dropped events is not the one that they began with",
            );
        }
        let footer = self.piece.footer_in_force()?;
        if footer.last_seq != last || footer.count != self.count {
            return Some("the footer counts other events than there are");
        }
        if footer.chain != self.chain {
            return Some("the chain hash over the events is not the one that the footer says");
        }
        (footer.times != self.times).then_some("the footer has other times than the events")
    }
}

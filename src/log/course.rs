//! [`Course`]: how far the rewriting of a segment has come, and what will stand behind its frames.

use super::drops::Drops;
use super::segment::Segment;
use crate::error::{Error, ErrorKind, Result};
use crate::format::dropped::DroppedRange;
use crate::format::footer::{ENTRY_LEN, Footer, TimeRanges};
use crate::format::frame::{Chain, FrameHeader};
use crate::mutant::{self, Mutant};
use crate::position::Seq;

/// What has been gone through of the old segment, and what of it stands in the new one.
pub(super) struct Course<'a> {
    old: &'a Segment,
    drops: &'a Drops,
    /// The Seq that has to come next, and the chain up to it.
    pub(super) next: Seq,
    chain: Chain,
    earlier: Box<dyn Iterator<Item = DroppedRange> + 'a>,
    /// The next of those that were dropped before.
    pending: Option<DroppedRange>,
    /// The range that the last Seq belongs to, if it is dropped: its first, and the chain before it.
    open: Option<(Seq, Chain)>,
    pub(super) ranges: Vec<u8>,
    pub(super) table: Vec<u8>,
    pub(super) times: TimeRanges,
    pub(super) count: u64,
}

impl<'a> Course<'a> {
    pub(super) fn new(old: &'a Segment, drops: &'a Drops) -> Self {
        let mut earlier = Box::new(old.dropped().iter());
        Course {
            pending: earlier.next(),
            earlier,
            old,
            drops,
            next: old.base_seq(),
            chain: old.header.prev_chain,
            open: None,
            ranges: Vec::new(),
            table: Vec::new(),
            times: TimeRanges::EMPTY,
            count: 0,
        }
    }

    /// Passes what was dropped before, up to the next event.
    fn pass_dropped(&mut self) -> Result<()> {
        while let Some(range) = self.pending.filter(|range| range.first == self.next) {
            if range.before != self.chain {
                return Err(self.damaged("the chain before dropped events is another one"));
            }
            if range.lost {
                self.close_range();
                self.ranges.extend(range.encode());
            } else {
                self.open.get_or_insert((range.first, self.chain));
            }
            let span = range.last.next().since(range.first);
            let entries = usize::try_from(span).unwrap_or(usize::MAX);
            let len = self
                .table
                .len()
                .saturating_add(entries.saturating_mul(ENTRY_LEN));
            self.table.resize(len, 0);
            self.chain = range.after;
            self.next = range.last.next();
            self.pending = self.earlier.next();
        }
        Ok(())
    }

    /// Takes the next event; says whether it is kept.
    pub(super) fn take(&mut self, header: &FrameHeader) -> Result<bool> {
        self.pass_dropped()?;
        if header.seq != self.next {
            return Err(self.damaged("an event is missing"));
        }
        let is_kept = !self.drops.has(header.seq);
        if is_kept {
            self.close_range();
            self.times.include(header.timestamp, header.appended_at);
            self.count += 1;
        } else {
            self.open.get_or_insert((header.seq, self.chain));
            self.table.extend([0; ENTRY_LEN]);
        }
        self.chain = self.chain.extend(header.len, header.content_crc);
        self.next = header.seq.next();
        Ok(is_kept)
    }

    /// Notes where the event stands now that was taken.
    pub(super) fn stands_at(&mut self, offset: usize) {
        let offset = u32::try_from(offset).unwrap_or(0);
        self.table.extend(offset.to_le_bytes());
    }

    fn close_range(&mut self) {
        let Some((first, before)) = self.open.take() else {
            return;
        };
        let range = DroppedRange {
            first,
            last: self.next.prev(),
            before,
            after: self.chain,
            lost: false,
        };
        if !mutant::is(Mutant::DropUndeclared) {
            self.ranges.extend(range.encode());
        }
    }

    /// Comes to the end of the old segment.
    pub(super) fn end(&mut self, footer: &Footer) -> Result<()> {
        self.pass_dropped()?;
        self.close_range();
        if self.next.prev() != footer.last_seq || self.chain != footer.chain {
            return Err(self.damaged("its events are not those that its footer was made for"));
        }
        Ok(())
    }

    pub(super) fn damaged(&self, reason: &str) -> Error {
        let message =
            format!("{reason}: the segment is left as it is; run forelog-recovery doctor");
        Error::new(ErrorKind::Corrupt, message)
            .at_path(self.old.region.path())
            .at_segment(self.old.id())
            .at_seq(self.next)
    }
}

//! [`Laid`]: how the segments of a log are to stand after a repair, decided before anything is touched.
//!
//! From the oldest on, each segment stays as it is if nothing is wrong with it and it goes on where the one
//! before ends. Where it does not, it is written anew with what is left of it. Its end is the one that the
//! next header pins; so that what follows can stay as it is.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::Chain;
use crate::format::segment::{BLOCK_LEN, SEALED, SegmentHeader, frames_max};
use crate::inspect::{Left, Slot, Slots};
use crate::log::random;
use crate::log::remains::{Outline, Remains, Sum};
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;

/// The length of a new segment where no older one tells.
const SEGMENT_LEN: usize = 64 << 20;
/// A log is believed to have had segments of this length, or of its longest file.
const FILE_LEN_MIN: u64 = 256 << 20;

/// How a log is to stand.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) slots: Slots,
    /// What becomes of each slot, in order; `None` if it stays.
    pub(super) anew: Vec<Option<Anew>>,
    /// The segment that the log goes on in, where the last one cannot be.
    pub(super) go_on: Option<SegmentHeader>,
}

/// A segment that is to be written anew, and what is left of it.
#[derive(Debug)]
pub(super) struct Anew {
    pub(super) outline: Outline,
    pub(super) left: Sum,
}

/// Where the segment before ends.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    last: Seq,
    end: u64,
    chain: Chain,
}

/// Which segments are written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that are damaged.
    Damaged,
    /// Those, and all that are not sealed.
    Unsealed,
}

impl Laid {
    /// Decides how the log of these slots is to stand.
    pub(super) fn out(slots: Slots, storage: &dyn Storage, which: Which) -> Result<Laid> {
        let mut laid = Laid {
            anew: Vec::with_capacity(slots.each.len()),
            slots,
            go_on: None,
        };
        let log_id = laid.slots.log_id;
        let log_id = log_id.unwrap_or_else(|| u128::from(random()) << 64 | u128::from(random()));
        let mut before = laid.begin();
        for index in 0..laid.slots.each.len() {
            let anew = laid.one(index, before, log_id, storage, which)?;
            before = laid.end_of(index, anew.as_ref());
            laid.anew.push(anew);
        }
        laid.go_on(before, log_id, storage.boot_id())?;
        Ok(laid)
    }

    /// Whether nothing is to be done.
    pub(super) fn is_in_order(&self) -> bool {
        self.go_on.is_none()
            && self.anew.iter().all(Option::is_none)
            && self.slots.strays.is_empty()
    }

    /// Where the log begins.
    fn begin(&self) -> Before {
        let first = self.slots.each.first();
        match (first.and_then(Slot::header), &self.slots.removed) {
            (Some(header), _) => Before {
                last: header.prev_last_seq,
                end: header.prev_end,
                chain: header.prev_chain,
            },
            (None, Some(removed)) => Before {
                last: removed.upto_seq,
                ..Before::default()
            },
            (None, None) => Before::default(),
        }
    }

    pub(super) fn next_header(&self, index: usize) -> Option<&SegmentHeader> {
        self.slots.each.get(index.saturating_add(1))?.header()
    }

    /// What becomes of one segment, behind this.
    fn one(
        &self,
        index: usize,
        before: Before,
        log_id: u128,
        storage: &dyn Storage,
        which: Which,
    ) -> Result<Option<Anew>> {
        let Some(slot) = self.slots.each.get(index) else {
            return Ok(None);
        };
        let goes_on = |header: &SegmentHeader| {
            header.prev_last_seq == before.last
                && header.prev_end == before.end
                && header.prev_chain == before.chain
        };
        let in_order = slot.damage.is_empty() && slot.header().is_some_and(goes_on);
        let is_sealed = slot.is_sealed_before(self.next_header(index));
        let in_order = in_order && !self.is_doubtful(index, is_sealed);
        let stays = match which {
            Which::Damaged => {
                in_order || (self.is_recoverys(index, slot) && slot.header().is_some())
            }
            Which::Unsealed => in_order && is_sealed,
        };
        if stays {
            return Ok(None);
        }
        let base = slot.base().unwrap_or_default().max(before.last.next());
        let outline = self.outline(index, slot, base, before, log_id);
        self.check_span(index, &outline)?;
        let mut left = Remains::new(base, before.chain);
        slot.visit(storage, self.slots.witness, &mut |found| {
            match found {
                Left::Event(header, _) if header.seq <= outline.last => {
                    left.take(header);
                }
                Left::Event(..) => {}
                Left::Declared(range) => left.pass(range),
            }
            Ok(())
        })?;
        left.end(outline.last, outline.chain);
        let left = left.sum();
        Ok(Some(Anew { outline, left }))
    }

    fn outline(
        &self,
        index: usize,
        slot: &Slot,
        base: Seq,
        before: Before,
        log_id: u128,
    ) -> Outline {
        let known = slot.header().copied();
        let blank = blank(slot.id, log_id);
        let header = self.enveloped(SegmentHeader {
            generation: slot.generation.map_or(0, |last| last.saturating_add(1)),
            base_seq: base,
            prev_last_seq: before.last,
            prev_end: before.end,
            prev_chain: before.chain,
            seq_ceiling: known.map_or(self.slots.ceiling, |header| header.seq_ceiling),
            durable_upto: known.map_or(before.last, |header| header.durable_upto),
            ..known.unwrap_or(blank)
        });
        let (last, chain, pinned_end) = self.end_by_others(index, slot, base, before);
        Outline {
            header,
            last,
            chain,
            pinned_end: pinned_end.max(BLOCK_LEN as u64),
            durable_upto: last,
        }
    }

    /// The same header with the key envelope of the log, if it has one and this has not: where a header is
    /// gone, nothing says whether frames were encrypted, and the envelope does no harm.
    fn enveloped(&self, header: SegmentHeader) -> SegmentHeader {
        if header.is_sealed() && !header.keys.is_empty() {
            return header;
        }
        let others = self.slots.each.iter().rev().filter_map(Slot::header);
        let mut sealed = others.filter(|other| other.is_sealed()).peekable();
        let is_sealed = sealed.peek().is_some();
        let keys = sealed.map(|other| other.keys).find(|keys| !keys.is_empty());
        let known = header.is_sealed() || is_sealed;
        SegmentHeader {
            incompatible: header.incompatible | if known { SEALED } else { 0 },
            keys: keys.unwrap_or(header.keys),
            ..header
        }
    }

    /// Whether the segment, and those before it that are missing, can have held what it is said to: a header
    /// may pass its check and be wrong all the same, and an offset table is as long as it says.
    fn check_span(&self, index: usize, outline: &Outline) -> Result<()> {
        let before = self.slots.each.get(..index).unwrap_or_default();
        let missing = before.iter().rev().take_while(|slot| !slot.is_there());
        let segments = (missing.count() as u64).saturating_add(1);
        let len = usize::try_from(self.slots.file_len_max.max(FILE_LEN_MIN));
        let most = segments.saturating_mul(frames_max(len.unwrap_or(usize::MAX)));
        let header = &outline.header;
        if outline.last.next().since(header.base_seq) <= most {
            return Ok(());
        }
        let message = format!(
            "the segment is said to reach from Seq {} to {}, and no segment holds as many: what says so is \
             damaged though it passes its check; restore this segment and the next one from a backup, or \
             copy what can be read with forelog-recovery replay --into",
            header.base_seq, outline.last
        );
        Err(Error::new(ErrorKind::Corrupt, message)
            .at_segment(header.segment_id)
            .at_offset(0)
            .at_seq(outline.last))
    }

    /// Where a segment ends, by the word of the next header, or else of its own footer, or else by what was
    /// read: its last Seq, the chain up to there, and where its frames end.
    fn end_by_others(
        &self,
        index: usize,
        slot: &Slot,
        base: Seq,
        before: Before,
    ) -> (Seq, Option<Chain>, u64) {
        if let Some(next) = self.next_header(index) {
            let last = next.prev_last_seq.max(base.prev());
            return (last, Some(next.prev_chain), next.prev_end);
        }
        if let Some(footer) = slot.footer() {
            let last = footer.last_seq.max(base.prev());
            return (last, Some(footer.chain), footer.pinned_end());
        }
        if slot.is_there() {
            let last = slot.report.last.max(base.prev());
            return (last, None, slot.report.bytes);
        }
        (base.prev(), Some(before.chain), 0)
    }

    /// Where a segment ends after the repair.
    fn end_of(&self, index: usize, anew: Option<&Anew>) -> Before {
        if let Some(Anew { outline, left }) = anew {
            // A segment without events ends before its base, and the next header says so.
            let by_next = self.next_header(index).map(|next| next.prev_last_seq);
            let is_empty = outline.last < outline.header.base_seq;
            return Before {
                last: by_next.filter(|_| is_empty).unwrap_or(outline.last),
                end: outline.pinned_end,
                chain: left.chain,
            };
        }
        if let Some(next) = self.next_header(index) {
            return Before {
                last: next.prev_last_seq,
                end: next.prev_end,
                chain: next.prev_chain,
            };
        }
        let slot = self.slots.each.get(index);
        match slot.and_then(Slot::footer) {
            Some(footer) => Before {
                last: footer.last_seq,
                end: footer.pinned_end(),
                chain: footer.chain,
            },
            None => Before {
                last: slot.map_or(Seq::ZERO, |slot| slot.report.last),
                ..Before::default()
            },
        }
    }

    /// Whether the log cannot go on behind its last segment: that was written anew by a repair that was cut
    /// off, or it is sealed and the file for the next one, which always stood behind it, is gone.
    fn is_at_an_end(&self, last: &Slot) -> bool {
        let is_anew = last.header().is_some_and(SegmentHeader::is_rewritten);
        let is_left = self.is_recoverys(self.slots.each.len().saturating_sub(1), last);
        let is_alone = last.footer().is_some() && self.slots.prepared.is_none() && !is_left;
        is_anew || is_alone
    }

    /// Decides whether the log goes on in another segment than the last one, and in which.
    fn go_on(&mut self, before: Before, log_id: u128, boot_id: u128) -> Result<()> {
        let last = self.slots.each.last();
        let is_anew = self.anew.last().is_some_and(Option::is_some);
        let is_lacking = last.is_some_and(|slot| self.is_at_an_end(slot));
        let is_lost = last.is_none() && self.slots.witness > Seq::ZERO;
        if !(is_anew || is_lacking || is_lost) {
            return Ok(());
        }
        let id = match (last, &self.slots.removed) {
            (Some(slot), _) => slot.id.next(),
            (None, Some(removed)) => removed.upto_segment.next(),
            (None, None) => SegmentId::FIRST,
        };
        let slots = &self.slots;
        // Where the end is lost, Seqs may have been seen that nothing is left of.
        let is_end_known =
            slots.is_clean && !slots.is_cut && last.is_some_and(|it| it.header().is_some());
        let handed_out = slots.ceiling.max(slots.witness).max(before.last);
        let base = if is_end_known {
            before.last.next()
        } else if slots.ceiling > Seq::ZERO {
            handed_out.next()
        } else {
            handed_out.plus(frames_max(SEGMENT_LEN)).next()
        };
        if base == Seq::MAX {
            let message = "no Seq is left to go on with; bring the events into a new directory with \
                           forelog-recovery replay --into";
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let segment_len = match slots.segment_len {
            0 => SEGMENT_LEN as u64,
            len => len,
        };
        let room = frames_max(usize::try_from(segment_len).unwrap_or(usize::MAX));
        self.go_on = Some(self.enveloped(SegmentHeader {
            segment_len,
            base_seq: base,
            prev_last_seq: before.last,
            prev_end: before.end.max(BLOCK_LEN as u64),
            prev_chain: before.chain,
            durable_upto: base.prev(),
            seq_ceiling: slots.ceiling.max(base.plus(room.saturating_mul(2))),
            boot_id,
            ..blank(id, log_id)
        }));
        Ok(())
    }
}

fn blank(segment_id: SegmentId, log_id: u128) -> SegmentHeader {
    SegmentHeader {
        log_id,
        created_at: Timestamp::now(),
        ..SegmentHeader::blank(segment_id, random())
    }
}

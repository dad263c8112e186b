//! [`Remains`]: what is left of a segment that is damaged, event by event, and how it is written anew.
//!
//! **Lost Seqs are declared.** They become ranges beside those that compaction drops, marked as lost; so the
//! log opens, and whoever reads is told of a gap. A log's chain of hashes goes over the contents of all
//! events, and those of the lost ones nobody knows. But each step of the chain can be undone: from the end
//! that the next segment pins, back over the events that are left, to the end of the lost range. That is the
//! chain behind it. Where several ranges were lost, all but the last leave the chain as it was. So header and
//! footer of the neighbours stay as they are, and whoever reckons the chain finds it in order.
//!
//! What is built is a [rewritten](super::rewriting) segment: of a later generation, sealed, synced before it
//! has its name.

#[cfg(test)]
mod tests;

use super::copier::{Copier, Sink};
use super::opening::{begin_segment, random};
use crate::error::{Error, ErrorKind, Result};
use crate::format::crc::crc32;
use crate::format::dropped::{DroppedRange, RANGE_LEN};
use crate::format::footer::{ENTRY_LEN, Footer, Part, Rewritten, TRAILER_LEN, TimeRanges};
use crate::format::frame::{Chain, FrameHeader};
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, PACKED, REWRITTEN, SegmentHeader};
use crate::position::{Gap, Seq};
use crate::storage::{Region, Storage};

/// What was gone through of a segment, and what of it is left.
#[derive(Debug)]
pub(crate) struct Remains {
    first: Seq,
    next: Seq,
    chain: Chain,
    ranges: Vec<DroppedRange>,
    /// Whether the last range is a lost one with whose end the chain is still to be joined.
    is_open: bool,
    /// Length and checksum of each event since then.
    since: Vec<(u32, u32)>,
    table: Vec<u8>,
    times: TimeRanges,
    count: u64,
    frames_len: usize,
    lost: u64,
}

impl Remains {
    /// Of a segment whose first Seq is `first`, behind events with this chain.
    pub(crate) fn new(first: Seq, chain: Chain) -> Self {
        Remains {
            first,
            next: first,
            chain,
            ranges: Vec::new(),
            is_open: false,
            since: Vec::new(),
            table: Vec::new(),
            times: TimeRanges::EMPTY,
            count: 0,
            frames_len: 0,
            lost: 0,
        }
    }

    /// Takes the next event, which is there; those before it are lost. `false` if it was passed before.
    pub(crate) fn take(&mut self, header: &FrameHeader) -> bool {
        if header.seq < self.next {
            return false;
        }
        self.lose_upto(header.seq.prev());
        self.chain = self.chain.extend(header.len, header.content_crc);
        if self.is_open {
            self.since.push((header.len, header.content_crc));
        }
        self.times.include(header.timestamp, header.appended_at);
        self.count = self.count.saturating_add(1);
        self.frames_len = self.frames_len.saturating_add(header.padded_len());
        self.next = header.seq.next();
        true
    }

    /// Notes where the event stands now that was taken.
    fn stands_at(&mut self, offset: usize) {
        let index = usize::try_from(self.next.prev().since(self.first)).unwrap_or(usize::MAX);
        self.table.resize(index.saturating_mul(ENTRY_LEN), 0);
        let offset = u32::try_from(offset).unwrap_or(0);
        self.table.extend(offset.to_le_bytes());
    }

    /// Passes Seqs that hold no event, as it was declared before.
    pub(crate) fn pass(&mut self, range: &DroppedRange) {
        if range.first < self.next {
            return;
        }
        self.lose_upto(range.first.prev());
        self.join(range.before);
        if range.lost {
            let count = range.last.next().since(range.first);
            self.lost = self.lost.saturating_add(count);
        }
        self.ranges.push(DroppedRange {
            before: self.chain,
            ..*range
        });
        self.chain = range.after;
        self.next = range.last.next();
    }

    /// Comes to the end: `last` is the last Seq, and `chain`, where it is known, the chain up to there.
    pub(crate) fn end(&mut self, last: Seq, chain: Option<Chain>) {
        self.lose_upto(last);
        if let Some(chain) = chain {
            self.join(chain);
        }
    }

    /// What it comes to.
    pub(crate) fn sum(&self) -> Sum {
        let lost = self.ranges.iter().filter(|range| range.lost);
        let gap = |range: &DroppedRange| Gap {
            from: range.first,
            to: range.last,
        };
        Sum {
            chain: self.chain,
            count: self.count,
            frames_len: self.frames_len,
            ranges: self.ranges.len(),
            lost: self.lost,
            lost_seqs: lost.map(gap).take(LOST_MAX).collect(),
        }
    }

    fn lose_upto(&mut self, last: Seq) {
        if last < self.next {
            return;
        }
        self.lost = self.lost.saturating_add(last.next().since(self.next));
        self.ranges.push(DroppedRange {
            first: self.next,
            last,
            before: self.chain,
            after: self.chain,
            lost: true,
        });
        self.is_open = true;
        self.since.clear();
        self.next = last.next();
    }

    /// Joins the range that was lost last with a chain that is known here.
    fn join(&mut self, known: Chain) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let back = |chain: Chain, &(len, crc): &(u32, u32)| chain.retract(len, crc);
        let after = self.since.iter().rev().fold(known, back);
        if let Some(range) = self.ranges.last_mut() {
            range.after = after;
        }
        self.since.clear();
        self.chain = known;
    }
}

/// How many ranges of lost Seqs are listed.
pub(crate) const LOST_MAX: usize = 1000;

/// What is left of a segment, in numbers: little, whatever its size.
#[derive(Debug)]
pub(crate) struct Sum {
    /// The chain up to its end.
    pub(crate) chain: Chain,
    /// How many events are left.
    pub(crate) count: u64,
    /// The room that their frames take.
    frames_len: usize,
    /// How many ranges of Seqs hold no event.
    ranges: usize,
    /// How many Seqs are lost, and which; the first [`LOST_MAX`] ranges.
    pub(crate) lost: u64,
    pub(crate) lost_seqs: Vec<Gap>,
}

/// How a segment is to be written anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outline {
    /// Its header, but for what depends on its contents.
    pub(crate) header: SegmentHeader,
    pub(crate) last: Seq,
    /// The chain up to its end, where it is known.
    pub(crate) chain: Option<Chain>,
    /// Where its frames end by the word of the header that follows.
    pub(crate) pinned_end: u64,
    pub(crate) durable_upto: Seq,
}

/// A segment that is being written anew.
#[derive(Debug)]
pub(crate) struct Rebuild<'a> {
    outline: Outline,
    copier: Copier<'a>,
    remains: Remains,
}

/// The header of a segment in which this is left.
fn header_of(outline: &Outline, left: &Sum) -> SegmentHeader {
    let span = outline.last.next().since(outline.header.base_seq);
    let table_len = usize::try_from(span).unwrap_or(usize::MAX);
    let parts = [
        left.frames_len,
        table_len.saturating_mul(ENTRY_LEN),
        left.ranges.saturating_mul(RANGE_LEN),
        TRAILER_LEN,
    ];
    let len = parts.into_iter().fold(BLOCK_LEN, usize::saturating_add);
    SegmentHeader {
        incompatible: outline.header.incompatible & !PACKED | REWRITTEN,
        segment_len: len.next_multiple_of(BLOCK_LEN) as u64,
        salt: random(),
        ..outline.header
    }
}

/// Builds a segment in a file under a temporary name, durable on return; `copy` gives it its events in
/// order. Returns the header: [`put`] gives the file its name.
///
/// # Errors
/// If the file cannot be made, or `copy` fails; the file is removed then.
pub(crate) fn build(
    storage: &dyn Storage,
    outline: &Outline,
    left: &Sum,
    copy: impl FnOnce(&mut Rebuild<'_>) -> Result<()>,
) -> Result<SegmentHeader> {
    let header = header_of(outline, left);
    let tmp = names::tmp(&names::segment(header.segment_id, header.generation));
    let len = usize::try_from(header.segment_len).unwrap_or(usize::MAX);
    let mut region = storage.create(&tmp, len)?;
    begin_segment(&mut region, &header);
    let built = fill(&mut region, header, outline, copy);
    match built {
        Ok(()) => Ok(header),
        Err(error) => {
            // What cannot be removed the next opening removes.
            let _ignored = storage.remove(&tmp);
            Err(error)
        }
    }
}

fn fill(
    region: &mut Region,
    header: SegmentHeader,
    outline: &Outline,
    copy: impl FnOnce(&mut Rebuild<'_>) -> Result<()>,
) -> Result<()> {
    let mut rebuild = Rebuild {
        outline: *outline,
        copier: Copier::new(region, header.salt),
        remains: Remains::new(header.base_seq, header.prev_chain),
    };
    copy(&mut rebuild)?;
    let Rebuild {
        copier,
        mut remains,
        ..
    } = rebuild;
    copier.finish()?;
    remains.end(outline.last, outline.chain);
    seal(region, &header, outline, &remains)?;
    region.sync()
}

impl Rebuild<'_> {
    /// Copies the next event, unless it was passed or lies beyond the end.
    ///
    /// # Errors
    /// If it does not fit, or a write fails.
    pub(crate) fn event(&mut self, header: &FrameHeader, bytes: &[u8]) -> Result<()> {
        if header.seq <= self.outline.last && self.remains.take(header) {
            let offset = self.copier.copy(bytes, header.content_crc)?;
            self.remains.stands_at(offset);
        }
        Ok(())
    }

    /// Passes Seqs that hold no event, as it was declared before.
    pub(crate) fn pass(&mut self, range: &DroppedRange) {
        self.remains.pass(range);
    }
}

/// Writes what stands behind the frames.
fn seal(
    region: &mut Region,
    header: &SegmentHeader,
    outline: &Outline,
    left: &Remains,
) -> Result<()> {
    let frames_end = region.published() as u64;
    let span = outline.last.next().since(header.base_seq);
    let mut rest = left.table.clone();
    let table_len = usize::try_from(span).unwrap_or(usize::MAX);
    rest.resize(table_len.saturating_mul(ENTRY_LEN), 0);
    let table_checksum = crc32(&rest);
    let ranges: Vec<u8> = left.ranges.iter().flat_map(DroppedRange::encode).collect();
    let footer = Footer {
        segment_id: header.segment_id,
        generation: header.generation,
        salt: header.salt,
        first_seq: header.base_seq,
        last_seq: outline.last,
        count: left.count,
        frames_end,
        table_checksum,
        chain: left.chain,
        times: left.times,
        durable_upto: outline.durable_upto,
        rewritten: Rewritten {
            pinned_end: outline.pinned_end,
            dropped: Part {
                at: frames_end.saturating_add(rest.len() as u64),
                len: ranges.len() as u64,
                checksum: crc32(&ranges),
            },
            packed: None,
        },
    };
    rest.extend(ranges);
    let room = region.len().saturating_sub(region.published());
    if rest.len().saturating_add(TRAILER_LEN) > room {
        let message = "the segment holds more than it did when it was looked at; close whoever writes \
                       to the directory";
        return Err(Error::new(ErrorKind::Io, message).at_path(region.path()));
    }
    rest.resize(room.saturating_sub(TRAILER_LEN), 0);
    rest.extend(footer.encode());
    region.append(&rest)?;
    Ok(())
}

/// Begins a segment that the log goes on in, empty: durable on return, under a temporary name.
///
/// # Errors
/// If the file cannot be made.
pub(crate) fn begin(storage: &dyn Storage, header: &SegmentHeader) -> Result<()> {
    let tmp = names::tmp(&names::segment(header.segment_id, header.generation));
    let len = usize::try_from(header.segment_len).unwrap_or(usize::MAX);
    let mut region = storage.create(&tmp, len)?;
    begin_segment(&mut region, header);
    region.sync()
}

/// Gives a built file its name, durably: the commit point of what it holds.
///
/// # Errors
/// If it cannot be renamed, or the folder not be synced.
pub(crate) fn put(storage: &dyn Storage, header: &SegmentHeader) -> Result<()> {
    let name = names::segment(header.segment_id, header.generation);
    storage.rename(&names::tmp(&name), &name)?;
    storage.sync_dir()
}

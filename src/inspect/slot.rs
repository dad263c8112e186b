//! [`Slot`]: one segment that a log has or must have had, and what is left of it.

use std::sync::Arc;

use super::damage::Damage;
use super::file::File;
use super::piece::{Judgement, Piece};
use super::report::LogReport;
use super::walk::{Lent, Seen, Walk};
use crate::error::Result;
use crate::format::dropped::DroppedRange;
use crate::format::footer::{Footer, Part};
use crate::format::frame::FrameHeader;
use crate::format::names;
use crate::format::segment::SegmentHeader;
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;

/// One segment: there, damaged or missing.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SegmentId,
    /// All files that bear its id.
    pub(crate) files: Vec<String>,
    /// The highest generation of them; `None` if there is none.
    pub(crate) generation: Option<u32>,
    /// What is wrong with it.
    pub(crate) damage: Vec<Damage>,
    /// What was read.
    pub(crate) report: LogReport,
    /// Whether opening refuses a file of it for what it is, such as one that was cut short.
    pub(crate) is_refused: bool,
    pub(super) piece: Option<Piece>,
    /// Whether its header was made up from what else is left.
    is_rescued: bool,
}

/// What is left of a segment, in order.
pub(crate) enum Left<'a> {
    /// An event, and its frame's bytes.
    Event(&'a FrameHeader, &'a [u8]),
    /// Seqs that hold no event, as it was declared before.
    Declared(&'a DroppedRange),
}

impl Slot {
    /// Its header, if a copy of it is whole.
    pub(crate) fn header(&self) -> Option<&SegmentHeader> {
        let piece = self.piece.as_ref().filter(|_| !self.is_rescued)?;
        Some(&piece.at.header)
    }

    /// Its footer, if that is whole.
    pub(crate) fn footer(&self) -> Option<&Footer> {
        self.piece.as_ref()?.at.footer.as_ref()
    }

    /// Whether there is a file to read.
    pub(crate) fn is_there(&self) -> bool {
        self.piece.is_some()
    }

    /// The file that is read.
    pub(crate) fn name(&self) -> Option<&str> {
        self.piece.as_ref().map(|piece| piece.at.name.as_str())
    }

    /// Whether it is sealed where the next header pins it.
    pub(crate) fn is_sealed_before(&self, next: Option<&SegmentHeader>) -> bool {
        let at = self.piece.as_ref().map(|piece| &piece.at);
        at.zip(next).is_some_and(|(at, next)| at.is_pinned_by(next))
    }

    /// Whether all of it is certain to be on the disk, sealed, by the word of the next header and what is
    /// witnessed: an opening takes it as it is then.
    pub(crate) fn is_settled_before(&self, next: Option<&SegmentHeader>, witness: Seq) -> bool {
        self.is_sealed_before(next) && next.is_some_and(|next| witness >= next.prev_last_seq)
    }

    /// The first Seq that it can hold, as far as that can be told.
    pub(crate) fn base(&self) -> Option<Seq> {
        self.piece.as_ref().map(|piece| piece.at.header.base_seq)
    }

    /// Gives all that is left to `visit`, in order.
    ///
    /// # Errors
    /// Those of `visit`, and where the file cannot be read at all.
    pub(crate) fn visit(
        &self,
        storage: &dyn Storage,
        witness: Seq,
        visit: &mut dyn FnMut(Left<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(piece) = &self.piece else {
            return Ok(());
        };
        let region = Arc::new(storage.open_read_only(&piece.at.name)?);
        let at = &piece.at;
        let begin = |footer| Walk::new(region.clone(), &at.header, footer, piece.limit);
        // Where the ranges of dropped Seqs are damaged, what they stood for is lost; compressed frames are not.
        let without = at.footer.map(|mut footer| {
            footer.rewritten.dropped = Part::default();
            footer
        });
        let mut walk = begin(at.footer.as_ref())
            .or_else(|_| begin(without.as_ref()))
            .or_else(|_| begin(None))?;
        let declared = walk.dropped().to_vec();
        let mut declared = declared.iter().peekable();
        loop {
            match walk.next()? {
                Seen::Event { header, .. } => {
                    while let Some(range) = declared.next_if(|range| range.first < header.seq) {
                        visit(Left::Declared(range))?;
                    }
                    if !matches!(walk.event(), Lent::Bad(_)) {
                        visit(Left::Event(&header, walk.bytes()))?;
                    }
                }
                Seen::Mark => {}
                Seen::Broken { seq, blank, .. } => {
                    if piece.judge(seq, blank, witness) == Judgement::LogEnds {
                        break;
                    }
                }
                Seen::End => break,
            }
        }
        declared.try_for_each(|range| visit(Left::Declared(range)))
    }
}

impl Slot {
    pub(super) fn of(id: SegmentId, piece: Option<Piece>, is_rescued: bool) -> Slot {
        Slot {
            id,
            files: Vec::new(),
            generation: None,
            damage: Vec::new(),
            report: LogReport::default(),
            is_refused: false,
            piece,
            is_rescued,
        }
    }

    /// Whether this file is of an earlier generation than the one that is read.
    pub(super) fn is_replaced(&self, name: &str) -> bool {
        let read = self.piece.as_ref().map(|piece| &piece.at);
        let named = names::parse_segment(name).filter(|(id, _)| *id == self.id);
        let both = read.zip(named).filter(|(read, _)| read.name != *name);
        both.is_some_and(|(read, (_, generation))| generation < read.header.generation)
    }

    pub(super) fn add(&mut self, file: &File) {
        self.files.push(file.entry.name.clone());
        self.is_refused |= file.problem.is_some();
        let own = file.named.map(|(_, generation)| generation);
        // Behind the last one there is no other to write.
        let own = own.filter(|&generation| generation < u32::MAX);
        let by_header = file.segment.as_ref().map(|at| at.header.generation);
        self.generation = self.generation.max(own).max(by_header);
    }
}

//! [`Layout`]: the segment files of a log, however broken: which are read, in what order and how
//! far, and what is wrong with the files as such.
//!
//! Opening refuses at the first thing that is not in order; this goes on. Where a file's name and its
//! header differ the header is believed, for its checksum proves it.

use std::collections::{BTreeMap, BTreeSet};

use super::damage::Damage;
use super::end::End;
use super::file::{File, look_at};
use super::piece::{OPEN_MAX, Piece};
use super::place::Place;
use super::report::{SegmentReport, SegmentState};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::TRAILER_LEN;
use crate::format::names;
use crate::log::Removed;
use crate::log::examine::Examination;
use crate::log::survey::{Survey, Surveyed};
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;
use crate::storage::lenient::Lenient;

/// How often a look is tried again that a writer's removals have overtaken.
const TRIES: u32 = 10;

/// The files of a log, and the segments to read in order.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Where the files are read; `None` if the directory has no log yet.
    pub(super) folder: Option<Lenient>,
    pub(super) files: Vec<File>,
    pub(super) pieces: Vec<Piece>,
    /// What is wrong with files as such, so that events may be lost; by segment.
    pub(super) findings: Vec<Damage>,
    /// What is wrong without a loss: a copy of a header, a footer.
    pub(super) blemishes: Vec<Damage>,
}

impl Layout {
    pub(super) fn take(place: &Place) -> Result<Layout> {
        let mut tries = TRIES;
        loop {
            match Self::try_take(place) {
                // A writer has removed the file since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound && tries > 0 => {
                    tries = tries.saturating_sub(1);
                }
                other => return other,
            }
        }
    }

    fn try_take(place: &Place) -> Result<Layout> {
        let mut layout = Layout::default();
        let Some(storage) = place.shared_storage().map(Lenient::over) else {
            return Ok(layout);
        };
        layout.folder = Some(storage.clone());
        for entry in place.list()? {
            if let Some(file) = look_at(&storage, &entry, place.is_one_file())? {
                layout.files.push(file);
            }
        }
        layout.part_foreign();
        let chosen = layout.choose();
        layout.lay_out(&storage, &chosen)?;
        layout.find_missing();
        layout.note_problems();
        layout
            .findings
            .sort_by_key(|damage| (damage.segment, damage.offset));
        Ok(layout)
    }

    /// Marks segments of another log: one whose identity most of the others do not share.
    fn part_foreign(&mut self) {
        let mut votes: BTreeMap<u128, usize> = BTreeMap::new();
        for segment in self.files.iter().filter_map(|file| file.segment.as_ref()) {
            let count = votes.entry(segment.header.log_id).or_default();
            *count = count.saturating_add(1);
        }
        let ours = votes
            .iter()
            .max_by_key(|&(_, count)| *count)
            .map(|(&id, _)| id);
        for file in &mut self.files {
            let foreign = file
                .segment
                .as_ref()
                .is_some_and(|at| Some(at.header.log_id) != ours);
            if foreign && file.problem.is_none() {
                let message = "the segment belongs to another log; take it out of this folder";
                file.problem = Some(Error::new(ErrorKind::ForeignSegment, message));
            }
            if foreign {
                file.segment = None;
                file.state = SegmentState::Damaged;
            }
        }
    }

    /// The file to read for each segment id: one in order before one that is not, and then the
    /// latest generation.
    fn choose(&mut self) -> BTreeMap<SegmentId, usize> {
        let mut chosen: BTreeMap<SegmentId, (bool, u32, usize)> = BTreeMap::new();
        for (index, file) in self.files.iter().enumerate() {
            let Some(at) = &file.segment else { continue };
            let rank = (file.problem.is_none(), at.header.generation, index);
            let best = chosen.entry(at.header.segment_id).or_insert(rank);
            if (rank.0, rank.1) > (best.0, best.1) {
                *best = rank;
            }
        }
        let kept: BTreeSet<usize> = chosen.values().map(|&(_, _, index)| index).collect();
        for (index, file) in self.files.iter_mut().enumerate() {
            if file.segment.is_some() && file.problem.is_none() && !kept.contains(&index) {
                file.state = SegmentState::Superseded;
            }
        }
        chosen
            .into_iter()
            .map(|(id, (_, _, index))| (id, index))
            .collect()
    }

    /// Sets how far each chosen segment is read.
    fn lay_out(
        &mut self,
        storage: &dyn Storage,
        chosen: &BTreeMap<SegmentId, usize>,
    ) -> Result<()> {
        let files = chosen.values().filter_map(|&index| self.files.get(index));
        let read: Vec<(Surveyed, u64)> = files
            .filter_map(|file| {
                let at = file.segment.clone()?;
                // What a file has beyond the length that its header says is no part of it.
                let len = file.entry.len.min(at.header.segment_len);
                Some((at, len))
            })
            .collect();
        for (index, (at, len)) in read.iter().enumerate() {
            let next = read
                .get(index.saturating_add(1))
                .map(|(next, _)| next.header);
            let pin = next.filter(|next| next.segment_id == at.header.segment_id.next());
            let footer_end = at.footer.map(|footer| footer.frames_end);
            let room = len.saturating_sub(TRAILER_LEN as u64);
            let pinned_end = pin.map(|next| next.prev_end);
            // The header that follows knows where the frames ended before it was rewritten.
            let is_moved = at.header.is_rewritten();
            let limit = footer_end
                .filter(|_| is_moved)
                .or(pinned_end.filter(|_| !is_moved))
                .or(footer_end)
                .unwrap_or(room);
            // Compressed, frames take more than the file.
            let limit = if at.header.is_packed() {
                limit
            } else {
                limit.min(*len)
            };
            self.pieces.push(Piece {
                at: at.clone(),
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
                pin,
                unsettled: false,
            });
        }
        self.check_links(storage)
    }

    /// Holds neighbouring segments against each other. The last ones are left to the examination: a
    /// crash may have come before the footer was written.
    fn check_links(&mut self, storage: &dyn Storage) -> Result<()> {
        let settled = self.pieces.len().saturating_sub(OPEN_MAX);
        for piece in self.pieces.iter().take(settled) {
            self.blemishes.extend(piece.footer_damage(storage)?);
        }
        Ok(())
    }

    /// Reports ids that no file has, and files that say nothing although later ones are in use.
    fn find_missing(&mut self) {
        let Some(last) = self.pieces.last().map(|piece| piece.at.header.segment_id) else {
            return;
        };
        for file in &mut self.files {
            let gone = matches!(file.named, Some((id, _)) if id < last);
            if gone && file.state == SegmentState::Prepared {
                let message = "the segment's header is gone, and later segments are in use; \
                               restore the file from a backup";
                file.problem = Some(Error::new(ErrorKind::Corrupt, message));
                file.state = SegmentState::Damaged;
            }
        }
        let named = self
            .files
            .iter()
            .filter_map(|file| file.named.map(|(id, _)| id));
        let there: BTreeSet<SegmentId> = named.collect();
        for pair in self.pieces.windows(2) {
            let [before, after] = pair else { continue };
            let first = before.at.header.segment_id.next();
            let last = after.at.header.segment_id;
            if first < last && !there.range(first..last).any(|_| true) {
                self.findings.push(missing(before, first, last));
            }
        }
    }

    /// Turns what is wrong with files into findings.
    fn note_problems(&mut self) {
        for file in &self.files {
            let id = file
                .named
                .map(|(id, _)| id)
                .or(file.id())
                .unwrap_or_default();
            if let Some(problem) = &file.problem {
                let mut damage = Damage::of(&file.entry.name, id, problem);
                if damage.seq == Seq::ZERO && file.segment.is_none() {
                    damage.seq = self.seq_after(id);
                }
                self.findings.push(damage);
            } else if let Some(at) = file.segment.as_ref().filter(|at| at.damaged_copy) {
                self.blemishes.push(Damage {
                    file: file.entry.name.clone(),
                    segment: at.header.segment_id,
                    offset: 0,
                    seq: at.header.base_seq,
                    reason: "one of the two copies of the segment's header is damaged".to_owned(),
                });
            }
        }
    }

    /// The Seq that the first event of this segment would have, as far as its forerunners tell.
    fn seq_after(&self, id: SegmentId) -> Seq {
        let before = self
            .pieces
            .iter()
            .rev()
            .find(|piece| piece.at.header.segment_id < id);
        let last = before
            .and_then(|piece| piece.at.footer)
            .map(|footer| footer.last_seq);
        last.map_or(Seq::ZERO, Seq::next)
    }

    /// The segments that are missing before the first one, though retention has not removed them.
    pub(super) fn missing_after(&self, removed: &Removed) -> Option<Damage> {
        let first = self.pieces.first()?.at.header.segment_id;
        let expected = removed.upto_segment.next();
        (first > expected).then(|| Damage {
            file: names::segment(expected, 0),
            segment: expected,
            offset: 0,
            seq: removed.upto_seq.next(),
            reason: format!(
                "segments {expected} to {} are missing, and retention has not removed them; restore them \
                 from a backup",
                first.prev()
            ),
        })
    }

    /// Reads the last segments as recovery would, `witness` being what the control log knows to be
    /// durable, and cuts what is read where the log ends.
    pub(super) fn examine(&mut self, storage: &dyn Storage, witness: Seq) -> Result<End> {
        if self.pieces.is_empty() {
            return Ok(End::without_segments(witness));
        }
        let settled = self.pieces.len().saturating_sub(1);
        if let Some(last) = self
            .pieces
            .last_mut()
            .filter(|it| it.at.header.is_rewritten())
        {
            return Ok(End {
                settled,
                ..End::of_rewritten(last, witness)
            });
        }
        let survey = Survey {
            segments: self.pieces.iter().map(|piece| piece.at.clone()).collect(),
            ..Survey::default()
        };
        let examination = Examination::read(storage, &survey, witness)?;
        let torn = examination.torn.iter().map(|torn| torn.len as u64);
        let first = self.pieces.len().saturating_sub(examination.open.len());
        let end = End {
            witness: examination.witness,
            clean: examination.clean,
            // Opening refuses damage, and sets nothing aside.
            torn_bytes: if examination.is_damaged() {
                0
            } else {
                torn.sum()
            },
            settled: first,
        };
        if examination.is_damaged() {
            for piece in self.pieces.iter_mut().skip(first) {
                piece.unsettled = true;
            }
            return Ok(end);
        }
        let kept = first
            .saturating_add(examination.end_segment())
            .saturating_add(1);
        self.pieces.truncate(kept);
        if let Some(piece) = self.pieces.last_mut() {
            piece.limit = piece.limit.min(examination.end.point.frames_end);
            // If the log ends before the next segment, that one's word no longer counts.
            piece.pin = None;
        }
        Ok(end)
    }

    pub(super) fn reports(&self) -> Vec<SegmentReport> {
        self.files.iter().map(File::report).collect()
    }
}

fn missing(before: &Piece, first: SegmentId, next: SegmentId) -> Damage {
    let last = next.prev();
    let reason = if first == last {
        format!("segment {first} is missing and later ones are there; restore it from a backup")
    } else {
        format!(
            "segments {first} to {last} are missing and later ones are there; restore them from a \
             backup"
        )
    };
    let last_seq = before.at.footer.map(|footer| footer.last_seq);
    Damage {
        file: names::segment(first, 0),
        segment: first,
        offset: 0,
        seq: last_seq.map_or(Seq::ZERO, Seq::next),
        reason,
    }
}

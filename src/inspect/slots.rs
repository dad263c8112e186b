//! [`Slots`]: the segments that a log has or must have had, one by one, with what is left of each. What a
//! repair starts from; nothing is written here.

use super::damage::Damage;
use super::end::End;
use super::file::File;
use super::layout::Layout;
use super::passes::{Progress, Tally, check_at_once};
use super::piece::{CUT_SHORT, Piece};
use super::place::Place;
use super::records::control_of;
use super::report::SegmentState;
use super::rescue::rescue;
use super::slot::Slot;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::log::Removed;
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;
use crate::storage::lenient::Lenient;

/// How many segments may be missing in a row: beyond that a file's name is not believed.
const MISSING_MAX: u64 = 100_000;
/// How many segments without an event may be among them: all others have one at least.
const EMPTY_MAX: u64 = 256;

/// The segments of a log, oldest first, and what else lies in its folder.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// Where the files are read: what it cannot read now it does not read later.
    pub(crate) folder: Option<Lenient>,
    pub(crate) each: Vec<Slot>,
    /// Files that are no part of the log, and why.
    pub(crate) strays: Vec<(String, String)>,
    /// Everything up to here was once on the disk.
    pub(crate) witness: Seq,
    /// The highest Seq that may have been handed out, by the word of all headers.
    pub(crate) ceiling: Seq,
    /// Whether the log was closed in order.
    pub(crate) is_clean: bool,
    /// Whether the log ends before what is witnessed.
    pub(crate) is_cut: bool,
    /// Whether a sync failed before the last end.
    pub(crate) is_poisoned: bool,
    /// The file that stands ready for the segment behind the last.
    pub(crate) prepared: Option<String>,
    /// What retention has removed, where that is known.
    pub(crate) removed: Option<Removed>,
    /// The length of the newest segment that was not rewritten; 0 if there is none.
    pub(crate) segment_len: u64,
    /// The length of the longest file.
    pub(crate) file_len_max: u64,
    pub(crate) log_id: Option<u128>,
}

impl Slots {
    /// Looks at everything.
    ///
    /// # Errors
    /// If something cannot be read for want of permission;
    /// [`UnsupportedVersion`](ErrorKind::UnsupportedVersion) for a segment of a newer version.
    pub(super) fn take(place: &Place, progress: &mut dyn FnMut(Progress)) -> Result<Slots> {
        let mut control = control_of(place)?;
        let layout = match place.storage() {
            Some(_) => Some(Layout::take(place)?),
            None => None,
        };
        control = control.of(layout.as_ref().and_then(Layout::log_id));
        let mut slots = Slots {
            witness: control.witness(),
            removed: control.removed().cloned().filter(|_| control.is_whole()),
            // Where no header is left the control log still knows it.
            log_id: control.log_id(),
            ..Slots::default()
        };
        let Some(mut layout) = layout else {
            return Ok(slots);
        };
        let Some(storage) = layout.folder.clone() else {
            return Ok(slots);
        };
        slots.folder = Some(storage.clone());
        let storage = &storage;
        slots.note_files(&layout, place)?;
        let held = layout.pieces.clone();
        let end = layout.examine(storage, slots.witness)?;
        let found = end.footer_damage(storage, &held, place.is_one_file())?;
        layout.blemishes.extend(found);
        slots.note_end(&layout, &end);
        slots.note_pieces(&mut layout);
        slots.rescue(storage, &layout)?;
        slots.fill_missing()?;
        slots.note_damage(&layout);
        slots.check(storage, progress)?;
        slots.note_unread(storage)?;
        Ok(slots)
    }

    fn note_files(&mut self, layout: &Layout, place: &Place) -> Result<()> {
        let is_newer = |error: &&Error| error.kind() == ErrorKind::UnsupportedVersion;
        let mut problems = layout.files.iter().filter_map(|file| file.problem.as_ref());
        if let Some(newer) = problems.find(is_newer) {
            let error = Error::new(ErrorKind::UnsupportedVersion, newer.message());
            return Err(error.at_path(newer.path().unwrap_or(&place.path)));
        }
        let entries = place.list()?;
        self.is_poisoned = entries.iter().any(|entry| entry.name == names::POISONED);
        for file in &layout.files {
            self.file_len_max = self.file_len_max.max(file.entry.len);
            let Some(at) = &file.segment else { continue };
            self.log_id.get_or_insert(at.header.log_id);
            self.ceiling = self.ceiling.max(at.header.seq_ceiling);
            // A length that the file does not have is not believed.
            if !at.header.is_rewritten() && file.problem.is_none() {
                self.segment_len = at.header.segment_len;
            }
        }
        Ok(())
    }

    fn note_end(&mut self, layout: &Layout, end: &End) {
        self.witness = self.witness.max(end.witness);
        self.is_clean = end.clean && end.torn_bytes == 0;
        self.is_cut = layout.pieces.iter().any(|piece| piece.unsettled)
            || (layout.pieces.is_empty() && self.witness > Seq::ZERO);
        let last = layout.pieces.last().map(|piece| piece.at.header.segment_id);
        let mut files = layout.files.iter();
        let prepared = files.find(|file| {
            let id = file.named.map(|(id, _)| id);
            file.state == SegmentState::Prepared && id == last.map(SegmentId::next)
        });
        self.prepared = prepared.map(|file| file.entry.name.clone());
    }

    fn note_pieces(&mut self, layout: &mut Layout) {
        let upto = self.removed.as_ref().map(|removed| removed.upto_segment);
        for piece in std::mem::take(&mut layout.pieces) {
            let id = piece.at.header.segment_id;
            if upto.is_none_or(|upto| id > upto) {
                self.each.push(Slot::of(id, Some(piece), false));
            }
        }
    }

    /// Takes in files whose header is gone, and notes those that are no part of the log.
    fn rescue(&mut self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        for file in &layout.files {
            let Some(problem) = file.problem.as_ref().filter(|_| file.segment.is_none()) else {
                continue;
            };
            let is_known = |id| self.each.iter().any(|slot| slot.id == id);
            let is_foreign = problem.kind() == ErrorKind::ForeignSegment;
            let named = file.named.filter(|_| !is_foreign);
            let left = match named.filter(|(id, _)| !is_known(*id)) {
                Some(named) => {
                    let log_id = self.log_id.unwrap_or_default();
                    rescue(storage, &file.entry, named, log_id)?.map(|piece| (named.0, piece))
                }
                None => None,
            };
            match (left, named) {
                (Some((id, piece)), _) => self.each.push(Slot::of(id, Some(piece), true)),
                (None, Some((id, _))) if self.is_expected(id) => {}
                _ => self.strays.push((
                    file.entry.name.clone(),
                    format!("{}: it is no part of the log", problem.message()),
                )),
            }
        }
        self.each.sort_by_key(|slot| slot.id);
        Ok(())
    }

    /// Whether a segment of this id is there, or must have been: it stands before another, or right behind
    /// the last.
    fn is_expected(&self, id: SegmentId) -> bool {
        let last = self.each.iter().map(|slot| slot.id).max();
        last.is_some_and(|last| id <= last.next())
    }

    /// Makes slots for the segments of which no file can be read.
    fn fill_missing(&mut self) -> Result<()> {
        let first = self.each.first().map(|slot| slot.id);
        let begin = self.removed.as_ref().map(|it| it.upto_segment.next());
        let mut expected = begin.or(first).unwrap_or(SegmentId::FIRST);
        let removed = self.removed.as_ref();
        let mut before = removed.map_or(Seq::ZERO, |removed| removed.upto_seq);
        for slot in std::mem::take(&mut self.each) {
            let base = slot.base().unwrap_or(before);
            let most = base.since(before).saturating_add(EMPTY_MAX);
            before = base;
            if slot.id.0.saturating_sub(expected.0) > most.min(MISSING_MAX) {
                let message = format!(
                    "segments {expected} to {} are missing: too many to be replaced; restore the folder \
                     from a backup",
                    slot.id.prev()
                );
                return Err(Error::new(ErrorKind::MissingSegment, message).at_segment(expected));
            }
            while expected < slot.id {
                self.each.push(Slot::of(expected, None, false));
                expected = expected.next();
            }
            expected = slot.id.next();
            self.each.push(slot);
        }
        Ok(())
    }

    /// Notes which files each segment has, and what is wrong with them.
    fn note_damage(&mut self, layout: &Layout) {
        for file in &layout.files {
            self.note_file(file);
        }
        for damage in layout.findings.iter().chain(&layout.blemishes) {
            // A file may stand under another segment's name.
            let by_file = self
                .each
                .iter()
                .position(|it| it.files.contains(&damage.file));
            let by_id = self.each.iter().position(|it| it.id == damage.segment);
            let found = by_file.or(by_id).and_then(|at| self.each.get_mut(at));
            let Some(slot) = found else { continue };
            if slot.is_replaced(&damage.file) {
                slot.files.retain(|name| *name != damage.file);
                let why = "a later generation of the segment stands in its place";
                self.strays.push((damage.file.clone(), why.to_owned()));
            } else {
                slot.damage.push(damage.clone());
            }
        }
    }

    fn note_file(&mut self, file: &File) {
        let is_stray = self.strays.iter().any(|(name, _)| *name == file.entry.name);
        let unused = [SegmentState::Prepared, SegmentState::Unfinished].contains(&file.state);
        let id = file.id().or(file.named.map(|(id, _)| id));
        let slot = self.each.iter_mut().find(|slot| Some(slot.id) == id);
        let Some(slot) = slot.filter(|_| !is_stray) else {
            // Garbage right behind the last segment: it was one, and nothing of it is left.
            if let (Some(id), Some(problem), false) = (id, &file.problem, is_stray || unused) {
                let mut slot = Slot::of(id, None, false);
                slot.damage.push(Damage::of(&file.entry.name, id, problem));
                slot.add(file);
                self.each.push(slot);
            }
            return;
        };
        slot.add(file);
    }

    /// Notes what the disk cannot give: opening ends where it comes to such a place.
    fn note_unread(&mut self, storage: &Lenient) -> Result<()> {
        if let Some(error) = storage.gone() {
            return Err(error);
        }
        for unread in storage.unread().iter().rev() {
            let mut each = self.each.iter_mut();
            if let Some(slot) = each.find(|slot| slot.files.contains(&unread.name)) {
                slot.is_refused = true;
                slot.damage.insert(0, Damage::of_unread(unread));
            }
        }
        Ok(())
    }

    /// Reads every frame.
    fn check(&mut self, storage: &dyn Storage, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let there = self.each.iter().filter_map(|slot| slot.piece.clone());
        let pieces: Vec<Piece> = there.collect();
        let total = pieces.iter().map(|piece| piece.limit as u64).sum();
        let mut tally = Tally {
            key: None,
            index: None,
            done: 0,
            total,
            progress,
        };
        let outcomes = check_at_once(storage, &pieces, self.witness, &mut tally)?;
        let last = self.each.last().map(|slot| slot.id);
        let there = self.each.iter_mut().filter(|slot| slot.piece.is_some());
        for (slot, outcome) in there.zip(outcomes) {
            let found = outcome.report.damage.iter();
            // Where the log goes on in another segment after all, it is not cut short here.
            let found = found.filter(|it| it.reason != CUT_SHORT || Some(slot.id) == last);
            slot.damage.extend(found.cloned());
            slot.report = outcome.report;
        }
        Ok(())
    }
}

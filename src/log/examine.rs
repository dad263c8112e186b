//! [`Examination`]: reads the last segments and finds where the log's prefix ends. Read-only.
//!
//! Unsynced pages reach a disk in any order, so valid frames behind invalid bytes are a legal crash
//! state. What tells a torn tail from damage is a *witness*: every frame, header and mark carries the
//! highest Seq that was known to be durable when it was written. Invalid bytes at or below the highest
//! witness found anywhere are damage; above it they are a torn tail.

use super::point::{Batch, Point, Walked};
use super::scan::{Found, Scanner};
use super::survey::{Survey, Surveyed, has_whole_table};
use super::walk::{Notes, Station, Stop, no_segment, search_rest, walk};
pub(crate) use super::walk::{Open, Torn, written_len};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{FrameHeader, Kind};
use crate::format::segment::SegmentHeader;
use crate::mutant::{self, Mutant};
use crate::position::Seq;
use crate::storage::Storage;

/// Where the log's prefix ends, and what is known of it.
#[derive(Debug)]
pub(crate) struct Examination {
    /// The forerunners whose frames had to be read, and the last segment, in order.
    pub(crate) open: Vec<Open>,
    /// The first of them, as far as each reaches to where the next one goes on.
    pub(super) whole: Vec<Walked>,
    /// The segment in which the prefix ends, up to there.
    pub(crate) end: Walked,
    /// Everything up to here is certainly on the disk.
    pub(crate) witness: Seq,
    /// Whether the last frame is the mark of a clean end, and nothing stands behind it.
    pub(crate) clean: bool,
    /// The boot in which the log was last written; 0 if not known.
    pub(super) boot_id: u128,
    pub(crate) torn: Vec<Torn>,
    /// Whether whole frames stand behind the prefix that may have been published. A process that is killed
    /// while its threads write beside each other leaves others: behind a frame that was never finished.
    pub(super) lost_frames: bool,
    stop: Option<Stop>,
    stations: Vec<Station>,
}

impl Examination {
    /// Reads the last segments of a survey that has at least one.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) where something witnessed is not there any more, or a segment is not
    /// sealed though it must be.
    pub(super) fn of(storage: &dyn Storage, survey: &Survey, witness: Seq) -> Result<Self> {
        check_rewritten(storage, survey)?;
        let examination = Self::read(storage, survey, witness)?;
        let read = examination.open.len().saturating_sub(1);
        for (at, next) in survey.forerunners().skip(read) {
            at.check_pinned_by(&next.header, storage)?;
        }
        examination.check(survey)?;
        Ok(examination)
    }

    /// Where the segments end that were read, as far as they belong to the log, in order.
    pub(crate) fn points(&self) -> impl Iterator<Item = Point> {
        let whole = self.whole.iter().chain([&self.end]);
        whole.map(|walked| walked.point)
    }

    /// Takes in one more witness from outside the log; nothing is read anew.
    ///
    /// # Errors
    /// As [`Examination::of`].
    pub(super) fn add_witness(&mut self, survey: &Survey, witness: Seq) -> Result<()> {
        self.witness = self.witness.max(witness);
        self.check(survey)
    }

    fn check(&self, survey: &Survey) -> Result<()> {
        self.check_damage()?;
        self.check_forerunners(survey)
    }

    /// Reads the last segments of a survey that has at least one; damage is no error here, and found
    /// by [`is_damaged`](Self::is_damaged).
    ///
    /// # Errors
    /// Only where the files cannot be read.
    pub(crate) fn read(storage: &dyn Storage, survey: &Survey, witness: Seq) -> Result<Self> {
        let last = survey.segments.last().ok_or_else(no_segment)?;
        let mut open = vec![Open::last(storage, last)?];
        let mut notes = Notes {
            witness: witness.max(survey.witness()),
            ..Notes::default()
        };
        let mut whole = Vec::new();
        // The last segment comes first: its frames may witness all of those before it, which then need
        // not be read.
        let mut end = walk(&open, 0, &mut notes)?;
        if mutant::is(Mutant::CutTailTooFar) && !notes.clean {
            if let (Some(only), Some(last)) = (open.first_mut(), end.offsets.last()) {
                only.limit = *last;
            }
            notes = Notes {
                witness: witness.max(survey.witness()),
                ..Notes::default()
            };
            end = walk(&open, 0, &mut notes)?;
        }
        for (at, next) in survey.forerunners() {
            let is_settled =
                !survey.poisoned && at.is_settled_before(&next.header, notes.witness, storage)?;
            if is_settled || at.header.is_rewritten() {
                // Then all before it are.
                break;
            }
            open.insert(0, Open::forerunner(storage, at, next)?);
            let mut before = Notes {
                witness: notes.witness,
                ..Notes::default()
            };
            let walked = walk(&open, 0, &mut before)?;
            if before.stop.is_none() {
                notes.come_after(before);
                whole.insert(0, walked);
            } else {
                notes = before;
                end = walked;
                whole.clear();
            }
        }
        if let Some(stop) = notes.stop {
            search_rest(&open, stop, end.point.frames_end, &mut notes)?;
        }
        // The clock of the log goes on from its last event, which may lie in an earlier segment.
        let read_at = whole.iter().map(|walked| walked.point.last_appended_at);
        let appended_at = &mut end.point.last_appended_at;
        *appended_at = read_at.fold(*appended_at, Ord::max);
        *appended_at = (*appended_at).max(survey.last_appended_at());
        Ok(Examination {
            whole,
            end,
            witness: notes.witness,
            clean: notes.clean && notes.torn.is_empty(),
            boot_id: notes.boot_id,
            torn: std::mem::take(&mut notes.torn),
            lost_frames: notes.lost_frames,
            stop: notes.stop,
            stations: notes.stations,
            open,
        })
    }

    /// Whether a witness contradicts the place where the prefix ends.
    pub(crate) fn is_damaged(&self) -> bool {
        self.end.point.last_seq.next() <= self.witness
    }

    /// Index into [`Examination::open`] of the segment in which the prefix ends.
    pub(crate) fn end_segment(&self) -> usize {
        self.whole.len()
    }

    /// What was read of one of the open segments; `None` if the prefix ends before it.
    fn walked(&self, segment: usize) -> Option<&Walked> {
        let end = (segment == self.whole.len()).then_some(&self.end);
        self.whole.get(segment).or(end)
    }

    /// Where the first events of one of the open segments lie, up to this point of it.
    pub(super) fn offsets_to(&self, segment: usize, point: &Point) -> &[usize] {
        let offsets = self.walked(segment).map(|walked| walked.offsets.as_slice());
        offsets
            .and_then(|all| all.get(..point.count))
            .unwrap_or_default()
    }

    /// The last point of an open segment that is known and not behind the event `seq`.
    fn station(&self, segment: usize, header: &SegmentHeader, seq: Seq) -> Point {
        let here = self
            .stations
            .iter()
            .rev()
            .filter(|station| station.segment == segment);
        let known = here
            .map(|station| station.point)
            .find(|point| point.last_seq <= seq);
        known.unwrap_or(Point::before(header))
    }

    /// The point of an open segment behind the event `seq`, or behind the last one before it that ends
    /// a batch. Marks behind that event are left out: nobody depends on them.
    pub(super) fn point_at(&self, segment: usize, seq: Seq) -> Result<Point> {
        let open = self.open.get(segment).ok_or_else(no_segment)?;
        let mut point = self.station(segment, &open.at.header, seq);
        let Some(walked) = self.walked(segment).filter(|_| seq > point.last_seq) else {
            return Ok(point);
        };
        let mut whole = point;
        let mut batch = Batch::default();
        let mut scanner = Scanner::new(&open.region, open.at.header.salt, walked.point.frames_end);
        scanner.seek(point.frames_end);
        loop {
            let Found::Frame { offset, frame, .. } = scanner.next()? else {
                open.check_end(&scanner, walked.point.frames_end)?;
                break;
            };
            let header = frame.header;
            let is_event = header.kind == Kind::Event;
            if batch.refuses(&header, point.last_seq).is_some() || (is_event && header.seq > seq) {
                break;
            }
            point.take(&header, offset);
            if is_event && batch.is_whole() {
                whole = point;
            }
        }
        Ok(whole)
    }

    /// The room that the frames of all events of the prefix behind `seq` take, and how many there are.
    pub(super) fn room_after(&self, seq: Seq) -> Result<(usize, usize)> {
        let (mut len, mut count) = (0_usize, 0_usize);
        for (index, open) in self.open.iter().enumerate() {
            let Some(end) = self.walked(index).map(|walked| walked.point) else {
                break;
            };
            let kept = if open.at.header.base_seq > seq {
                Point::before(&open.at.header)
            } else if end.last_seq <= seq {
                end
            } else {
                self.point_at(index, seq)?
            };
            len = len.saturating_add(end.events_len.saturating_sub(kept.events_len));
            count = count.saturating_add(end.count.saturating_sub(kept.count));
        }
        Ok((len, count))
    }

    /// Visits all events of the prefix behind `seq`, in order.
    ///
    /// # Errors
    /// What `visit` returns; where a file cannot be read, or does not say any more what it said before.
    pub(super) fn visit_after(
        &self,
        seq: Seq,
        mut visit: impl FnMut(&FrameHeader, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for (index, open) in self.open.iter().enumerate() {
            let Some(end) = self.walked(index).map(|walked| walked.point) else {
                break;
            };
            if end.last_seq <= seq {
                continue;
            }
            let header = open.at.header;
            let mut scanner = Scanner::new(&open.region, header.salt, end.frames_end);
            scanner.seek(self.station(index, &header, seq).frames_end);
            while let Found::Frame { frame, bytes, .. } = scanner.next()? {
                if frame.header.kind == Kind::Event && frame.header.seq > seq {
                    visit(&frame.header, bytes)?;
                }
            }
            open.check_end(&scanner, end.frames_end)?;
        }
        Ok(())
    }

    /// Damage is what a witness contradicts.
    fn check_damage(&self) -> Result<()> {
        if !self.is_damaged() {
            return Ok(());
        }
        let missing = self.end.point.last_seq.next();
        let stop = self.stop.unwrap_or(Stop {
            segment: self.open.len().saturating_sub(1),
            offset: self.end.point.frames_end,
            why: "the log ends here",
        });
        let Some(open) = self.open.get(stop.segment) else {
            return Ok(());
        };
        // Where a gap is declared before the segment, its first Seq is the one that is missing.
        let missing = missing.max(open.at.header.base_seq);
        let message = format!(
            "{}, but events up to {} are known to have been durable: this is damage, not a crash. \
             Nothing was changed. Run forelog-recovery doctor to see what is readable, and how to go on",
            stop.why, self.witness
        );
        Err(Error::new(ErrorKind::Corrupt, message)
            .at_path(open.region.path())
            .at_segment(open.at.header.segment_id)
            .at_offset(stop.offset as u64)
            .at_seq(missing))
    }
}

impl Examination {
    /// A forerunner that was read, since nothing witnesses it as a whole, may lack its seal after a
    /// crash. Before a clean end it was sealed, and a gap behind it is declared only once it is.
    fn check_forerunners(&self, survey: &Survey) -> Result<()> {
        let must_be_sealed = self.clean && !survey.poisoned;
        for (pair, walked) in self.open.windows(2).zip(&self.whole) {
            let [forerunner, next] = pair else { continue };
            let is_proved = walked.point.last_seq <= self.witness;
            let is_sealed = || match forerunner.at.footer {
                Some(footer) => has_whole_table(&forerunner.region, &footer),
                None => Ok(false),
            };
            let must_be_proved = next.at.header.gap().is_some();
            if (!must_be_proved || is_proved) && (!must_be_sealed || is_sealed()?) {
                continue;
            }
            let message =
                "the segment's offset table or trailer is damaged; run forelog-recovery doctor";
            return Err(Error::new(ErrorKind::Corrupt, message)
                .at_path(forerunner.region.path())
                .at_segment(forerunner.at.header.segment_id)
                .at_offset(walked.point.frames_end as u64));
        }
        Ok(())
    }
}

/// A rewritten segment was synced, and had another one behind it, before it had its name: whatever else the
/// end of the log is like, no crash has cut it short.
fn check_rewritten(storage: &dyn Storage, survey: &Survey) -> Result<()> {
    let damaged = |at: &Surveyed, kind: ErrorKind, message: &str| {
        Err(Error::new(kind, message)
            .at_path(storage.path(&at.name))
            .at_segment(at.header.segment_id))
    };
    if let Some(last) = survey.segments.last().filter(|at| at.header.is_rewritten()) {
        let message = "the segment behind this one is missing: it was there before this one was \
                       rewritten; run forelog-recovery doctor";
        return damaged(last, ErrorKind::MissingSegment, message);
    }
    for (at, _) in survey.forerunners() {
        let is_whole = match &at.footer {
            _ if !at.header.is_rewritten() => true,
            Some(footer) => has_whole_table(&storage.open_read_only(&at.name)?, footer)?,
            None => false,
        };
        if !is_whole {
            let message =
                "the segment's offset table or trailer is damaged; run forelog-recovery doctor";
            return damaged(at, ErrorKind::Corrupt, message);
        }
    }
    Ok(())
}

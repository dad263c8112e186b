//! [`Plan`]: what recovery is going to do, decided before it touches anything.

use super::examine::Examination;
use super::opening::Opening;
use super::point::{Point, Walked};
use super::survey::{Survey, Surveyed};
use crate::error::Result;
use crate::format::names;
use crate::format::segment::SegmentHeader;
use crate::mutant::{self, Mutant};
use crate::position::Seq;

/// What is to be done, decided before anything is touched.
pub(super) struct Plan {
    /// The header of the segment that takes the rewritten events.
    pub(super) header: SegmentHeader,
    /// How many segments stand before it.
    pub(super) stay: usize,
    /// The forerunners of which all stays and whose ends are not certain to be on the disk, in order: to be
    /// sealed before anything else, for from the commit on more segments stand behind them, and only the
    /// last ones are ever read.
    pub(super) whole: Vec<Sealing>,
    /// The segment right before the new one, if that pins it at another end than it had: to be sealed
    /// after the commit, for until then what is cut off belongs to the log.
    pub(super) cut: Option<Sealing>,
    /// The last event that stays where it is.
    pub(super) kept_upto: Seq,
    /// Whether Seqs may have been handed out that are lost, and the highest such.
    pub(super) skip_to: Option<Seq>,
    /// The file that was prepared for the next segment, if it can take the new one.
    pub(super) spare: Option<String>,
}

/// A segment that stays, up to some event.
pub(super) struct Sealing {
    /// Index among the segments that were surveyed.
    pub(super) at: usize,
    /// Index among those that were examined.
    pub(super) open: usize,
    pub(super) point: Point,
    /// Whether it is written anew rather than sealed in place.
    pub(super) anew: bool,
}

impl Plan {
    pub(super) fn make(
        opening: &Opening<'_>,
        survey: &Survey,
        last: &Surveyed,
        examination: &Examination,
    ) -> Result<Plan> {
        let end = examination.end.point.last_seq;
        let ceiling = ceiling(survey, examination);
        let is_gap_owed = is_gap_owed(survey, examination, opening.storage.boot_id());
        let mut plan = Plan {
            header: SegmentHeader {
                log_id: last.header.log_id,
                epoch: last.header.epoch,
                durable_upto: end,
                seq_ceiling: ceiling,
                ..opening.blank_header(last.header.segment_id)
            },
            stay: survey.segments.len(),
            whole: Vec::new(),
            cut: None,
            kept_upto: end,
            skip_to: (is_gap_owed && !mutant::is(Mutant::ReuseSeq)).then_some(ceiling),
            spare: spare(opening, survey, last, is_gap_owed),
        };
        plan.lay(survey, last, examination)?;
        if let Some(ceiling) = plan.skip_to {
            plan.declare_gap(ceiling, end);
        }
        Ok(plan)
    }

    /// How many events are written anew of a log that ends with this one.
    pub(super) fn rewritten(&self, end: Seq) -> u64 {
        let whole = self.whole.iter().filter(|sealing| sealing.anew);
        let whole: u64 = whole.map(|sealing| sealing.point.event_count()).sum();
        whole.saturating_add(end.since(self.kept_upto))
    }

    /// The highest Seq that may have been handed out and lost, if there may be any: the log goes on above it.
    pub(super) fn lost_upto(
        survey: &Survey,
        examination: &Examination,
        boot_id: u128,
    ) -> Option<Seq> {
        is_gap_owed(survey, examination, boot_id).then(|| ceiling(survey, examination))
    }

    /// Decides what stays and where the new segment goes on.
    fn lay(&mut self, survey: &Survey, last: &Surveyed, examination: &Examination) -> Result<()> {
        let proved = examination.witness.min(self.kept_upto);
        let first = survey.segments.len().saturating_sub(examination.open.len());
        let sealing = |open: usize, point, anew| Sealing {
            at: first.saturating_add(open),
            open,
            point,
            anew,
        };
        let whole = examination.whole.iter().enumerate();
        let whole = whole.map(|(open, Walked { point, .. })| {
            // What no witness proves the page cache may show and the disk lack.
            sealing(open, *point, survey.poisoned || point.last_seq > proved)
        });
        self.whole = whole.collect();
        let end = examination.end_segment();
        let is_last = end.saturating_add(1) == examination.open.len();
        let point = examination.point_at(end, proved)?;
        if is_last && point.count > 0 && !survey.poisoned {
            // Something of the last segment is proved: it is cut behind that, and followed.
            self.header.segment_id = last.header.segment_id.next();
            self.go_on_after(&point);
            self.cut = Some(sealing(end, point, false));
            return Ok(());
        }
        // Nothing of it is proved, or (after a failed sync) nothing is believed: it is replaced.
        self.stay = survey.segments.len().saturating_sub(1);
        self.header.generation = last.header.generation.saturating_add(1);
        if is_last {
            self.stand_where(&last.header);
        } else {
            // Nothing of it belongs to the log: the new one follows on what is proved of the one before.
            self.go_on_after(&point);
            self.cut = Some(sealing(end, point, survey.poisoned));
        }
        Ok(())
    }

    /// The new segment follows this point of the one before it.
    fn go_on_after(&mut self, point: &Point) {
        self.header.prev_last_seq = point.last_seq;
        self.header.prev_end = point.frames_end as u64;
        self.header.prev_chain = point.chain;
        self.header.base_seq = point.last_seq.next();
        self.kept_upto = point.last_seq;
    }

    /// The new segment stands where the replaced one stood, above the same gap if there was one.
    fn stand_where(&mut self, replaced: &SegmentHeader) {
        self.header.prev_last_seq = replaced.prev_last_seq;
        self.header.prev_end = replaced.prev_end;
        self.header.prev_chain = replaced.prev_chain;
        self.header.base_seq = replaced.base_seq;
        self.kept_upto = replaced.base_seq.prev();
    }

    fn declare_gap(&mut self, ceiling: Seq, end: Seq) {
        if self.kept_upto == end {
            // Nothing to rewrite, so the gap can stand in this very header.
            self.header.base_seq = ceiling.next();
            self.header.durable_upto = ceiling;
            self.skip_to = None;
        } else {
            // The gap is still owed: an opening after a crash in between must declare it, although
            // it runs in the same boot.
            self.header.boot_id = 0;
        }
    }
}

/// The file that was prepared for the segment behind the last one, if the new segment may be written
/// into it: all its blocks were written before, and removing it would take longer.
///
/// Only where the log was last written in this very boot, so that a file whose header is zero holds
/// nothing else either, and where no footer says that this file must be there.
fn spare(
    opening: &Opening<'_>,
    survey: &Survey,
    last: &Surveyed,
    is_gap_owed: bool,
) -> Option<String> {
    let next = names::segment(last.header.segment_id.next(), 0);
    let len = opening.config.segment_len as u64;
    let mut unused = survey.unused.iter();
    let found = unused.find(|entry| entry.name == next && entry.len == len)?;
    (!is_gap_owed && last.footer.is_none()).then(|| found.name.clone())
}

/// The highest Seq that may have been handed out.
fn ceiling(survey: &Survey, examination: &Examination) -> Seq {
    survey.seq_ceiling().max(examination.end.point.last_seq)
}

/// Whether Seqs may have been handed out, and seen, that are lost.
fn is_gap_owed(survey: &Survey, examination: &Examination, boot_id: u128) -> bool {
    survey.poisoned || !(examination.clean || same_boot(examination, boot_id))
}

/// Whether the log was last written in this very boot, and everything that was is still there.
fn same_boot(examination: &Examination, boot_id: u128) -> bool {
    let is_read_to_the_last = examination.whole.len().saturating_add(1) == examination.open.len();
    examination.boot_id != 0
        && examination.boot_id == boot_id
        && is_read_to_the_last
        && !examination.lost_frames
}

//! [`Plan`]: what recovery is going to do, decided before it touches anything.

use super::examine::Examination;
use super::opening::Opening;
use super::point::Point;
use super::survey::{Survey, Surveyed};
use crate::error::Result;
use crate::format::segment::SegmentHeader;
use crate::position::Seq;

/// What is to be done, decided before anything is touched.
pub(super) struct Plan {
    /// The header of the segment that takes the rewritten events.
    pub(super) header: SegmentHeader,
    /// How many segments stand before it.
    pub(super) before: usize,
    /// Where the segment before it ends, if that segment has to be sealed (again).
    pub(super) seal: Option<Point>,
    /// The last event that stays where it is.
    pub(super) kept_upto: Seq,
    /// Whether Seqs may have been handed out that are lost, and the highest such.
    pub(super) skip_to: Option<Seq>,
}

impl Plan {
    pub(super) fn make(
        opening: &Opening<'_>,
        survey: &Survey,
        last: &Surveyed,
        examination: &Examination,
    ) -> Result<Plan> {
        let end = &examination.end;
        let kept_upto = examination.witness.min(end.last_seq);
        // Where nothing of the last segment is proved, it is replaced as a whole; else it is cut
        // after what is proved, and the new segment follows it.
        let replaces = kept_upto < last.header.base_seq;
        let before = survey.segments.len() - usize::from(replaces);
        let previous = before.checked_sub(1).and_then(|at| survey.segments.get(at));
        let point = examination.point_at(kept_upto)?;
        let mut header = SegmentHeader {
            log_id: last.header.log_id,
            epoch: last.header.epoch,
            ..opening.blank_header(last.header.segment_id)
        };
        if replaces {
            header.generation = last.header.generation.saturating_add(1);
        } else {
            header.segment_id = last.header.segment_id.next();
        }
        header.durable_upto = end.last_seq;
        let seal = pin(&mut header, survey, examination, previous, point);
        let ceiling = survey
            .segments
            .iter()
            .rev()
            .take(2)
            .map(|at| at.header.seq_ceiling)
            .max();
        let ceiling = ceiling.unwrap_or(Seq::ZERO).max(end.last_seq);
        let same_boot = examination.boot_id != 0
            && examination.boot_id == opening.storage.boot_id()
            && !survey.poisoned;
        let skip_to = (!same_boot).then_some(ceiling);
        header.seq_ceiling = ceiling;
        if skip_to.is_some() {
            // The gap is still owed: an opening after a crash in between must declare it, although
            // it runs in the same boot.
            header.boot_id = 0;
        }
        Ok(Plan {
            header,
            before,
            seal,
            kept_upto,
            skip_to,
        })
    }
}

/// Lets the new header pin the segment before it; returns where that has to be sealed, if it is not.
fn pin(
    header: &mut SegmentHeader,
    survey: &Survey,
    examination: &Examination,
    previous: Option<&Surveyed>,
    point: Point,
) -> Option<Point> {
    let Some(previous) = previous else {
        // The first segment that is held: what came before it was removed long ago.
        let first = survey.segments.first().map(|at| at.header);
        header.prev_last_seq = first.map_or(Seq::ZERO, |first| first.prev_last_seq);
        header.prev_end = first.map_or(0, |first| first.prev_end);
        header.prev_chain = first.map(|first| first.prev_chain).unwrap_or_default();
        header.base_seq = first.map_or(Seq::FIRST, |first| first.base_seq);
        return None;
    };
    let examined = examination
        .open
        .iter()
        .position(|open| open.at.name == previous.name);
    match (examined, previous.footer) {
        (None, Some(footer)) => {
            header.prev_last_seq = footer.last_seq;
            header.prev_end = footer.frames_end;
            header.prev_chain = footer.chain;
            // The segment that is replaced may have begun above a gap, which is kept.
            let replaced = survey.segments.last().map(|at| at.header.base_seq);
            header.base_seq = replaced.unwrap_or(footer.last_seq.next());
            None
        }
        _ => {
            header.prev_last_seq = point.last_seq;
            header.prev_end = point.frames_end as u64;
            header.prev_chain = point.chain;
            header.base_seq = point.last_seq.next();
            Some(point)
        }
    }
}

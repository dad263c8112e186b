//! Takes out of the folder what lies behind an early end of the log, so that recovery finds the end in the
//! last segment or in the one before it.
//!
//! A power cut may leave a hole in any of the segments that were not synced. What stands behind the next
//! segment after the hole is no part of the log any more, and cannot just be removed: its headers may be the
//! only ones that say which Seqs were handed out, and what a header of an earlier segment pins would no longer
//! be there. So, where K is the last event of the prefix:
//! 1. The segment behind the one with K gets a successor of a later generation without events, whose header
//!    pins the same end, and says what all headers say together of Seqs that were handed out or were durable.
//!    A rename commits it.
//! 2. The one behind it is removed, and then what was prepared.
//!
//! **Crashes inside it.** The prefix ends at K all the while, for no byte up to there changes, and the segment
//! with K still falls short of what the next header pins. So the next opening comes here again; from 1 on it
//! finds the highest Seq that was handed out in the new header.

use super::aside::set_aside;
use super::examine::Examination;
use super::opening::{Opening, random};
use super::room::ROOM_MIN;
use super::survey::{Survey, Surveyed};
use crate::error::Result;
use crate::format::segment::{OPEN_MAX, SegmentHeader};

/// With more, step 2 removes several segments, and a crash could leave one that is sealed as the last, without
/// the file that must stand behind it.
const _: () = assert!(OPEN_MAX == 3);

/// The survey of the folder as it is then; `None` where nothing is to be done. What is torn in segments that
/// go is copied aside.
pub(super) fn shorten(
    opening: &Opening<'_>,
    survey: &Survey,
    examination: &mut Examination,
) -> Result<Option<Survey>> {
    let end = examination.end_segment();
    let open = end.saturating_add(2);
    if examination.open.len() <= open {
        return Ok(None);
    }
    let first = survey.segments.len().saturating_sub(examination.open.len());
    let mut short = survey.clone();
    let behind = short.segments.split_off(first.saturating_add(open));
    let Some(next) = short.segments.pop() else {
        return Ok(None);
    };
    // What the folder shows after a crash of the process need not be durable.
    opening.storage.sync_dir()?;
    for torn in examination.torn.iter().filter(|torn| torn.segment > end) {
        set_aside(opening, examination, torn)?;
    }
    let header = SegmentHeader {
        generation: next.header.generation.saturating_add(1),
        salt: random(),
        durable_upto: examination.witness,
        seq_ceiling: survey.seq_ceiling(),
        ..next.header
    };
    let (header, region) = opening.build_with_room(header, ROOM_MIN)?;
    let segment = opening.finish(header, region)?;
    let unused = short.unused.drain(..).rev().map(|entry| entry.name);
    let behind = behind.into_iter().rev().map(|at| at.name);
    for name in behind.chain(unused) {
        opening.storage.remove(&name)?;
    }
    opening.storage.sync_dir()?;
    short.leftovers.push(next.name);
    short.segments.push(Surveyed {
        name: segment.name.clone(),
        header,
        footer: None,
        damaged_copy: false,
    });
    examination.open.truncate(open);
    examination.torn.retain(|torn| torn.segment == end);
    tracing::info!(
        target: "forelog::log", segment = %header.segment_id,
        "the log ends before this segment; what lay behind it is set aside"
    );
    Ok(Some(short))
}

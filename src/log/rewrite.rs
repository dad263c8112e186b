//! The acting half of recovery: sets torn tails aside, rewrites what no witness proves, goes on above.

use std::sync::Arc;

use super::Recovery;
use super::examine::{Examination, Open, Torn};
use super::opening::{Opened, Opening, first_of, gap_between, note_failed_sync, random, tail_of};
use super::plan::{Plan, Sealing};
use super::point::{Point, Walked};
use super::scan::{Found, Scanner};
use super::segment::{Seal, Segment};
use super::sums::Sums;
use super::survey::{Survey, Surveyed};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{ENTRY_LEN, TRAILER_LEN, TimeRanges};
use crate::format::frame::{self, Place};
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, SegmentHeader};
use crate::position::Seq;
use crate::storage::Region;

/// Room that a rewritten segment leaves for marks.
const MARK_ROOM: usize = 4 * frame::HEADER_LEN;

/// Recovers a log that was not closed in order, or that has no room to go on in.
pub(super) fn recover(
    opening: &Opening<'_>,
    survey: &Survey,
    last: &Surveyed,
    mut examination: Examination,
) -> Result<Opened> {
    let plan = Plan::make(opening, survey, last, &mut examination)?;
    // What the folder shows after a crash of the process need not be durable, and what follows
    // changes bytes that an older name would bring back.
    opening.storage.sync_dir()?;
    for torn in &examination.torn {
        set_aside(opening, &examination, torn)?;
    }
    let mut stay = survey
        .segments
        .get(..plan.stay)
        .unwrap_or_default()
        .to_vec();
    if examination.open.len() == 1 {
        sync_forerunner(opening, survey)?;
    }
    if let Some(whole) = &plan.whole {
        seal(
            opening,
            &examination,
            &plan,
            whole,
            &mut stay,
            examination.witness,
        )?;
    }
    let rewritten = rewrite(opening, &plan, &examination)?;
    let end = examination.end.point;
    if let Some(cut) = &plan.cut {
        seal(opening, &examination, &plan, cut, &mut stay, end.last_seq)?;
    }
    clear_superseded(opening, survey, &stay, &rewritten)?;
    let segments = opening.open_sealed(&stay)?;
    let opened = go_on(opening, &plan, segments, rewritten, &end)?;
    if survey.poisoned {
        opening.storage.remove(names::POISONED)?;
        opening.storage.sync_dir()?;
    }
    let recovery = Recovery {
        clean: examination.clean && !survey.poisoned,
        first: first_of(&opened.segments, opened.tail.last_seq),
        last: end.last_seq,
        rewritten: end.last_seq.since(plan.kept_upto),
        torn_bytes: examination.torn.iter().map(|torn| torn.len as u64).sum(),
        gap: gap_between(end.last_seq, opened.tail.active().base_seq()),
    };
    tracing::info!(target: "forelog::log", ?recovery, "recovered");
    Ok(Opened { recovery, ..opened })
}

/// Copies the bytes of a torn tail into a file of their own.
fn set_aside(opening: &Opening<'_>, examination: &Examination, torn: &Torn) -> Result<()> {
    let Some(open) = examination.open.get(torn.segment) else {
        return Ok(());
    };
    let mut bytes = vec![0; torn.len];
    open.region.read_at(torn.offset, &mut bytes)?;
    let aside = opening.storage.folder(names::ASIDE)?;
    aside.replace(&names::torn_tail(&open.at.name, torn.offset), &bytes)
}

/// Syncs a forerunner that was found sealed: after a crash of the process its footer may stand in the
/// page cache only, and from now on it may have two segments behind it.
fn sync_forerunner(opening: &Opening<'_>, survey: &Survey) -> Result<()> {
    let Some(forerunner) = survey.forerunner() else {
        return Ok(());
    };
    let mut region = opening.storage.open(&forerunner.name)?;
    region.adopt(region.len())?;
    region
        .sync()
        .inspect_err(|_| note_failed_sync(opening.storage))
}

/// Seals a segment that stays at the end that its successor pins, durably.
fn seal(
    opening: &Opening<'_>,
    examination: &Examination,
    plan: &Plan,
    sealing: &Sealing,
    stay: &mut [Surveyed],
    durable_upto: Seq,
) -> Result<()> {
    let Some(at) = stay.get_mut(sealing.at) else {
        return Ok(());
    };
    let point = &sealing.walked.point;
    let seal = Seal {
        chain: point.chain,
        times: point.times,
        durable_upto,
    };
    let sealed = match examination.open.get(sealing.open) {
        Some(open) if plan.anew => seal_anew(opening, open, &sealing.walked, seal)?,
        _ => opening.seal(&opening.open_live(at, &sealing.walked)?, seal)?,
    };
    at.footer = sealed.footer().copied();
    at.header = sealed.header;
    at.name = names::segment(at.header.segment_id, at.header.generation);
    Ok(())
}

/// Writes a segment that stays into a new file, every frame at its old place, and seals it there.
///
/// After a failed sync its own file will not do. The kernel may hold pages of it that the disk has
/// not and that it takes for written: frames that a later sync covered are safe, table and trailer
/// are not.
fn seal_anew(opening: &Opening<'_>, open: &Open, walked: &Walked, seal: Seal) -> Result<Segment> {
    let (header, mut region) = opening.build(SegmentHeader {
        generation: open.at.header.generation.saturating_add(1),
        salt: random(),
        ..open.at.header
    })?;
    let mut scanner = Scanner::new(&open.region, open.at.header.salt, walked.point.frames_end);
    while let Found::Frame { frame, bytes, .. } = scanner.next()? {
        copy_frame(&mut region, header.salt, bytes, frame.header.content_crc)?;
    }
    let name = names::segment(header.segment_id, header.generation);
    let segment = Segment::live(header, name, region);
    segment.note_all(&walked.offsets);
    let sealed = segment.seal(seal)?;
    opening.commit(&header, &sealed.region)?;
    Ok(sealed)
}

/// Writes the events that no witness proves into the new segment and commits it.
fn rewrite(opening: &Opening<'_>, plan: &Plan, examination: &Examination) -> Result<Segment> {
    let mut len = BLOCK_LEN + TRAILER_LEN + MARK_ROOM;
    examination.visit_after(plan.kept_upto, |header, _| {
        len = len.saturating_add(header.padded_len() + ENTRY_LEN);
        Ok(())
    })?;
    let (header, mut region) = opening.build_with_room(plan.header, len)?;
    let mut offsets = Vec::new();
    examination.visit_after(plan.kept_upto, |frame, bytes| {
        offsets.push(copy_frame(
            &mut region,
            header.salt,
            bytes,
            frame.content_crc,
        )?);
        Ok(())
    })?;
    let segment = opening.finish(header, region)?;
    segment.note_all(&offsets);
    Ok(segment)
}

/// Appends a checked frame to a region under its salt; returns its offset there.
fn copy_frame(region: &mut Region, salt: u64, bytes: &[u8], content_crc: u32) -> Result<usize> {
    let copied = region.write_with(frame::padded(bytes.len()), |offset, room| {
        frame::relocate(room, bytes, content_crc, Place { salt, offset });
    });
    copied.ok_or_else(|| {
        Error::new(ErrorKind::Io, "the rewritten segment is full").at_path(region.path())
    })
}

/// Removes what neither stays nor is the new segment: what was replaced now or by earlier openings,
/// and what crashes left half built.
fn clear_superseded(
    opening: &Opening<'_>,
    survey: &Survey,
    stay: &[Surveyed],
    rewritten: &Segment,
) -> Result<()> {
    let unused = survey.unused.iter().rev().map(|entry| &entry.name);
    let surveyed = survey.segments.iter().map(|at| &at.name);
    let is_held =
        |name: &&String| **name == rewritten.name || stay.iter().any(|at| at.name == **name);
    let mut any = false;
    for name in unused.chain(&survey.leftovers).chain(surveyed) {
        if !is_held(&name) {
            opening.storage.remove(name)?;
            any = true;
        }
    }
    if any {
        opening.storage.sync_dir()
    } else {
        Ok(())
    }
}

/// Makes the tail: in the new segment, or in one more above the gap.
fn go_on(
    opening: &Opening<'_>,
    plan: &Plan,
    mut segments: Vec<Arc<Segment>>,
    rewritten: Segment,
    end: &Point,
) -> Result<Opened> {
    let active = match plan.skip_to {
        None => Arc::new(rewritten),
        Some(skip_to) => {
            let (above, sealed) = skip(opening, skip_to, &rewritten, end)?;
            segments.push(Arc::new(sealed));
            Arc::new(above)
        }
    };
    segments.push(active.clone());
    let tail = tail_of(active.clone(), end.last_appended_at)?;
    let sums = Sums::new(end.chain, times_of(&active)?);
    Ok(Opened {
        log_id: plan.header.log_id,
        segments,
        tail,
        sums,
        recovery: Recovery::default(),
    })
}

/// Seals the rewritten segment and begins one above all Seqs that may have been handed out.
fn skip(
    opening: &Opening<'_>,
    skip_to: Seq,
    rewritten: &Segment,
    end: &Point,
) -> Result<(Segment, Segment)> {
    let prev_end = rewritten.region.published() as u64;
    let seal = Seal {
        chain: end.chain,
        times: times_of(rewritten)?,
        durable_upto: end.last_seq,
    };
    let sealed = opening.seal(rewritten, seal)?;
    let header = SegmentHeader {
        log_id: rewritten.header.log_id,
        epoch: rewritten.header.epoch,
        base_seq: skip_to.next(),
        prev_last_seq: end.last_seq,
        prev_end,
        prev_chain: end.chain,
        // Nothing is in the gap, so nothing in it can be lost.
        durable_upto: skip_to,
        ..opening.blank_header(rewritten.id().next())
    };
    let (header, region) = opening.build_with_room(header, BLOCK_LEN + TRAILER_LEN + MARK_ROOM)?;
    Ok((opening.finish(header, region)?, sealed))
}

/// The time ranges of a segment's events.
fn times_of(segment: &Segment) -> Result<TimeRanges> {
    let mut times = TimeRanges::EMPTY;
    let mut seq = segment.base_seq();
    while seq <= segment.last_seq() {
        if let Some(event) = segment.event(seq)? {
            times.include(event.timestamp(), event.appended_at());
        }
        seq = seq.next();
    }
    Ok(times)
}

//! The acting half of recovery: sets torn tails aside, rewrites what no witness proves, goes on above.

use std::sync::Arc;

use super::Recovery;
use super::aside::set_aside;
use super::copier::{Sink as _, copy_into};
use super::examine::Examination;
use super::opening::{Chores, Opened, Opening, first_of, gap_between, note_failed_sync, tail_of};
use super::plan::{Plan, Sealing};
use super::point::Point;
use super::room::ROOM_MIN;
use super::segment::{Seal, Segment};
use super::shorten::shorten;
use super::sums::Sums;
use super::survey::{Survey, Surveyed};
use super::walk::no_segment;
use super::whole::seal_anew;
use crate::error::Result;
use crate::format::footer::{ENTRY_LEN, TimeRanges};
use crate::format::names;
use crate::format::segment::SegmentHeader;
use crate::position::Seq;

/// Recovers a log that was not closed in order, or that has no room to go on in.
pub(super) fn recover(
    opening: Opening<'_>,
    survey: &Survey,
    mut examination: Examination,
) -> Result<Opened> {
    let torn_bytes = examination.torn.iter().map(|torn| torn.len as u64).sum();
    let short = shorten(&opening, survey, &mut examination)?;
    let survey = short.as_ref().unwrap_or(survey);
    let last = survey.segments.last().ok_or_else(no_segment)?;
    let plan = Plan::make(&opening, survey, last, &examination)?;
    let spare = take_spare(&opening, &plan, &examination)?;
    // What the folder shows after a crash of the process need not be durable, and what follows
    // changes bytes that an older name would bring back.
    opening.storage.sync_dir()?;
    for torn in &examination.torn {
        set_aside(&opening, &examination, torn)?;
    }
    let mut stay = survey
        .segments
        .get(..plan.stay)
        .unwrap_or_default()
        .to_vec();
    let mut sealed = Vec::new();
    sync_settled(&opening, survey, &examination)?;
    for whole in &plan.whole {
        let witness = examination.witness;
        sealed.extend(seal(&opening, &examination, whole, &mut stay, witness)?);
    }
    let (rewritten, times) = rewrite(&opening, &plan, &examination, spare)?;
    let end = examination.end.point;
    let was_clean = examination.clean;
    if let Some(cut) = &plan.cut {
        sealed.extend(seal(&opening, &examination, cut, &mut stay, end.last_seq)?);
    }
    clear_superseded(&opening, survey, &stay, &rewritten)?;
    let segments = opening.open_sealed(&stay, &sealed)?;
    let opened = go_on(&opening, &plan, segments, (rewritten, times), &end)?;
    if survey.poisoned {
        opening.storage.remove(names::POISONED)?;
        opening.storage.sync_dir()?;
    }
    let recovery = Recovery {
        clean: was_clean && !survey.poisoned,
        first: first_of(&opened.segments, opened.tail.last_seq),
        last: end.last_seq,
        rewritten: plan.rewritten(end.last_seq),
        torn_bytes,
        gap: gap_between(end.last_seq, opened.tail.active().base_seq()),
    };
    tracing::info!(target: "forelog::log", ?recovery, "recovered");
    let read = examination.open.into_iter().map(|open| open.region);
    Ok(Opened {
        recovery,
        chores: opening.into_chores(read.collect()),
        ..opened
    })
}

/// Syncs the forerunners that were found sealed: after a crash of the process their footers may stand in the
/// page cache only, and from now on more segments stand behind them. From the oldest on, for a later one is
/// never settled before an earlier one.
fn sync_settled(opening: &Opening<'_>, survey: &Survey, examination: &Examination) -> Result<()> {
    let read = examination.open.len().saturating_sub(1);
    let settled: Vec<_> = survey.forerunners().skip(read).collect();
    for (at, _) in settled.into_iter().rev() {
        let mut region = opening.storage.open(&at.name)?;
        region.adopt(region.len())?;
        let synced = region.sync();
        synced.inspect_err(|_| note_failed_sync(opening.storage))?;
    }
    Ok(())
}

/// Seals a segment that stays at the end that its successor pins, durably; returns it, with the room
/// that is left still to be given back.
fn seal(
    opening: &Opening<'_>,
    examination: &Examination,
    sealing: &Sealing,
    stay: &mut [Surveyed],
    durable_upto: Seq,
) -> Result<Option<Arc<Segment>>> {
    let Some(at) = stay.get_mut(sealing.at) else {
        return Ok(None);
    };
    let point = &sealing.point;
    let offsets = examination.offsets_to(sealing.open, point);
    let seal = Seal {
        chain: point.chain,
        times: point.times,
        durable_upto,
    };
    let sealed = match examination.open.get(sealing.open) {
        Some(open) if sealing.anew => Arc::new(seal_anew(opening, open, sealing, offsets, seal)?),
        _ => opening.seal(&opening.open_live(at, point, offsets)?, seal)?,
    };
    at.footer = sealed.footer().copied();
    at.header = sealed.header;
    at.name = names::segment(at.header.segment_id, at.header.generation);
    Ok(Some(sealed))
}

/// Gives the file that was prepared for the next segment the temporary name of the new one, if all that
/// is rewritten fits into it. That is durable with the next sync of the folder; a crash before the
/// commit leaves a temporary file, and the file to be prepared once more.
fn take_spare(
    opening: &Opening<'_>,
    plan: &Plan,
    examination: &Examination,
) -> Result<Option<String>> {
    let Some(spare) = &plan.spare else {
        return Ok(None);
    };
    if needed(plan, examination)? > opening.config.segment_len || !opening.has_blocks(spare)? {
        return Ok(None);
    }
    let tmp = names::tmp(&names::segment(
        plan.header.segment_id,
        plan.header.generation,
    ));
    opening.storage.rename(spare, &tmp)?;
    Ok(Some(tmp))
}

/// The length of a segment that has the room for all that is rewritten.
fn needed(plan: &Plan, examination: &Examination) -> Result<usize> {
    let (len, count) = examination.room_after(plan.kept_upto)?;
    let tables = count.saturating_mul(ENTRY_LEN);
    Ok(len.saturating_add(tables).saturating_add(ROOM_MIN))
}

/// Writes the events that no witness proves into the new segment and commits it; returns it with their
/// time ranges.
fn rewrite(
    opening: &Opening<'_>,
    plan: &Plan,
    examination: &Examination,
    spare: Option<String>,
) -> Result<(Segment, TimeRanges)> {
    let needed = needed(plan, examination)?;
    let (header, mut region) = match spare {
        Some(tmp) => opening.build_in(&tmp, plan.header)?,
        None => opening.build_with_room(plan.header, needed)?,
    };
    let mut offsets = Vec::new();
    let mut times = TimeRanges::EMPTY;
    copy_into(&mut region, header.salt, needed, |copier| {
        examination.visit_after(plan.kept_upto, |frame, bytes| {
            offsets.push(copier.copy(bytes, frame.content_crc)?);
            times.include(frame.timestamp, frame.appended_at);
            Ok(())
        })
    })?;
    let segment = opening.finish(header, region)?;
    segment.note_all(&offsets);
    Ok((segment, times))
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
    (rewritten, times): (Segment, TimeRanges),
    end: &Point,
) -> Result<Opened> {
    let (active, times) = match plan.skip_to {
        None => (Arc::new(rewritten), times),
        Some(skip_to) => {
            let (above, sealed) = skip(opening, skip_to, &rewritten, times, end)?;
            segments.push(sealed);
            (Arc::new(above), TimeRanges::EMPTY)
        }
    };
    segments.push(active.clone());
    let tail = tail_of(&active, end.last_appended_at, &opening.unlocked)?;
    let sums = Sums::new(end.chain, times);
    Ok(Opened {
        log_id: plan.header.log_id,
        segments,
        tail,
        key: opening.unlocked.key.clone(),
        sums,
        recovery: Recovery::default(),
        chores: Chores::default(),
    })
}

/// Seals the rewritten segment and begins one above all Seqs that may have been handed out.
fn skip(
    opening: &Opening<'_>,
    skip_to: Seq,
    rewritten: &Segment,
    times: TimeRanges,
    end: &Point,
) -> Result<(Segment, Arc<Segment>)> {
    let prev_end = rewritten.region.published() as u64;
    let seal = Seal {
        chain: end.chain,
        times,
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
    let (header, region) = opening.build_with_room(header, ROOM_MIN)?;
    Ok((opening.finish(header, region)?, sealed))
}

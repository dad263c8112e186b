//! The acting half of recovery: sets torn tails aside, rewrites what no witness proves, goes on above.

use std::sync::Arc;

use super::Recovery;
use super::examine::Examination;
use super::opening::{Opened, Opening, first_of, gap_between, seal_and_sync, tail_of};
use super::plan::Plan;
use super::point::Point;
use super::scan::{Found, Scanner};
use super::segment::{Seal, Segment};
use super::survey::{Survey, Surveyed};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{ENTRY_LEN, TRAILER_LEN, TimeRanges};
use crate::format::frame::{self, Kind, Place};
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, SegmentHeader};
use crate::position::{SegmentId, Seq};
use crate::storage::Region;

/// Room that a rewritten segment leaves for marks.
const MARK_ROOM: usize = 4 * frame::HEADER_LEN;

/// Recovers a log that was not closed in order.
pub(super) fn recover(
    opening: &Opening<'_>,
    survey: &Survey,
    last: &Surveyed,
    examination: &Examination,
) -> Result<Opened> {
    let plan = Plan::make(opening, survey, last, examination)?;
    for &(index, offset, len) in &examination.torn {
        set_aside(opening, examination, index, offset, len)?;
    }
    let (rewritten_segment, rewritten) = rewrite(opening, &plan, examination)?;
    let segments = seal_before(opening, survey, &plan)?;
    clear_superseded(opening, survey, last, &plan)?;
    let opened = go_on(
        opening,
        &plan,
        segments,
        rewritten_segment,
        &examination.end,
    )?;
    if survey.poisoned {
        opening.storage.remove(names::POISONED)?;
        opening.storage.sync_dir()?;
    }
    let last_seq = examination.end.last_seq;
    let recovery = Recovery {
        clean: false,
        first: first_of(&opened.segments, opened.tail.last_seq),
        last: last_seq,
        rewritten,
        torn_bytes: examination.torn.iter().map(|&(_, _, len)| len as u64).sum(),
        gap: gap_between(last_seq, opened.tail.active.base_seq().max(last_seq.next())),
    };
    tracing::info!(target: "forelog::log", ?recovery, "recovered");
    Ok(Opened { recovery, ..opened })
}

/// Copies the bytes of a torn tail into a file of their own.
fn set_aside(
    opening: &Opening<'_>,
    examination: &Examination,
    index: usize,
    offset: usize,
    len: usize,
) -> Result<()> {
    let Some(open) = examination.open.get(index) else {
        return Ok(());
    };
    let mut bytes = vec![0; len];
    open.region.read_at(offset, &mut bytes)?;
    let aside = opening.storage.folder(names::ASIDE)?;
    aside.replace(&names::torn_tail(&open.at.name, offset), &bytes)
}

/// Writes the events that no witness proves into the new segment and commits it.
fn rewrite(
    opening: &Opening<'_>,
    plan: &Plan,
    examination: &Examination,
) -> Result<(Segment, u64)> {
    let mut header = plan.header;
    let events = examination.end.last_seq.since(plan.kept_upto);
    if let (0, Some(skip_to)) = (events, plan.skip_to) {
        // Nothing to rewrite, so the gap can stand in this very header.
        header.base_seq = skip_to.next();
        header.boot_id = opening.storage.boot_id();
    }
    let entries = usize::try_from(events)
        .unwrap_or(usize::MAX)
        .saturating_mul(ENTRY_LEN);
    let frames_len = examination.frames_len_after(plan.kept_upto);
    let needed = BLOCK_LEN
        .saturating_add(frames_len)
        .saturating_add(entries)
        .saturating_add(TRAILER_LEN + MARK_ROOM);
    let needed = needed
        .next_multiple_of(BLOCK_LEN)
        .max(opening.config.segment_len);
    header.segment_len = needed as u64;
    let region = opening.build(header)?;
    let mut offsets = Vec::new();
    for open in &examination.open {
        let mut scanner = Scanner::new(&open.region, open.at.header.salt, open.limit);
        while let Found::Frame { frame, bytes, .. } = scanner.next()? {
            let at = frame.header;
            if at.kind == Kind::Mark || at.seq <= plan.kept_upto {
                continue;
            }
            if at.seq > examination.end.last_seq {
                break;
            }
            offsets.push(copy_frame(&region, header.salt, bytes, at.content_crc)?);
        }
    }
    let segment = opening.finish(header, region)?;
    for (seq, &offset) in (header.base_seq.0..).zip(&offsets) {
        segment.note(Seq(seq), offset);
    }
    Ok((segment, events))
}

/// Appends a checked frame to a region under its salt; returns its offset there.
fn copy_frame(region: &Region, salt: u64, bytes: &[u8], content_crc: u32) -> Result<usize> {
    let room = region.claim(frame::padded(bytes.len()));
    let mut claim = room.ok_or_else(|| {
        Error::new(ErrorKind::Io, "the rewritten segment is full").at_path(region.path())
    })?;
    let offset = claim.offset();
    frame::relocate(
        claim.bytes_mut(),
        bytes,
        content_crc,
        Place { salt, offset },
    );
    claim.publish();
    Ok(offset)
}

/// Opens the segments before the new one, the last of them sealed where the new header pins it.
fn seal_before(opening: &Opening<'_>, survey: &Survey, plan: &Plan) -> Result<Vec<Arc<Segment>>> {
    let before = survey.segments.get(..plan.before).unwrap_or_default();
    let Some(point) = &plan.seal else {
        return opening.open_sealed(before);
    };
    let Some((previous, sealed)) = before.split_last() else {
        return Ok(Vec::new());
    };
    let mut segments = opening.open_sealed(sealed)?;
    let live = opening.open_live(previous, point)?;
    let seal = Seal {
        chain: point.chain,
        times: point.times,
        durable_upto: plan.header.durable_upto,
    };
    segments.push(Arc::new(seal_and_sync(&live, seal)?));
    Ok(segments)
}

/// Removes what the new segment has replaced, and what earlier crashes left.
fn clear_superseded(
    opening: &Opening<'_>,
    survey: &Survey,
    last: &Surveyed,
    plan: &Plan,
) -> Result<()> {
    let ours = names::segment(plan.header.segment_id, plan.header.generation);
    let mut names: Vec<&str> = survey
        .unused
        .iter()
        .rev()
        .map(|entry| &*entry.name)
        .collect();
    names.extend(survey.leftovers.iter().map(String::as_str));
    if plan.header.segment_id == last.header.segment_id {
        names.push(&last.name);
    }
    names.retain(|name| *name != ours);
    for name in &names {
        opening.storage.remove(name)?;
    }
    if names.is_empty() {
        Ok(())
    } else {
        opening.storage.sync_dir()
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
    let log_id = plan.header.log_id;
    let declared = plan.skip_to.is_none() || rewritten.count() == 0;
    let active = if declared {
        Arc::new(rewritten)
    } else {
        let (above, sealed) = skip(opening, plan, &rewritten, end)?;
        segments.push(Arc::new(sealed));
        Arc::new(above)
    };
    segments.push(active.clone());
    let mut tail = tail_of(active.clone(), end.chain, end.last_appended_at);
    tail.times = times_of(&active)?;
    Ok(Opened {
        log_id,
        segments,
        tail,
        recovery: Recovery::default(),
    })
}

/// Seals the rewritten segment and begins one above all Seqs that may have been handed out.
fn skip(
    opening: &Opening<'_>,
    plan: &Plan,
    rewritten: &Segment,
    end: &Point,
) -> Result<(Segment, Segment)> {
    let prev_end = rewritten.region.published() as u64;
    let times = times_of(rewritten)?;
    let seal = Seal {
        chain: end.chain,
        times,
        durable_upto: end.last_seq,
    };
    let sealed = seal_and_sync(rewritten, seal)?;
    let base_seq = plan.skip_to.unwrap_or(end.last_seq).next();
    let header = SegmentHeader {
        log_id: plan.header.log_id,
        epoch: plan.header.epoch,
        base_seq,
        prev_last_seq: end.last_seq,
        prev_end,
        prev_chain: end.chain,
        durable_upto: end.last_seq,
        ..opening.blank_header(SegmentId(plan.header.segment_id.0.saturating_add(1)))
    };
    Ok((opening.begin(header)?, sealed))
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

impl Examination {
    /// How many bytes the frames behind `seq` take at most.
    fn frames_len_after(&self, seq: Seq) -> usize {
        let held = self.open.iter().enumerate().filter(|(_, open)| {
            let next = self
                .open
                .get(1)
                .map_or(Seq::MAX, |next| next.at.header.base_seq);
            open.at.header.base_seq >= next || next > seq.next()
        });
        held.filter(|(index, _)| *index <= self.end.segment)
            .map(|(index, open)| {
                let end = if index == self.end.segment {
                    self.end.frames_end
                } else {
                    open.limit
                };
                end.saturating_sub(BLOCK_LEN)
            })
            .sum()
    }
}

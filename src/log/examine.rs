//! [`Examination`]: reads the last two segments and finds where the log's prefix ends. Read-only.
//!
//! Unsynced pages reach a disk in any order, so valid frames behind invalid bytes are a legal crash
//! state. What tells a torn tail from damage is a *witness*: every frame, header and mark carries the
//! highest Seq that was known to be durable when it was written. Invalid bytes at or below the highest
//! witness found anywhere are damage; above it they are a torn tail.

use super::point::{Batch, Point};
use super::scan::{Found, Scanner};
use super::survey::{Survey, Surveyed};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{TRAILER_LEN, TimeRanges};
use crate::format::frame::{Chain, FLAG_CLEAN, FrameHeader, Kind};
use crate::format::segment::{BLOCK_LEN, frames_max};
use crate::position::Seq;
use crate::storage::{Region, Storage};

/// One of the last two segments, open for reading.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) at: Surveyed,
    pub(crate) region: Region,
    /// Its frames lie before this offset.
    pub(crate) limit: usize,
}

/// Where the log's prefix ends, and what is known of it.
#[derive(Debug)]
pub(crate) struct Examination {
    /// The forerunner (if its frames had to be read) and the last segment, in order.
    pub(crate) open: Vec<Open>,
    /// The state after the last event of the prefix.
    pub(crate) end: Point,
    /// Everything up to here is certainly on the disk.
    pub(crate) witness: Seq,
    /// Whether the last frame is the mark of a clean end, and nothing stands behind it.
    pub(crate) clean: bool,
    /// The boot in which the log was last written; 0 if not known.
    pub(super) boot_id: u128,
    /// The torn tails: index into `open`, first offset, and length up to the last byte not zero.
    pub(crate) torn: Vec<(usize, usize, usize)>,
    stop: Option<Stop>,
}

/// What is read besides the prefix.
#[derive(Debug, Default)]
struct Notes {
    witness: Seq,
    boot_id: u128,
    clean: bool,
    stop: Option<Stop>,
    torn: Vec<(usize, usize, usize)>,
}

/// Where the walk met something that cannot continue the log.
#[derive(Debug, Clone, Copy)]
struct Stop {
    segment: usize,
    offset: usize,
    why: &'static str,
}

impl Examination {
    /// Reads the last segments of a survey that has at least one.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) where something witnessed is not there any more.
    pub(super) fn of(storage: &dyn Storage, survey: &Survey, witness: Seq) -> Result<Self> {
        let examination = Self::read(storage, survey, witness)?;
        examination.check_damage()?;
        Ok(examination)
    }

    /// Reads the last segments of a survey; damage is no error here, and found by
    /// [`is_damaged`](Self::is_damaged).
    ///
    /// # Errors
    /// Only where the files cannot be read.
    pub(crate) fn read(storage: &dyn Storage, survey: &Survey, witness: Seq) -> Result<Self> {
        let open = open_last(storage, survey)?;
        let mut notes = Notes {
            witness: witness.max(survey.witness()),
            ..Notes::default()
        };
        let mut end = None;
        for index in 0..open.len() {
            let start = start_point(&open, index);
            let point = walk(&open, index, start, Seq::MAX, &mut notes)?;
            end = Some(point);
            if notes.stop.is_some() {
                search_rest(&open, index, &mut notes)?;
                break;
            }
        }
        let end = end.unwrap_or_else(|| start_point(&open, 0));
        Ok(Examination {
            end,
            witness: notes.witness,
            clean: notes.clean && notes.torn.is_empty(),
            boot_id: notes.boot_id,
            torn: std::mem::take(&mut notes.torn),
            stop: notes.stop,
            open,
        })
    }

    /// Whether a witness contradicts the place where the prefix ends.
    pub(crate) fn is_damaged(&self) -> bool {
        self.end.last_seq.next() <= self.witness
    }

    /// The state after the event `seq`, or after the last one before it.
    pub(super) fn point_at(&self, seq: Seq) -> Result<Point> {
        let mut point = start_point(&self.open, 0);
        for index in 0..self.open.len() {
            if self.open[index].at.header.base_seq > seq {
                break;
            }
            let start = start_point(&self.open, index);
            point = walk(&self.open, index, start, seq, &mut Notes::default())?;
        }
        Ok(point)
    }

    /// Damage is what a witness contradicts.
    fn check_damage(&self) -> Result<()> {
        if !self.is_damaged() {
            return Ok(());
        }
        let missing = self.end.last_seq.next();
        let stop = self.stop.unwrap_or(Stop {
            segment: self.open.len().saturating_sub(1),
            offset: self.end.frames_end,
            why: "the log ends here",
        });
        let Some(open) = self.open.get(stop.segment) else {
            return Ok(());
        };
        // Where a gap is declared before the segment, its first Seq is the one that is missing.
        let missing = missing.max(open.at.header.base_seq);
        let message = format!(
            "{}, but events up to {} are known to have been durable: this is damage, not a crash. \
             Nothing was changed. Run forelog-recovery verify to see what is readable",
            stop.why, self.witness
        );
        Err(Error::new(ErrorKind::Corrupt, message)
            .at_path(open.region.path())
            .at_segment(open.at.header.segment_id)
            .at_offset(stop.offset as u64)
            .at_seq(missing))
    }
}

/// Opens the last segment, and the forerunner if it may not be wholly on the disk.
fn open_last(storage: &dyn Storage, survey: &Survey) -> Result<Vec<Open>> {
    let Some((last, before)) = survey.segments.split_last() else {
        return Ok(Vec::new());
    };
    let mut open = Vec::new();
    if let Some(forerunner) = before.last() {
        let settled = last.header.durable_upto >= last.header.prev_last_seq
            && forerunner.is_pinned_by(&last.header);
        if !settled {
            let region = storage.open_read_only(&forerunner.name)?;
            let limit = usize::try_from(last.header.prev_end).unwrap_or(usize::MAX);
            open.push(Open {
                at: forerunner.clone(),
                limit: limit.min(region.len()),
                region,
            });
        }
    }
    let region = storage.open_read_only(&last.name)?;
    let sealed_at = last
        .footer
        .and_then(|footer| usize::try_from(footer.frames_end).ok());
    let limit = sealed_at.unwrap_or(region.len().saturating_sub(TRAILER_LEN));
    open.push(Open {
        at: last.clone(),
        limit: limit.min(region.len()),
        region,
    });
    Ok(open)
}

/// The state before the first event of a segment.
fn start_point(open: &[Open], index: usize) -> Point {
    let header = open.get(index).map(|open| open.at.header);
    Point {
        segment: index,
        last_seq: header.map_or(Seq::ZERO, |header| header.base_seq.prev()),
        last_appended_at: Timestamp(i64::MIN),
        chain: header.map_or(Chain::default(), |header| header.prev_chain),
        frames_end: BLOCK_LEN,
        times: TimeRanges::EMPTY,
        offsets: Vec::new(),
    }
}

/// Reads one segment from its start up to the event `upto`, and returns the state after the last
/// event of a whole batch.
fn walk(open: &[Open], index: usize, start: Point, upto: Seq, notes: &mut Notes) -> Result<Point> {
    let Some(segment) = open.get(index) else {
        return Ok(start);
    };
    let mut scanner = Scanner::new(&segment.region, segment.at.header.salt, segment.limit);
    let mut whole = start.clone();
    let mut point = start;
    let mut batch = Batch::default();
    notes.boot_id = segment.at.header.boot_id;
    let stop = loop {
        let (offset, header) = match scanner.next()? {
            Found::Frame { offset, frame, .. } => (offset, frame.header),
            Found::Invalid { offset, why } => break Some((offset, why.reason())),
            Found::End => break None,
        };
        if let Some(why) = batch.refuses(&header, point.last_seq) {
            break Some((offset, why));
        }
        if header.kind == Kind::Event && header.seq > upto {
            break None;
        }
        notes.witness = notes.witness.max(header.durable_upto);
        notes.clean = header.kind == Kind::Mark && header.flags & FLAG_CLEAN != 0;
        point.frames_end = offset.saturating_add(header.padded_len());
        if header.kind == Kind::Mark {
            notes.boot_id = header.event_id.0;
        } else {
            point.take(&header, offset);
        }
        if batch.is_whole() {
            whole.clone_from_cheaply(&point);
        }
    };
    if let Some((offset, why)) = stop.or_else(|| unfinished(segment, open.get(index + 1), &whole)) {
        notes.stop = Some(Stop {
            segment: index,
            offset,
            why,
        });
    }
    whole.offsets = point.offsets;
    whole.offsets.truncate(
        usize::try_from(whole.last_seq.next().since(segment.at.header.base_seq)).unwrap_or(0),
    );
    Ok(whole)
}

/// Whether a segment that was read to its end lacks what the next header says it has.
fn unfinished(segment: &Open, next: Option<&Open>, point: &Point) -> Option<(usize, &'static str)> {
    let next = next?.at.header;
    let fits = point.last_seq == next.prev_last_seq.max(segment.at.header.base_seq.prev())
        && point.chain == next.prev_chain;
    (!fits).then_some((
        point.frames_end,
        "the segment does not reach where the next one goes on",
    ))
}

/// Searches what stands behind the stop for witnesses, and measures the torn tails.
fn search_rest(open: &[Open], stopped: usize, notes: &mut Notes) -> Result<()> {
    let stop_offset = notes.stop.map_or(BLOCK_LEN, |stop| stop.offset);
    for (index, segment) in open.iter().enumerate().skip(stopped) {
        let base = segment.at.header.base_seq;
        let seq_max = base.plus(frames_max(segment.region.len()));
        let plausible = |header: &FrameHeader| header.seq >= base.prev() && header.seq <= seq_max;
        let from = if index == stopped {
            stop_offset
        } else {
            BLOCK_LEN
        };
        let mut scanner = Scanner::new(&segment.region, segment.at.header.salt, segment.limit);
        scanner.seek(from);
        loop {
            match scanner.next()? {
                Found::Frame { frame, .. } => {
                    notes.witness = notes.witness.max(frame.header.durable_upto);
                }
                Found::Invalid { .. } => {
                    if !scanner.resync(&plausible)? {
                        break;
                    }
                }
                Found::End => break,
            }
        }
        let len = written_len(&segment.region, from, segment.limit)?;
        if len > 0 {
            notes.torn.push((index, from, len));
        }
    }
    Ok(())
}

/// How far behind `from` there are bytes that are not zero.
pub(crate) fn written_len(region: &Region, from: usize, limit: usize) -> Result<usize> {
    const PIECE: usize = 1 << 20;
    let mut piece = vec![0; PIECE.min(limit.saturating_sub(from))];
    let mut len = 0;
    let mut at = from;
    while at < limit {
        let part = limit.saturating_sub(at).min(piece.len());
        let piece = &mut piece[..part];
        region.read_at(at, piece)?;
        if let Some(last) = piece.iter().rposition(|&byte| byte != 0) {
            len = at + last + 1 - from;
        }
        at += part;
    }
    Ok(len)
}

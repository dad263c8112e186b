//! [`Examination`]: reads the last two segments and finds where the log's prefix ends. Read-only.
//!
//! Unsynced pages reach a disk in any order, so valid frames behind invalid bytes are a legal crash
//! state. What tells a torn tail from damage is a *witness*: every frame, header and mark carries the
//! highest Seq that was known to be durable when it was written. Invalid bytes at or below the highest
//! witness found anywhere are damage; above it they are a torn tail.

use super::point::{Batch, Point, Walked};
use super::scan::{Found, Scanner};
use super::survey::{Survey, Surveyed, has_whole_table};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::TRAILER_LEN;
use crate::format::frame::{FLAG_CLEAN, FrameHeader, Kind};
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

/// The bytes behind the prefix that a crash left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Torn {
    /// Index into [`Examination::open`].
    pub(crate) segment: usize,
    pub(crate) offset: usize,
    /// Up to the last byte that is not zero.
    pub(crate) len: usize,
}

/// Where the log's prefix ends, and what is known of it.
#[derive(Debug)]
pub(crate) struct Examination {
    /// The forerunner (if its frames had to be read) and the last segment, in order.
    pub(crate) open: Vec<Open>,
    /// The forerunner, if it was read and reaches to where the last segment goes on.
    pub(super) forerunner: Option<Walked>,
    /// The segment in which the prefix ends, up to there.
    pub(crate) end: Walked,
    /// Everything up to here is certainly on the disk.
    pub(crate) witness: Seq,
    /// Whether the last frame is the mark of a clean end, and nothing stands behind it.
    pub(crate) clean: bool,
    /// The boot in which the log was last written; 0 if not known.
    pub(super) boot_id: u128,
    pub(crate) torn: Vec<Torn>,
    /// Whether whole frames stand behind the prefix: their Seqs were handed out.
    pub(super) lost_frames: bool,
    stop: Option<Stop>,
}

/// What is read besides the prefix.
#[derive(Debug, Default)]
struct Notes {
    witness: Seq,
    boot_id: u128,
    clean: bool,
    stop: Option<Stop>,
    torn: Vec<Torn>,
    lost_frames: bool,
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
        examination.check_forerunner(survey)?;
        Ok(examination)
    }

    /// Reads the last segments of a survey that has at least one; damage is no error here, and found
    /// by [`is_damaged`](Self::is_damaged).
    ///
    /// # Errors
    /// Only where the files cannot be read.
    pub(crate) fn read(storage: &dyn Storage, survey: &Survey, witness: Seq) -> Result<Self> {
        let open = open_last(storage, survey)?;
        let mut notes = Notes {
            witness: witness.max(survey.witness()),
            ..Notes::default()
        };
        let mut forerunner = None;
        let mut end = walk(&open, 0, Seq::MAX, &mut notes)?;
        if notes.stop.is_none() && open.len() > 1 {
            let next = walk(&open, 1, Seq::MAX, &mut notes)?;
            forerunner = Some(std::mem::replace(&mut end, next));
        }
        if let Some(stop) = notes.stop {
            search_rest(&open, stop, end.point.frames_end, &mut notes)?;
        }
        // The clock of the log goes on from its last event, which may lie in an earlier segment.
        let read_at = forerunner
            .as_ref()
            .map(|walked| walked.point.last_appended_at);
        let appended_at = &mut end.point.last_appended_at;
        *appended_at = (*appended_at)
            .max(survey.last_appended_at())
            .max(read_at.unwrap_or(*appended_at));
        Ok(Examination {
            forerunner,
            end,
            witness: notes.witness,
            clean: notes.clean && notes.torn.is_empty(),
            boot_id: notes.boot_id,
            torn: std::mem::take(&mut notes.torn),
            lost_frames: notes.lost_frames,
            stop: notes.stop,
            open,
        })
    }

    /// Whether a witness contradicts the place where the prefix ends.
    pub(crate) fn is_damaged(&self) -> bool {
        self.end.point.last_seq.next() <= self.witness
    }

    /// Index into [`Examination::open`] of the segment in which the prefix ends.
    pub(crate) fn end_segment(&self) -> usize {
        usize::from(self.forerunner.is_some())
    }

    /// One of the open segments up to the event `seq`, or to the last one before it that ends a
    /// batch. Marks behind that event are left out: nobody depends on them.
    pub(super) fn walk_to(&self, segment: usize, seq: Seq) -> Result<Walked> {
        walk(&self.open, segment, seq, &mut Notes::default())
    }

    /// Visits all events of the prefix behind `seq`, in order.
    pub(super) fn visit_after(
        &self,
        seq: Seq,
        mut visit: impl FnMut(&FrameHeader, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let last = self.end.point.last_seq;
        for open in &self.open {
            let mut scanner = Scanner::new(&open.region, open.at.header.salt, open.limit);
            while let Found::Frame { frame, bytes, .. } = scanner.next()? {
                let header = frame.header;
                if header.seq > last {
                    break;
                }
                if header.kind == Kind::Event && header.seq > seq {
                    visit(&header, bytes)?;
                }
            }
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

impl Examination {
    /// A forerunner that was read, since nothing witnesses it as a whole, may lack its seal after a
    /// crash. Before a clean end it was sealed, and a gap behind it is declared only once it is.
    fn check_forerunner(&self, survey: &Survey) -> Result<()> {
        let ([forerunner, last], Some(walked)) = (self.open.as_slice(), &self.forerunner) else {
            return Ok(());
        };
        let is_proved = walked.point.last_seq <= self.witness;
        let is_sealed = || match forerunner.at.footer {
            Some(footer) => has_whole_table(&forerunner.region, &footer),
            None => Ok(false),
        };
        let must_be_sealed = self.clean && !survey.poisoned;
        let must_be_proved = last.at.header.gap().is_some();
        if (!must_be_proved || is_proved) && (!must_be_sealed || is_sealed()?) {
            return Ok(());
        }
        let message =
            "the segment's offset table or trailer is damaged; run forelog-recovery verify";
        Err(Error::new(ErrorKind::Corrupt, message)
            .at_path(forerunner.region.path())
            .at_segment(forerunner.at.header.segment_id)
            .at_offset(walked.point.frames_end as u64))
    }
}

/// Opens the last segment, and the forerunner if it may not be wholly on the disk.
fn open_last(storage: &dyn Storage, survey: &Survey) -> Result<Vec<Open>> {
    let Some(last) = survey.segments.last() else {
        return Ok(Vec::new());
    };
    let mut open = Vec::new();
    if let Some(forerunner) = survey.forerunner()
        && (survey.poisoned || !forerunner.is_settled_before(&last.header, storage)?)
    {
        let region = storage.open_read_only(&forerunner.name)?;
        let limit = usize::try_from(last.header.prev_end).unwrap_or(usize::MAX);
        open.push(Open {
            at: forerunner.clone(),
            limit: limit.min(region.len()),
            region,
        });
    }
    let region = storage.open_read_only(&last.name)?;
    let sealed_at = last
        .footer
        .and_then(|footer| usize::try_from(footer.frames_end).ok());
    let len = last.header.len_in(region.len());
    let limit = sealed_at.unwrap_or(len.saturating_sub(TRAILER_LEN));
    open.push(Open {
        at: last.clone(),
        limit: limit.min(region.len()),
        region,
    });
    Ok(open)
}

/// Reads one segment from its start up to the event `upto`, or to the last one before it that ends a
/// batch. [`Seq::MAX`]: to its end, marks included.
fn walk(open: &[Open], index: usize, upto: Seq, notes: &mut Notes) -> Result<Walked> {
    let Some(segment) = open.get(index) else {
        return Err(Error::new(ErrorKind::MissingSegment, "no segment is there"));
    };
    let mut scanner = Scanner::new(&segment.region, segment.at.header.salt, segment.limit);
    let mut point = Point::before(&segment.at.header);
    let mut whole = point;
    let mut offsets = Vec::new();
    let mut batch = Batch::default();
    notes.boot_id = segment.at.header.boot_id;
    notes.clean = false;
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
        point.take(&header, offset);
        match header.kind {
            Kind::Mark => notes.boot_id = header.event_id.0,
            Kind::Event => offsets.push(offset),
        }
        if batch.is_whole() && (header.kind == Kind::Event || upto == Seq::MAX) {
            whole = point;
        }
    };
    let is_short = |next: &Open| !whole.reaches(&segment.at.header, &next.at.header);
    let stop = stop.or_else(|| {
        open.get(index + 1).filter(|next| is_short(next))?;
        let why = "the segment does not reach where the next one goes on";
        Some((whole.frames_end, why))
    });
    if let Some((offset, why)) = stop {
        notes.stop = Some(Stop {
            segment: index,
            offset,
            why,
        });
    }
    offsets.truncate(whole.count);
    Ok(Walked {
        point: whole,
        offsets,
    })
}

/// Searches what stands behind the stop for witnesses, and measures the torn tails: the first one
/// from `frames_end` on, since a batch that is not whole is torn as a whole.
fn search_rest(open: &[Open], stop: Stop, frames_end: usize, notes: &mut Notes) -> Result<()> {
    for (index, segment) in open.iter().enumerate().skip(stop.segment) {
        let base = segment.at.header.base_seq;
        let seq_max = base.plus(frames_max(segment.region.len()));
        let plausible = |header: &FrameHeader| header.seq >= base.prev() && header.seq <= seq_max;
        let is_first = index == stop.segment;
        let mut scanner = Scanner::new(&segment.region, segment.at.header.salt, segment.limit);
        scanner.seek(if is_first { stop.offset } else { BLOCK_LEN });
        loop {
            match scanner.next()? {
                Found::Frame { frame, .. } => {
                    notes.witness = notes.witness.max(frame.header.durable_upto);
                    notes.lost_frames |= frame.header.kind == Kind::Event;
                }
                Found::Invalid { .. } => {
                    if !scanner.resync(&plausible)? {
                        break;
                    }
                }
                Found::End => break,
            }
        }
        let offset = if is_first { frames_end } else { BLOCK_LEN };
        let len = written_len(&segment.region, offset, segment.limit)?;
        if len > 0 {
            notes.torn.push(Torn {
                segment: index,
                offset,
                len,
            });
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

//! The reading half of an [`Examination`](super::examine::Examination): walks a segment from its first
//! frame on, and searches what stands behind the place where that stopped. Each byte is read once, but for
//! what a window holds beyond the piece that it was read for.

use super::ahead::{Frames, Pieces, Stands, with_frames};
use super::point::{Batch, Point, Walked};
use super::scan::{Found, Scanner, written};
use super::survey::Surveyed;
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::TRAILER_LEN;
use crate::format::frame::{FLAG_CLEAN, FrameHeader, Kind};
use crate::format::segment::{BLOCK_LEN, frames_max};
use crate::position::Seq;
use crate::storage::{Region, Storage};

/// How far the stations of a walk lie apart.
const STATION: usize = 1 << 20;

/// One of the last segments, open for reading.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) at: Surveyed,
    pub(crate) region: Region,
    /// Its frames lie before this offset.
    pub(crate) limit: usize,
}

impl Open {
    /// Opens the last segment.
    pub(super) fn last(storage: &dyn Storage, last: &Surveyed) -> Result<Open> {
        let region = storage.open_read_only(&last.name)?;
        let sealed_at = last
            .footer
            .and_then(|footer| usize::try_from(footer.frames_end).ok());
        let len = last.header.len_in(region.len());
        let limit = sealed_at.unwrap_or(len.saturating_sub(TRAILER_LEN));
        Ok(Open {
            at: last.clone(),
            limit: limit.min(region.len()),
            region,
        })
    }

    /// Opens a forerunner, up to where the next segment goes on.
    pub(super) fn forerunner(
        storage: &dyn Storage,
        at: &Surveyed,
        next: &Surveyed,
    ) -> Result<Open> {
        let region = storage.open_read_only(&at.name)?;
        let limit = usize::try_from(next.header.prev_end).unwrap_or(usize::MAX);
        Ok(Open {
            at: at.clone(),
            limit: limit.min(region.len()),
            region,
        })
    }

    /// Whether a scanner that goes through the frames once more has come to their end.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if it stands before it: memory or disk changed what had passed its check.
    pub(super) fn check_end(&self, scanner: &Scanner<&Region>, end: usize) -> Result<()> {
        let offset = scanner.offset();
        if offset >= end {
            return Ok(());
        }
        let message = "a frame that passed its check a moment ago does not any more: memory or disk are not to be \
             trusted. No event was removed. Open the log once more; if that fails as well, copy the folder to \
             another machine and run forelog-recovery doctor on it";
        Err(Error::new(ErrorKind::Corrupt, message)
            .at_path(self.region.path())
            .at_segment(self.at.header.segment_id)
            .at_offset(offset as u64))
    }
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

/// A place behind a whole batch that a later walk may start from, so that no byte needs to be read
/// twice just to get there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Station {
    pub(super) segment: usize,
    pub(super) point: Point,
}

/// What is read besides the prefix.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) witness: Seq,
    pub(super) boot_id: u128,
    pub(super) clean: bool,
    pub(super) stop: Option<Stop>,
    pub(super) torn: Vec<Torn>,
    pub(super) lost_frames: bool,
    pub(super) stations: Vec<Station>,
}

impl Notes {
    /// Takes these notes of the last segments for those behind one more.
    pub(super) fn come_after(&mut self, before: Notes) {
        for station in &mut self.stations {
            station.segment += 1;
        }
        if let Some(stop) = &mut self.stop {
            stop.segment += 1;
        }
        self.stations.extend(before.stations);
        self.witness = self.witness.max(before.witness);
    }
}

/// Where the walk met something that cannot continue the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    pub(super) segment: usize,
    pub(super) offset: usize,
    pub(super) why: &'static str,
}

pub(super) fn no_segment() -> Error {
    Error::new(ErrorKind::MissingSegment, "no segment is there")
}

/// Reads one segment from its start to its end, marks included, or to the last frame before it that
/// ends a batch.
pub(super) fn walk(open: &[Open], index: usize, notes: &mut Notes) -> Result<Walked> {
    let segment = open.get(index).ok_or_else(no_segment)?;
    let (region, header) = (&segment.region, &segment.at.header);
    with_frames(region, header, segment.limit, Pieces::USUAL, |frames| {
        walk_frames(open, index, frames, notes)
    })
}

fn walk_frames(
    open: &[Open],
    index: usize,
    frames: &mut Frames<'_>,
    notes: &mut Notes,
) -> Result<Walked> {
    let segment = open.get(index).ok_or_else(no_segment)?;
    let mut point = Point::before(&segment.at.header);
    let mut whole = point;
    let mut offsets = Vec::new();
    let mut batch = Batch::default();
    let mut next_station = STATION;
    notes.boot_id = segment.at.header.boot_id;
    notes.clean = false;
    let stop = loop {
        let (offset, header) = match frames.next()? {
            Stands::Frame { offset, header } => (offset, header),
            Stands::Invalid { offset, why } => break Some((offset, why.reason())),
            Stands::End => break None,
        };
        if let Some(why) = batch.refuses(&header, point.last_seq) {
            break Some((offset, why));
        }
        notes.witness = notes.witness.max(header.durable_upto);
        notes.clean = header.kind == Kind::Mark && header.flags & FLAG_CLEAN != 0;
        point.take(&header, offset);
        match header.kind {
            Kind::Mark => notes.boot_id = header.event_id.0,
            Kind::Event => offsets.push(offset),
        }
        if batch.is_whole() {
            whole = point;
            if header.kind == Kind::Event && point.frames_end >= next_station {
                notes.stations.push(Station {
                    segment: index,
                    point,
                });
                next_station = point.frames_end.saturating_add(STATION);
            }
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
pub(super) fn search_rest(
    open: &[Open],
    stop: Stop,
    frames_end: usize,
    notes: &mut Notes,
) -> Result<()> {
    let is_cut_short = is_never_finished(open, stop)?;
    for (index, segment) in open.iter().enumerate().skip(stop.segment) {
        let base = segment.at.header.base_seq;
        let seq_max = base.plus(frames_max(segment.region.len()));
        let plausible = |header: &FrameHeader| header.seq >= base.prev() && header.seq <= seq_max;
        let is_first = index == stop.segment;
        let offset = if is_first { frames_end } else { BLOCK_LEN };
        let len = written_len(&segment.region, offset, segment.limit)?;
        if len == 0 {
            continue;
        }
        let mut scanner = Scanner::new(&segment.region, segment.at.header.salt, segment.limit);
        scanner.seek(if is_first { stop.offset } else { BLOCK_LEN });
        scanner.search_before(offset.saturating_add(len));
        loop {
            match scanner.next()? {
                Found::Frame { frame, .. } => {
                    notes.witness = notes.witness.max(frame.header.durable_upto);
                    notes.lost_frames |= frame.header.kind == Kind::Event && !is_cut_short;
                }
                Found::Invalid { .. } => {
                    if !scanner.resync(&plausible)? {
                        break;
                    }
                }
                Found::End => break,
            }
        }
        notes.torn.push(Torn {
            segment: index,
            offset,
            len,
        });
    }
    Ok(())
}

/// Whether the frame at the stop has no checksum yet. That is stored last: as long as the page cache that
/// was written to is there, such a frame was never published, and nothing behind it either.
fn is_never_finished(open: &[Open], stop: Stop) -> Result<bool> {
    let segment = open.get(stop.segment).ok_or_else(no_segment)?;
    let mut checksum = [0; 4];
    if stop.offset.saturating_add(checksum.len()) > segment.limit {
        return Ok(false);
    }
    segment.region.read_at(stop.offset, &mut checksum)?;
    Ok(checksum == [0; 4])
}

/// How far behind `from` there are bytes that are not zero.
pub(crate) fn written_len(region: &Region, from: usize, limit: usize) -> Result<usize> {
    const PIECE: usize = 256 << 10;
    let mut piece = vec![0; PIECE.min(limit.saturating_sub(from))];
    let mut len = 0;
    let mut at = from;
    while at < limit {
        let part = limit.saturating_sub(at).min(piece.len());
        let piece = &mut piece[..part];
        region.read_at(at, piece)?;
        match written(piece) {
            0 => {}
            in_piece => len = at + in_piece - from,
        }
        at += part;
    }
    Ok(len)
}

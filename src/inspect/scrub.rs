//! [`scrub`]: one sealed segment of an open log, checked as it lies on the disk.
//!
//! The log holds headers and footers in memory since it was opened; here those of the file are read once
//! more, past the page cache, and held against them.

use super::damage::Damage;
use super::file::is_environment;
use super::piece::Piece;
use super::piece_check::{Visitor, check_opened};
use crate::error::{Error, Result};
use crate::format::dropped::DroppedRange;
use crate::format::record::EventRef;
use crate::format::segment::SegmentHeader;
use crate::log::segment::Segment;
use crate::log::survey::{Look, Surveyed, look};
use crate::storage::Storage;

/// What is known of a sealed segment; it keeps no file and no map of it alive.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    /// What its file said when it was opened, or what was written.
    known: Surveyed,
    next: Option<SegmentHeader>,
    frames_end: usize,
}

impl Sealed {
    /// What is known of a segment, if it is sealed, and of the one behind it.
    pub(crate) fn of(segment: &Segment, next: Option<&Segment>) -> Option<Sealed> {
        let footer = *segment.footer()?;
        Some(Sealed {
            known: Surveyed {
                name: segment.name.clone(),
                header: segment.header,
                footer: Some(footer),
                damaged_copy: false,
            },
            next: next.map(|next| next.header),
            frames_end: segment.frames_end(),
        })
    }

    /// Whether this segment is the same file.
    pub(crate) fn is(&self, segment: &Segment) -> bool {
        let header = &self.known.header;
        let same = |other: &SegmentHeader| {
            (header.segment_id, header.generation, header.salt)
                == (other.segment_id, other.generation, other.salt)
        };
        same(&segment.header)
    }

    /// Its header.
    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.known.header
    }

    fn damage(&self, offset: u64, reason: &str) -> Damage {
        Damage {
            file: self.known.name.clone(),
            segment: self.known.header.segment_id,
            offset,
            seq: self.known.header.base_seq,
            reason: reason.to_owned(),
        }
    }
}

/// Checks all that a check covers of a segment. `pace` is told how many bytes were read and may take its
/// time; where it returns `false` the check ends.
///
/// # Errors
/// [`Closed`](crate::error::ErrorKind::Closed) if it was ended; if the file may not be read.
pub(crate) fn scrub(
    storage: &dyn Storage,
    sealed: &Sealed,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<Vec<Damage>> {
    let header = sealed.header();
    let Some(entry) = storage.find(&sealed.known.name)? else {
        let reason =
            "the segment's file is gone; restore it from a backup before the system is closed";
        return Ok(vec![sealed.damage(0, reason)]);
    };
    let found = match look(storage, &entry, header.segment_id, header.generation) {
        Ok(Look::Segment(found)) => *found,
        Ok(Look::Unused) => return Ok(vec![sealed.damage(0, "the segment's header is gone")]),
        Err(error) if is_environment(&error) => return Err(error),
        Err(error) => return Ok(vec![of_error(sealed, &error)]),
    };
    let mut damage = Vec::new();
    if found.damaged_copy {
        let reason = "one of the two copies of the segment's header is damaged";
        damage.push(sealed.damage(0, reason));
    }
    if found.header.salt != header.salt {
        damage.push(sealed.damage(0, "another segment stands in the file"));
        return Ok(damage);
    }
    let piece = Piece {
        at: Surveyed {
            // What is not there is reported; what it said is known, and what it spoke of can be checked.
            footer: found.footer.or(sealed.known.footer),
            ..found.clone()
        },
        limit: sealed.frames_end,
        pin: sealed.next,
        unsettled: false,
    };
    let as_found = Piece {
        at: found,
        ..piece.clone()
    };
    damage.extend(as_found.footer_damage(storage)?);
    let opened = storage.open_unbuffered(&sealed.known.name);
    let last = piece
        .at
        .footer
        .map_or(header.base_seq.prev(), |footer| footer.last_seq);
    let checked = check_opened(opened, &piece, last, &mut Pace(pace))?;
    damage.extend(checked.report.damage);
    Ok(damage)
}

fn of_error(sealed: &Sealed, error: &Error) -> Damage {
    let mut damage = Damage::of(&sealed.known.name, sealed.header().segment_id, error);
    damage.seq = error.seq().unwrap_or(sealed.header().base_seq);
    damage
}

struct Pace<'a>(&'a mut dyn FnMut(u64) -> bool);

impl Visitor for Pace<'_> {
    fn event(&mut self, _: &EventRef<'_>) {}

    fn dropped(&mut self, _: &DroppedRange) {}

    fn read(&mut self, bytes: u64) -> bool {
        (self.0)(bytes)
    }
}

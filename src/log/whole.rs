//! Segments that stay and are written anew: every frame at its old place, in a file of a later generation,
//! sealed there.
//!
//! After a failed sync a segment's own file will not do, and none was noted if the process was killed at once.
//! The kernel may hold pages of it that the disk has not and that it takes for written: frames that a later sync
//! covered are safe, others, table and trailer are not.
//!
//! **Crashes inside it.** Each copy gets its name by a rename once it is whole, sealed and synced, and holds what
//! the segment holds: whether it has it or not, the log is the same.

use super::copier::{Sink as _, copy_into};
use super::examine::Open;
use super::opening::{Opening, random};
use super::plan::Sealing;
use super::scan::{Found, Scanner};
use super::segment::{Seal, Segment};
use crate::error::Result;
use crate::format::names;
use crate::format::segment::SegmentHeader;

/// Writes a segment that stays into a new file, and seals it there.
pub(super) fn seal_anew(
    opening: &Opening<'_>,
    open: &Open,
    sealing: &Sealing,
    offsets: &[usize],
    seal: Seal,
) -> Result<Segment> {
    let (header, mut region) = opening.build(SegmentHeader {
        generation: open.at.header.generation.saturating_add(1),
        salt: random(),
        ..open.at.header
    })?;
    let end = sealing.point.frames_end;
    copy_into(&mut region, header.salt, end, |copier| {
        let mut scanner = Scanner::new(&open.region, open.at.header.salt, end);
        while let Found::Frame { frame, bytes, .. } = scanner.next()? {
            copier.copy(bytes, frame.header.content_crc)?;
        }
        open.check_end(&scanner, end)
    })?;
    let name = names::segment(header.segment_id, header.generation);
    region.set_path(opening.storage.path(&name));
    let segment = Segment::live(header, name, region);
    segment.note_all(offsets);
    let sealed = segment.seal(seal)?;
    opening.commit(&header, &sealed.region)?;
    Ok(sealed)
}

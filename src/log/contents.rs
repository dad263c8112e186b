//! [`Contents`]: the frames of a segment file as tools go through them, whatever was done to the file since
//! it was sealed; and what a compaction has dropped of it.

use std::sync::Arc;

use super::packs::{read_frames, read_pack};
use super::scan::Source;
use super::segment::Segment;
use crate::error::{Error, ErrorKind, Result};
use crate::format::crc::crc32;
use crate::format::dropped::{DroppedRange, DroppedRanges};
use crate::format::footer::{Footer, Part};
use crate::format::packs::{Pack, Packs};
use crate::position::Seq;
use crate::storage::Region;

/// A segment file, read with `pread`.
#[derive(Debug)]
pub(crate) struct Contents {
    region: Arc<Region>,
    dropped: Vec<DroppedRange>,
    packed: Option<PackedFrames>,
}

/// Where the frames of a compressed segment are.
#[derive(Debug)]
struct PackedFrames {
    list: Vec<u8>,
    frames_end: usize,
}

impl Contents {
    /// The contents of a file with this footer, if it has one.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if what the footer names does not pass its check.
    pub(crate) fn of(region: Arc<Region>, footer: Option<&Footer>) -> Result<Contents> {
        let part = footer.map_or(Part::default(), |footer| footer.rewritten.dropped);
        let bytes = read_part(&region, &part, "the ranges of dropped Seqs")?;
        let ranges = DroppedRanges::of(&bytes);
        if footer.is_some_and(|footer| !ranges.lie_within(footer.first_seq, footer.last_seq)) {
            let message =
                "the ranges of dropped Seqs do not fit the segment; run forelog-recovery doctor";
            return Err(Error::new(ErrorKind::Corrupt, message)
                .at_path(region.path())
                .at_offset(part.at));
        }
        let dropped = ranges.iter().collect();
        let packed = footer.and_then(|footer| Some((footer, footer.rewritten.packed?)));
        let packed = packed.map(|(footer, packed)| {
            let list = read_part(&region, &packed.list, "the list of compressed frames")?;
            let frames_end = usize::try_from(footer.frames_end).unwrap_or(usize::MAX);
            Ok(PackedFrames { list, frames_end })
        });
        Ok(Contents {
            packed: packed.transpose()?,
            region,
            dropped,
        })
    }

    /// The file.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// The ranges of dropped Seqs, ascending.
    pub(crate) fn dropped(&self) -> &[DroppedRange] {
        &self.dropped
    }

    /// The range of dropped Seqs that begins with this one.
    pub(crate) fn dropped_from(&self, seq: Seq) -> Option<&DroppedRange> {
        let at = self.dropped.binary_search_by_key(&seq, |range| range.first);
        self.dropped.get(at.ok()?)
    }
}

/// A sealed segment that is open: from the file, where an error of the disk is an error; from memory, where
/// there is no file.
impl Source for Segment {
    fn len(&self) -> usize {
        if self.header.is_packed() {
            return self.frames_end();
        }
        self.region.len()
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        if self.header.is_packed() {
            let read = |pack: &Pack| read_pack(&self.region, pack);
            return read_frames(self.packs(), self.frames_end(), &read, offset, out);
        }
        if self.region.is_file() {
            return self.region.read_at(offset, out);
        }
        self.region.bytes().read_at(offset, out)
    }
}

impl Source for Contents {
    fn len(&self) -> usize {
        match &self.packed {
            Some(packed) => packed.frames_end,
            None => self.region.len(),
        }
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        let Some(packed) = &self.packed else {
            return self.region.read_at(offset, out);
        };
        let list = Packs::of(&packed.list);
        let read = |pack: &Pack| read_pack(&self.region, pack);
        read_frames(list, packed.frames_end, &read, offset, out)
    }
}

/// The bytes of a part of the file that has a checksum of its own.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) if they do not pass their check.
fn read_part(region: &Region, part: &Part, what: &str) -> Result<Vec<u8>> {
    let place = usize::try_from(part.at)
        .ok()
        .zip(usize::try_from(part.len).ok());
    let within = place.filter(|(at, len)| {
        let end = at.checked_add(*len);
        end.is_some_and(|end| end <= region.len())
    });
    let (at, len) = within.unwrap_or_default();
    let mut bytes = vec![0; len];
    if len > 0 {
        region.read_at(at, &mut bytes)?;
    }
    if within.is_some() && (part.len == 0 || crc32(&bytes) == part.checksum) {
        return Ok(bytes);
    }
    let message = format!("{what} do not pass their check; restore the segment from a backup");
    Err(Error::new(ErrorKind::Corrupt, message)
        .at_path(region.path())
        .at_offset(part.at))
}

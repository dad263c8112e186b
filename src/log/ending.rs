//! What stands at the end of a sealed segment's file.

use crate::error::Result;
use crate::format::crc::crc32;
use crate::format::footer::{Footer, Rewritten, TRAILER_LEN};
use crate::format::segment::{BLOCK_LEN, SegmentHeader};
use crate::storage::Region;

/// Whether the offset table is the one that the footer was made for.
pub(crate) fn has_whole_table(region: &Region, footer: &Footer) -> Result<bool> {
    let start = footer.table_at();
    // A footer that was read is known to fit its region.
    let mut table = vec![0; footer.table_len().unwrap_or(0)];
    region.read_at(start, &mut table)?;
    Ok(crc32(&table) == footer.table_checksum)
}

/// The footer of a segment, if it is valid and of this very segment.
pub(crate) fn read_footer(region: &Region, header: &SegmentHeader) -> Result<Option<Footer>> {
    let mut trailer = vec![0; TRAILER_LEN];
    let len = header.len_in(region.len());
    region.read_at(len.saturating_sub(TRAILER_LEN), &mut trailer)?;
    let belongs = |footer: &Footer| {
        let end = footer
            .parts_end()
            .and_then(|end| end.checked_add(TRAILER_LEN));
        let is_rewritten = footer.rewritten != Rewritten::default();
        is_rewritten == header.is_rewritten()
            && footer.rewritten.packed.is_some() == header.is_packed()
            && footer.segment_id == header.segment_id
            && footer.generation == header.generation
            && footer.salt == header.salt
            && footer.first_seq == header.base_seq
            && footer.frames_end >= BLOCK_LEN as u64
            // Offsets are 32 bits wide, of compressed frames as well.
            && u32::try_from(footer.frames_end).is_ok()
            && footer.table_at() >= BLOCK_LEN
            && end.is_some_and(|end| end <= len)
    };
    Ok(Footer::decode(&trailer).filter(belongs))
}

//! Segments both copies of whose header are gone: what their trailers and frames still tell.
//!
//! A frame's checksum is bound to the salt in the header. But of the salt it takes only 32 bits, and a frame
//! that is whole tells which they are: its own checksum, against the one that it carries. Two frames beside
//! each other that tell the same are taken at their word.

use super::piece::Piece;
use crate::error::Result;
use crate::format::footer::{Footer, Rewritten, TRAILER_LEN};
use crate::format::frame::{self, ALIGN, HEADER_LEN, Kind};
use crate::format::key_slot::KeySlots;
use crate::format::segment::{BLOCK_LEN, PACKED, REWRITTEN, SEALED, SegmentHeader};
use crate::log::survey::Surveyed;
use crate::position::{SegmentId, Seq};
use crate::storage::{Entry, Region, Storage};

/// How far behind its start a segment is searched for frames.
const SEARCHED: usize = 1 << 20;

/// What can be told of a file of this id whose header is damaged; `None` if nothing can.
pub(super) fn rescue(
    storage: &dyn Storage,
    entry: &Entry,
    (id, generation): (SegmentId, u32),
    log_id: u128,
) -> Result<Option<Piece>> {
    if entry.len < (BLOCK_LEN + TRAILER_LEN) as u64 {
        return Ok(None);
    }
    let region = storage.open_read_only(&entry.name)?;
    let mut trailer = vec![0; TRAILER_LEN];
    let room = region.len().saturating_sub(TRAILER_LEN);
    region.read_at(room, &mut trailer)?;
    let belongs = |footer: &Footer| footer.segment_id == id && footer.table_at() <= room;
    let footer = Footer::decode(&trailer).filter(belongs);
    let (salt, base) = match footer {
        Some(footer) => (footer.salt, footer.first_seq),
        None => match first_frames(&region)? {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    let rewritten = footer.map(|footer| footer.rewritten).unwrap_or_default();
    let features = match rewritten.packed {
        Some(_) => REWRITTEN | PACKED,
        None if rewritten != Rewritten::default() => REWRITTEN,
        None => 0,
    };
    // The envelope stands between the two copies of the header, and may have survived them.
    let mut block = vec![0; BLOCK_LEN];
    region.read_at(0, &mut block)?;
    let keys = KeySlots::decode(&block);
    let is_sealed = cfg!(feature = "encryption") && !keys.is_empty();
    let header = SegmentHeader {
        log_id,
        generation,
        incompatible: features | if is_sealed { SEALED } else { 0 },
        keys,
        segment_len: entry.len,
        base_seq: base,
        prev_last_seq: base.prev(),
        ..SegmentHeader::blank(id, salt)
    };
    Ok(Some(Piece {
        at: Surveyed {
            name: entry.name.clone(),
            header,
            footer,
            damaged_copy: false,
        },
        limit: footer.map_or(room, |footer| {
            usize::try_from(footer.frames_end).unwrap_or(usize::MAX)
        }),
        pin: None,
        unsettled: false,
    }))
}

/// The salt, as far as checksums take it, and the Seq of the first of two frames beside each other.
fn first_frames(region: &Region) -> Result<Option<(u64, Seq)>> {
    let end = region.len().saturating_sub(TRAILER_LEN);
    let len = end.saturating_sub(BLOCK_LEN).min(SEARCHED);
    let mut bytes = vec![0; len];
    region.read_at(BLOCK_LEN, &mut bytes)?;
    let told = |at: usize| {
        let bytes = bytes.get(at..)?;
        let header = frame::peek(bytes)?;
        let salt = frame::salt_told(bytes, BLOCK_LEN.saturating_add(at))?;
        Some((salt, header))
    };
    let mut at = 0_usize;
    while at.saturating_add(HEADER_LEN) <= len {
        if let Some((salt, header)) = told(at)
            && let Some((again, next)) = told(at.saturating_add(header.padded_len()))
            && salt == again
            && next.seq >= header.seq
        {
            let base = match header.kind {
                Kind::Event => header.seq,
                Kind::Mark => header.seq.next(),
            };
            return Ok(Some((salt, base)));
        }
        at = at.saturating_add(ALIGN);
    }
    Ok(None)
}

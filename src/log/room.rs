//! What fits into a segment: frames, with offset table, trailer and one last mark behind them.

use crate::format::footer::{ENTRY_LEN, TRAILER_LEN};
use crate::format::frame;
use crate::format::segment::BLOCK_LEN;

/// The room that a segment has at the least: for some marks, and no event.
pub(crate) const ROOM_MIN: usize = BLOCK_LEN + TRAILER_LEN + 4 * frame::HEADER_LEN;

/// Whether `len` more bytes of frames fit into a segment behind `frames_end`, where it then has this
/// many events: with the offset table, the trailer and one last mark behind them.
pub(crate) fn fits(segment_len: usize, frames_end: usize, events: usize, len: usize) -> bool {
    frames_end + len + behind(events) <= segment_len
}

/// The room for the frames of so many events in a new segment.
pub(crate) fn room_max(segment_len: usize, events: usize) -> usize {
    let room = segment_len
        .saturating_sub(BLOCK_LEN)
        .saturating_sub(behind(events));
    room / frame::ALIGN * frame::ALIGN
}

/// What has to fit behind the frames of so many events: offset table, trailer, one last mark.
fn behind(events: usize) -> usize {
    events * ENTRY_LEN + TRAILER_LEN + frame::HEADER_LEN
}

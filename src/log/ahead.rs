//! [`Frames`]: the frames of a segment in order, as a [`Scanner`] finds them; of a long one a second thread
//! checks every other piece ahead.
//!
//! ```text
//!  piece      0       1       2       3
//!         ├───────┼───────┼───────┼───────┤
//!  walk     scans   takes   scans   takes      takes: only where its own last frame ended
//!  helper           scans           scans      from the first true frame of the piece on
//! ```
//! Most of an opening after a crash goes by in checksums. What the helper finds is used only if the walk
//! comes to the very place where that begins: frames follow each other there as they would have here, so
//! the walk finds the same as alone, whatever the bytes are.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::scan::{Found, Scanner};
use crate::error::Result;
use crate::format::frame::{FrameHeader, Invalid};
use crate::format::segment::{SegmentHeader, frames_max};
use crate::position::Seq;
use crate::storage::Region;

/// How segments are divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    /// How long each is, in bytes; a multiple of 8.
    len: usize,
    /// Shorter segments are not worth a thread.
    long: usize,
    /// How far into a piece its first frame is searched for: through larger ones the walk is as quick alone.
    search_max: usize,
}

impl Pieces {
    pub(super) const USUAL: Pieces = Pieces {
        len: 1 << 20,
        long: 8 << 20,
        search_max: 64 << 10,
    };
}

/// What the helper has found in one piece: frames behind each other.
#[derive(Debug)]
struct Checked {
    start: usize,
    headers: Vec<FrameHeader>,
}

/// What stands at a place of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    Frame { offset: usize, header: FrameHeader },
    Invalid { offset: usize, why: Invalid },
    End,
}

/// The frames of one segment, from its first one on.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    scanner: Scanner<&'a Region>,
    pieces: Pieces,
    /// The piece that is being taken, from its end.
    taken: std::vec::IntoIter<FrameHeader>,
    helper: Option<Helper>,
}

#[derive(Debug)]
struct Helper {
    checked: Receiver<Checked>,
    /// Where the next of its pieces begins.
    next: usize,
}

/// Walks the frames of a segment that lie before `limit`.
pub(super) fn with_frames<T>(
    region: &Region,
    header: &SegmentHeader,
    limit: usize,
    pieces: Pieces,
    walk: impl FnOnce(&mut Frames<'_>) -> T,
) -> T {
    let scanner = || Scanner::new(region, header.salt, limit);
    let mut frames = Frames {
        scanner: scanner(),
        pieces,
        taken: Vec::new().into_iter(),
        helper: None,
    };
    if limit < pieces.long {
        return walk(&mut frames);
    }
    let seqs = (
        header.base_seq.prev(),
        header.base_seq.plus(frames_max(region.len())),
    );
    thread::scope(|scope| {
        let (sender, checked) = sync_channel(1);
        let check = move || check_every_other(scanner(), limit, pieces, seqs, &sender);
        let builder = thread::Builder::new().name("forelog-examine".to_owned());
        // Without a thread the walk does all by itself.
        if builder.spawn_scoped(scope, check).is_ok() {
            let next = pieces.len;
            frames.helper = Some(Helper { checked, next });
        }
        let walked = walk(&mut frames);
        // The helper ends when nobody listens.
        drop(frames);
        walked
    })
}

impl Frames<'_> {
    /// Looks at the walk's place and, if a frame stands there, moves behind it.
    ///
    /// # Errors
    /// Only where the segment cannot be read.
    pub(super) fn next(&mut self) -> Result<Stands> {
        let offset = self.scanner.offset();
        if let Some(header) = self.taken.next() {
            self.scanner
                .seek(offset.saturating_add(header.padded_len()));
            return Ok(Stands::Frame { offset, header });
        }
        if self.take_piece(offset) {
            return self.next();
        }
        Ok(match self.scanner.next()? {
            Found::Frame { offset, frame, .. } => Stands::Frame {
                offset,
                header: frame.header,
            },
            Found::Invalid { offset, why } => Stands::Invalid { offset, why },
            Found::End => Stands::End,
        })
    }

    /// Takes the helper's next piece, if it begins where the walk has come to.
    fn take_piece(&mut self, offset: usize) -> bool {
        while let Some(helper) = self.helper.as_mut().filter(|helper| offset >= helper.next) {
            helper.next = helper.next.saturating_add(2 * self.pieces.len);
            match helper.checked.recv() {
                Ok(piece) if piece.start == offset && !piece.headers.is_empty() => {
                    self.taken = piece.headers.into_iter();
                    return true;
                }
                Ok(_) => {}
                Err(_) => self.helper = None,
            }
        }
        false
    }
}

/// Checks the second, fourth, ... piece, until one has no frame near its start, or nobody listens. What cannot
/// be read the walk finds out for itself.
fn check_every_other(
    mut scanner: Scanner<&Region>,
    limit: usize,
    pieces: Pieces,
    (seq_min, seq_max): (Seq, Seq),
    sender: &SyncSender<Checked>,
) {
    let plausible = |header: &FrameHeader| header.seq >= seq_min && header.seq <= seq_max;
    let starts = (pieces.len..limit).step_by(2 * pieces.len);
    for start in starts {
        scanner.seek(start);
        scanner.search_before(start.saturating_add(pieces.search_max));
        let end = start.saturating_add(pieces.len);
        let Ok(Some(piece)) = check_piece(&mut scanner, end, &plausible) else {
            break;
        };
        if sender.send(piece).is_err() {
            break;
        }
    }
}

/// The frames that start before `end`, from the scanner's place on.
fn check_piece(
    scanner: &mut Scanner<&Region>,
    end: usize,
    plausible: &dyn Fn(&FrameHeader) -> bool,
) -> Result<Option<Checked>> {
    let mut start = scanner.offset();
    let mut headers = Vec::new();
    while scanner.offset() < end {
        match scanner.next()? {
            Found::Frame { frame, .. } => headers.push(frame.header),
            Found::Invalid { .. } if headers.is_empty() => {
                if !scanner.resync(plausible)? {
                    return Ok(None);
                }
                start = scanner.offset();
            }
            Found::Invalid { .. } | Found::End => break,
        }
    }
    Ok(Some(Checked { start, headers }))
}

#[cfg(test)]
mod tests;

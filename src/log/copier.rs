//! [`Copier`]: writes checked frames anew, behind each other, into a region that nobody else has yet.

use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{self, Place};
use crate::format::segment::BLOCK_LEN;
use crate::storage::Region;

/// How much is written with one call. The disk begins with it while the next is copied, so that the
/// sync at the end has little left to wait for.
const PIECE: usize = 1 << 20;

/// Takes checked frames, behind each other.
pub(super) trait Sink {
    /// Copies a frame; returns the offset that it has now.
    ///
    /// # Errors
    /// If it does not fit, or a write fails.
    fn copy(&mut self, bytes: &[u8], content_crc: u32) -> Result<usize>;
}

/// Frames on their way from one region to another.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    region: &'a mut Region,
    salt: u64,
    /// Frames that stand behind the region's published bytes and are not yet written.
    piece: Vec<u8>,
}

impl<'a> Copier<'a> {
    /// Copies to the next free bytes of a region, under its salt.
    pub(super) fn new(region: &'a mut Region, salt: u64) -> Self {
        Copier {
            region,
            salt,
            piece: Vec::with_capacity(PIECE),
        }
    }

    /// Writes what is left. Nothing is synced.
    pub(super) fn finish(mut self) -> Result<()> {
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        let start = self.region.published();
        if !self.region.append(&self.piece)? {
            let message = "the rewritten segment is full";
            return Err(Error::new(ErrorKind::Io, message).at_path(self.region.path()));
        }
        self.piece.clear();
        // Blocks that are whole: what was begun and changes again is written twice.
        let whole = |offset| offset / BLOCK_LEN * BLOCK_LEN;
        let end = self.region.published();
        self.region.begin_write_back(whole(start)..whole(end));
        Ok(())
    }
}

impl Sink for Copier<'_> {
    fn copy(&mut self, bytes: &[u8], content_crc: u32) -> Result<usize> {
        let (start, len) = (self.piece.len(), frame::padded(bytes.len()));
        let offset = self.region.published().saturating_add(start);
        self.piece.resize(start.saturating_add(len), 0);
        let place = Place {
            salt: self.salt,
            offset,
        };
        let room = self.piece.get_mut(start..).unwrap_or_default();
        frame::relocate(room, bytes, content_crc, place);
        if self.piece.len() >= PIECE {
            self.write()?;
        }
        Ok(offset)
    }
}

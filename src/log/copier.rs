//! [`Copier`]: writes checked frames anew, behind each other, into a region that nobody else has yet.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{self, Place};
use crate::format::segment::BLOCK_LEN;
use crate::storage::Region;

/// How much is written with one call. The disk begins with it while the next is copied, so that the
/// sync at the end has little left to wait for.
const PIECE: usize = 1 << 20;
/// From so many bytes on a second thread writes while the first reads and checks.
const MANY: usize = 8 << 20;

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
    out: Out<'a>,
    /// Where the next frame goes.
    end: usize,
    salt: u64,
    /// Frames that are not yet written.
    piece: Vec<u8>,
}

#[derive(Debug)]
enum Out<'a> {
    Region(&'a mut Region),
    /// Another thread has the region. What it has written comes back, to be filled again.
    Thread {
        pieces: SyncSender<Vec<u8>>,
        written: Receiver<Vec<u8>>,
    },
}

/// Copies about `len` bytes of frames to the next free bytes of a region, under a salt. Nothing is synced.
///
/// # Errors
/// What `copy` returns; if they do not fit, or a write fails.
pub(super) fn copy_into(
    region: &mut Region,
    salt: u64,
    len: usize,
    copy: impl FnOnce(&mut Copier<'_>) -> Result<()>,
) -> Result<()> {
    if len >= MANY {
        return copy_beside(region, salt, copy);
    }
    let mut copier = Copier::new(region, salt);
    copy(&mut copier)?;
    copier.finish()
}

/// As [`copy_into`], with a thread that writes.
fn copy_beside(
    region: &mut Region,
    salt: u64,
    copy: impl FnOnce(&mut Copier<'_>) -> Result<()>,
) -> Result<()> {
    let end = region.published();
    thread::scope(|scope| {
        let (pieces, to_write) = sync_channel(1);
        let (back, written) = channel();
        let write = move || write_pieces(region, &to_write, &back);
        let builder = thread::Builder::new().name("forelog-copy".to_owned());
        let writer = builder
            .spawn_scoped(scope, write)
            .map_err(|cause| Error::io("start a thread that writes", "", cause))?;
        let mut copier = Copier {
            out: Out::Thread { pieces, written },
            end,
            salt,
            piece: Vec::with_capacity(PIECE),
        };
        let all = copy(&mut copier).and_then(|()| copier.finish());
        let panicked = |_| Err(Error::new(ErrorKind::Io, "the thread that writes panicked"));
        // A write that failed is why no more could be copied.
        writer.join().unwrap_or_else(panicked).and(all)
    })
}

fn write_pieces(
    region: &mut Region,
    pieces: &Receiver<Vec<u8>>,
    back: &Sender<Vec<u8>>,
) -> Result<()> {
    for piece in pieces {
        write(region, &piece)?;
        // Behind the last piece nobody waits for it.
        let _ignored = back.send(piece);
    }
    Ok(())
}

fn write(region: &mut Region, piece: &[u8]) -> Result<()> {
    let start = region.published();
    if !region.append(piece)? {
        let message = "the rewritten segment is full";
        return Err(Error::new(ErrorKind::Io, message).at_path(region.path()));
    }
    // Blocks that are whole: what was begun and changes again is written twice.
    let whole = |offset| offset / BLOCK_LEN * BLOCK_LEN;
    region.begin_write_back(whole(start)..whole(region.published()));
    Ok(())
}

impl<'a> Copier<'a> {
    /// Copies to the next free bytes of a region, under its salt.
    pub(super) fn new(region: &'a mut Region, salt: u64) -> Self {
        Copier {
            end: region.published(),
            out: Out::Region(region),
            salt,
            piece: Vec::with_capacity(PIECE),
        }
    }

    /// Writes what is left. Nothing is synced.
    pub(super) fn finish(mut self) -> Result<()> {
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        match &mut self.out {
            Out::Region(region) => write(region, &self.piece)?,
            Out::Thread { pieces, written } => {
                // A few go round: one is filled, one waits, one is written.
                let empty = written.try_recv();
                let empty = empty.unwrap_or_else(|_| Vec::with_capacity(PIECE));
                let full = std::mem::replace(&mut self.piece, empty);
                if pieces.send(full).is_err() {
                    return Err(Error::new(
                        ErrorKind::Io,
                        "the thread that writes has ended",
                    ));
                }
            }
        }
        self.piece.clear();
        Ok(())
    }
}

impl Sink for Copier<'_> {
    fn copy(&mut self, bytes: &[u8], content_crc: u32) -> Result<usize> {
        let (start, len) = (self.piece.len(), frame::padded(bytes.len()));
        let offset = self.end;
        self.end = offset.saturating_add(len);
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

#[cfg(test)]
mod tests;

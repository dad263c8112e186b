//! [`Scanner`]: walks the frames of one segment file. Open, verify, salvage and dump all use it.
//!
//! It reads with `pread` through a window of bounded size, never through a map: a disk that cannot
//! be read is an error here, not a signal. What it finds has a name: a frame, bytes that are none,
//! or the end. Behind bytes that are none it can search for the next true frame: frames start at
//! multiples of 8, and a checksum is bound to its own offset, so a copy of a frame inside a payload
//! never passes for one.

use std::sync::Arc;

use crate::error::Result;
use crate::format::frame::{self, ALIGN, Frame, FrameHeader, HEADER_LEN, Invalid, Place};
use crate::format::segment::BLOCK_LEN;

/// How much is read at once: more would not stay in the nearer caches.
const WINDOW: usize = 256 << 10;
/// How much is skipped at once where all bytes are zero.
const PAGE: usize = 4096;
/// A page that was never written: comparing with it is as fast as memory, in any build.
const ZEROS: [u8; PAGE] = [0; PAGE];

/// How many bytes there are up to the last one that is not zero.
pub(super) fn written(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    for part in bytes.rchunks(PAGE) {
        let start = end.saturating_sub(part.len());
        if ZEROS.get(..part.len()) != Some(part) {
            let last = part.iter().rposition(|&byte| byte != 0);
            return last.map_or(start, |last| start.saturating_add(last + 1));
        }
        end = start;
    }
    0
}

/// Where a scanner reads from.
pub(crate) trait Source {
    /// The length in bytes.
    fn len(&self) -> usize;
    /// Fills `out` from `offset` on.
    fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<()>;
}

impl Source for crate::storage::Region {
    fn len(&self) -> usize {
        self.len()
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        self.read_at(offset, out)
    }
}

impl Source for [u8] {
    fn len(&self) -> usize {
        self.len()
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        if let Some(bytes) = self.get(offset..offset.saturating_add(out.len())) {
            out.copy_from_slice(bytes);
        }
        Ok(())
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        (**self).read_at(offset, out)
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        (**self).read_at(offset, out)
    }
}

/// What stands at the scanner's place.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A frame that passes its check, its offset, and its bytes without padding.
    Frame {
        /// Where it starts.
        offset: usize,
        /// The frame.
        frame: Frame<'a>,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// Bytes that are no frame. The scanner stays here until told to [`Scanner::resync`].
    Invalid {
        /// Where they start.
        offset: usize,
        /// Why they are none.
        why: Invalid,
    },
    /// The end of the range.
    End,
}

/// A walk over the frames of one segment.
#[derive(Debug)]
pub(crate) struct Scanner<S> {
    source: S,
    salt: u64,
    at: usize,
    end: usize,
    /// No frame is searched for from here on.
    search_end: usize,
    window: Vec<u8>,
    window_at: usize,
}

impl<S: Source> Scanner<S> {
    /// A walk from the first frame up to `end` (at most the end of the source).
    pub(crate) fn new(source: S, salt: u64, end: usize) -> Self {
        let end = end.min(source.len());
        Scanner {
            source,
            salt,
            at: BLOCK_LEN,
            end,
            search_end: end,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// Where the scanner stands.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Goes on at this offset, where a frame should start.
    pub(crate) fn seek(&mut self, offset: usize) {
        self.at = offset;
    }

    /// Searches for no frame that starts at this offset or behind it, where only zeros are known to
    /// stand. A frame that starts before may reach beyond: it may end in zeros of its own.
    pub(crate) fn search_before(&mut self, offset: usize) {
        self.search_end = offset;
    }

    /// Drops what was read ahead: beside a live writer the file may say more by now.
    pub(crate) fn forget(&mut self) {
        self.window.clear();
    }

    /// Looks at the scanner's place and, if a frame stands there, moves behind it.
    ///
    /// # Errors
    /// Only where the source cannot be read.
    pub(crate) fn next(&mut self) -> Result<Found<'_>> {
        let offset = self.at;
        if self.end.saturating_sub(offset) < HEADER_LEN {
            return Ok(Found::End);
        }
        let checked = self.check(offset)?;
        match checked {
            Err(why) => Ok(Found::Invalid { offset, why }),
            Ok(header) => {
                self.at = offset.saturating_add(header.padded_len());
                let len = usize::try_from(header.len).unwrap_or(0);
                let bytes = self.window_bytes(offset, len);
                Ok(Found::Frame {
                    offset,
                    frame: Frame { header, bytes },
                    bytes,
                })
            }
        }
    }

    /// Moves to the next true frame for which `plausible` holds, or to the end; says whether there
    /// is one. `plausible` is asked before a checksum is computed as well, on the bare claim of a
    /// header, so that hostile bytes cannot make this slow.
    ///
    /// # Errors
    /// Only where the source cannot be read.
    pub(crate) fn resync(&mut self, plausible: &dyn Fn(&FrameHeader) -> bool) -> Result<bool> {
        let mut offset = self.at.saturating_add(ALIGN);
        while offset < self.search_end && self.end.saturating_sub(offset) >= HEADER_LEN {
            if offset.is_multiple_of(PAGE) && self.end.saturating_sub(offset) >= PAGE {
                // Most of what is searched is room that was never written.
                let page = self.view(offset, PAGE)?;
                if page == ZEROS {
                    offset = offset.saturating_add(PAGE);
                    continue;
                }
            }
            let head = self.view(offset, HEADER_LEN)?;
            let claims = frame::peek(head).is_some_and(|header| plausible(&header));
            if claims && self.check(offset)?.is_ok() {
                self.at = offset;
                return Ok(true);
            }
            offset = offset.saturating_add(ALIGN);
        }
        self.at = self.end;
        Ok(false)
    }

    fn check(&mut self, offset: usize) -> Result<Result<FrameHeader, Invalid>> {
        let room = self.end.saturating_sub(offset);
        let head = self.view(offset, HEADER_LEN.min(room))?;
        let len = match frame::claimed_len(head) {
            Ok(len) if len <= room => len,
            Ok(_) => return Ok(Err(Invalid::Length)),
            Err(why) => return Ok(Err(why)),
        };
        let place = Place {
            salt: self.salt,
            offset,
        };
        let bytes = self.view(offset, len)?;
        Ok(frame::decode(bytes, place).map(|frame| frame.header))
    }

    /// `len` bytes at `offset`, read into the window if they are not there; the range must lie
    /// before the end.
    fn view(&mut self, offset: usize, len: usize) -> Result<&[u8]> {
        let window_end = self.window_at.saturating_add(self.window.len());
        if offset < self.window_at || offset.saturating_add(len) > window_end {
            let wanted = WINDOW.max(len).min(self.end.saturating_sub(offset));
            self.window.resize(wanted, 0);
            self.window_at = offset;
            if let Err(error) = self.source.read_at(offset, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
        }
        Ok(self.window_bytes(offset, len))
    }

    /// The source.
    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// Bytes that the last step has read; none where they are not at hand any more.
    pub(crate) fn window_bytes(&self, offset: usize, len: usize) -> &[u8] {
        let start = offset.saturating_sub(self.window_at);
        self.window
            .get(start..start.saturating_add(len))
            .unwrap_or_default()
    }
}

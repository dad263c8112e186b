//! What a [`Region`] does with its file rather than its map (writing, syncing, reading past the map), and with its pages.

use std::fmt;
use std::ops::Range;

use super::mmap::Region;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::atomic::Ordering;

/// How much is filled with one write: 64 KiB cost a fifth of pages one by one, and a sync after a store
/// through the map hardly more than with those.
pub(crate) const FILL_PIECE: usize = 64 << 10;

impl Region {
    /// Whether the file still has its length. A file that is truncated from outside while its map is
    /// being read ends the process with SIGBUS; this finds the ones truncated before.
    pub(crate) fn check_len(&self) -> Result<()> {
        let len = self
            .backing
            .len()
            .map_err(|e| Error::io("read the length", &self.path, e))?;
        let Some(len) = len.filter(|len| *len < self.len() as u64) else {
            return Ok(());
        };
        let message = format!(
            "the file was {} bytes long and has {len} now; restore it from a backup, or run \
             forelog-recovery doctor on the directory",
            self.len()
        );
        Err(Error::new(ErrorKind::Truncated, message)
            .at_path(&self.path)
            .at_offset(len))
    }

    /// Writes zeros to a range that is free and holds zeros, so that its blocks are in the page cache
    /// and, after a sync, written; `false`, with nothing done, where the map and the file may have
    /// caches of their own.
    ///
    /// Linux keeps the file in folios as large as the writes were: with large ones the writing and
    /// the first store to each page are cheap, but a sync writes back a whole folio for one store
    /// through the map. See [`FILL_PIECE`].
    pub(crate) fn fill(&mut self, range: Range<usize>) -> Result<bool> {
        self.fill_free(range)
    }

    /// As [`Region::fill`], while nobody can take a claim.
    pub(super) fn fill_free(&self, range: Range<usize>) -> Result<bool> {
        let (start, end) = (range.start.max(self.reserved()), range.end.min(self.len()));
        let zeros = vec![0; FILL_PIECE];
        for at in (start..end).step_by(FILL_PIECE) {
            let piece = zeros.get(..end - at).unwrap_or(&zeros);
            if !self.write_through(at, piece)? {
                self.filled_upto.store(usize::MAX, Ordering::Relaxed);
                return Ok(false);
            }
            self.filled_upto
                .fetch_max(at + piece.len(), Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Up to where blocks were written; beyond the end if there is nothing to do about it.
    #[cfg(test)]
    pub(crate) fn filled_upto(&self) -> usize {
        self.filled_upto.load(Ordering::Relaxed)
    }

    /// Notes that no block of the file was ever written.
    pub(super) fn note_unwritten(&mut self) {
        *self.filled_upto.get_mut() = 0;
    }

    /// Writes and publishes the next free bytes of a region that nobody else has yet, with a system call
    /// where the map shows what that writes: many bytes at once, and no page fault. `false` if there is
    /// no room for them.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<bool> {
        let start = self.reserved();
        let end = start.saturating_add(bytes.len());
        if end > self.len() {
            return Ok(false);
        }
        if self.write_through(start, bytes)? {
            self.adopt(end)?;
        } else {
            self.write_with(bytes.len(), |_, room| room.copy_from_slice(bytes));
        }
        Ok(true)
    }

    /// Has the system begin to write a range of the file, so that a sync finds less to do.
    pub(crate) fn begin_write_back(&self, range: Range<usize>) {
        let len = range.end.min(self.len()).saturating_sub(range.start);
        // No bytes would mean all of them to the system.
        if len > 0 {
            self.backing.begin_write_back(range.start, len);
        }
    }

    /// Has the pages of a range mapped for writing, where the system can: a later store finds them
    /// there. Pages that were written since, or whose room was given back, are left alone.
    pub(crate) fn populate(&self, range: Range<usize>) {
        let start = range.start.max(self.reserved());
        #[cfg(target_os = "linux")]
        self.advise(start..range.end, memmap2::Advice::PopulateWrite);
        #[cfg(not(target_os = "linux"))]
        let _ = start;
    }

    /// Has the pages of a range mapped for reading, and read from the disk where they must be, if the
    /// system can: a later load finds them there.
    pub(crate) fn populate_to_read(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        self.advise(range, memmap2::Advice::PopulateRead);
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }

    #[cfg(target_os = "linux")]
    fn advise(&self, range: Range<usize>, advice: memmap2::Advice) {
        let end = range.end.min(self.len());
        if range.start >= end {
            return;
        }
        let advised = self
            .map()
            .advise_range(advice, range.start, end - range.start);
        if let Err(error) = advised {
            tracing::debug!(target: "forelog::storage", %error, "pages are not mapped ahead");
        }
    }

    pub(super) fn write_through(&self, offset: usize, bytes: &[u8]) -> Result<bool> {
        let written = self.backing.write_through(offset, bytes);
        written.map_err(|e| Error::io("write", &self.path, e).at_offset(offset as u64))
    }

    /// Makes all published bytes durable.
    ///
    /// # Errors
    /// An error is final: the kernel may have dropped the bytes and report success the next time.
    pub(crate) fn sync(&self) -> Result<()> {
        let synced = self.backing.sync(self.bytes(), self.map());
        synced.map_err(|e| Error::io("sync", &self.path, e))
    }

    /// Makes the first `len` bytes durable, which must be published, and as little else as can be.
    ///
    /// # Errors
    /// As [`Region::sync`].
    pub(crate) fn sync_head(&self, len: usize) -> Result<()> {
        let synced = self.backing.sync_range(self.bytes(), 0..len);
        let is_synced = synced.map_err(|e| Error::io("sync", &self.path, e).at_offset(0))?;
        if is_synced { Ok(()) } else { self.sync() }
    }

    /// Reads bytes from the file rather than the map.
    pub(crate) fn read_at(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        let read = self.backing.read_at(offset, out);
        read.map_err(|e| Error::io("read", &self.path, e).at_offset(offset as u64))
    }

    /// Whether [`Region::read_at`] has made bytes of a range up, as the disk cannot give them.
    pub(crate) fn is_unread(&self, range: &Range<usize>) -> bool {
        self.backing.is_unread(range)
    }

    /// Whether there is a file that [`Region::read_at`] reads.
    pub(crate) fn is_file(&self) -> bool {
        self.backing.is_file_map()
    }

    /// How many bytes the file takes on the disk; its length, where that cannot be told.
    pub(crate) fn allocated(&self) -> u64 {
        let allocated = self.backing.allocated().ok().flatten();
        allocated.unwrap_or(self.len() as u64)
    }

    /// Holds no descriptor of the file from now on: all of it is synced, and it is not written any more.
    pub(crate) fn let_go_of_file(&self) {
        self.backing.let_go(&self.path);
    }

    /// Gives the blocks of published bytes back where the system can; they must not be needed.
    pub(crate) fn punch_hole(&self, offset: usize, len: usize) -> Result<()> {
        self.backing
            .punch_hole(offset, len)
            .map_err(|e| Error::io("punch a hole", &self.path, e))
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("path", &self.path)
            .field("len", &self.len())
            .field("published", &self.published())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::storage::Storage;
    use crate::storage::file::FileStorage;
    use crate::storage::sys::Sys;

    #[test]
    fn appended_bytes_are_published_behind_each_other_until_there_is_no_room() {
        for sys in [Sys::native(), Sys::PORTABLE] {
            let dir = tempfile::tempdir().unwrap();
            let storage = FileStorage::create(dir.path(), sys).unwrap();
            let mut region = storage.create("a", 8192).unwrap();
            assert!(region.append(&[1; 5000]).unwrap());
            assert!(region.append(&[2; 3000]).unwrap());
            region.begin_write_back(0..4096);
            assert!(!region.append(&[3; 193]).unwrap());
            assert_eq!(region.bytes(), [vec![1; 5000], vec![2; 3000]].concat());
            region.sync().unwrap();
            let mut read = [0; 3000];
            region.read_at(5000, &mut read).unwrap();
            assert_eq!(read, [2; 3000]);
        }
    }
}

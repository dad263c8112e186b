//! [`Detour`]: a backing whose reads go another way; all else goes to what stands behind it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::MmapRaw;

use super::backing::Backing;

/// Reads bytes at an offset from the backing, or does something about it.
pub(super) trait Way: fmt::Debug + Send + Sync {
    /// As [`Backing::read_at`].
    fn read_at(&self, backing: &dyn Backing, offset: usize, out: &mut [u8]) -> io::Result<()>;

    /// As [`Backing::is_unread`].
    fn is_unread(&self, range: &Range<usize>) -> bool {
        let _ = range;
        false
    }
}

/// A backing, and the way that its reads go.
#[derive(Debug)]
pub(super) struct Detour<W> {
    inner: Box<dyn Backing>,
    way: W,
}

impl<W: Way> Detour<W> {
    pub(super) fn new(inner: Box<dyn Backing>, way: W) -> Self {
        Detour { inner, way }
    }
}

impl<W: Way> Backing for Detour<W> {
    fn sync(&self, live: &[u8], map: &MmapRaw) -> io::Result<()> {
        self.inner.sync(live, map)
    }

    fn sync_range(&self, live: &[u8], range: Range<usize>) -> io::Result<bool> {
        self.inner.sync_range(live, range)
    }

    fn begin_write_back(&self, offset: usize, len: usize) {
        self.inner.begin_write_back(offset, len);
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        self.way.read_at(self.inner.as_ref(), offset, out)
    }

    fn is_unread(&self, range: &Range<usize>) -> bool {
        self.way.is_unread(range)
    }

    fn write_through(&self, offset: usize, bytes: &[u8]) -> io::Result<bool> {
        self.inner.write_through(offset, bytes)
    }

    fn is_file_map(&self) -> bool {
        self.inner.is_file_map()
    }

    fn len(&self) -> io::Result<Option<u64>> {
        self.inner.len()
    }

    fn allocated(&self) -> io::Result<Option<u64>> {
        self.inner.allocated()
    }

    fn punch_hole(&self, offset: usize, len: usize) -> io::Result<()> {
        self.inner.punch_hole(offset, len)
    }

    fn let_go(&self, path: &Path) {
        self.inner.let_go(path);
    }
}

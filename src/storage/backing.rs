//! [`Backing`]: what a storage puts behind the map of a region.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::MmapRaw;

/// What stands behind a region's map.
pub(crate) trait Backing: fmt::Debug + Send + Sync {
    /// Makes the region's published bytes, `live`, durable; `map` is for systems where the file has
    /// to be told of stores into its map.
    fn sync(&self, live: &[u8], map: &MmapRaw) -> io::Result<()>;

    /// Makes the bytes of a range durable, and as little else as can be; `live` are those of the map.
    /// `false`, with nothing done, where there is only a sync of all.
    fn sync_range(&self, live: &[u8], range: Range<usize>) -> io::Result<bool>;

    /// Has the system begin to write a range, where it can be asked to; promises nothing, and does not
    /// wait. What fails is told by the next sync.
    fn begin_write_back(&self, offset: usize, len: usize) {
        let _ = (offset, len);
    }

    /// Reads bytes at `offset` without the map, so that a bad disk is an error and not a signal.
    /// Fills `out` or fails.
    fn read_at(&self, offset: usize, out: &mut [u8]) -> io::Result<()>;

    /// Whether some of a range could not be read, and [`Backing::read_at`] has made bytes up in its place.
    fn is_unread(&self, range: &Range<usize>) -> bool {
        let _ = range;
        false
    }

    /// Writes bytes at `offset` so that the map shows them and a sync has little to do; `false`, with
    /// nothing written, where storing them through the map is the way.
    fn write_through(&self, offset: usize, bytes: &[u8]) -> io::Result<bool>;

    /// Whether the map is a shared one of a file, with whose page cache it is one.
    fn is_file_map(&self) -> bool {
        false
    }

    /// The length of the file now: less than the region's if somebody truncated it; `None` if it has been
    /// removed, which the map does not mind.
    fn len(&self) -> io::Result<Option<u64>>;

    /// How many bytes of blocks the file has: its length, where the system cannot tell.
    fn allocated(&self) -> io::Result<Option<u64>> {
        self.len()
    }

    /// Gives the blocks of a range back; its bytes read as zeros. May do nothing.
    fn punch_hole(&self, offset: usize, len: usize) -> io::Result<()>;

    /// Holds no descriptor from now on of the file, which has this path: all of it is synced, and it is not
    /// written any more.
    fn let_go(&self, path: &Path) {
        let _ = path;
    }
}

//! Reading a file past the page cache: what the disk holds and not what memory remembers of it, and
//! without putting out of that cache what others need.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use memmap2::{MmapOptions, MmapRaw};

use super::Region;
use super::backing::Backing;
use super::sys;
use crate::error::{Error, ErrorKind, Result};

/// What addresses, places and lengths are multiples of: no disk asks for more.
const ALIGN: usize = 4096;

/// A file that is open, to be read past the page cache, or, where its file system cannot, through it.
pub(super) fn over(buffered: File, path: &Path) -> Result<Region> {
    let failed = |e| Error::io("map", path, e);
    let len = buffered.metadata().map_err(failed)?.len();
    if len == 0 {
        return Err(Error::new(ErrorKind::Truncated, "the file is empty").at_path(path));
    }
    let map = MmapOptions::new().map_raw_read_only(&buffered);
    let map = map.map_err(failed)?;
    let backing = Unbuffered {
        direct: direct(path),
        buffered,
        block: Mutex::default(),
    };
    Ok(Region::new(map, Box::new(backing), path.to_path_buf()))
}

/// The file, if it can be read past the cache.
fn direct(path: &Path) -> Option<File> {
    let file = sys::open_direct(path).ok()?;
    // Some file systems take the flag and refuse the read.
    let mut block = Block::default();
    block.fill(&file, 0, ALIGN).ok()?;
    Some(file)
}

#[derive(Debug)]
struct Unbuffered {
    direct: Option<File>,
    buffered: File,
    block: Mutex<Block>,
}

/// Memory that begins at a multiple of [`ALIGN`].
#[derive(Debug, Default)]
struct Block {
    memory: Vec<u8>,
}

impl Block {
    /// Reads what the file has of `len` bytes from `at` on, both multiples of [`ALIGN`].
    fn fill(&mut self, file: &File, at: u64, len: usize) -> io::Result<&[u8]> {
        if self.memory.len() < len + ALIGN {
            self.memory = vec![0; len + ALIGN];
        }
        let start = self.memory.as_ptr().align_offset(ALIGN);
        let room = self.memory.get_mut(start..start.saturating_add(len));
        let room = room.ok_or(io::ErrorKind::InvalidInput)?;
        let mut done = 0;
        while done < len {
            match sys::read_some_at(file, &mut room[done..], at + done as u64) {
                Ok(0) => break,
                // Only the end of the file is no multiple; behind it there is nothing to be read.
                Ok(count) if count % ALIGN != 0 => {
                    done += count;
                    break;
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&room[..done])
    }
}

impl Backing for Unbuffered {
    fn sync(&self, _: &[u8], _: &MmapRaw) -> io::Result<()> {
        Ok(())
    }

    fn sync_range(&self, _: &[u8], _: Range<usize>) -> io::Result<bool> {
        Ok(true)
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let Some(direct) = &self.direct else {
            return sys::read_exact_at(&self.buffered, out, offset as u64);
        };
        let at = offset / ALIGN * ALIGN;
        let len = (offset + out.len()).next_multiple_of(ALIGN) - at;
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        let read = block.fill(direct, at as u64, len)?;
        let wanted = read.get(offset - at..offset - at + out.len());
        out.copy_from_slice(wanted.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_through(&self, _: usize, _: &[u8]) -> io::Result<bool> {
        Ok(false)
    }

    fn len(&self) -> io::Result<Option<u64>> {
        Ok(Some(self.buffered.metadata()?.len()))
    }

    fn punch_hole(&self, _: usize, _: usize) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_read_and_one_beyond_the_end_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..20_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &bytes).unwrap();
        let opened = || over(File::open(&path).unwrap(), &path);
        let region = opened().unwrap();
        for range in [0..1, 0..4096, 4095..4097, 5000..19_999, 8192..20_000] {
            let mut out = vec![0; range.len()];
            region.read_at(range.start, &mut out).unwrap();
            assert_eq!(out, bytes[range]);
        }
        assert!(region.read_at(19_000, &mut [0; 1001]).is_err());
        let without = Unbuffered {
            direct: None,
            buffered: File::open(&path).unwrap(),
            block: Mutex::default(),
        };
        let mut out = [0; 10];
        without.read_at(4090, &mut out).unwrap();
        assert_eq!(out, bytes[4090..4100]);
        std::fs::write(&path, "").unwrap();
        assert_eq!(opened().unwrap_err().kind(), ErrorKind::Truncated);
    }
}

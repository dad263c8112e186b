//! [`OnDisk`]: the file behind a region's map, held open only as long as it is written.
//!
//! A map needs no descriptor, and processes have few: a log of more segments than that must open all the
//! same. So the file of a segment that is sealed and synced is let go, and opened anew by its name for the
//! rare call that reads past the map. Retention may have removed it by then: its map still has all of its
//! bytes.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use memmap2::MmapRaw;

use super::backing::Backing;
use super::readers::Reading;
use super::sys::{self, Sys};

/// A file of a real file system.
#[derive(Debug)]
pub(super) struct OnDisk {
    file: RwLock<Held>,
    sys: Sys,
    /// Of a file that is only read: no writer changes its bytes meanwhile.
    _reading: Option<Arc<Reading>>,
}

#[derive(Debug, Clone)]
enum Held {
    Open(Arc<File>),
    /// Let go: all of it is synced, and it is not written any more.
    Closed(PathBuf),
}

impl OnDisk {
    pub(super) fn new(file: File, sys: Sys, reading: Option<Arc<Reading>>) -> Self {
        let file = RwLock::new(Held::Open(Arc::new(file)));
        OnDisk {
            file,
            sys,
            _reading: reading,
        }
    }

    fn held(&self) -> Held {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        file.clone()
    }

    /// The file, to be written or synced; `None` if it was let go.
    fn open(&self) -> Option<Arc<File>> {
        match self.held() {
            Held::Open(file) => Some(file),
            Held::Closed(_) => None,
        }
    }

    /// `None` if the file was let go, and is gone since.
    fn metadata(&self) -> io::Result<Option<fs::Metadata>> {
        let path = match self.held() {
            Held::Open(file) => return file.metadata().map(Some),
            Held::Closed(path) => path,
        };
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }
}

impl Backing for OnDisk {
    fn sync(&self, _: &[u8], map: &MmapRaw) -> io::Result<()> {
        let file = self.open();
        file.map_or(Ok(()), |file| self.sys.sync(&file, map))
    }

    fn sync_range(&self, live: &[u8], range: Range<usize>) -> io::Result<bool> {
        let Some(file) = self.open() else {
            return Ok(true);
        };
        // A copy: the file's own page, handed to a write into it, may be locked by that write.
        let bytes = live.get(range.clone()).unwrap_or_default().to_vec();
        self.sys.write_synced(&file, range.start as u64, &bytes)
    }

    fn begin_write_back(&self, offset: usize, len: usize) {
        if let Some(file) = self.open() {
            self.sys.begin_write_back(&file, offset, len);
        }
    }

    fn write_through(&self, offset: usize, bytes: &[u8]) -> io::Result<bool> {
        let file = self.open();
        file.map_or(Ok(false), |file| {
            self.sys.write_through(&file, offset as u64, bytes)
        })
    }

    fn is_file_map(&self) -> bool {
        true
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let file = match self.held() {
            Held::Open(file) => file,
            Held::Closed(path) => Arc::new(sys::open_options().open(path)?),
        };
        sys::read_exact_at(&file, out, offset as u64)
    }

    fn len(&self) -> io::Result<Option<u64>> {
        Ok(self.metadata()?.map(|found| found.len()))
    }

    fn allocated(&self) -> io::Result<Option<u64>> {
        Ok(self.metadata()?.map(|found| sys::allocated(&found)))
    }

    fn punch_hole(&self, offset: usize, len: usize) -> io::Result<()> {
        let file = self.open();
        file.map_or(Ok(()), |file| self.sys.punch_hole(&file, offset, len))
    }

    fn let_go(&self, path: &Path) {
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        *file = Held::Closed(path.to_path_buf());
    }
}

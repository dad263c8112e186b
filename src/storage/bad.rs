//! Bad sectors for tests: ranges of real files of which no byte can be read, as `EIO` is met on a disk.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::backing::Backing;
use super::detour::{Detour, Way};

/// How Linux numbers an input/output error.
const EIO: i32 = 5;

static BAD: Mutex<Vec<Bad>> = Mutex::new(Vec::new());

/// What cannot be read: of one file, whatever its name, or of all files in a folder.
#[derive(Debug)]
struct Bad {
    path: PathBuf,
    file: Option<u64>,
    range: Range<u64>,
}

impl Bad {
    fn holds(&self, path: &Path, range: &Range<u64>) -> bool {
        // Outside of the test's folder another file may have got the number of one that is gone.
        let temporary = std::env::temp_dir();
        let mut folders = self.path.ancestors();
        let own = folders.find(|folder| folder.parent() == Some(&temporary));
        let directory = own.unwrap_or(&self.path);
        let is_this = match self.file {
            Some(_) => path.starts_with(directory) && identity(path) == self.file,
            None => path.starts_with(&self.path),
        };
        is_this && self.range.start < range.end && range.start < self.range.end
    }
}

/// By what a plain file is known under every name; `None` where the system does not tell.
fn identity(path: &Path) -> Option<u64> {
    let found = std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)?;
    #[cfg(unix)]
    return Some(std::os::unix::fs::MetadataExt::ino(&found));
    #[cfg(not(unix))]
    return Some(found).and(None);
}

/// From now on nothing of this range of a file can be read, nor of any file in a folder of this path.
pub(crate) fn mark(path: &Path, range: Range<u64>) {
    let mut bad = BAD.lock().unwrap_or_else(PoisonError::into_inner);
    bad.push(Bad {
        path: path.to_path_buf(),
        file: identity(path),
        range,
    });
}

/// Fails if a range of a file has a byte that cannot be read.
pub(super) fn read(path: &Path, range: &Range<u64>) -> io::Result<()> {
    let bad = BAD.lock().unwrap_or_else(PoisonError::into_inner);
    if bad.iter().any(|bad| bad.holds(path, range)) {
        return Err(io::Error::from_raw_os_error(EIO));
    }
    Ok(())
}

/// The backing of a file, with its bad sectors.
pub(super) fn over(inner: Box<dyn Backing>, path: &Path) -> Box<dyn Backing> {
    let way = Sectors(path.to_path_buf());
    Box::new(Detour::new(inner, way))
}

#[derive(Debug)]
struct Sectors(PathBuf);

impl Way for Sectors {
    fn read_at(&self, backing: &dyn Backing, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(out.len());
        read(&self.0, &(offset as u64..end as u64))?;
        backing.read_at(offset, out)
    }
}

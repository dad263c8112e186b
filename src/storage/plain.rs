//! Plain files of what can be made anew: written once, from front to back, and from then on only read, a
//! few bytes at a time and without a map, so that a file which somebody cuts is an error and not a signal.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::regular::{irregular, open_regular};
use super::sys;
use crate::error::{Error, Result};
use crate::format::names;

/// How many bytes are handed to the system at once.
const BUFFER_LEN: usize = 128 << 10;

/// A file that is complete.
#[derive(Debug)]
pub(crate) struct PlainFile {
    file: File,
    path: PathBuf,
}

impl PlainFile {
    /// Opens a file that must be a plain one.
    pub(crate) fn open(path: &Path) -> Result<PlainFile> {
        Ok(PlainFile {
            file: open_regular(path, false)?,
            path: path.to_path_buf(),
        })
    }

    pub(crate) fn len(&self) -> Result<u64> {
        let found = self.file.metadata();
        Ok(found
            .map_err(|e| Error::io("look at", &self.path, e))?
            .len())
    }

    /// Fills `out` or fails.
    pub(crate) fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let read = sys::read_exact_at(&self.file, out, offset);
        #[cfg(test)]
        let read = read.and_then(|()| {
            let end = offset.saturating_add(out.len() as u64);
            super::bad::read(&self.path, &(offset..end))
        });
        read.map_err(|e| Error::io("read", &self.path, e))
    }

    /// Returns once the file and its name are durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let failed = |e| Error::io("sync", &self.path, e);
        self.file.sync_data().map_err(failed)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let dir = sys::open_dir(folder).map_err(failed)?;
        sys::sync_dir(dir.as_ref()).map_err(failed)
    }

    /// Removes its name; it can be read for as long as it is held.
    pub(crate) fn remove(&self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|e| Error::io("remove", &self.path, e))
    }
}

/// A file that is being written under another name, which goes with it if it is not finished.
#[derive(Debug)]
pub(crate) struct PlainWriter {
    /// `None` once it is finished.
    file: Option<BufWriter<File>>,
    tmp: PathBuf,
    path: PathBuf,
}

impl PlainWriter {
    /// Begins the file of a name in a folder, which is made if it is not there.
    pub(crate) fn begin(folder: &Path, name: &str) -> Result<PlainWriter> {
        let failed = |e| Error::io("begin a file in", folder, e);
        fs::create_dir_all(folder).map_err(failed)?;
        let tmp = folder.join(names::tmp(name));
        // It is read as well, once it is finished.
        let mut options = sys::open_options();
        let options = options.write(true).create(true).truncate(true);
        let file = options.open(&tmp).map_err(failed)?;
        Ok(PlainWriter {
            file: Some(BufWriter::with_capacity(BUFFER_LEN, file)),
            tmp,
            path: folder.join(name),
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.as_mut().map(|file| file.write_all(bytes));
        let written = written.transpose();
        written.map_err(|e| Error::io("write", &self.tmp, e))?;
        Ok(())
    }

    /// Gives the file its name, in place of one that may be there.
    pub(crate) fn finish(mut self) -> Result<PlainFile> {
        let failed = |e| Error::io("finish", &self.tmp, e);
        let Some(file) = self.file.take() else {
            return PlainFile::open(&self.path);
        };
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        fs::rename(&self.tmp, &self.path).map_err(failed)?;
        Ok(PlainFile {
            file,
            path: std::mem::take(&mut self.path),
        })
    }
}

impl Drop for PlainWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What stays is removed by whoever opens the folder next.
            let _ = fs::remove_file(&self.tmp);
        }
    }
}

/// Refuses a folder with anything in it, however deep, that is neither a plain file nor a folder: who opens it
/// with other code than ours might wait for a pipe, or read a device without end.
pub(crate) fn check_plain(folder: &Path) -> Result<()> {
    let failed = |e| Error::io("look into the folder", folder, e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let found = entry.metadata().map_err(failed)?;
        if found.is_dir() {
            check_plain(&entry.path())?;
        } else if let Some(error) = irregular(&entry.path(), &found) {
            return Err(error);
        }
    }
    Ok(())
}

/// Removes all files of a folder but those that `keep` names. A folder that is not there has none.
pub(crate) fn remove_others(folder: &Path, keep: impl Fn(&str) -> bool) -> Result<()> {
    if fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    let failed = |e| Error::io("tidy the folder", folder, e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_kept = entry.file_name().to_str().is_some_and(&keep);
        if !is_kept && entry.file_type().map_err(failed)?.is_file() {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_finished_and_others_are_tidied_away() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("made");
        let mut first = PlainWriter::begin(&folder, "a").unwrap();
        first.write(b"abcdef").unwrap();
        assert!(!folder.join("a").exists());
        let first = first.finish().unwrap();
        first.sync().unwrap();
        let mut bytes = [0; 3];
        first.read_at(2, &mut bytes).unwrap();
        assert_eq!((&bytes, first.len().unwrap()), (b"cde", 6));
        assert!(first.read_at(4, &mut bytes).is_err());

        let mut given_up = PlainWriter::begin(&folder, "b").unwrap();
        given_up.write(b"x").unwrap();
        drop(given_up);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

        fs::write(folder.join("stray"), "x").unwrap();
        remove_others(&folder, |name| name == "a").unwrap();
        remove_others(&dir.path().join("nowhere"), |_| false).unwrap();
        assert!(folder.join("a").exists() && !folder.join("stray").exists());
        first.remove().unwrap();
        first.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"abc");
        assert!(PlainFile::open(&folder.join("a")).is_err());
    }
}

//! [`Lines`]: a file of lines that only grows, beside the log.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::sys;
use crate::error::{Error, Result};

/// A file, open to be appended to.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
    path: PathBuf,
}

impl Lines {
    /// Opens a file, or makes one. What stands behind its last line end, which a crash left, is ended.
    ///
    /// # Errors
    /// If the file cannot be opened, or is a symbolic link.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |e| Error::io("open", path, e);
        let mut options = sys::open_options();
        let file = options
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let mut lines = Lines {
            file,
            path: path.to_path_buf(),
        };
        let mut last = [b'\n'];
        if len > 0 {
            sys::read_exact_at(&lines.file, &mut last, len - 1).map_err(failed)?;
        } else if let Some(folder) = path.parent() {
            let folder = sys::open_dir(folder).map_err(failed)?;
            sys::sync_dir(folder.as_ref()).map_err(failed)?;
        }
        if last != [b'\n'] {
            lines.append(b"\n")?;
        }
        Ok(lines)
    }

    /// Appends whole lines, which are durable on return.
    ///
    /// # Errors
    /// If they cannot be written, or not synced.
    pub(crate) fn append(&mut self, lines: &[u8]) -> Result<()> {
        let written = self
            .file
            .write_all(lines)
            .and_then(|()| self.file.sync_data());
        written.map_err(|e| Error::io("append to", &self.path, e))
    }
}

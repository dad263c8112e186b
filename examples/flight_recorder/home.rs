//! The directory that is recorded into.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Result;

/// A directory to record into: a temporary one, removed in the end, or one to keep.
#[derive(Debug)]
pub(crate) enum Home {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Home {
    /// Makes the directory. One that is kept must be new or empty: the board is compared with one
    /// input, so events of another have no place in the log.
    pub(crate) fn make(keep: Option<&Path>) -> Result<Home> {
        let Some(dir) = keep else {
            return Ok(Home::Temporary(tempfile::tempdir()?));
        };
        let path = dir.display();
        match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(format!("{path} is not empty; name a new directory").into()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("cannot use {path}: {error}").into()),
        }
        Ok(Home::Kept(dir.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Home::Temporary(dir) => dir.path(),
            Home::Kept(dir) => dir,
        }
    }
}

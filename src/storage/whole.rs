//! Whole files that are kept or copied, for repairs and salvages.

use std::path::Path;
use std::{fs, io};

use super::regular::open_regular;
use crate::error::{Error, Result};

/// Gives a file a second name, or makes a copy where the file system has no links. One that has that name
/// already is kept; one that is not there is none to be kept.
///
/// # Errors
/// If that cannot be done; the file itself stays as it is.
pub(crate) fn keep(from: &Path, to: &Path) -> Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(()),
        Err(_) => copy(from, to).map(drop),
    }
}

/// Copies a file, durably, and not its rights: a backup may be read-only. Says how long it is.
///
/// # Errors
/// If it cannot be read, or the copy not be written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<u64> {
    let mut source = open_regular(from, false)?;
    let mut target = fs::File::create(to).map_err(|e| Error::io("create", to, e))?;
    let len = io::copy(&mut source, &mut target).map_err(|e| Error::io("copy", from, e))?;
    target.sync_all().map_err(|e| Error::io("sync", to, e))?;
    Ok(len)
}

/// Gives a folder another name; durable once the folder that it stands in is synced.
///
/// # Errors
/// If it cannot be renamed.
pub(crate) fn rename_folder(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("rename", from, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_outlives_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        keep(&from, &to).unwrap();
        assert!(!to.exists(), "there was nothing to be kept");
        fs::write(&from, "bytes").unwrap();
        for _ in 0..2 {
            keep(&from, &to).unwrap();
        }
        fs::remove_file(&from).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"bytes");
        assert_eq!(copy(&to, &from).unwrap(), 5);
        assert!(copy(&dir.path().join("c"), &from).is_err());
    }
}

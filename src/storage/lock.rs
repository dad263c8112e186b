//! [`DirLock`]: one writer for each directory. The lock dies with its process.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sys;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;

/// A read-only tool that asks who holds the lock holds a shared one for an instant: a writer that
/// meets it tries so often again.
const PROBE_TRIES: u32 = 3;
const PROBE_PAUSE: Duration = Duration::from_millis(2);

/// Holds a directory for one writer until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
    path: PathBuf,
}

impl DirLock {
    /// Takes the lock of `folder`.
    ///
    /// # Errors
    /// [`Locked`](ErrorKind::Locked), naming the holder's process id, if it is taken.
    pub(crate) fn acquire(folder: &Path) -> Result<Self> {
        let path = folder.join(names::LOCK);
        let mut tries = PROBE_TRIES;
        loop {
            let lock = match Self::try_acquire(&path) {
                Err(error) if error.kind() == ErrorKind::Locked && tries > 0 => {
                    tries -= 1;
                    std::thread::sleep(PROBE_PAUSE);
                    continue;
                }
                other => other?,
            };
            // The file may have been removed and made anew between opening and locking it; then the
            // lock that we hold is nobody's, and the next round takes the right one.
            if lock.is_current() {
                return Ok(lock);
            }
        }
    }

    fn try_acquire(path: &Path) -> Result<Self> {
        if path.is_symlink() || path.is_dir() {
            let message = "the lock file must be a plain file";
            return Err(Error::new(ErrorKind::NotRegular, message).at_path(path));
        }
        let file = sys::open_options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let mut file = file.map_err(|e| Error::io("open the lock file", path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(&mut file, path)),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path, error)),
        }
        let failed = |e| Error::io("write the lock file", path, e);
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(DirLock {
            file,
            path: path.to_path_buf(),
        })
    }

    #[cfg(unix)]
    fn is_current(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let inode = |found: fs::Metadata| (found.dev(), found.ino());
        let ours = self.file.metadata().map(inode);
        let named = fs::symlink_metadata(&self.path).map(inode);
        matches!((ours, named), (Ok(ours), Ok(named)) if ours == named)
    }

    #[cfg(not(unix))]
    fn is_current(&self) -> bool {
        // An open file cannot be removed there.
        self.path.exists()
    }
}

/// Who holds the lock of `folder` now, in words; `None` if nobody does, or it cannot be told.
/// Writes nothing.
pub(crate) fn holder(folder: &Path) -> Option<String> {
    let mut file = super::file::open_regular(&folder.join(names::LOCK), false).ok()?;
    // A shared lock, held for an instant: no writer had one before, and [`DirLock::acquire`] tries
    // again.
    match file.try_lock_shared() {
        Ok(()) | Err(TryLockError::Error(_)) => None,
        Err(TryLockError::WouldBlock) => Some(name_holder(&mut file)),
    }
}

fn name_holder(file: &mut File) -> String {
    let mut holder = String::new();
    // Who holds it is a help, not a must: where it cannot be read the message does without.
    let _ = file.take(32).read_to_string(&mut holder);
    match holder.trim() {
        "" => "another process".to_owned(),
        pid if pid == std::process::id().to_string() => format!("this process ({pid})"),
        pid => format!("process {pid}"),
    }
}

fn locked(file: &mut File, path: &Path) -> Error {
    let holder = name_holder(file);
    let message = format!(
        "the directory is open in {holder}; close it there, or open it read-only with the tools"
    );
    Error::new(ErrorKind::Locked, message).at_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let error = DirLock::acquire(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(lock);
        DirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_file_removed_while_held_does_not_pass_for_ours() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        fs::remove_file(dir.path().join(names::LOCK)).unwrap();
        assert!(!lock.is_current());
    }
}

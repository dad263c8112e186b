//! [`Reading`]: tells the writer of a folder, which may be another process, that its files are being read.
//!
//! A writer may use the file of a segment that has gone again for another one, and that changes bytes which
//! a reader has mapped. So whoever maps a file only to read it holds a shared lock of the folder for as long
//! as the map lives, and takes it before it looks for the file. The writer takes a name away, to use its
//! file again, only while it has that lock alone: then nobody has the file, and nobody can find it any more.
//!
//! Nothing is written for it, so it works on a read-only file system as well. It dies with its process.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::sys;

/// A shared lock of a folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Reading(File);

impl Reading {
    /// Takes the lock; waits for the instant in which a writer has it. `None` where folders cannot be
    /// locked: no writer has it alone there either.
    pub(super) fn begin(folder: &Path) -> io::Result<Option<Reading>> {
        let Some(dir) = sys::open_dir(folder)? else {
            return Ok(None);
        };
        loop {
            match dir.lock_shared() {
                Ok(()) => return Ok(Some(Reading(dir))),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_unsupported(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Reading {
    /// Closing alone would leave the lock to a child process that is just being started.
    fn drop(&mut self) {
        // What fails to unlock here is unlocked by being closed.
        let _ = self.0.unlock();
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::InvalidInput
    )
}

/// Does something while nobody reads files of the folder; `None`, with nothing done, if somebody does, or
/// it cannot be told.
pub(super) fn alone<T>(dir: &File, act: impl FnOnce() -> T) -> Option<T> {
    match dir.try_lock() {
        Ok(()) => {
            let done = act();
            if let Err(error) = dir.unlock() {
                tracing::error!(target: "forelog::storage", %error, "a folder stays locked");
            }
            Some(done)
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

/// Whether a file is certain to have no other name: a hard link that somebody made.
pub(super) fn has_one_name(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::symlink_metadata(path).is_ok_and(|found| found.nlink() == 1)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_alone_beside_a_reader() {
        let dir = tempfile::tempdir().unwrap();
        let own = sys::open_dir(dir.path()).unwrap().unwrap();
        assert_eq!(alone(&own, || 1), Some(1));
        let first = Reading::begin(dir.path()).unwrap().unwrap();
        let second = Reading::begin(dir.path()).unwrap().unwrap();
        drop(first);
        assert_eq!(alone(&own, || 1), None);
        drop(second);
        assert_eq!(alone(&own, || 1), Some(1));
        // It is given back at once.
        assert!(Reading::begin(dir.path()).unwrap().is_some());
    }
}

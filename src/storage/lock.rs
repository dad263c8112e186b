//! [`DirLock`]: one writer for each directory. The lock dies with its process.
//!
//! The file `LOCK` names the holder. Where the system can lock a folder (Unix), the folder itself is
//! locked as well, so that removing the file lets nobody in.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use super::process::Process;
use super::regular::open_regular;
use super::sys;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;

/// A read-only tool that asks who holds the lock holds a shared one for an instant: a writer that
/// meets it tries so often again.
const PROBE_TRIES: u32 = 3;
/// The width of the process id in the lock file.
const ID_WIDTH: usize = 15;
const PROBE_PAUSE: Duration = Duration::from_millis(2);

/// Holds a directory for one writer until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    /// Both are locked for as long as they are open.
    file: File,
    folder: Option<File>,
    process: Process,
}

impl DirLock {
    /// Takes the lock of `folder`.
    ///
    /// # Errors
    /// [`Locked`](ErrorKind::Locked), naming the holder's process id, if it is taken.
    pub(crate) fn acquire(folder: &Path) -> Result<Self> {
        let path = folder.join(names::LOCK);
        let folder = lock_folder(folder, &path)?;
        let mut tries = PROBE_TRIES;
        loop {
            let file = match lock_file(&path) {
                Err(error) if error.kind() == ErrorKind::Locked && tries > 0 => {
                    tries -= 1;
                    std::thread::sleep(PROBE_PAUSE);
                    continue;
                }
                other => other?,
            };
            // The file may have been removed and made anew between opening and locking it; then the
            // lock that we hold is nobody's, and the next round takes the right one.
            if is_current(&file, &path) {
                return Ok(DirLock {
                    file,
                    folder,
                    process: Process::this(),
                });
            }
        }
    }
}

impl Drop for DirLock {
    /// Closing alone would leave the locks to a child process that another thread is just starting,
    /// which has a copy of all open files for a moment. A child that drops its own copy must leave them.
    fn drop(&mut self) {
        if !self.process.is_this() {
            return;
        }
        for file in self.folder.iter().chain([&self.file]) {
            // What fails to unlock here is unlocked by being closed.
            let _ = file.unlock();
        }
    }
}

/// Whether this open file still stands under this name.
#[cfg(unix)]
fn is_current(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |found: fs::Metadata| (found.dev(), found.ino());
    let ours = file.metadata().map(inode);
    let named = fs::symlink_metadata(path).map(inode);
    matches!((ours, named), (Ok(ours), Ok(named)) if ours == named)
}

/// Whether this open file still stands under this name: it cannot be removed while it is open.
#[cfg(not(unix))]
fn is_current(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Locks the folder itself; `None` where that cannot be done.
fn lock_folder(folder: &Path, lock_path: &Path) -> Result<Option<File>> {
    if cfg!(not(unix)) {
        return Ok(None);
    }
    let dir = File::open(folder).map_err(|e| Error::io("open the folder", folder, e))?;
    match dir.try_lock() {
        Ok(()) => Ok(Some(dir)),
        Err(TryLockError::WouldBlock) => Err(locked(lock_path)),
        // Not every file system locks folders; the file is locked all the same.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Opens and locks the file, and writes our process id into it.
fn lock_file(path: &Path) -> Result<File> {
    if let Some(error) = irregular(path) {
        return Err(error);
    }
    let mut options = sys::open_options();
    let file = options.write(true).create(true).truncate(false).open(path);
    let mut file = file.map_err(|e| Error::io("open the lock file", path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(path)),
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", path, error)),
    }
    // Over the old id, in place: a full disk, which may have no block to give, can be opened too.
    let written = writeln!(file, "{:<ID_WIDTH$}", std::process::id());
    match written.map_err(|e| Error::io("write the lock file", path, e)) {
        Err(error) if error.kind() != ErrorKind::NoSpace => Err(error),
        _ => Ok(file),
    }
}

/// What is wrong if something else stands where the lock file should.
fn irregular(path: &Path) -> Option<Error> {
    let found = fs::symlink_metadata(path).ok()?;
    let message = "the lock file must be a plain file; move what stands there elsewhere";
    (!found.is_file()).then(|| Error::new(ErrorKind::NotRegular, message).at_path(path))
}

/// Why nobody could lock `folder`, whoever has it open; `None` if it could be.
pub(crate) fn unlockable(folder: &Path) -> Option<Error> {
    irregular(&folder.join(names::LOCK))
}

/// Who holds the lock of `folder` now, in words; `None` if nobody does, or it cannot be told.
/// Writes nothing.
pub(crate) fn holder(folder: &Path) -> Option<String> {
    let path = folder.join(names::LOCK);
    let file = open_regular(&path, false).ok()?;
    match file.try_lock_shared() {
        Ok(()) | Err(TryLockError::Error(_)) => None,
        Err(TryLockError::WouldBlock) => Some(name_holder(&path)),
    }
}

fn name_holder(path: &Path) -> String {
    let mut holder = String::new();
    // Who holds it is a help, not a must: where it cannot be read the message does without.
    if let Ok(file) = open_regular(path, false) {
        let _ = file.take(32).read_to_string(&mut holder);
    }
    match holder.trim() {
        "" => "another process".to_owned(),
        pid if pid == std::process::id().to_string() => format!("this process ({pid})"),
        pid => format!("process {pid}"),
    }
}

fn locked(path: &Path) -> Error {
    let message = format!(
        "the directory is open in {}; close it there, or open it read-only with the tools",
        name_holder(path)
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
    fn a_copy_of_the_open_files_does_not_hold_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path()).unwrap();
        let folder = lock
            .folder
            .as_ref()
            .map(|folder| folder.try_clone().unwrap());
        let copies = (lock.file.try_clone().unwrap(), folder);
        drop(lock);
        DirLock::acquire(dir.path()).unwrap();
        drop(copies);
    }

    #[test]
    fn a_lock_file_removed_while_held_does_not_pass_for_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(names::LOCK);
        let file = lock_file(&path).unwrap();
        assert!(is_current(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_current(&file, &path));
    }
}

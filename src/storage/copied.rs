//! [`Copied`]: a copy of a folder for whoever cannot read it without writing, gone when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::regular::{irregular, open_regular};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;

/// What the names of copies begin with, below the system's folder for temporary files.
const COPY: &str = "forelog-index-";
/// The file in a copy that is locked for as long as somebody uses it.
const HELD: &str = "held";

/// A copy of an index folder that goes when it is dropped: its engine cannot open it without writing.
#[derive(Debug)]
pub(crate) struct Copied {
    /// What is removed again.
    root: PathBuf,
    index: PathBuf,
    /// Locked until it goes, and by the system when the process dies.
    _held: fs::File,
}

impl Copied {
    /// Copies the folder below the system's folder for temporary files; those that killed processes have left
    /// there go.
    pub(crate) fn of(folder: &Path) -> Result<Copied> {
        Copied::within(&std::env::temp_dir(), folder)
    }

    fn within(temporary: &Path, folder: &Path) -> Result<Copied> {
        remove_abandoned(temporary);
        let unique = Instant::now();
        let name = format!("{}-{unique:?}", std::process::id());
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let root = temporary.join(format!("{COPY}{name}"));
        make_folder(&root)?;
        let failed = |error| Error::io("make a copy of the index in", &root, error);
        // It has the name that others look for once it is locked.
        let unlocked = root.join(names::tmp(HELD));
        let held = fs::File::create(&unlocked).map_err(failed)?;
        held.lock().map_err(failed)?;
        fs::rename(&unlocked, root.join(HELD)).map_err(failed)?;
        // Only what was made here is removed again.
        let copied = Copied {
            index: root.join(names::INDEX),
            root,
            _held: held,
        };
        make_folder(&copied.index)?;
        copy_content(folder, &copied.index)?;
        Ok(copied)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.index
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // What cannot be removed lies in a folder that the system cleans.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Removes the copies that nobody holds. What cannot be looked at or removed is somebody else's.
fn remove_abandoned(temporary: &Path) {
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let is_copy = entry.file_name().to_string_lossy().starts_with(COPY);
        let held = is_copy.then(|| open_regular(&entry.path().join(HELD), false));
        if held.is_some_and(|held| held.is_ok_and(|file| file.try_lock().is_ok())) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir(path).map_err(|error| Error::io("make the folder", path, error))
}

fn copy_content(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| Error::io("copy the index", from, error);
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        let found = entry.metadata().map_err(failed)?;
        if found.is_dir() {
            make_folder(&target)?;
            copy_content(&entry.path(), &target)?;
        } else if let Some(error) = irregular(&entry.path(), &found) {
            // A pipe would be waited on for ever.
            return Err(Error::new(ErrorKind::Index, error.message()).at_path(entry.path()));
        } else {
            // The bytes alone: the copy of what may only be read must be writable.
            let mut file = fs::File::open(entry.path()).map_err(failed)?;
            let mut copied = fs::File::create(target).map_err(failed)?;
            std::io::copy(&mut file, &mut copied).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_when_it_is_dropped_and_one_that_was_left_goes_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (index, temporary) = (dir.path().join("index"), dir.path().join("tmp"));
        for folder in [&index, &temporary] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(index.join("file"), "bytes").unwrap();
        let count = || fs::read_dir(&temporary).unwrap().count();
        // A process that was killed holds no lock any more.
        let left = temporary.join(format!("{COPY}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(HELD), "").unwrap();
        let first = Copied::within(&temporary, &index).unwrap();
        assert_eq!(fs::read(first.path().join("file")).unwrap(), b"bytes");
        assert_eq!(count(), 1, "the one that was left has gone");
        let second = Copied::within(&temporary, &index).unwrap();
        assert_eq!(count(), 2, "the first is in use");
        drop((first, second));
        assert_eq!(count(), 0);
    }
}

//! [`Copied`]: a copy of a folder for whoever cannot read it without writing, gone when it is dropped.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::regular::{irregular, open_regular};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;

/// What the names of copies begin with, below the system's folder for temporary files.
const COPY: &str = "forelog-index-";
/// The file in a copy that is locked for as long as somebody uses it.
const HELD: &str = "held";

/// How much is copied at once.
const WINDOW: usize = 256 << 10;
/// The room that there must be beside the copy, for what its engine writes when it opens it.
const SPARE: usize = 1 << 20;

/// Why there is no copy.
#[derive(Debug)]
pub(crate) enum NoCopy {
    /// It cannot be made where copies go, which says nothing about the index.
    Place(Error),
    /// The index cannot be read.
    Index(Error),
}

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
    pub(crate) fn of(folder: &Path) -> Result<Copied, NoCopy> {
        Copied::within(&std::env::temp_dir(), folder)
    }

    /// As [`Copied::of`], in another folder than the system's.
    pub(crate) fn within(temporary: &Path, folder: &Path) -> Result<Copied, NoCopy> {
        remove_abandoned(temporary);
        let unique = Instant::now();
        let name = format!("{}-{unique:?}", std::process::id());
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let root = temporary.join(format!("{COPY}{name}"));
        make_private(&root)?;
        let failed = |error| no_place("make a copy of the index in", &root, error);
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
        copied.check_room()?;
        Ok(copied)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.index
    }

    /// Fails where the engine could not write what it has to: that would look like a damaged index.
    fn check_room(&self) -> Result<(), NoCopy> {
        let spare = self.root.join("spare");
        let written = fs::write(&spare, vec![0; SPARE]);
        written.map_err(|error| no_place("write beside the copy of the index", &spare, error))?;
        let removed = fs::remove_file(&spare);
        removed.map_err(|error| no_place("remove", &spare, error))
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

fn no_place(what: &str, path: &Path, error: io::Error) -> NoCopy {
    NoCopy::Place(Error::io(what, path, error))
}

/// Makes a folder that nobody else may look into: events may be secret, and so may their types and ids.
fn make_private(path: &Path) -> Result<(), NoCopy> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(path);
    made.map_err(|error| no_place("make the folder", path, error))
}

fn make_folder(path: &Path) -> Result<(), NoCopy> {
    fs::create_dir(path).map_err(|error| no_place("make the folder", path, error))
}

fn copy_content(from: &Path, to: &Path) -> Result<(), NoCopy> {
    let failed = |error| NoCopy::Index(Error::io("copy the index", from, error));
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        let found = entry.metadata().map_err(failed)?;
        if found.is_dir() {
            make_folder(&target)?;
            copy_content(&entry.path(), &target)?;
        } else if let Some(error) = irregular(&entry.path(), &found) {
            // A pipe would be waited on for ever.
            let error = Error::new(ErrorKind::Index, error.message()).at_path(entry.path());
            return Err(NoCopy::Index(error));
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// The bytes alone: the copy of what may only be read must be writable.
fn copy_file(from: &Path, to: &Path) -> Result<(), NoCopy> {
    let unread = |error| NoCopy::Index(Error::io("copy the index", from, error));
    let unwritten = |error| no_place("write a copy of the index", to, error);
    let mut file = fs::File::open(from).map_err(unread)?;
    let mut copied = fs::File::create(to).map_err(unwritten)?;
    let mut window = vec![0; WINDOW];
    loop {
        match file.read(&mut window) {
            Ok(0) => return Ok(()),
            Ok(len) => copied.write_all(&window[..len]).map_err(unwritten)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(error)),
        }
    }
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
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let root = first.path().parent().unwrap();
            let mode = fs::metadata(root).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        drop((first, second));
        assert_eq!(count(), 0);
    }

    #[test]
    fn where_no_copy_can_be_made_the_index_is_not_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let (index, missing) = (dir.path().join("index"), dir.path().join("none"));
        fs::create_dir(&index).unwrap();
        let NoCopy::Place(error) = Copied::within(&missing, &index).unwrap_err() else {
            panic!("the index is in order");
        };
        assert!(error.path().unwrap().starts_with(&missing), "{error}");
        let NoCopy::Index(error) = Copied::within(dir.path(), &dir.path().join("no")).unwrap_err()
        else {
            panic!("there is no index");
        };
        assert_eq!(error.path(), Some(dir.path().join("no").as_path()));
    }
}

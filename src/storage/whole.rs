//! Whole files that are kept or copied, for repairs and salvages.

use std::io::{Seek, Write};
use std::path::Path;
use std::{fs, io};

use super::lenient::{Met, Unread, is_of_disk};
use super::regular::open_regular;
use super::sys;
use crate::error::{Error, Result};

/// How much is copied at once of a file that cannot be read whole.
const WINDOW: usize = 1 << 20;

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

/// Copies a file, durably, and not its rights: a backup may be read-only. What has the other name goes; a link
/// is not followed. Says how long it is.
///
/// # Errors
/// If it cannot be read, or the copy not be written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<u64> {
    let mut source = open_regular(from, false)?;
    let mut target = make(to)?;
    let copied = copy_at_once(from, &mut source, &mut target);
    let len = copied.map_err(|e| Error::io("copy", from, e))?;
    target.sync_all().map_err(|e| Error::io("sync", to, e))?;
    Ok(len)
}

/// What was copied of a file.
#[derive(Debug)]
pub(crate) struct Brought {
    /// How long it is.
    pub(crate) len: u64,
    /// What of it could not be read: the copy holds made up bytes there.
    pub(crate) unread: Vec<Unread>,
}

/// As [`copy`], of a file that the disk may not give whole.
///
/// # Errors
/// As [`copy`]; and if next to nothing of it can be read.
pub(crate) fn copy_readable(from: &Path, to: &Path) -> Result<Brought> {
    let mut source = open_regular(from, false)?;
    let mut target = make(to)?;
    let unread = match copy_at_once(from, &mut source, &mut target) {
        Ok(_) => Vec::new(),
        Err(error) if is_of_disk(&error) => copy_pieces(from, &source, to, &mut target)?,
        Err(error) => return Err(Error::io("copy", from, error)),
    };
    target.sync_all().map_err(|e| Error::io("sync", to, e))?;
    let found = target.metadata();
    let len = found.map_err(|e| Error::io("look at", to, e))?.len();
    Ok(Brought { len, unread })
}

/// A new file in place of what has its name.
fn make(path: &Path) -> Result<fs::File> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("replace", path, e)),
        _ => {}
    }
    let made = sys::open_options().write(true).create_new(true).open(path);
    made.map_err(|e| Error::io("create", path, e))
}

fn copy_at_once(from: &Path, source: &mut fs::File, target: &mut fs::File) -> io::Result<u64> {
    #[cfg(test)]
    super::bad::read(from, &(0..source.metadata()?.len()))?;
    let _ = from;
    io::copy(source, target)
}

/// Copies a file from its beginning, and makes up what cannot be read.
fn copy_pieces(
    from: &Path,
    source: &fs::File,
    to: &Path,
    target: &mut fs::File,
) -> Result<Vec<Unread>> {
    let failed = |e| Error::io("copy", from, e);
    let unwritten = |e| Error::io("write", to, e);
    let name = from.file_name().unwrap_or_default().to_string_lossy();
    let read = |at: u64, out: &mut [u8]| {
        #[cfg(test)]
        super::bad::read(from, &(at..at.saturating_add(out.len() as u64)))?;
        sys::read_exact_at(source, out, at)
    };
    target.rewind().map_err(unwritten)?;
    let met = Met::default();
    let len = source.metadata().map_err(failed)?.len();
    let mut window = vec![0; WINDOW];
    let mut at = 0;
    while at < len {
        let left = usize::try_from(len - at).unwrap_or(usize::MAX);
        window.truncate(left);
        met.read(&name, &read, at, &mut window).map_err(failed)?;
        target.write_all(&window).map_err(unwritten)?;
        at += window.len() as u64;
    }
    Ok(met.all())
}

/// Removes all files of a folder, and links, which are not followed. A folder that is not there has none.
///
/// # Errors
/// If another folder stands in it, or something cannot be removed.
pub(crate) fn empty(folder: &Path) -> Result<()> {
    let failed = |e| Error::io("empty the folder", folder, e);
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
    }
    Ok(())
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

    #[test]
    fn a_copy_of_a_bad_disk_has_all_that_it_gives() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        let bytes = vec![7; (3 << 20) + 5];
        fs::write(&from, &bytes).unwrap();
        let bad = (1 << 20) + 100..(1 << 20) + 200;
        super::super::bad::mark(&from, bad);
        assert!(copy(&from, &to).is_err());
        let copied = copy_readable(&from, &to).unwrap();
        assert_eq!(copied.len, bytes.len() as u64);
        assert_eq!(copied.unread[0].range, 1 << 20..(1 << 20) + 4096);
        let copy = fs::read(&to).unwrap();
        let kept = copy.split(|&byte| byte != 7).flatten().count();
        assert_eq!((copy.len(), kept), (bytes.len(), bytes.len() - 4096));
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let [from, mine, link] = ["from", "mine", "folder/link"].map(|name| dir.path().join(name));
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(&from, "new").unwrap();
        fs::write(&mine, "mine").unwrap();
        let put = || std::os::unix::fs::symlink(&mine, &link).unwrap();
        put();
        copy(&from, &link).unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"new");
        fs::remove_file(&link).unwrap();
        put();
        empty(&folder).unwrap();
        assert!(fs::symlink_metadata(&link).is_err());
        assert_eq!(fs::read(&mine).unwrap(), b"mine");
        fs::create_dir(&link).unwrap();
        empty(&folder).unwrap_err();
        empty(&link.join("none")).unwrap();
    }
}

//! A folder of a real file system, its segment files mapped into memory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use memmap2::{MmapOptions, MmapRaw};

use super::on_disk::OnDisk;
use super::readers::{self, Reading};
use super::regular::{irregular, open_regular};
use super::sys::{self, Sys};
use super::usage::{self, Space};
use super::{Entry, Region, Storage, unbuffered};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;

/// A folder on disk.
#[derive(Debug)]
pub(crate) struct FileStorage {
    folder: PathBuf,
    /// The folder, held open to be synced.
    dir: Option<Arc<File>>,
    sys: Sys,
    /// Shared by all files that were opened here to be read.
    reading: Mutex<Weak<Reading>>,
}

impl FileStorage {
    /// The folder at `path`, made (durably, with its parents) if it is not there.
    ///
    /// # Errors
    /// [`NotRegular`](ErrorKind::NotRegular) if the path is a symbolic link or no folder.
    pub(crate) fn create(path: &Path, sys: Sys) -> Result<Self> {
        // Every folder that is made, and the one that holds the first of them.
        let parents = path.ancestors().take_while(|p| !p.as_os_str().is_empty());
        let missing: Vec<_> = parents
            .take_while(|p| !p.is_symlink() && matches!(p.try_exists(), Ok(false)))
            .collect();
        if !missing.is_empty() {
            fs::create_dir_all(path).map_err(|e| Error::io("make the folder", path, e))?;
        }
        for made in missing {
            let parent = match made.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            let dir = sys::open_dir(parent);
            dir.and_then(|dir| sys.sync_dir(dir.as_ref()))
                .map_err(|e| Error::io("sync the folder", parent, e))?;
        }
        Self::open(path, sys)
    }

    /// The folder at `path`, which must be there.
    pub(crate) fn open(path: &Path, sys: Sys) -> Result<Self> {
        let found =
            fs::symlink_metadata(path).map_err(|e| Error::io("open the folder", path, e))?;
        if !found.is_dir() {
            let what = if found.is_symlink() {
                "a symbolic link"
            } else {
                "no folder"
            };
            let message = format!(
                "the path is {what}; name the real folder, or, where it stands inside of a directory, move it \
                 elsewhere"
            );
            return Err(Error::new(ErrorKind::NotRegular, message).at_path(path));
        }
        let dir = sys::open_dir(path);
        Ok(FileStorage {
            folder: path.to_path_buf(),
            dir: dir
                .map_err(|e| Error::io("open the folder", path, e))?
                .map(Arc::new),
            sys,
            reading: Mutex::default(),
        })
    }

    /// Keeps the writer of this folder from using a file again that is read, as long as it is held.
    fn reading(&self) -> Result<Option<Arc<Reading>>> {
        let mut shared = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = shared.upgrade() {
            return Ok(Some(reading));
        }
        let begun = Reading::begin(&self.folder);
        let begun = begun.map_err(|e| Error::io("lock to read", &self.folder, e))?;
        let reading = begun.map(Arc::new);
        *shared = reading.as_ref().map(Arc::downgrade).unwrap_or_default();
        Ok(reading)
    }

    /// The names of all folders inside, and of all that is no folder.
    pub(crate) fn names(&self) -> Result<(Vec<OsString>, Vec<OsString>)> {
        let failed = |e| Error::io("list the folder", &self.folder, e);
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_dir = entry.file_type().map_err(failed)?.is_dir();
            if is_dir { &mut folders } else { &mut files }.push(entry.file_name());
        }
        Ok((folders, files))
    }

    fn map(&self, name: &str, write: bool) -> Result<Region> {
        let path = self.path(name);
        let reading = if write { None } else { self.reading()? };
        let file = open_regular(&path, write)?;
        let failed = |e| Error::io("map", &path, e);
        if file.metadata().map_err(failed)?.len() == 0 {
            return Err(Error::new(ErrorKind::Truncated, "the file is empty").at_path(path));
        }
        let options = MmapOptions::new();
        let map = if write {
            options.map_raw(&file)
        } else {
            options.map_raw_read_only(&file)
        };
        let map = map.map_err(failed)?;
        if write {
            keep_from_forks(&map);
        }
        let backing = Box::new(OnDisk::new(file, self.sys, reading));
        #[cfg(test)]
        let backing = super::bad::over(backing, &path);
        Ok(Region::new(map, backing, path))
    }
}

/// A process that is forked off gets no copy of a map that is written through: its stores would go to the
/// same bytes as those of its parent. Where the system cannot do that, nothing is lost but this guard.
fn keep_from_forks(map: &MmapRaw) {
    #[cfg(target_os = "linux")]
    if let Err(error) = map.advise(memmap2::Advice::DontFork) {
        tracing::debug!(target: "forelog::storage", %error, "a forked process would share a map");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = map;
}

impl Storage for FileStorage {
    fn space(&self) -> Option<Space> {
        usage::space(&self.folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn boot_id(&self) -> u128 {
        self.sys.boot_id()
    }

    fn list(&self) -> Result<Vec<Entry>> {
        let failed = |e| Error::io("list the folder", &self.folder, e);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let found = entry.metadata().map_err(failed)?;
            // Passed over, a link that stands in place of a segment would look like a file that was
            // never used.
            let strange = irregular(&entry.path(), &found);
            let is_strange = strange.is_some();
            if let Some(error) = strange.filter(|_| names::parse_segment(&name).is_some()) {
                return Err(error);
            }
            // A link or a pipe with a temporary name is nothing that a crash has left half built.
            let is_somebodys = is_strange && names::is_tmp(&name);
            if !found.is_dir() && !is_somebodys {
                entries.push(Entry {
                    name,
                    len: found.len(),
                });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn find(&self, name: &str) -> Result<Option<Entry>> {
        let path = self.path(name);
        match fs::symlink_metadata(&path) {
            Ok(found) => match irregular(&path, &found) {
                Some(error) => Err(error),
                None => Ok(Some(Entry {
                    name: name.to_owned(),
                    len: found.len(),
                })),
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("look at", &path, e)),
        }
    }

    fn create(&self, name: &str, len: usize) -> Result<Region> {
        let path = self.path(name);
        self.remove(name)?;
        let file = sys::open_options().write(true).create_new(true).open(&path);
        let file = file.map_err(|e| Error::io("create", &path, e))?;
        let allocated = self.sys.allocate(&file, len);
        let mapped = allocated.and_then(|()| MmapOptions::new().len(len).map_raw(&file));
        match mapped {
            Ok(map) => {
                keep_from_forks(&map);
                let backing = OnDisk::new(file, self.sys, None);
                let mut region = Region::new(map, Box::new(backing), path);
                region.note_unwritten();
                Ok(region)
            }
            Err(error) => {
                // A failed allocation leaves a partial file; the error to report is the first one.
                let _ = fs::remove_file(&path);
                Err(Error::io(
                    &format!("make room for {len} bytes"),
                    &path,
                    error,
                ))
            }
        }
    }

    fn reserve(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let reserved = self.sys.reserve(&open_regular(&path, true)?);
        reserved.map_err(|e| Error::io("make room for the rest of", &path, e))
    }

    fn open(&self, name: &str) -> Result<Region> {
        self.map(name, true)
    }

    fn open_read_only(&self, name: &str) -> Result<Region> {
        self.map(name, false)
    }

    fn open_unbuffered(&self, name: &str) -> Result<Region> {
        let path = self.path(name);
        unbuffered::over(open_regular(&path, false)?, &path)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        let mut file = match open_regular(&path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let read = file.read_to_end(&mut bytes);
        #[cfg(test)]
        let read = read.and_then(|len| super::bad::read(&path, &(0..len as u64)).map(|()| len));
        read.map_err(|e| Error::io("read", &path, e))?;
        Ok(Some(bytes))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(name);
        self.remove(name)?;
        let file = sys::open_options().write(true).create_new(true).open(&path);
        let mut file = file.map_err(|e| Error::io("create", &path, e))?;
        let written = file
            .write_all(bytes)
            .and_then(|()| self.sys.sync_file(&file));
        written.map_err(|error| {
            let _ = fs::remove_file(&path);
            Error::io("write", &path, error)
        })
    }

    fn touch(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let mut options = sys::open_options();
        let file = options.write(true).create(true).truncate(false).open(&path);
        file.map(drop).map_err(|e| Error::io("create", &path, e))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.find(to)?;
        let to = self.path(to);
        fs::rename(self.path(from), &to).map_err(|e| Error::io("rename to", &to, e))
    }

    fn rename_unread(&self, from: &str, to: &str) -> Result<bool> {
        let Some(dir) = self.dir.as_deref() else {
            return Ok(false);
        };
        let renamed = readers::alone(dir, || {
            self.rename(from, to)?;
            // Under another name it may be somebody's backup.
            if readers::has_one_name(&self.path(to)) {
                return Ok(true);
            }
            self.rename(to, from).map(|()| false)
        });
        renamed.unwrap_or(Ok(false))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        // A link was put there by somebody else.
        self.find(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    fn sync_dir(&self) -> Result<()> {
        let synced = self.sys.sync_dir(self.dir.as_deref());
        synced.map_err(|e| Error::io("sync the folder", &self.folder, e))
    }

    fn folder(&self, name: &str) -> Result<Arc<dyn Storage>> {
        let path = self.path(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("make the folder", &path, error));
            }
            // One that is there may have been made just before a crash of the process.
            _ => self.sync_dir()?,
        }
        Ok(Arc::new(FileStorage::open(&path, self.sys)?))
    }
}

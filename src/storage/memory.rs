//! A folder in memory: for a system without persistence. Syncs succeed and keep nothing.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::{MmapOptions, MmapRaw};

use super::backing::Backing;
use super::{Entry, Region, Storage};
use crate::error::{Error, ErrorKind, Result};

/// A folder whose regions are anonymous memory. A region lives as long as its handle: a folder in
/// memory is never opened a second time, so only small files can be read back.
#[derive(Debug, Default)]
pub(crate) struct MemoryStorage {
    files: Mutex<BTreeMap<String, Kept>>,
    folders: Mutex<BTreeMap<String, Arc<MemoryStorage>>>,
}

#[derive(Debug)]
enum Kept {
    Region(u64),
    Small(Vec<u8>),
}

impl Kept {
    fn entry(&self, name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            len: match self {
                Kept::Region(len) => *len,
                Kept::Small(bytes) => bytes.len() as u64,
            },
        }
    }
}

impl MemoryStorage {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_found(&self, name: &str) -> Error {
        Error::new(ErrorKind::NotFound, "no such file in memory").at_path(self.path(name))
    }
}

/// Anonymous memory of `len` zero bytes.
pub(super) fn anonymous_map(len: usize) -> io::Result<MmapRaw> {
    MmapOptions::new().len(len).map_anon().map(MmapRaw::from)
}

/// A region of memory that no folder knows, its bytes for this process alone; errors name `path`.
pub(crate) fn private_region(len: usize, path: PathBuf) -> Result<Region> {
    let map = anonymous_map(len).map_err(|e| Error::io("get memory", &path, e))?;
    let len = len as u64;
    Ok(Region::new(map, Box::new(Anonymous { len }), path))
}

impl Storage for MemoryStorage {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("memory:{name}"))
    }

    fn boot_id(&self) -> u128 {
        0
    }

    fn list(&self) -> Result<Vec<Entry>> {
        let entry = |(name, kept): (&String, &Kept)| kept.entry(name);
        Ok(self.files().iter().map(entry).collect())
    }

    fn find(&self, name: &str) -> Result<Option<Entry>> {
        Ok(self.files().get(name).map(|kept| kept.entry(name)))
    }

    fn create(&self, name: &str, len: usize) -> Result<Region> {
        let path = self.path(name);
        let map = anonymous_map(len).map_err(|e| Error::io("get memory", &path, e))?;
        self.files()
            .insert(name.to_owned(), Kept::Region(len as u64));
        Ok(Region::new(
            map,
            Box::new(Anonymous { len: len as u64 }),
            path,
        ))
    }

    fn open(&self, name: &str) -> Result<Region> {
        Err(self.not_found(name))
    }

    fn open_read_only(&self, name: &str) -> Result<Region> {
        Err(self.not_found(name))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self.files().get(name) {
            Some(Kept::Small(bytes)) => Ok(Some(bytes.clone())),
            _ => Ok(None),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.files()
            .insert(name.to_owned(), Kept::Small(bytes.to_vec()));
        Ok(())
    }

    fn touch(&self, name: &str) -> Result<()> {
        let mut files = self.files();
        files
            .entry(name.to_owned())
            .or_insert(Kept::Small(Vec::new()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut files = self.files();
        let kept = files.remove(from).ok_or_else(|| self.not_found(from))?;
        files.insert(to.to_owned(), kept);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.files().remove(name);
        Ok(())
    }

    fn sync_dir(&self) -> Result<()> {
        Ok(())
    }

    fn folder(&self, name: &str) -> Result<Arc<dyn Storage>> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(folders.entry(name.to_owned()).or_default().clone())
    }
}

#[derive(Debug)]
struct Anonymous {
    len: u64,
}

impl Backing for Anonymous {
    fn sync(&self, _: &[u8], _: &MmapRaw) -> io::Result<()> {
        Ok(())
    }

    fn sync_range(&self, _: &[u8], _: Range<usize>) -> io::Result<bool> {
        Ok(true)
    }

    fn write_through(&self, _: usize, _: &[u8]) -> io::Result<bool> {
        Ok(false)
    }

    fn read_at(&self, _: usize, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other("memory has no file to read"))
    }

    fn len(&self) -> io::Result<Option<u64>> {
        Ok(Some(self.len))
    }

    fn punch_hole(&self, _: usize, _: usize) -> io::Result<()> {
        Ok(())
    }
}

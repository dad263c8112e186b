//! Where bytes lie: [`Storage`] is a folder, [`Region`] a file of fixed size that is mapped.
//!
//! Three storages share one contract, and the tests of the layers above run on each:
//! `mmap` (files), `memory` (for a system without persistence) and `sim` (live and durable bytes
//! apart, for crash tests).
//!
//! What a storage promises:
//! - Bytes of a region are durable once [`Region::sync`] has returned, names once
//!   [`Storage::sync_dir`] has; before that a power cut may keep or lose each of them.
//! - A region's blocks are really allocated: a store into it cannot run out of disk.
//! - An error is returned, never swallowed, and nothing is retried into a success.

pub(crate) mod process;
pub(crate) mod sys;
pub(crate) mod usage;
mod turns;
mod backing;
mod detour;
#[cfg(test)]
pub(crate) mod bad;
mod readers;
mod on_disk;
pub(crate) mod mmap;
mod region;
mod unbuffered;
pub(crate) mod regular;
pub(crate) mod file;
pub(crate) mod lenient;
pub(crate) mod plain;
pub(crate) mod key_file;
pub(crate) mod whole;
pub(crate) mod copied;
pub(crate) mod lines;
pub(crate) mod memory;
pub(crate) mod lock;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the crash tests need all of it, the users' test kit a part"
    )
)]
pub(crate) mod sim;
#[cfg(test)]
#[cfg(shuttle)]
mod model;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use mmap::{Claim, Readable, Region, TO_READ, Writer};
pub(crate) use region::FILL_PIECE;
pub(crate) use turns::Abandoned;

use crate::error::Result;
use crate::format::names;
use usage::Space;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The length of the file in bytes.
    pub(crate) len: u64,
}

/// A folder: plain files by name.
pub(crate) trait Storage: Debug + Send + Sync {
    /// The full path of a name, for messages.
    fn path(&self, name: &str) -> PathBuf;

    /// The boot of the operating system, if it can be told: page caches live as long as it.
    fn boot_id(&self) -> u128;

    /// All files, sorted by name.
    fn list(&self) -> Result<Vec<Entry>>;

    /// The file of this name; `None` if there is none.
    fn find(&self, name: &str) -> Result<Option<Entry>>;

    /// Makes a file of `len` zero bytes and maps it; replaces a file of that name. Neither its name
    /// nor its bytes are durable yet. On an error no file is left.
    fn create(&self, name: &str, len: usize) -> Result<Region>;

    /// Has real blocks behind all bytes of a file that is to be written through a map, as
    /// [`Storage::create`] gives them; what it holds stays.
    ///
    /// # Errors
    /// [`NoSpace`](crate::error::ErrorKind::NoSpace) if there are not as many.
    fn reserve(&self, name: &str) -> Result<()> {
        let _ = name;
        Ok(())
    }

    /// Maps a file to read and write.
    fn open(&self, name: &str) -> Result<Region>;

    /// Maps a file to read.
    fn open_read_only(&self, name: &str) -> Result<Region>;

    /// Maps a file to read; what is read past the map comes from the disk, where that can be.
    fn open_unbuffered(&self, name: &str) -> Result<Region> {
        self.open_read_only(name)
    }

    /// The bytes of a small file; `None` if there is none.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Makes or replaces a small file with these bytes, which are durable on return; its name is not.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Makes an empty file, which is there already if its name is; nothing is synced, and no block is
    /// needed.
    fn touch(&self, name: &str) -> Result<()>;

    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// As [`Storage::rename`], of a file that is going to be written again; `false`, and the file has its name
    /// still, if another handle on this folder may be reading it, here or in another process, or if it has
    /// another name besides.
    fn rename_unread(&self, from: &str, to: &str) -> Result<bool> {
        let _ = (from, to);
        Ok(false)
    }

    /// Removes a file; one that is not there is no error.
    fn remove(&self, name: &str) -> Result<()>;

    /// Makes all creations, renames and removals durable.
    fn sync_dir(&self) -> Result<()>;

    /// The folder of this name inside, made if it is not there; its name is durable on return.
    fn folder(&self, name: &str) -> Result<Arc<dyn Storage>>;

    /// What the file system has left; `None` where it cannot be told, as in memory.
    fn space(&self) -> Option<Space> {
        None
    }

    /// Replaces a small file so that a crash leaves the old or the new bytes, whole and durable.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let tmp = names::tmp(name);
        self.write(&tmp, bytes)?;
        self.rename(&tmp, name)?;
        self.sync_dir()
    }
}

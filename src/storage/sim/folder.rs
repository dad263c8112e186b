//! A folder of a simulated disk as a [`Storage`], and its files as [`Backing`] of regions.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use memmap2::MmapRaw;

use super::faults::OpKind;
use super::file::SECTOR;
use super::tree::{FileId, FolderId, Node};
use super::{SimDisk, World};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::backing::Backing;
use crate::storage::memory::anonymous_map;
use crate::storage::usage::Space;
use crate::storage::{Entry, Region, Storage};

/// A folder on a [`SimDisk`].
#[derive(Debug)]
pub(super) struct SimFolder {
    pub(super) disk: SimDisk,
    pub(super) id: FolderId,
    /// The path of the folder with a slash behind, for messages.
    pub(super) prefix: String,
}

impl SimFolder {
    /// Does something to the disk; an error gets what was tried and the path.
    fn run<T>(
        &self,
        what: &str,
        name: &str,
        op: impl FnOnce(&mut World) -> io::Result<T>,
    ) -> Result<T> {
        let done = op(&mut self.disk.world());
        done.map_err(|e| Error::io(what, self.path(name), e))
    }

    /// Makes room for a new file of this name.
    fn clear(&self, name: &str) -> Result<()> {
        let is_there = self.disk.world().tree.lookup(self.id, name).is_some();
        if is_there { self.remove(name) } else { Ok(()) }
    }

    fn new_region(
        &self,
        name: &str,
        file: FileId,
        len: usize,
        is_writable: bool,
    ) -> Result<Region> {
        let path = self.path(name);
        let backing = SimFile {
            disk: self.disk.clone(),
            id: file,
            is_writable,
        };
        let map = anonymous_map(len).map_err(|e| Error::io("get memory", &path, e))?;
        Ok(Region::new(map, Box::new(backing), path))
    }

    fn map(&self, name: &str, is_writable: bool) -> Result<Region> {
        let (file, bytes) =
            self.run("map", name, |world| world.open(self.id, name, is_writable))?;
        let mut region = self.new_region(name, file, bytes.len(), is_writable)?;
        fill(&mut region, without_zeros_at_end(&bytes))?;
        if is_writable {
            self.disk.world().attach(file, region.view());
        }
        Ok(region)
    }
}

/// Lays the first bytes of a new region; all of it is free afterwards.
fn fill(region: &mut Region, bytes: &[u8]) -> Result<()> {
    region.write_with(bytes.len(), |_, room| room.copy_from_slice(bytes));
    region.adopt(0)
}

/// The bytes up to the last sector that is not all zeros: fresh memory has the rest.
fn without_zeros_at_end(bytes: &[u8]) -> &[u8] {
    let is_used = |sector: &[u8]| {
        let zeros = [0; SECTOR];
        zeros.get(..sector.len()) != Some(sector)
    };
    let used = bytes.chunks(SECTOR).rposition(is_used);
    let end = used.map_or(0, |sector| (sector + 1) * SECTOR);
    bytes.get(..end).unwrap_or(bytes)
}

fn entry(world: &World, name: &str, node: &Node) -> Option<Entry> {
    match node {
        Node::File(id) => Some(Entry {
            name: name.to_owned(),
            len: world.tree.files.get(id)?.live.len() as u64,
        }),
        Node::Folder(_) => None,
    }
}

impl Storage for SimFolder {
    fn space(&self) -> Option<Space> {
        let world = self.disk.world();
        let total_bytes = world.faults.capacity?;
        let free_bytes = total_bytes.saturating_sub(world.used());
        Some(Space {
            total_bytes,
            free_bytes,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}{name}", self.prefix))
    }

    fn boot_id(&self) -> u128 {
        self.disk.world().tree.boot_id
    }

    fn list(&self) -> Result<Vec<Entry>> {
        self.run("list the folder", "", |world| {
            world.begin(OpKind::Read)?;
            let folder = world.tree.folders.get(&self.id);
            let names = folder.into_iter().flat_map(|folder| &folder.live);
            let entry = |(name, node): (&String, &Node)| entry(world, name, node);
            Ok(names.filter_map(entry).collect())
        })
    }

    fn find(&self, name: &str) -> Result<Option<Entry>> {
        self.run("look at", name, |world| {
            world.begin(OpKind::Read)?;
            let folder = world.tree.folders.get(&self.id);
            let node = folder.and_then(|folder| folder.live.get(name));
            Ok(node.and_then(|node| entry(world, name, node)))
        })
    }

    fn create(&self, name: &str, len: usize) -> Result<Region> {
        self.clear(name)?;
        let what = format!("make room for {len} bytes");
        let file = self.run(&what, name, |world| world.create(self.id, name, len))?;
        let region = self.new_region(name, file, len, true)?;
        self.disk.world().attach(file, region.view());
        Ok(region)
    }

    fn touch(&self, name: &str) -> Result<()> {
        self.create(name, 1).map(drop)
    }

    fn open(&self, name: &str) -> Result<Region> {
        self.map(name, true)
    }

    fn open_read_only(&self, name: &str) -> Result<Region> {
        self.map(name, false)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.run("read", name, |world| {
            match world.tree.lookup_file(self.id, name) {
                Some(id) => world.read(id).map(|bytes| Some(bytes.to_vec())),
                None => world.begin(OpKind::Read).map(|()| None),
            }
        })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.clear(name)?;
        self.run("write", name, |world| {
            let id = world.write(self.id, name, bytes)?;
            world
                .sync(id)
                .inspect_err(|_| world.remove_uncounted(self.id, name))
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.run("rename to", to, |world| world.rename(self.id, from, to))
    }

    fn rename_unread(&self, from: &str, to: &str) -> Result<bool> {
        if self.disk.world().is_read() {
            return Ok(false);
        }
        self.rename(from, to).map(|()| true)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.run("remove", name, |world| world.remove(self.id, name))
    }

    fn sync_dir(&self) -> Result<()> {
        self.run("sync the folder", "", |world| world.sync_dir(self.id))
    }

    fn folder(&self, name: &str) -> Result<Arc<dyn Storage>> {
        if self.disk.world().tree.lookup_file(self.id, name).is_some() {
            let message = "the path is no folder; name the real folder";
            return Err(Error::new(ErrorKind::NotRegular, message).at_path(self.path(name)));
        }
        let what = "make the folder";
        let id = self.run(what, name, |world| world.folder(self.id, name))?;
        self.sync_dir()?;
        Ok(Arc::new(SimFolder {
            disk: self.disk.clone(),
            id,
            prefix: format!("{}{name}/", self.prefix),
        }))
    }
}

/// The file behind a region: known by its id, so that it outlives its name.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    id: FileId,
    is_writable: bool,
}

impl Backing for SimFile {
    fn write_through(&self, _: usize, _: &[u8]) -> io::Result<bool> {
        Ok(false)
    }

    fn sync(&self, _: &[u8], _: &MmapRaw) -> io::Result<()> {
        self.disk.world().sync(self.id)
    }

    fn sync_range(&self, _: &[u8], range: Range<usize>) -> io::Result<bool> {
        self.disk.world().sync_range(self.id, &range).map(|()| true)
    }

    fn read_at(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.disk.world().read(self.id)?;
        let found = bytes.get(offset..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len(&self) -> io::Result<Option<u64>> {
        self.disk.world().len(self.id).map(Some)
    }

    fn punch_hole(&self, offset: usize, len: usize) -> io::Result<()> {
        self.disk.world().punch_hole(self.id, offset, len)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.world().release(self.id, self.is_writable);
    }
}

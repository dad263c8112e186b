//! [`World`]: the state behind a simulated disk, and what each operation does to it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::faults::{Faults, OpKind};
use super::file::File;
use super::tree::{FileId, FolderId, NameOp, Node, Tree};
use crate::storage::mmap::View;

/// The crashes that led to a disk, printed so that it can be made again.
pub(super) trait Origin: fmt::Debug + fmt::Display + Send + Sync {}

/// A disk with the regions that are mapped from it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) tree: Tree,
    pub(super) faults: Faults,
    pub(super) origin: Option<Arc<dyn Origin>>,
    mappings: BTreeMap<FileId, Mapping>,
    /// How many regions each file has: it stays as long as one of them, named or not.
    regions: BTreeMap<FileId, usize>,
}

/// The one writable region of a file.
#[derive(Debug)]
struct Mapping {
    view: View,
    /// The published bytes below are in the tree, unless the region was adopted since.
    seen: usize,
    adoptions: u64,
}

impl Mapping {
    /// Brings what was published since the last time into the file.
    fn observe(&mut self, file: &mut File) {
        let Mapping {
            view,
            seen,
            adoptions,
        } = self;
        view.read(|published, now| {
            if now != *adoptions {
                (*seen, *adoptions) = (0, now);
            }
            if let Some(new) = published.get(*seen..) {
                file.store(*seen, new);
            }
            *seen = published.len();
        });
    }
}

fn not_found() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "no such file on the simulated disk",
    )
}

impl World {
    pub(super) fn new(tree: Tree, origin: Option<Arc<dyn Origin>>) -> Self {
        World {
            tree,
            faults: Faults::default(),
            origin,
            mappings: BTreeMap::new(),
            regions: BTreeMap::new(),
        }
    }

    /// Brings all published bytes into the tree; what is published after the crash point is lost.
    pub(super) fn observe(&mut self) {
        if self.faults.is_stopped {
            return;
        }
        for (id, mapping) in &mut self.mappings {
            if let Some(file) = self.tree.files.get_mut(id) {
                mapping.observe(file);
            }
        }
    }

    /// Starts an operation: everything before it has happened.
    pub(super) fn begin(&mut self, op: OpKind) -> io::Result<()> {
        self.observe();
        self.faults.admit(op)
    }

    pub(super) fn create(
        &mut self,
        folder: FolderId,
        name: &str,
        len: usize,
    ) -> io::Result<FileId> {
        self.begin(OpKind::Create)?;
        let id = self.add(folder, name, len)?;
        self.retain(id);
        Ok(id)
    }

    /// Makes a file with these bytes, not durably.
    pub(super) fn write(
        &mut self,
        folder: FolderId,
        name: &str,
        bytes: &[u8],
    ) -> io::Result<FileId> {
        self.begin(OpKind::Write)?;
        let id = self.add(folder, name, bytes.len())?;
        self.file_mut(id)?.store(0, bytes);
        Ok(id)
    }

    fn add(&mut self, folder: FolderId, name: &str, len: usize) -> io::Result<FileId> {
        if let Some(Node::Folder(_)) = self.tree.lookup(folder, name) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let capacity = self.faults.capacity.unwrap_or(u64::MAX);
        if self.used().saturating_add(len as u64) > capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = self.tree.add_file(File::zeros(len));
        let op = NameOp::Add(name.to_owned(), Node::File(id));
        self.tree.change_name(folder, op);
        Ok(id)
    }

    /// The lengths of all files that have a name or are mapped.
    pub(super) fn used(&self) -> u64 {
        let named = self.tree.paths().into_iter().map(|(_, id)| id);
        let mut ids: Vec<FileId> = named.chain(self.regions.keys().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let files = ids.iter().filter_map(|id| self.tree.files.get(id));
        files.map(|file| file.live.len() as u64).sum()
    }

    /// The file of this name and its bytes, to be mapped. One region at a time may write a file:
    /// the map of a second one would not show what the first one stores.
    pub(super) fn open(
        &mut self,
        folder: FolderId,
        name: &str,
        is_writable: bool,
    ) -> io::Result<(FileId, Arc<Vec<u8>>)> {
        self.begin(OpKind::Open)?;
        let id = self.tree.lookup_file(folder, name).ok_or_else(not_found)?;
        if is_writable && self.mappings.contains_key(&id) {
            let message = "the simulated disk maps a file for writing once at a time";
            return Err(io::Error::other(message));
        }
        let live = Arc::clone(&self.file_mut(id)?.live);
        if live.is_empty() {
            let message = "the file is empty";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.retain(id);
        Ok((id, live))
    }

    fn retain(&mut self, id: FileId) {
        *self.regions.entry(id).or_default() += 1;
    }

    /// Whether a file is mapped by somebody who only reads it.
    pub(super) fn is_read(&self) -> bool {
        let is_read =
            |(id, count): (&FileId, &usize)| *count > usize::from(self.mappings.contains_key(id));
        self.regions.iter().any(is_read)
    }

    /// A region is gone; what it published stays.
    pub(super) fn release(&mut self, id: FileId, is_writable: bool) {
        if is_writable {
            self.observe();
            self.mappings.remove(&id);
        }
        if let Some(count) = self.regions.get_mut(&id) {
            *count -= 1;
        }
        self.regions.retain(|_, count| *count > 0);
    }

    /// Follows what a region publishes.
    pub(super) fn attach(&mut self, id: FileId, view: View) {
        let mapping = Mapping {
            view,
            seen: 0,
            adoptions: 0,
        };
        self.mappings.insert(id, mapping);
    }

    /// The live bytes of a file.
    pub(super) fn read(&mut self, id: FileId) -> io::Result<Arc<Vec<u8>>> {
        self.begin(OpKind::Read)?;
        Ok(Arc::clone(&self.file_mut(id)?.live))
    }

    pub(super) fn len(&mut self, id: FileId) -> io::Result<u64> {
        self.faults.check_running()?;
        Ok(self.file_mut(id)?.live.len() as u64)
    }

    pub(super) fn sync(&mut self, id: FileId) -> io::Result<()> {
        self.sync_range(id, &(0..usize::MAX))
    }

    pub(super) fn sync_range(&mut self, id: FileId, bytes: &Range<usize>) -> io::Result<()> {
        let admitted = self.begin(OpKind::Sync);
        let ignores_syncs = self.faults.ignores_syncs;
        let is_stopped = self.faults.is_stopped;
        let file = self.file_mut(id)?;
        match &admitted {
            Ok(()) if !ignores_syncs => file.sync(bytes),
            Err(_) if !is_stopped => file.forget_dirty(),
            _ => {}
        }
        admitted
    }

    pub(super) fn punch_hole(&mut self, id: FileId, start: usize, len: usize) -> io::Result<()> {
        self.begin(OpKind::PunchHole)?;
        let file = self.file_mut(id)?;
        let room = file.live.len().saturating_sub(start);
        file.store(start, &vec![0; len.min(room)]);
        Ok(())
    }

    pub(super) fn rename(&mut self, folder: FolderId, from: &str, to: &str) -> io::Result<()> {
        self.begin(OpKind::Rename)?;
        let node = self.tree.lookup(folder, from).ok_or_else(not_found)?;
        if let Some(Node::Folder(_)) = self.tree.lookup(folder, to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let op = NameOp::Rename(from.to_owned(), to.to_owned(), node);
        self.tree.change_name(folder, op);
        Ok(())
    }

    pub(super) fn remove(&mut self, folder: FolderId, name: &str) -> io::Result<()> {
        self.begin(OpKind::Remove)?;
        match self.tree.lookup(folder, name) {
            None => Ok(()),
            Some(Node::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(_)) => {
                self.remove_uncounted(folder, name);
                Ok(())
            }
        }
    }

    /// Cleans up after an operation that failed half-way; does nothing once the disk has stopped.
    pub(super) fn remove_uncounted(&mut self, folder: FolderId, name: &str) {
        let found = self.tree.lookup_file(folder, name);
        if let Some(id) = found.filter(|_| !self.faults.is_stopped) {
            let op = NameOp::Remove(name.to_owned(), Node::File(id));
            self.tree.change_name(folder, op);
        }
    }

    pub(super) fn sync_dir(&mut self, folder: FolderId) -> io::Result<()> {
        self.begin(OpKind::SyncDir)?;
        if self.faults.ignores_syncs {
            return Ok(());
        }
        if let Some(folder) = self.tree.folders.get_mut(&folder) {
            folder.sync();
        }
        let regions = &self.regions;
        self.tree.drop_unnamed(|id| regions.contains_key(&id));
        Ok(())
    }

    /// The folder of this name, made if it is not there.
    pub(super) fn folder(&mut self, parent: FolderId, name: &str) -> io::Result<FolderId> {
        self.begin(OpKind::Folder)?;
        match self.tree.lookup(parent, name) {
            Some(Node::Folder(id)) => Ok(id),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => {
                let id = self.tree.add_folder();
                let op = NameOp::Add(name.to_owned(), Node::Folder(id));
                self.tree.change_name(parent, op);
                Ok(id)
            }
        }
    }

    fn file_mut(&mut self, id: FileId) -> io::Result<&mut File> {
        self.tree.files.get_mut(&id).ok_or_else(not_found)
    }
}

//! [`SimDisk`]: a disk in memory that keeps live and durable bytes apart, for crash tests.
//!
//! ```text
//! SimDisk ── storage() ──► SimFolder: Storage ──► Region (anonymous map)
//!    │                           │ operations          │ published bytes
//!    ▼                           ▼                     ▼
//!  World { Tree: names and bytes, live and pending · Faults · mapped regions }
//!    │ crash(kind, choice), images(…)
//!    ▼
//!  SimDisk: a legal image, to be opened anew
//! ```
//!
//! What a process sees is *live*; what it has synced is *durable*; the rest is *pending*. A crash of
//! the process keeps all that is live. A crash of the system keeps what is durable, and of what is
//! pending any part: of each 512-byte sector any bytes that it held since the last sync, of the
//! changes of names in a folder any subset (in order), of a file that was never synced no byte or
//! its length. Only published bytes count; a claim that was not published is never written.
//!
//! Bytes published between two operations are seen at the second one, so a sector's versions are
//! those at operations and at [`SimDisk::observe`]. A failed sync forgets the dirty sectors: the
//! next one reports success and writes only those that changed again. The names that a failed
//! folder sync did not make durable stay pending.

mod choice;
mod faults;
mod file;
mod tree;
mod world;
mod folder;
mod crash;
mod image;
mod origin;

#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use choice::Choice;
pub(crate) use faults::{OpKind, Times};
pub(crate) use image::{CrashKind, Images};

use super::Storage;
use crate::error::{Error, Result};
use file::File;
use folder::SimFolder;
use tree::{FileId, FolderId, Node, ROOT, Tree};
use world::{Origin, World};

/// A handle to a simulated disk; clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk(Arc<Mutex<World>>);

impl Default for SimDisk {
    fn default() -> Self {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk.
    pub(crate) fn new() -> Self {
        SimDisk::from_tree(Tree::new(), None, None)
    }

    fn from_tree(tree: Tree, capacity: Option<u64>, origin: Option<Arc<dyn Origin>>) -> Self {
        let mut world = World::new(tree, origin);
        world.faults.capacity = capacity;
        SimDisk(Arc::new(Mutex::new(world)))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder that holds all others.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(SimFolder {
            disk: self.clone(),
            id: ROOT,
            prefix: "sim:/".to_owned(),
        })
    }

    /// How many operations were begun. Reads are none.
    pub(crate) fn op_count(&self) -> u64 {
        self.world().faults.op_count
    }

    /// Stops the disk when its `nth` operation (from 1, counted since the disk was made) begins:
    /// that one and all later ones fail with "simulated crash" and change nothing, and what is
    /// published later is lost.
    pub(crate) fn crash_at(&self, nth: u64) {
        self.world().faults.crash_at = Some(nth);
    }

    /// Whether the crash point was reached.
    pub(crate) fn is_stopped(&self) -> bool {
        self.world().faults.is_stopped
    }

    /// Lets the `nth` operation of a kind (from 1, counted from now) fail.
    pub(crate) fn fail(&self, op: OpKind, nth: u64, error: io::ErrorKind, times: Times) {
        self.world().faults.plan(op, nth, error, times);
    }

    /// Limits the sum of all file lengths; more fails with
    /// [`NoSpace`](crate::error::ErrorKind::NoSpace).
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.world().faults.capacity = Some(bytes);
    }

    /// Lets syncs of files and folders report success and do nothing: what every crash test must
    /// notice.
    pub(crate) fn ignore_syncs(&self, ignores_syncs: bool) {
        self.world().faults.ignores_syncs = ignores_syncs;
    }

    /// Notes what is published now as bytes that a crash may leave.
    pub(crate) fn observe(&self) {
        self.world().observe();
    }

    /// The disk as a crash at this moment, or at the crash point, leaves it. The choice only counts
    /// for a crash of the system. Planned faults are gone; the capacity stays.
    pub(crate) fn crash(&self, kind: CrashKind, choice: Choice) -> SimDisk {
        image::crash(&mut self.world(), kind, choice)
    }

    /// Disks that a crash may leave: all of them if there are at most 2 to the
    /// `max_exhaustive_bits` choices, else at most `samples`, among them all lost, all kept, and
    /// some with one thing kept or lost. The same seed gives the same disks.
    pub(crate) fn images(
        &self,
        kind: CrashKind,
        max_exhaustive_bits: u32,
        samples: u64,
        seed: u64,
    ) -> Images {
        let world = &mut self.world();
        image::images(world, kind, max_exhaustive_bits, samples, seed)
    }

    /// The crashes that led to this disk, and what each kept: enough to make it again.
    pub(crate) fn describe(&self) -> String {
        match &self.world().origin {
            Some(origin) => origin.to_string(),
            None => "a new disk".to_owned(),
        }
    }
}

/// What an operator can do to the disk of a system that does not run: durable at once, no crash
/// points, no faults. Paths are `log/name`, without a slash in front.
impl SimDisk {
    /// All files with their live bytes, sorted by path.
    pub(crate) fn files(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        let mut world = self.world();
        world.observe();
        let tree = &world.tree;
        let bytes = |(path, id)| Some((path, Arc::clone(&tree.files.get(&id)?.live)));
        tree.paths().into_iter().filter_map(bytes).collect()
    }

    /// The live bytes of a file.
    pub(crate) fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        self.change(path, |file| file.live.to_vec())
    }

    /// Changes bytes of a file, live and durable. Bytes beyond its end are left out.
    pub(crate) fn corrupt(
        &self,
        path: &str,
        bytes: Range<usize>,
        change: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        self.change(path, |file| file.settle(bytes, change))
    }

    /// Cuts a file, or makes it longer with zeros; none of its bytes is pending afterwards.
    pub(crate) fn set_len(&self, path: &str, len: usize) -> Result<()> {
        self.change(path, |file| {
            let mut bytes = file.live.to_vec();
            bytes.resize(len, 0);
            *file = File::settled(Arc::new(bytes));
        })
    }

    /// Makes or replaces a file; its folder must be there.
    pub(crate) fn write_file(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut world = self.world();
        let (folder, name) = locate(&world.tree, path)?;
        let file = File::settled(Arc::new(bytes.to_vec()));
        let node = Node::File(world.tree.add_file(file));
        settle_name(&mut world.tree, folder, name, Some(node));
        Ok(())
    }

    /// Copies the live bytes of a file, replacing what stands under the new path.
    pub(crate) fn copy_file(&self, from: &str, to: &str) -> Result<()> {
        let bytes = self.read_file(from)?;
        self.write_file(to, &bytes)
    }

    /// Removes a file.
    pub(crate) fn remove_file(&self, path: &str) -> Result<()> {
        let mut world = self.world();
        let (folder, name, _) = locate_file(&world.tree, path)?;
        settle_name(&mut world.tree, folder, name, None);
        Ok(())
    }

    fn change<T>(&self, path: &str, change: impl FnOnce(&mut File) -> T) -> Result<T> {
        let mut world = self.world();
        world.observe();
        let (_, _, id) = locate_file(&world.tree, path)?;
        let file = world.tree.files.get_mut(&id);
        file.map(change).ok_or_else(|| no_such(path))
    }
}

fn settle_name(tree: &mut Tree, folder: FolderId, name: &str, node: Option<Node>) {
    if let Some(folder) = tree.folders.get_mut(&folder) {
        folder.settle(name, node);
    }
}

fn no_such(path: &str) -> Error {
    Error::io(
        "find",
        format!("sim:/{path}"),
        io::ErrorKind::NotFound.into(),
    )
}

fn locate<'p>(tree: &Tree, path: &'p str) -> Result<(FolderId, &'p str)> {
    tree.locate(path).ok_or_else(|| no_such(path))
}

fn locate_file<'p>(tree: &Tree, path: &'p str) -> Result<(FolderId, &'p str, FileId)> {
    let (folder, name) = locate(tree, path)?;
    let id = tree.lookup_file(folder, name);
    Ok((folder, name, id.ok_or_else(|| no_such(path))?))
}

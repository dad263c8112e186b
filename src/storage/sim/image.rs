//! What a crash may leave: every pending thing is a [`Slot`], a digit for each slot is an image.
//!
//! Digit 0 is what is durable, the highest what was live. A name operation has two digits (lost,
//! kept), so has the length of a file that was never synced (0, full), and a dirty sector has one
//! for each of its versions. All digits together are a legal image; no other bytes can appear.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::choice::{Choice, Plan};
use super::crash::{Crash, ProcessCrash};
use super::file::{File, SECTOR};
use super::tree::{FileId, Folder, FolderId, Node, ROOT, Tree};
use super::{SimDisk, World};

/// What crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrashKind {
    /// The process: everything that was published or named stays, and stays pending.
    Process,
    /// The operating system: what is not durable may be lost.
    System,
}

/// Something pending that a crash decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Name(FolderId, usize),
    Len(FileId),
    Sector(FileId, usize),
}

/// A choice that a crash has.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) place: Place,
    /// The bytes to choose from; empty for what is lost or kept.
    versions: Vec<Arc<[u8]>>,
}

impl Slot {
    pub(super) fn radix(&self) -> usize {
        self.versions.len().max(2)
    }
}

/// A disk at the moment of a system crash.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) tree: Tree,
    /// Sorted by place.
    pub(super) slots: Vec<Slot>,
    pub(super) crash: Crash,
    capacity: Option<u64>,
}

/// A crash of the system: what was pending, the choice, and its digits.
#[derive(Debug)]
pub(super) struct SystemCrash(
    pub(super) Arc<Pending>,
    pub(super) Choice,
    pub(super) Vec<usize>,
);

/// The image that a process crash leaves.
fn process_crash(world: &World) -> SimDisk {
    let origin = Arc::new(ProcessCrash(Crash::of(world)));
    let mut tree = world.tree.clone();
    tree.drop_unnamed(|_| false);
    SimDisk::from_tree(tree, world.faults.capacity, Some(origin))
}

/// The image that a crash leaves by this choice.
pub(super) fn crash(world: &mut World, kind: CrashKind, choice: Choice) -> SimDisk {
    world.observe();
    match kind {
        CrashKind::Process => process_crash(world),
        CrashKind::System => Arc::new(Pending::of(world)).image(choice).0,
    }
}

/// Images that a crash may leave.
pub(super) fn images(
    world: &mut World,
    kind: CrashKind,
    max_exhaustive_bits: u32,
    samples: u64,
    seed: u64,
) -> Images {
    world.observe();
    let pending = Arc::new(Pending::of(world));
    let radices: Vec<usize> = pending.slots.iter().map(Slot::radix).collect();
    let plan = Plan::new(radices, max_exhaustive_bits, samples, seed);
    Images {
        process: (kind == CrashKind::Process).then(|| process_crash(world)),
        kind,
        pending,
        left: if plan.is_exhaustive() {
            u64::MAX
        } else {
            samples
        },
        plan,
        seen: HashSet::new(),
    }
}

/// Legal images of one crash; no two by the same names and choices.
#[derive(Debug)]
pub(crate) struct Images {
    process: Option<SimDisk>,
    kind: CrashKind,
    pending: Arc<Pending>,
    plan: Plan,
    /// How many images are still wanted.
    left: u64,
    seen: HashSet<u64>,
}

impl Iterator for Images {
    type Item = SimDisk;

    fn next(&mut self) -> Option<SimDisk> {
        if self.kind == CrashKind::Process {
            return self.process.take();
        }
        self.left = self.left.checked_sub(1)?;
        loop {
            let (image, signature) = self.pending.image(self.plan.next()?);
            // What is unreachable without a lost name makes no difference.
            if self.seen.insert(signature) {
                return Some(image);
            }
        }
    }
}

impl Pending {
    fn of(world: &World) -> Self {
        let mut tree = world.tree.clone();
        tree.drop_unnamed(|_| false);
        let mut slots = Vec::new();
        for (id, folder) in &tree.folders {
            slots.extend((0..folder.pending.len()).map(|op| Slot::new(Place::Name(*id, op))));
        }
        for (id, file) in &tree.files {
            file_slots(*id, file, &mut slots);
        }
        slots.sort_by_key(|slot| slot.place);
        Pending {
            tree,
            slots,
            crash: Crash::of(world),
            capacity: world.faults.capacity,
        }
    }

    fn image(self: &Arc<Self>, choice: Choice) -> (SimDisk, u64) {
        let radices: Vec<usize> = self.slots.iter().map(Slot::radix).collect();
        let digits = choice.digits(&radices);
        let mut image = Image {
            pending: self,
            digits: &digits,
            tree: self.tree.rebooted(),
            signature: DefaultHasher::new(),
        };
        image.folder(ROOT);
        let (tree, signature) = (image.tree, image.signature.finish());
        let origin = Arc::new(SystemCrash(Arc::clone(self), choice, digits));
        let disk = SimDisk::from_tree(tree, self.capacity, Some(origin));
        (disk, signature)
    }

    fn slot(&self, place: Place) -> Option<(usize, &Slot)> {
        let found = self.slots.binary_search_by_key(&place, |slot| slot.place);
        let index = found.ok()?;
        self.slots.get(index).map(|slot| (index, slot))
    }
}

impl Slot {
    fn new(place: Place) -> Self {
        Slot {
            place,
            versions: Vec::new(),
        }
    }
}

fn file_slots(id: FileId, file: &File, slots: &mut Vec<Slot>) {
    if !file.is_len_durable && !file.live.is_empty() {
        slots.push(Slot::new(Place::Len(id)));
    }
    for (sector, dirty) in &file.dirty {
        let versions = file.versions(*sector, dirty);
        if !versions.is_empty() {
            let place = Place::Sector(id, *sector);
            slots.push(Slot { place, versions });
        }
    }
}

/// An image being built.
struct Image<'p> {
    pending: &'p Pending,
    digits: &'p [usize],
    tree: Tree,
    /// Over all that makes a difference.
    signature: DefaultHasher,
}

impl Image<'_> {
    fn digit(&self, place: Place) -> Option<usize> {
        let (index, _) = self.pending.slot(place)?;
        self.digits.get(index).copied()
    }

    fn folder(&mut self, id: FolderId) {
        let Some(folder) = self.pending.tree.folders.get(&id) else {
            return;
        };
        let mut names = folder.durable.clone();
        for (op, change) in folder.pending.iter().enumerate() {
            if self.digit(Place::Name(id, op)) != Some(0) {
                change.apply(&mut names);
            }
        }
        (id, &names).hash(&mut self.signature);
        for node in names.values() {
            match node {
                Node::File(file) => self.file(*file),
                Node::Folder(folder) => self.folder(*folder),
            }
        }
        self.tree.folders.insert(id, Folder::settled(names));
    }

    fn file(&mut self, id: FileId) {
        let Some(file) = self.pending.tree.files.get(&id) else {
            return;
        };
        let len = self.digit(Place::Len(id));
        (id, len).hash(&mut self.signature);
        let bytes = if len == Some(0) {
            Arc::default()
        } else {
            self.bytes(id, file)
        };
        self.tree.files.insert(id, File::settled(bytes));
    }

    fn bytes(&mut self, id: FileId, file: &File) -> Arc<Vec<u8>> {
        let mut bytes = Arc::clone(&file.live);
        for sector in file.dirty.keys() {
            let Some((index, slot)) = self.pending.slot(Place::Sector(id, *sector)) else {
                continue;
            };
            let digit = self.digits.get(index).copied().unwrap_or_default();
            let Some(version) = slot.versions.get(digit) else {
                continue;
            };
            // The durable and the live bytes may be the same, with others in between.
            let first = slot.versions.iter().position(|same| same == version);
            first.hash(&mut self.signature);
            if digit + 1 != slot.radix() {
                overwrite(&mut bytes, sector * SECTOR, version);
            }
        }
        bytes
    }
}

fn overwrite(bytes: &mut Arc<Vec<u8>>, start: usize, version: &[u8]) {
    let target = Arc::make_mut(bytes).get_mut(start..start + version.len());
    if let Some(target) = target {
        target.copy_from_slice(version);
    }
}

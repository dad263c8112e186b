//! What lies on a simulated disk: folders and names, each with what is not durable yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::file::File;

/// A file, whatever its name: an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId(u64);

/// A folder, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FolderId(u64);

/// The folder that holds all others.
pub(super) const ROOT: FolderId = FolderId(0);

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Node {
    File(FileId),
    Folder(FolderId),
}

pub(super) type Names = BTreeMap<String, Node>;

/// A change of names that is pending until the folder is synced.
#[derive(Debug, Clone)]
pub(super) enum NameOp {
    Add(String, Node),
    Rename(String, String, Node),
    Remove(String, Node),
}

impl NameOp {
    /// Takes effect, unless an operation was lost that gave the node its name.
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            NameOp::Add(name, node) => {
                names.insert(name.clone(), *node);
            }
            NameOp::Rename(from, to, node) if names.get(from) == Some(node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            NameOp::Remove(name, node) if names.get(name) == Some(node) => {
                names.remove(name);
            }
            NameOp::Rename(..) | NameOp::Remove(..) => {}
        }
    }

    pub(super) fn node(&self) -> Node {
        let (NameOp::Add(_, node) | NameOp::Rename(_, _, node) | NameOp::Remove(_, node)) = self;
        *node
    }

    fn names(&self, name: &str) -> bool {
        match self {
            NameOp::Add(named, _) | NameOp::Remove(named, _) => named == name,
            NameOp::Rename(from, to, _) => from == name || to == name,
        }
    }
}

impl fmt::Display for NameOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameOp::Add(name, _) => write!(f, "create {name}"),
            NameOp::Rename(from, to, _) => write!(f, "rename {from} to {to}"),
            NameOp::Remove(name, _) => write!(f, "remove {name}"),
        }
    }
}

/// A folder: `live` is `durable` with all of `pending` applied.
#[derive(Debug, Clone, Default)]
pub(super) struct Folder {
    pub(super) live: Names,
    pub(super) durable: Names,
    pub(super) pending: Vec<NameOp>,
}

impl Folder {
    pub(super) fn settled(names: Names) -> Self {
        Folder {
            durable: names.clone(),
            live: names,
            pending: Vec::new(),
        }
    }

    pub(super) fn change(&mut self, op: NameOp) {
        op.apply(&mut self.live);
        self.pending.push(op);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.live);
        self.pending.clear();
    }

    /// Gives a name to `node` or to nothing, durably and at once.
    pub(super) fn settle(&mut self, name: &str, node: Option<Node>) {
        self.pending.retain(|op| !op.names(name));
        for names in [&mut self.live, &mut self.durable] {
            match node {
                Some(node) => names.insert(name.to_owned(), node),
                None => names.remove(name),
            };
        }
    }

    /// All that this folder names after some crash; twice if by two names.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> {
        let pending = self.pending.iter().map(NameOp::node);
        self.durable.values().copied().chain(pending)
    }
}

/// All folders and files of a disk.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) folders: BTreeMap<FolderId, Folder>,
    pub(super) files: BTreeMap<FileId, File>,
    pub(super) boot_id: u128,
    next_id: u64,
}

impl Tree {
    pub(super) fn new() -> Self {
        Tree {
            folders: BTreeMap::from([(ROOT, Folder::default())]),
            files: BTreeMap::new(),
            boot_id: 1,
            next_id: 1,
        }
    }

    /// The same disk with nothing on it, after the next boot.
    pub(super) fn rebooted(&self) -> Self {
        Tree {
            folders: BTreeMap::new(),
            files: BTreeMap::new(),
            boot_id: self.boot_id + 1,
            next_id: self.next_id,
        }
    }

    pub(super) fn add_file(&mut self, file: File) -> FileId {
        let id = FileId(self.take_id());
        self.files.insert(id, file);
        id
    }

    pub(super) fn add_folder(&mut self) -> FolderId {
        let id = FolderId(self.take_id());
        self.folders.insert(id, Folder::default());
        id
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub(super) fn lookup(&self, folder: FolderId, name: &str) -> Option<Node> {
        self.folders.get(&folder)?.live.get(name).copied()
    }

    pub(super) fn lookup_file(&self, folder: FolderId, name: &str) -> Option<FileId> {
        match self.lookup(folder, name)? {
            Node::File(id) => Some(id),
            Node::Folder(_) => None,
        }
    }

    /// Changes a name in a folder, not durably.
    pub(super) fn change_name(&mut self, folder: FolderId, op: NameOp) {
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.change(op);
        }
    }

    /// The folder that holds the last part of `a/b/c`, and that part.
    pub(super) fn locate<'p>(&self, path: &'p str) -> Option<(FolderId, &'p str)> {
        let Some((folders, name)) = path.rsplit_once('/') else {
            return Some((ROOT, path));
        };
        let into = |folder, name: &str| match self.lookup(folder, name)? {
            Node::Folder(id) => Some(id),
            Node::File(_) => None,
        };
        let folder = folders.split('/').try_fold(ROOT, into)?;
        Some((folder, name))
    }

    /// All files by path, as they are named now.
    pub(super) fn paths(&self) -> Vec<(String, FileId)> {
        let mut found = Vec::new();
        let mut folders = vec![(String::new(), ROOT)];
        while let Some((prefix, folder)) = folders.pop() {
            let Some(folder) = self.folders.get(&folder) else {
                continue;
            };
            for (name, node) in &folder.live {
                match node {
                    Node::File(id) => found.push((format!("{prefix}{name}"), *id)),
                    Node::Folder(id) => folders.push((format!("{prefix}{name}/"), *id)),
                }
            }
        }
        found.sort();
        found
    }

    /// Drops files that no name can bring back, except those that are `mapped`.
    pub(super) fn drop_unnamed(&mut self, mapped: impl Fn(FileId) -> bool) {
        let folders = self.folders.values();
        let named: BTreeSet<FileId> = folders
            .flat_map(Folder::nodes)
            .filter_map(|node| match node {
                Node::File(id) => Some(id),
                Node::Folder(_) => None,
            })
            .collect();
        self.files.retain(|id, _| named.contains(id) || mapped(*id));
    }
}

//! [`Origin`]: how a disk came to be, printed so that it can be made again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::World;
use super::choice::Choice;
use super::faults::OpKind;
use super::image::{Pending, Place, Slot};
use super::tree::FileId;

/// When and after what a crash came.
#[derive(Debug, Clone)]
pub(super) struct Crash {
    pub(super) op_count: u64,
    last_op: Option<OpKind>,
    before: Option<Arc<Origin>>,
}

/// The crashes that led to a disk.
#[derive(Debug)]
pub(super) enum Origin {
    Process(Crash),
    System(Arc<Pending>, Choice, Vec<usize>),
}

impl Crash {
    pub(super) fn of(world: &World) -> Self {
        Crash {
            op_count: world.faults.op_count,
            last_op: world.faults.last_op,
            before: world.origin.clone(),
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(before) = &self.before {
            writeln!(f, "{before}")?;
        }
        write!(f, "operation {}", self.op_count)?;
        match self.last_op {
            Some(op) => write!(f, " ({op:?})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Process(crash) => write!(f, "{crash}: process crash"),
            Origin::System(pending, choice, digits) => {
                write!(f, "{}: system crash, {choice:?}", pending.crash)?;
                let paths = pending.paths();
                for (slot, digit) in pending.slots.iter().zip(digits) {
                    write!(f, "\n  {}", pending.outcome(&paths, slot, *digit))?;
                }
                Ok(())
            }
        }
    }
}

impl Pending {
    /// The path of each file that has one.
    fn paths(&self) -> BTreeMap<FileId, String> {
        let named = self.tree.paths().into_iter();
        named.map(|(path, id)| (id, path)).collect()
    }

    /// A line on what became of a slot.
    fn outcome(&self, paths: &BTreeMap<FileId, String>, slot: &Slot, digit: usize) -> String {
        let path = |id: &FileId| match paths.get(id) {
            Some(path) => path.clone(),
            None => format!("{id:?}, removed"),
        };
        let what = match &slot.place {
            Place::Name(folder, op) => {
                let folder = self.tree.folders.get(folder);
                let op = folder.and_then(|folder| folder.pending.get(*op));
                op.map_or_else(String::new, ToString::to_string)
            }
            Place::Len(id) => format!("length of {}", path(id)),
            Place::Sector(id, sector) => format!("{} sector {sector}", path(id)),
        };
        match (digit, slot.radix()) {
            (0, _) => format!("{what}: lost"),
            (kept, radix) if kept + 1 == radix => format!("{what}: kept"),
            (version, radix) => format!("{what}: version {version} of 0..{radix}"),
        }
    }
}

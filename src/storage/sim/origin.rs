//! A system crash as an [`Origin`]: what became of each thing that was pending.

use std::collections::BTreeMap;
use std::fmt;

use super::image::{Pending, Place, Slot, SystemCrash};
use super::tree::FileId;
use super::world::Origin;

impl Origin for SystemCrash {}

impl fmt::Display for SystemCrash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SystemCrash(pending, choice, digits) = self;
        write!(f, "{}: system crash, {choice:?}", pending.crash)?;
        let paths = pending.paths();
        for (slot, digit) in pending.slots.iter().zip(digits) {
            write!(f, "\n  {}", pending.outcome(&paths, slot, *digit))?;
        }
        Ok(())
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

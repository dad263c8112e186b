//! What the index stands on: the store in its folder, once it has been checked, or memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::agree;
use super::catalog::{Catalog, Loaded};
use super::core::Core;
use super::held::Held;
use super::ids::Ids;
use super::memory::MemoryStore;
use super::store::{self, Store};
use crate::error::Result;

/// After so many stores that failed, the index stays in memory, as long as it finds room there.
const FAILURES_MAX: u64 = 3;

/// A store, and what it holds.
pub(super) type Opened = (Arc<dyn Store>, Loaded, Ids);

/// The store in the index's folder, checked against the log. What is found broken is set aside, and
/// another begun, once; `None` if there is no folder, or it cannot be used.
pub(super) fn open(core: &Core) -> Option<Opened> {
    core.folder.as_ref()?;
    if core.rebuilds.load(Ordering::Relaxed) >= FAILURES_MAX {
        tracing::warn!(target: "forelog::index", "the store failed too often: in memory from now");
        return None;
    }
    open_again(core)
}

/// As [`open`], however often it has failed.
pub(super) fn open_again(core: &Core) -> Option<Opened> {
    let folder = core.folder.as_ref()?;
    for _attempt in 0..2 {
        match open_checked(core, folder) {
            Ok(opened) => return Some(opened),
            Err(error) => {
                tracing::warn!(target: "forelog::index", %error, "the index is set aside");
                core.rebuilds.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Err(error) = store::set_aside(folder) {
            tracing::warn!(target: "forelog::index", %error, "the index stays in memory");
            return None;
        }
    }
    None
}

/// An empty store in memory.
pub(super) fn in_memory(core: &Core) -> Opened {
    let ids = Ids::starting_at(0, None, core.salt);
    (Arc::new(MemoryStore::default()), Loaded::default(), ids)
}

fn open_checked(core: &Core, folder: &Path) -> Result<Opened> {
    let log_id = core.log.log_id();
    let probe = move |store: &dyn Store| Catalog::load(store, log_id);
    let (store, loaded) = store::open(folder, log_id, &core.config, probe)?;
    agree::check(&loaded, &core.log)?;
    let ids = match &loaded.position {
        Some(position) => Ids::load((&position.runs, position.runs_next), folder, core.salt)?,
        None => Ids::starting_at(0, Some(folder), core.salt),
    };
    ids.tidy()?;
    Ok((Arc::new(Held::over(store)), loaded, ids))
}

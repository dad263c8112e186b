//! What an operator moves on purpose: cursors, and snapshots of projections.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::inspect::{Inspector, SnapshotReport, SnapshotState};
use crate::position::Seq;
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::lock::DirLock;
use crate::storage::sys::Sys;
use crate::system::EventSystem;

pub(super) fn move_cursor(path: &Path, name: &str, to: Seq) -> Result<()> {
    EventSystem::settle(path, |control, log| {
        if control.cursor(name).is_none() {
            let message =
                format!("there is no subscription {name:?}; see forelog-recovery cursors list");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let last = log.watermark().appended();
        if to > last {
            let message = format!(
                "the log ends at Seq {last}; a cursor beyond it would pass events that are still to come"
            );
            return Err(Error::new(ErrorKind::Invalid, message).at_seq(to));
        }
        control.seek(name, to, log.watermark().durable())
    })
}

pub(super) fn set_aside_snapshots(
    path: &Path,
    projection: Option<&str>,
) -> Result<Vec<SnapshotReport>> {
    let mut snapshots = Inspector::open(path)?.snapshots()?;
    snapshots.retain(|found| {
        found.state != SnapshotState::Aside
            && projection.is_none_or(|projection| found.projection == projection)
    });
    if snapshots.is_empty() {
        return Ok(snapshots);
    }
    let _lock = DirLock::acquire(path)?;
    set_aside(path, snapshots.iter().map(|found| &found.file))?;
    Ok(snapshots)
}

/// Gives these snapshots of a directory, which is locked, names that say that they are set aside, and that no
/// other has.
pub(super) fn set_aside<'a>(path: &Path, files: impl Iterator<Item = &'a String>) -> Result<()> {
    let folder = FileStorage::open(&path.join(names::SNAPSHOTS), Sys::native())?;
    for file in files {
        let mut name = names::damaged(file);
        let mut nth = 0;
        while folder.find(&name)?.is_some() {
            nth += 1;
            name = names::damaged_again(file, nth);
        }
        folder.rename(file, &name)?;
    }
    folder.sync_dir()
}

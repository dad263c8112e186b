//! Repair of a damaged directory, and salvage of what is left of one: besides retention and compaction the
//! only code that may take bytes away. `forelog-recovery` is made of it.
//!
//! **Plan, keep, then act.** [`plan`] says what would be done and what is lost, and writes nothing. [`apply`]
//! gives every file that it replaces a second name in `aside/repair-N/` before anything else, and deletes
//! none of their bytes. [`salvage`] leaves the directory alone and builds a new one of what is left.
//!
//! **Nothing that can be read is lost, and no Seq moves.** A damaged segment is written anew with every event
//! that passes its check, each under its own Seq. The Seqs in between are *declared* as lost, in the segment
//! itself: the log opens, and readers and handlers are told of a gap. Of a segment that is gone altogether
//! the Seqs are those that its neighbours leave out.
//!
//! **A disk that cannot read.** Each 4 KiB that cannot be read is taken for damage, and what stands around it is
//! kept. Where nothing can be read any more the error ends it.
//!
//! **Crashes inside it.** Each step is atomic: a file is built under another name, synced, renamed, and the
//! folder is synced. After each the directory has as many events as before and less that is wrong, so a
//! repair that was cut off is simply begun again: what is done is in order by then, and is not planned again.
//! Until the last step opening refuses the directory, or recovers it as after any crash.
//!
//! ```
//! # fn show(path: &std::path::Path) -> forelog::Result<()> {
//! let plan = forelog::repair::plan(path, &mut |_| Ok(()))?;
//! println!("{} steps, {} events are lost", plan.steps.len(), plan.lost);
//! let report = forelog::repair::apply(path, &mut |_| Ok(()))?;
//! println!("{}: {} events", report.verdict, report.events);
//! # Ok(()) }
//! ```

mod report;
mod aside;
mod lay;
mod ends;
mod bring;
mod build;
mod planned;
mod places;
mod act;
mod salvaging;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use report::{
    REPAIR_VERSION, RepairAction, RepairPlan, RepairProgress, RepairReport, RepairStep,
    SalvageReport,
};

use crate::error::Result;
use crate::inspect::SnapshotReport;
use crate::position::Seq;
use planned::Planned;

/// Is told how far it is; what it returns as an error stops the work at that point, which is as good as any.
pub type Watch<'a> = dyn FnMut(&RepairProgress) -> Result<()> + 'a;

/// What a repair of a directory would do; nothing is written.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) for what is no whole directory;
/// [`UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) if a segment is of a newer version; or if
/// something cannot be read.
pub fn plan(path: impl AsRef<Path>, watch: &mut Watch<'_>) -> Result<RepairPlan> {
    Ok(Planned::make(path.as_ref(), watch)?.plan)
}

/// Repairs a directory, which nobody may have open. Doing it twice is doing it once.
///
/// # Errors
/// As [`plan`]; [`Locked`](crate::ErrorKind::Locked) if somebody has the directory open; or if something
/// cannot be written: what was done until then stays, and the next call goes on.
pub fn apply(path: impl AsRef<Path>, watch: &mut Watch<'_>) -> Result<RepairReport> {
    act::apply(path.as_ref(), watch)
}

/// Brings every event that can be read into a new directory, each with its own Seq, with the cursors, parked
/// and scheduled events, and whole snapshots; the Seqs of what cannot be read are declared as lost there.
/// The source may be a directory, the folder of a log, or one segment file, and is not changed. Memory
/// depends on the size of a segment, not on that of the log.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) if `into` holds something, or lies in the source;
/// [`Locked`](crate::ErrorKind::Locked) if another salvage into it is under way; or if something
/// cannot be written, or nothing be read any more: what stands in `into` then is not opened by anything, and the
/// next call begins again.
pub fn salvage(
    path: impl AsRef<Path>,
    into: impl AsRef<Path>,
    watch: &mut Watch<'_>,
) -> Result<SalvageReport> {
    salvaging::salvage(path.as_ref(), into.as_ref(), watch)
}

/// Sends a named subscription of a closed directory to another place: it is delivered what stands behind
/// `to`, again or for the first time. Durable on return. Parked events stay parked.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if the name is not known;
/// [`Invalid`](crate::ErrorKind::Invalid) if the log ends before `to`;
/// [`Locked`](crate::ErrorKind::Locked) if somebody has the directory open.
pub fn move_cursor(path: impl AsRef<Path>, name: &str, to: Seq) -> Result<()> {
    places::move_cursor(path.as_ref(), name, to)
}

/// Sets the snapshots of a projection aside in a closed directory, or those of all: the states are made anew
/// from the log when their programs next ask for them. Returns the files, by the names that they had.
///
/// # Errors
/// [`Locked`](crate::ErrorKind::Locked) if somebody has the directory open; or if a file cannot be renamed.
pub fn set_aside_snapshots(
    path: impl AsRef<Path>,
    projection: Option<&str>,
) -> Result<Vec<SnapshotReport>> {
    places::set_aside_snapshots(path.as_ref(), projection)
}

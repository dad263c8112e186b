//! Salvage: a new directory of what is left of a damaged one.
//!
//! **Crashes inside it.** The log is built in the folder `log.salvaging`, which gets its name last, so that
//! nothing opens a directory that has a part of it.

use std::path::{Path, PathBuf, absolute};

use super::Watch;
use super::bring::bring_all;
use super::build::rebuild;
use super::lay::{Laid, Which};
use super::planned::watched;
use super::report::{REPAIR_VERSION, RepairProgress, RepairStep, SalvageReport};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::inspect::{Inspector, Slot, SnapshotState};
use crate::log::remains::{begin, put};
use crate::position::{Gap, Seq};
use crate::storage::file::FileStorage;
use crate::storage::lenient::{Lenient, Unread};
use crate::storage::lock::DirLock;
use crate::storage::sys::Sys;
use crate::storage::whole::{copy_readable, empty, rename_folder};
use crate::storage::{Entry, Storage};
use crate::system::EventSystem;

/// How many bytes lie between two reports of how far it is.
const TOLD_EVERY: u64 = 1 << 20;

/// Brings what is left at `path` into a new directory.
pub(super) fn salvage(path: &Path, into: &Path, watch: &mut Watch<'_>) -> Result<SalvageReport> {
    let inspector = Inspector::open(path)?;
    check_apart(path, into)?;
    let target = FileStorage::create(into, Sys::native())?;
    // Nothing is written where something else stands; what a salvage has left may be another one's that runs.
    check_empty(&target, into)?;
    let lock = DirLock::acquire(into)?;
    begin_anew(&target, into)?;
    let slots = watched("reading", watch, |progress| inspector.slots(progress))?;
    let folder = slots.folder.clone();
    let laid = match &folder {
        Some(folder) => Laid::out(slots, folder, Which::Unsealed)?,
        None => Laid::out(slots, &target, Which::Unsealed)?,
    };
    let mut report = SalvageReport {
        v: REPAIR_VERSION,
        path: path.to_path_buf(),
        into: into.to_path_buf(),
        events: 0,
        segments: 0,
        bytes: 0,
        first: Seq::ZERO,
        last: Seq::ZERO,
        lost: 0,
        lost_seqs: Vec::new(),
        left: Vec::new(),
    };
    for (name, why) in &laid.slots.strays {
        report.left.push(format!("{}/{name}: {why}", names::LOG));
    }
    report.note_unread(
        names::LOG,
        &folder.as_ref().map(Lenient::unread).unwrap_or_default(),
    );
    // First of all: by this folder the next call knows that the rest is its own, to be begun again.
    let log = FileStorage::create(&into.join(names::SALVAGING), Sys::native())?;
    bring_rest(&inspector, path, into, &mut report)?;
    if let Some(folder) = &folder {
        bring_log(folder, &log, &laid, &mut report, watch)?;
    }
    if let Some(header) = &laid.go_on {
        begin(&log, header)?;
        put(&log, header)?;
    }
    let (from, to) = (into.join(names::SALVAGING), into.join(names::LOG));
    rename_folder(&from, &to)?;
    target.sync_dir()?;
    drop(lock);
    EventSystem::settle(into, |_, _| Ok(()))?;
    Ok(report)
}

/// Copies the segments that are in order, and writes the others anew.
fn bring_log(
    from: &dyn Storage,
    to: &FileStorage,
    laid: &Laid,
    report: &mut SalvageReport,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let lengths = laid.slots.each.iter().map(|slot| slot.report.bytes);
    let mut progress = RepairProgress {
        what: "salvaging".to_owned(),
        done: 0,
        total: lengths.sum(),
    };
    watch(&progress)?;
    let both = laid.slots.each.iter().zip(&laid.anew);
    let whole =
        both.filter_map(|(slot, anew)| Some((slot, slot.name().filter(|_| anew.is_none())?)));
    let (slots, files): (Vec<&Slot>, Vec<&str>) = whole.unzip();
    bring_all(from, to, &files, &mut |place, copied| {
        report.bytes = report.bytes.saturating_add(copied.len);
        report.note_unread(names::LOG, &copied.unread);
        let read = slots.get(place).map_or(0, |slot| slot.report.bytes);
        progress.done = progress.done.saturating_add(read);
        watch(&progress)
    })?;
    to.sync_dir()?;
    for (slot, anew) in laid.slots.each.iter().zip(&laid.anew) {
        let Some(anew) = anew else {
            report.note(slot, slot.report.last, slot.report.count);
            report.note_lost(slot.report.lost, &slot.report.lost_seqs);
            continue;
        };
        watch(&progress)?;
        let mut told = progress.done;
        let header = rebuild(from, to, slot, anew, laid.slots.witness, &mut |len| {
            progress.done = progress.done.saturating_add(len).min(progress.total);
            if progress.done.saturating_sub(told) < TOLD_EVERY {
                return Ok(());
            }
            told = progress.done;
            watch(&progress)
        })?;
        put(to, &header)?;
        report.bytes = report.bytes.saturating_add(header.segment_len);
        report.note(slot, anew.outline.last, anew.left.count);
        report.note_lost(anew.left.lost, &anew.left.lost_seqs);
    }
    if let Some(header) = &laid.go_on {
        let to = laid.slots.witness.min(header.base_seq.prev());
        let from = header.prev_last_seq.next();
        if from <= to {
            let lost = to.next().since(from);
            report.note_lost(lost, &[Gap { from, to }]);
        }
    }
    Ok(())
}

impl SalvageReport {
    /// Counts a segment that was brought over.
    fn note(&mut self, slot: &Slot, last: Seq, count: u64) {
        self.segments = self.segments.saturating_add(1);
        self.events = self.events.saturating_add(count);
        if self.first == Seq::ZERO && count > 0 {
            self.first = slot.report.first;
        }
        self.last = self.last.max(slot.report.last.min(last));
    }

    /// Tells what the disk cannot give of the files in a folder.
    fn note_unread(&mut self, folder: &str, unread: &[Unread]) {
        for unread in unread {
            let (name, at) = (&unread.name, unread.range.start);
            let told = format!("{folder}/{name}: offset {at}: {unread}");
            if self.left.len() < RepairStep::LOST_MAX && !self.left.contains(&told) {
                self.left.push(told);
            }
        }
    }

    fn note_lost(&mut self, count: u64, seqs: &[Gap]) {
        self.lost = self.lost.saturating_add(count);
        let room = RepairStep::LOST_MAX.saturating_sub(self.lost_seqs.len());
        self.lost_seqs.extend(seqs.iter().take(room));
    }
}

/// Copies what stands beside the log: the internal log as it is, whole snapshots, scheduled events.
fn bring_rest(
    inspector: &Inspector,
    path: &Path,
    into: &Path,
    report: &mut SalvageReport,
) -> Result<()> {
    if !inspector.is_directory() {
        return Ok(());
    }
    copy_all(path, into, names::CONTROL, &|_| true, report)?;
    copy_all(path, into, names::SCHEDULE, &names::is_scheduled, report)?;
    let mut whole = Vec::new();
    for snapshot in inspector.snapshots()? {
        if snapshot.state == SnapshotState::Good {
            whole.push(snapshot.file);
        } else {
            let file = format!("{}/{}", names::SNAPSHOTS, snapshot.file);
            report
                .left
                .push(format!("{file}: the snapshot is {}", snapshot.state));
        }
    }
    let is_whole = |name: &str| whole.iter().any(|file| file == name);
    copy_all(path, into, names::SNAPSHOTS, &is_whole, report)
}

/// Copies the files of a folder that are wanted. What cannot be read of one is damage to whoever opens it.
fn copy_all(
    path: &Path,
    into: &Path,
    name: &str,
    wanted: &dyn Fn(&str) -> bool,
    report: &mut SalvageReport,
) -> Result<()> {
    let from = match FileStorage::open(&path.join(name), Sys::native()) {
        Ok(folder) => folder,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let entries: Vec<Entry> = from.list()?;
    let files = entries.iter().filter(|entry| wanted(&entry.name));
    let to = FileStorage::create(&into.join(name), Sys::native())?;
    for entry in files {
        let file = from.path(&entry.name);
        match copy_readable(&file, &to.path(&entry.name)) {
            Ok(copied) => report.note_unread(name, &copied.unread),
            Err(error) if error.kind() == ErrorKind::Io && error.path() == Some(&file) => {
                // The rest is worth more than this one.
                to.remove(&entry.name)?;
                report.left.push(format!("{name}/{}: {error}", entry.name));
            }
            Err(error) => return Err(error),
        }
    }
    to.sync_dir()
}

/// Refuses a target inside of what is read, which is never written to.
fn check_apart(source: &Path, into: &Path) -> Result<()> {
    let resolve = |path: &Path| {
        path.canonicalize()
            .map_err(|e| Error::io("look at", path, e))
    };
    let target = absolute(into).map_err(|e| Error::io("look at", into, e))?;
    let standing = target.ancestors().find(|path| path.exists());
    let standing = resolve(standing.unwrap_or(&target))?;
    let read = directory_of(&resolve(source)?);
    if standing.starts_with(&read) {
        let message = "the target is what is read, or lies in it; name another place";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(into));
    }
    Ok(())
}

/// The directory that a log's folder or a segment file belongs to, as far as its neighbours tell.
fn directory_of(source: &Path) -> PathBuf {
    let is_whole =
        |path: &&Path| path.join(names::LOG).exists() && path.join(names::CONTROL).exists();
    let whole = source.ancestors().take(3).find(is_whole);
    whole.unwrap_or(source).to_path_buf()
}

/// Refuses a target that holds anything but an earlier salvage that was cut off, which is begun again.
fn check_empty(target: &FileStorage, into: &Path) -> Result<()> {
    let (folders, files) = target.names()?;
    let is_cut_off = folders.iter().any(|name| name == names::SALVAGING);
    let is_log = folders.iter().any(|name| name == names::LOG);
    let others = files.iter().filter(|name| *name != names::LOCK).count();
    if is_log || others > 0 || (!folders.is_empty() && !is_cut_off) {
        let message = "the target holds something already; name a new or an empty directory";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(into));
    }
    Ok(())
}

/// Empties what an earlier salvage has left in the target, which is locked now; it may have come to its end
/// since the target was looked at.
fn begin_anew(target: &FileStorage, into: &Path) -> Result<()> {
    check_empty(target, into)?;
    let (folders, _) = target.names()?;
    if folders.iter().any(|name| name == names::SALVAGING) {
        for name in [
            names::CONTROL,
            names::SCHEDULE,
            names::SNAPSHOTS,
            names::SALVAGING,
        ] {
            empty(&into.join(name))?;
        }
    }
    Ok(())
}

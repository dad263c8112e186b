//! The acting half of a repair: keeps what it replaces, then puts the new in its place.

use std::path::Path;

use super::Watch;
use super::aside::Aside;
use super::build::rebuild;
use super::lay::{Anew, Laid};
use super::places::set_aside;
use super::planned::{Planned, lay, watched};
use super::report::{
    REPAIR_VERSION, RepairAction, RepairPlan, RepairProgress, RepairReport, RepairStep,
};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::index::Index;
use crate::inspect::{Inspector, Slot};
use crate::log::remains::{begin, put};
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::lock::DirLock;
use crate::storage::sys::Sys;
use crate::storage::whole::copy_readable;
use crate::system::EventSystem;

/// How often what is left is planned anew: once recovery has looked after the end of a log that had
/// crashed, what is wrong there can be mended too.
const ROUNDS_MAX: usize = 4;

/// Repairs a directory.
pub(super) fn apply(path: &Path, watch: &mut Watch<'_>) -> Result<RepairReport> {
    let mut report = RepairReport {
        v: REPAIR_VERSION,
        path: path.to_path_buf(),
        verdict: crate::inspect::Verdict::Good,
        steps: Vec::new(),
        aside: None,
        events: 0,
        lost: 0,
        remains: Vec::new(),
    };
    let mut before = None;
    for _ in 0..ROUNDS_MAX {
        let planned = Planned::make(path, watch)?;
        let steps = &planned.plan.steps;
        let is_stuck = before.as_ref() == Some(steps);
        if steps.is_empty() || is_stuck {
            report.remains = steps.iter().map(remaining).collect();
            break;
        }
        refuse_in_use(&planned.plan)?;
        let aside = act(path, &planned, watch)?;
        report.aside = report.aside.or(aside);
        report.lost = report.lost.saturating_add(planned.plan.lost);
        report.steps.extend(steps.iter().cloned());
        before = Some(planned.plan.steps);
    }
    let inspector = Inspector::open(path)?;
    let now = watched("verifying", watch, |progress| inspector.verify(progress))?;
    report.verdict = now.verdict;
    report.events = now.log.count;
    report.remains.extend(now.damage().map(ToString::to_string));
    let index = now.index.and_then(|index| index.problem);
    report
        .remains
        .extend(index.map(|problem| format!("{}: {problem}", names::INDEX)));
    Ok(report)
}

fn remaining(step: &RepairStep) -> String {
    format!("{}: {}", step.file, step.why)
}

fn refuse_in_use(plan: &RepairPlan) -> Result<()> {
    let Some(holder) = &plan.in_use_by else {
        return Ok(());
    };
    let message = format!("the directory is open in {holder}; close it there, and repair it again");
    Err(Error::new(ErrorKind::Locked, message).at_path(&plan.path))
}

/// Carries out the steps of one plan; returns where the files are that were replaced.
fn act(
    path: &Path,
    planned: &Planned,
    watch: &mut Watch<'_>,
) -> Result<Option<std::path::PathBuf>> {
    let plan = serde_json::to_vec_pretty(&planned.plan).unwrap_or_default();
    let mut aside = Aside::new(path, plan);
    let has = |action| planned.plan.steps.iter().any(|step| step.action == action);
    let lock = DirLock::acquire(path)?;
    if planned
        .plan
        .steps
        .iter()
        .any(|step| step.file.starts_with(names::LOG))
    {
        let folder = FileStorage::create(&path.join(names::LOG), Sys::native())?;
        // Looked at again, now that nobody can change it.
        let laid = lay(&Inspector::open(path)?, path, watch)?;
        mend(&folder, &laid, &mut aside, watch)?;
    }
    if has(RepairAction::SalvageControl) {
        make_readable(path, &mut aside)?;
    }
    if !planned.snapshots.is_empty() {
        set_aside(path, planned.snapshots.iter())?;
    }
    drop(lock);
    tell("recovering", watch)?;
    let is_rebuilt = has(RepairAction::RebuildIndex);
    if is_rebuilt && Inspector::open(path)?.is_encrypted()? {
        // Which names its events have, only who has the key can tell.
        let index = path.join(names::INDEX);
        EventSystem::settle(path, |_, _| Index::forget(&index))?;
    } else if is_rebuilt {
        EventSystem::reindex(path)?;
    } else {
        EventSystem::settle(path, |_, _| Ok(()))?;
    }
    Ok(aside.folder().map(Path::to_path_buf))
}

/// Mends the main log.
fn mend(folder: &FileStorage, laid: &Laid, aside: &mut Aside, watch: &mut Watch<'_>) -> Result<()> {
    if laid.is_in_order() {
        return Ok(());
    }
    for (name, _) in &laid.slots.strays {
        tell(&format!("setting {name} aside"), watch)?;
        take_away(folder, aside, std::slice::from_ref(name))?;
    }
    for (slot, anew) in laid.slots.each.iter().zip(&laid.anew) {
        if let Some(anew) = anew {
            replace(folder, laid, (slot, anew), aside, watch)?;
        }
    }
    if let Some(header) = &laid.go_on {
        tell("beginning the segment that the log goes on in", watch)?;
        begin(folder, header)?;
        tell("naming the segment that the log goes on in", watch)?;
        put(folder, header)?;
    }
    if laid.slots.is_poisoned && laid.go_on.is_some() {
        tell("forgetting the failed sync, as all is written anew", watch)?;
        take_away(folder, aside, &[names::POISONED.to_owned()])?;
    }
    Ok(())
}

/// Puts a segment that is written anew in the place of the old one.
fn replace(
    folder: &FileStorage,
    laid: &Laid,
    (slot, anew): (&Slot, &Anew),
    aside: &mut Aside,
    watch: &mut Watch<'_>,
) -> Result<()> {
    for name in &slot.files {
        tell(&format!("keeping {name}"), watch)?;
        aside.keep(names::LOG, name)?;
    }
    let what = format!("rewriting segment {}", slot.id);
    tell(&what, watch)?;
    let witness = laid.slots.witness;
    let from: &dyn Storage = match &laid.slots.folder {
        Some(read) => read,
        None => folder,
    };
    let header = rebuild(from, folder, slot, anew, witness, &mut |_| Ok(()))?;
    tell(&format!("naming segment {}", slot.id), watch)?;
    put(folder, &header)?;
    for name in &slot.files {
        tell(&format!("taking {name} out of the folder"), watch)?;
        folder.remove(name)?;
    }
    folder.sync_dir()
}

/// Keeps files aside, and takes their names out of the folder.
fn take_away(folder: &FileStorage, aside: &mut Aside, names: &[String]) -> Result<()> {
    for name in names {
        aside.keep(names::LOG, name)?;
        folder.remove(name)?;
    }
    folder.sync_dir()
}

/// Puts copies in the place of files of the internal log that the disk cannot give whole: what is made up in them
/// opening takes for damage.
fn make_readable(path: &Path, aside: &mut Aside) -> Result<()> {
    let folder = FileStorage::open(&path.join(names::CONTROL), Sys::native())?;
    for entry in folder.list()? {
        let tmp = names::tmp(&entry.name);
        let copied = copy_readable(&folder.path(&entry.name), &folder.path(&tmp))?;
        if copied.unread.is_empty() {
            folder.remove(&tmp)?;
        } else {
            aside.keep(names::CONTROL, &entry.name)?;
            folder.rename(&tmp, &entry.name)?;
        }
    }
    folder.sync_dir()
}

fn tell(what: &str, watch: &mut Watch<'_>) -> Result<()> {
    watch(&RepairProgress {
        what: what.to_owned(),
        done: 0,
        total: 0,
    })
}

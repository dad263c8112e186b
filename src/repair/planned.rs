//! [`Planned`]: what is wrong with a directory, and the steps that mend it.

use std::path::Path;
use std::sync::Arc;

use super::Watch;
use super::lay::{Anew, Laid, Which};
use super::report::{REPAIR_VERSION, RepairAction, RepairPlan, RepairProgress, RepairStep};
use crate::control::{Control, Known};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::inspect::{Inspector, Progress, Slot, SnapshotState, Verdict, VerifyReport};
use crate::log::Log;
use crate::position::Seq;
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::lenient::Lenient;
use crate::storage::lock;
use crate::storage::sys::Sys;

/// A plan, and how the log is to stand by it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) plan: RepairPlan,
    /// The snapshots that are to be set aside.
    pub(super) snapshots: Vec<String>,
}

impl Planned {
    /// Looks at a directory and writes nothing.
    pub(super) fn make(path: &Path, watch: &mut Watch<'_>) -> Result<Planned> {
        let inspector = open(path)?;
        let report = watched("verifying", watch, |progress| inspector.verify(progress))?;
        let refused = refusal(path)?;
        let mut planned = Planned {
            plan: RepairPlan {
                v: REPAIR_VERSION,
                path: path.to_path_buf(),
                verdict: report.verdict,
                refused: refused.as_ref().map(ToString::to_string),
                events: report.log.count,
                lost: 0,
                steps: Vec::new(),
                in_use_by: report.in_use_by.clone(),
                report: report.clone(),
            },
            snapshots: Vec::new(),
        };
        if refused.is_some() {
            planned.plan.verdict = Verdict::Damaged;
        }
        if report.log.damage_count > 0 || refused.is_some() {
            let laid = lay(&inspector, path, watch)?;
            planned.note_segments(&laid);
        }
        planned.note_control(&report);
        planned.note_snapshots(&inspector)?;
        planned.note_end(&report);
        Ok(planned)
    }

    fn note_segments(&mut self, laid: &Laid) {
        let steps = &mut self.plan.steps;
        for (name, why) in &laid.slots.strays {
            let file = format!("{}/{name}", names::LOG);
            steps.push(RepairStep::new(RepairAction::SetAside, file, why));
        }
        for (slot, anew) in laid.slots.each.iter().zip(&laid.anew) {
            if let Some(anew) = anew {
                steps.push(segment_step(slot, anew));
            }
        }
        if let Some(header) = &laid.go_on {
            let name = names::segment(header.segment_id, header.generation);
            let why = format!(
                "the log goes on at Seq {}, above every Seq that may have been handed out",
                header.base_seq
            );
            let file = format!("{}/{name}", names::LOG);
            let mut step = RepairStep::new(RepairAction::GoOn, file, why);
            step.segment = Some(header.segment_id);
            // Only what is known to have been there is lost; the rest of the gap may never have been.
            let upto = laid.slots.witness.min(header.base_seq.prev());
            step.lost = upto.since(header.prev_last_seq);
            if step.lost > 0 {
                let from = header.prev_last_seq.next();
                step.lost_seqs.push(crate::position::Gap { from, to: upto });
            }
            steps.push(step);
        }
        self.plan.lost = steps.iter().map(|step| step.lost).sum();
        let kept = laid.slots.each.iter().zip(&laid.anew).map(|(slot, anew)| {
            let left = anew.as_ref().map(|anew| anew.left.count);
            left.unwrap_or(slot.report.count)
        });
        self.plan.events = kept.sum();
    }

    fn note_control(&mut self, report: &VerifyReport) {
        let Some(control) = report.control.as_ref().filter(|log| log.damage_count > 0) else {
            return;
        };
        let why = control.damage.first().map(ToString::to_string);
        let why = format!(
            "{}; what is readable and this log's of cursors and parked events is kept, and no event is \
             skipped",
            why.unwrap_or_default()
        );
        let step = RepairStep::new(RepairAction::SalvageControl, names::CONTROL, why);
        self.plan.steps.push(step);
    }

    fn note_snapshots(&mut self, inspector: &Inspector) -> Result<()> {
        for snapshot in inspector.snapshots()? {
            let why = match snapshot.state {
                SnapshotState::Damaged => "its checksum does not match",
                SnapshotState::Unreadable => "it cannot be read",
                _ => continue,
            };
            let file = format!("{}/{}", names::SNAPSHOTS, snapshot.file);
            let why = format!("{why}; an older one counts, or it is made anew");
            let step = RepairStep::new(RepairAction::SetAsideSnapshot, file, why);
            self.plan.steps.push(step);
            self.snapshots.push(snapshot.file);
            self.plan.verdict = Verdict::Damaged;
        }
        Ok(())
    }

    /// What is done when all else is in order: by opening the directory, or by rebuilding the index.
    fn note_end(&mut self, report: &VerifyReport) {
        let steps = &mut self.plan.steps;
        // What is wrong with the last segments of a log that has crashed is mended once it is recovered.
        let is_open_end = report.log.damage_count > 0 && !report.log.clean;
        let is_changed = |step: &RepairStep| step.segment.is_some();
        let has_index = report.path.join(names::INDEX).exists();
        let problem = report
            .index
            .as_ref()
            .and_then(|index| index.problem.clone());
        if report.index_ok == Some(false) {
            let why = problem.unwrap_or_else(|| "it does not agree with the log".to_owned());
            steps.push(RepairStep::new(
                RepairAction::RebuildIndex,
                names::INDEX,
                why,
            ));
        } else if has_index && steps.iter().any(is_changed) {
            let why = "it was made from the log as it was before";
            steps.push(RepairStep::new(
                RepairAction::RebuildIndex,
                names::INDEX,
                why,
            ));
        } else if !steps.is_empty() || report.verdict == Verdict::Torn || is_open_end {
            let mut why =
                "what a crash has left is set aside, and the log is closed in order".to_owned();
            if is_open_end && !steps.iter().any(is_changed) {
                why += "; then its last segments are written anew, where they are damaged, with every event";
            }
            steps.push(RepairStep::new(RepairAction::Recover, names::LOG, why));
        }
    }
}

fn segment_step(slot: &Slot, anew: &Anew) -> RepairStep {
    let header = &anew.outline.header;
    let name = names::segment(header.segment_id, header.generation);
    let action = if slot.is_there() {
        RepairAction::Rewrite
    } else {
        RepairAction::Replace
    };
    let why = match slot.damage.first() {
        Some(damage) => damage.reason.clone(),
        None if slot.is_there() && slot.footer().is_none() => {
            "it was not sealed yet, and others are to stand behind it".to_owned()
        }
        None if slot.is_there() => "it has to fit the segment before".to_owned(),
        None => "the segment is missing".to_owned(),
    };
    let mut step = RepairStep::new(action, format!("{}/{name}", names::LOG), why);
    step.segment = Some(slot.id);
    step.kept = anew.left.count;
    // What was declared by an earlier repair is not lost once more.
    step.lost = anew.left.lost.saturating_sub(slot.report.lost);
    let known = &slot.report.lost_seqs;
    let lost = anew.left.lost_seqs.iter();
    step.lost_seqs = lost.filter(|gap| !known.contains(gap)).copied().collect();
    step
}

/// Opens a whole directory.
fn open(path: &Path) -> Result<Inspector> {
    let inspector = Inspector::open(path)?;
    if !inspector.is_directory() {
        let message = "name the whole directory, not a file or folder in it; to read just that, use \
                       forelog-recovery salvage --into";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(path));
    }
    Ok(inspector)
}

/// How the log of a directory is to stand.
pub(super) fn lay(inspector: &Inspector, path: &Path, watch: &mut Watch<'_>) -> Result<Laid> {
    let slots = watched("reading", watch, |progress| inspector.slots(progress))?;
    if let Some(folder) = slots.folder.clone() {
        return Laid::out(slots, &folder, Which::Damaged);
    }
    let nothing = FileStorage::open(path, Sys::native())?;
    Laid::out(slots, &nothing, Which::Damaged)
}

/// Why opening would refuse a directory; `None` if it would not. Nothing is written.
fn refusal(path: &Path) -> Result<Option<Error>> {
    if let Some(error) = lock::unlockable(path) {
        return Ok(Some(error));
    }
    let folder = |name| match FileStorage::open(&path.join(name), Sys::native()) {
        Ok(folder) => Ok(Some(Arc::new(folder))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let log = folder(names::LOG)?;
    let main = log.clone().map(Lenient::over);
    let main = main.as_ref().map(|log| log as &dyn Storage);
    let Known {
        witness, removed, ..
    } = match folder(names::CONTROL)? {
        Some(control) => Control::known(&Lenient::over(control), main)?,
        None => Known::default(),
    };
    let Some(log) = log else {
        let message = format!("no log is there, but events up to {witness} were durable");
        let missing = (witness > Seq::ZERO).then(|| Error::new(ErrorKind::MissingSegment, message));
        return Ok(missing);
    };
    let removed = removed.map(|removed| removed.upto_segment);
    match Log::examine(log.as_ref(), witness, removed) {
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::UnsupportedVersion => Err(error),
        Err(error) if is_of_bytes(error.kind()) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// Whether an error of opening is one of the bytes, or of a disk that cannot give them.
fn is_of_bytes(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Corrupt
            | ErrorKind::MissingSegment
            | ErrorKind::Truncated
            | ErrorKind::ForeignSegment
            | ErrorKind::Io
    )
}

/// Does something that tells how far it is, and stops as soon as whoever watches wants it to.
pub(super) fn watched<T>(
    what: &str,
    watch: &mut Watch<'_>,
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<T>,
) -> Result<T> {
    let mut stopped = None;
    let done = work(&mut |progress: Progress| {
        if stopped.is_none() {
            let told = RepairProgress {
                what: what.to_owned(),
                done: progress.done,
                total: progress.total,
            };
            stopped = watch(&told).err();
        }
    });
    match stopped {
        Some(error) => Err(error),
        None => done,
    }
}

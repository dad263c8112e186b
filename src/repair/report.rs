//! What a repair or a salvage says: plans and reports, all serializable.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::inspect::{Verdict, VerifyReport};
use crate::log::remains::LOST_MAX;
use crate::position::{Gap, SegmentId, Seq};

/// The version of the plans and reports. Fields may be added within a version, never changed.
pub const REPAIR_VERSION: u32 = 1;

/// What a step of a repair does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepairAction {
    /// Takes a file that is no part of the log out of its folder.
    SetAside,
    /// Writes a damaged segment anew with every event that can be read, and declares the others as lost.
    Rewrite,
    /// Puts an empty segment in the place of one of which nothing is left, and declares its Seqs as lost.
    Replace,
    /// Begins a segment that the log goes on in, above every Seq that may have been handed out.
    GoOn,
    /// Begins the internal log of cursors and settings anew from what is readable of it.
    SalvageControl,
    /// Sets a damaged snapshot of a projection aside: an older one counts, or it is made anew.
    SetAsideSnapshot,
    /// Recovers the directory as opening it does, and closes it in order.
    Recover,
    /// Sets the lookup index aside and builds another from the log. Where events are encrypted, the next
    /// opening with the key builds it.
    RebuildIndex,
}

impl fmt::Display for RepairAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RepairAction::SetAside => "set aside",
            RepairAction::Rewrite => "rewrite",
            RepairAction::Replace => "replace",
            RepairAction::GoOn => "go on",
            RepairAction::SalvageControl => "salvage control",
            RepairAction::SetAsideSnapshot => "set aside snapshot",
            RepairAction::Recover => "recover",
            RepairAction::RebuildIndex => "rebuild index",
        })
    }
}

/// One step of a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RepairStep {
    /// What it does.
    pub action: RepairAction,
    /// The file or folder that it concerns, within the directory.
    pub file: String,
    /// The segment of the main log that it concerns.
    pub segment: Option<SegmentId>,
    /// What is wrong.
    pub why: String,
    /// How many events of the segment are kept.
    pub kept: u64,
    /// How many Seqs it declares as lost that were not before.
    pub lost: u64,
    /// These Seqs; the first [`LOST_MAX`](Self::LOST_MAX) ranges.
    pub lost_seqs: Vec<Gap>,
}

impl RepairStep {
    /// How many ranges of lost Seqs a step lists.
    pub const LOST_MAX: usize = LOST_MAX;

    pub(super) fn new(
        action: RepairAction,
        file: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        RepairStep {
            action,
            file: file.into(),
            segment: None,
            why: why.into(),
            kept: 0,
            lost: 0,
            lost_seqs: Vec::new(),
        }
    }
}

/// What a repair would do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RepairPlan {
    /// The version of this plan: [`REPAIR_VERSION`].
    pub v: u32,
    /// The directory.
    pub path: PathBuf,
    /// What it amounts to now.
    pub verdict: Verdict,
    /// Why opening refuses it, if it does.
    pub refused: Option<String>,
    /// How many events are there and can be read: all of them are kept.
    pub events: u64,
    /// How many Seqs would be declared as lost that are not yet.
    pub lost: u64,
    /// What would be done, in order; empty if nothing is wrong.
    pub steps: Vec<RepairStep>,
    /// Who has the directory open, such as `process 4711`: it has to be closed first.
    pub in_use_by: Option<String>,
    /// What verifying it has found; no part of what is serialized.
    #[serde(skip)]
    pub report: VerifyReport,
}

/// What a repair did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// The version of this report: [`REPAIR_VERSION`].
    pub v: u32,
    /// The directory.
    pub path: PathBuf,
    /// What it amounts to now.
    pub verdict: Verdict,
    /// What was done, in order.
    pub steps: Vec<RepairStep>,
    /// Where the files are that were replaced, if any were.
    pub aside: Option<PathBuf>,
    /// How many events can be read now.
    pub events: u64,
    /// How many Seqs were declared as lost.
    pub lost: u64,
    /// What is still wrong.
    pub remains: Vec<String>,
}

/// What a salvage brought into a new directory.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The version of this report: [`REPAIR_VERSION`].
    pub v: u32,
    /// What was read.
    pub path: PathBuf,
    /// The new directory.
    pub into: PathBuf,
    /// How many events were brought over, each with its own Seq.
    pub events: u64,
    /// How many segments they stand in.
    pub segments: u64,
    /// How many bytes these files have.
    pub bytes: u64,
    /// The first and the last Seq of them; 0 if there is none.
    pub first: Seq,
    /// See `first`.
    pub last: Seq,
    /// How many Seqs hold no event because it is lost.
    pub lost: u64,
    /// These Seqs; the first [`LOST_MAX`](RepairStep::LOST_MAX) ranges.
    pub lost_seqs: Vec<Gap>,
    /// What was left behind, such as damaged snapshots, and why.
    pub left: Vec<String>,
}

/// How far a repair or a salvage is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairProgress {
    /// What is being done.
    pub what: String,
    /// How much of it is done, in bytes.
    pub done: u64,
    /// How much there is, in bytes; 0 where that is not known.
    pub total: u64,
}

//! `doctor`: everything that is wrong, where it is, and the command to type next.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use forelog::inspect::{Damage, Inspector, SnapshotState, Verdict, VerifyReport};
use forelog::{SegmentId, Seq};
use forelog_dump::{Exit, Fault, Output};
use serde::Serialize;

use crate::options::DoctorArgs;
use crate::progress;
use crate::replay::directory_of;
use crate::shown::{json as as_json, line, path as shown, typed};

/// The version of the JSON report.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Report {
    v: u32,
    path: PathBuf,
    verdict: Verdict,
    events: u64,
    /// How many events a repair would declare as lost.
    loses: u64,
    findings: Vec<Finding>,
    /// The command to type next; none if nothing has to be done.
    next: Option<String>,
}

/// One thing that is wrong, or that is worth knowing.
#[derive(Debug, Serialize)]
struct Finding {
    /// What it concerns: `log`, `control`, `index`, `snapshot`, `schedule`, `writer`, `handler`.
    what: &'static str,
    segment: Option<SegmentId>,
    seq: Option<Seq>,
    offset: Option<u64>,
    file: Option<String>,
    says: String,
    /// Whether it has to be mended.
    is_wrong: bool,
}

pub(crate) fn doctor(args: &DoctorArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let inspector = Inspector::open(&args.path)?;
    let bar = progress::bytes("examining");
    let planned = inspector
        .is_directory()
        .then(|| forelog::repair::plan(&args.path, &mut progress::watching(&bar)));
    bar.finish_and_clear();
    let planned = planned.transpose()?;
    let verified = match &planned {
        Some(plan) => plan.report.clone(),
        None => inspector.verify(&mut |_| {})?,
    };
    let mut report = Report {
        v: VERSION,
        path: args.path.clone(),
        verdict: verified.verdict,
        events: verified.log.count,
        loses: planned.as_ref().map_or(0, |plan| plan.lost),
        findings: findings(&verified),
        next: None,
    };
    for snapshot in inspector.snapshots()? {
        if matches!(
            snapshot.state,
            SnapshotState::Damaged | SnapshotState::Unreadable | SnapshotState::Foreign
        ) {
            let says = format!("the snapshot is {}", snapshot.state);
            let is_wrong = snapshot.state != SnapshotState::Foreign;
            report.find(Finding::new("snapshot", says, is_wrong).in_file(&snapshot.file));
        }
    }
    if inspector.is_encrypted()? {
        let says = "the events are encrypted: what reads them needs --key-file, verify compares the index with \
                    it only, and what mends the directory needs no key";
        report.find(Finding::new("log", says, false));
    }
    let is_without_control = verified
        .control
        .as_ref()
        .is_none_or(|log| log.segments == 0);
    if is_without_control && inspector.is_directory() && report.events > 0 {
        let says = "there is none, so that every handler begins at its start; if that surprises you, put the \
                    folder back before anything is opened";
        report.find(Finding::new("control", says, false));
    }
    if let Some(plan) = &planned {
        report.verdict = report.verdict.max_with(plan.verdict);
        if let Some(refused) = &plan.refused {
            report.find(Finding::new(
                "log",
                format!("opening refuses it: {refused}"),
                true,
            ));
        }
    }
    let is_planned = planned.is_some_and(|plan| !plan.steps.is_empty());
    report.next = next(&report, &verified, is_planned);
    if json {
        as_json(&report, out)?;
    } else {
        text(&report, out)?;
    }
    Ok(match report.verdict {
        Verdict::Good if report.findings.iter().any(|it| it.is_wrong) => Exit::Damaged,
        verdict => verdict.into(),
    })
}

trait Worse {
    fn max_with(self, other: Verdict) -> Verdict;
}

impl Worse for Verdict {
    fn max_with(self, other: Verdict) -> Verdict {
        if Exit::from(other) > Exit::from(self) {
            other
        } else {
            self
        }
    }
}

impl Report {
    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

impl Finding {
    fn new(what: &'static str, says: impl Into<String>, is_wrong: bool) -> Self {
        Finding {
            what,
            segment: None,
            seq: None,
            offset: None,
            file: None,
            says: says.into(),
            is_wrong,
        }
    }

    fn of(what: &'static str, damage: &Damage) -> Self {
        Finding {
            segment: Some(damage.segment).filter(|&id| id != SegmentId::default()),
            seq: Some(damage.seq).filter(|&seq| seq != Seq::ZERO),
            offset: Some(damage.offset),
            ..Finding::new(what, damage.reason.clone(), true).in_file(&damage.file)
        }
    }

    fn in_file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned()).filter(|file| !file.is_empty());
        self
    }
}

fn findings(report: &VerifyReport) -> Vec<Finding> {
    let mut found: Vec<Finding> = report
        .log
        .damage
        .iter()
        .map(|it| Finding::of("log", it))
        .collect();
    let unlisted = report
        .log
        .damage_count
        .saturating_sub(report.log.damage.len() as u64);
    if unlisted > 0 {
        found.push(Finding::new(
            "log",
            format!("and {unlisted} more damaged places"),
            true,
        ));
    }
    if report.log.torn_bytes > 0 {
        let says = format!(
            "{} bytes of a torn tail, as a crash leaves them; the next opening sets them aside",
            report.log.torn_bytes
        );
        found.push(Finding::new("log", says, false));
    }
    if report.log.lost > 0 {
        let says = format!(
            "{} events were declared as lost by an earlier repair",
            report.log.lost
        );
        found.push(Finding::new("log", says, false));
    }
    let control = report.control.iter().flat_map(|log| &log.damage);
    found.extend(control.map(|damage| Finding::of("control", damage)));
    if report.index_ok == Some(false) {
        let problem = report
            .index
            .as_ref()
            .and_then(|index| index.problem.clone());
        let says = problem.unwrap_or_else(|| "does not agree with the log".to_owned());
        found.push(Finding::new("index", says, true));
    }
    for one in &report.subscriptions {
        let behind = report.log.last.since(one.cursor);
        if behind > 0 || one.parked > 0 {
            let says = format!("{:?} is {behind} behind, {} parked", one.name, one.parked);
            found.push(Finding::new("handler", says, false));
        }
    }
    if let Some(writer) = &report.in_use_by {
        found.push(Finding::new(
            "writer",
            format!("the directory is open in {writer}"),
            false,
        ));
    }
    found
}

/// The command that goes on from here.
fn next(report: &Report, verified: &VerifyReport, is_planned: bool) -> Option<String> {
    let path = typed(&report.path);
    let is_wrong = report.findings.iter().any(|finding| finding.is_wrong);
    let is_index_alone = verified.index_ok == Some(false)
        && report
            .findings
            .iter()
            .filter(|it| it.is_wrong)
            .all(|it| it.what == "index");
    if is_wrong && verified.in_use_by.is_some() {
        return Some(format!(
            "forelog-recovery salvage {path} --into {}",
            beside(&report.path)
        ));
    }
    if is_index_alone {
        return Some(format!("forelog-recovery reindex {path}"));
    }
    if is_planned && is_wrong {
        return Some(format!("forelog-recovery repair {path} --plan"));
    }
    is_wrong.then(|| {
        format!(
            "forelog-recovery salvage {path} --into {}",
            beside(&report.path)
        )
    })
}

/// A place for what is salvaged: beside the whole directory, for what lies in it is refused.
fn beside(path: &Path) -> String {
    let whole = directory_of(path).unwrap_or_else(|_| path.to_path_buf());
    let Some(name) = whole.file_name() else {
        // The root of everything: there is nothing beside it.
        return "NEW-DIRECTORY".to_owned();
    };
    let mut name = name.to_os_string();
    name.push("-salvaged");
    // As the path was typed, where that says the same.
    let is_same =
        path.file_name() == whole.file_name() && path.canonicalize().ok() == Some(whole.clone());
    let beside = if is_same { path } else { &whole };
    typed(&beside.with_file_name(name))
}

fn text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (path, verdict) = (shown(&report.path), report.verdict);
    writeln!(
        out,
        "{path}: {verdict}, {} events can be read",
        report.events
    )?;
    for finding in &report.findings {
        let parts = [
            finding.segment.map(|segment| format!("segment {segment}")),
            finding.offset.map(|offset| format!("offset {offset}")),
            finding.seq.map(|seq| format!("Seq {seq}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let place = parts.join(" ");
        let colon = if place.is_empty() { "" } else { ": " };
        let file = finding.file.as_ref().map(|file| format!(" ({file})"));
        let says = format!("{place}{colon}{}{}", finding.says, file.unwrap_or_default());
        line(out, finding.what, &says)?;
    }
    if report.loses > 0 {
        line(
            out,
            "repair",
            &format!("would declare {} events as lost", report.loses),
        )?;
    }
    match &report.next {
        Some(next) => line(out, "next", next),
        None => line(out, "next", "nothing has to be done"),
    }
}

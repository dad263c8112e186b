//! `torture check`: a directory as a crash left it, held against what was acknowledged.

use std::path::Path;

use forelog::inspect::{Selector, Verdict};
use forelog::{Error, ErrorKind, EventSystem, Gap, Result, Seq};
use forelog_dump::{Exit, Fault, Output, Told};
use serde::Serialize;

use super::acks::Acks;
use super::args::{CheckArgs, Promise};
use super::findings::{Broken, Finding};
use super::judge::{Judge, Tally};
use super::open;
use super::printed::Printed;
use super::table::text;

/// The version of the JSON report.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    pub(super) v: u32,
    pub(super) path: &'a Path,
    /// Whether every promise was kept.
    pub(crate) kept: bool,
    /// Whether a log is there, or what a crash leaves of one.
    pub(super) is_there: bool,
    pub(super) seeds: &'a [u64],
    pub(super) durability: &'static str,
    pub(super) acks: u64,
    /// Lines that are no acknowledgement: torn where a run ended.
    pub(super) acks_torn: u64,
    #[serde(flatten)]
    pub(crate) tally: Tally,
    /// What opening did; none with `--no-open`, or where it was refused.
    pub(super) recovery: Option<Recovered>,
    pub(super) gaps: Vec<Gap>,
    pub(super) consumed: Option<Consumed>,
    pub(crate) broken: Vec<Finding>,
}

#[derive(Debug, Serialize)]
pub(super) struct Recovered {
    pub(super) clean: bool,
    pub(super) rewritten: u64,
    pub(super) torn_bytes: u64,
    pub(super) gap: Option<Gap>,
}

#[derive(Debug, Serialize)]
pub(super) struct Consumed {
    pub(super) name: String,
    pub(super) printed: u64,
    /// Lines that do not count: torn where a run ended.
    pub(super) torn: u64,
    /// Up to where the directory knows the subscription to be.
    pub(super) position: Seq,
}

pub(crate) fn check(
    args: &CheckArgs,
    json: bool,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> std::result::Result<Exit, Fault> {
    let report = examine(args, told)?;
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        text(&report, out)?;
    }
    Ok(if report.kept {
        Exit::Good
    } else {
        Exit::Damaged
    })
}

/// Judges a directory.
///
/// # Errors
/// Of the machine; what is wrong with the directory is part of the report.
pub(crate) fn examine<'a>(args: &'a CheckArgs, told: &mut Told<'_>) -> Result<Report<'a>> {
    let mut acks = Acks::default();
    for path in &args.acks {
        acks.read(path)?;
    }
    let mut printed = Printed::default();
    for path in &args.consumed {
        printed.read(path)?;
    }
    let (lines, torn) = (acks.lines, acks.torn);
    let mut judge = Judge::new(&args.seeds, acks);
    let absent = open::absent(&args.dir)?;
    if let Some(why) = &absent {
        told.note(&format!(
            "{why}: it is judged as a directory without events; is the disk mounted?"
        ));
    }
    let is_there = absent.is_none();
    let recovery = if args.no_open || !is_there {
        None
    } else {
        recover(args, &mut judge, told)?
    };
    let (mut gaps, mut own) = (Vec::new(), None);
    if is_there {
        if recovery.is_none() {
            read(args, &mut judge)?;
        }
        (gaps, own) = inspect(args, &mut judge, recovery.as_ref())?;
    }
    let consumed = (!args.consumed.is_empty()).then(|| {
        // Of which nothing is known any more begins anew: it stands before the first event.
        let (name, position) = own.unwrap_or_default();
        printed.judge(position, &mut judge.findings);
        Consumed {
            name: args.name.clone().unwrap_or(name),
            printed: printed.count(),
            torn: printed.torn,
            position,
        }
    });
    let may_lose = args.durability == Promise::Os && !args.process_crash;
    judge.finish(&gaps, may_lose);
    Ok(Report {
        v: VERSION,
        path: &args.dir,
        kept: judge.findings.is_empty(),
        is_there,
        seeds: &args.seeds,
        durability: match args.durability {
            Promise::Sync => "sync",
            Promise::Interval => "interval",
            Promise::Os => "os",
        },
        acks: lines.saturating_sub(torn),
        acks_torn: torn,
        tally: judge.tally.clone(),
        recovery,
        gaps,
        consumed,
        broken: judge.findings.list(),
    })
}

/// Opens the directory as a program would that starts again, and judges what it shows. `None` if that is
/// refused though a crash is all that has happened, which breaks a promise.
fn recover(args: &CheckArgs, judge: &mut Judge, told: &mut Told<'_>) -> Result<Option<Recovered>> {
    let segment_len = open::segment_len(&args.dir, None);
    let system = match open::system(&args.dir, segment_len, false, &args.key, told) {
        Ok(system) => system,
        Err(error) if is_verdict(&error) => {
            judge
                .findings
                .add(Broken::Refused, error.seq(), &error.to_string());
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let shown = show(&system, judge);
    let recovery = system.recovery();
    let recovered = Recovered {
        clean: recovery.clean,
        rewritten: recovery.rewritten,
        torn_bytes: recovery.torn_bytes,
        gap: recovery.gap,
    };
    let closed = system.close();
    shown?;
    closed?;
    Ok(Some(recovered))
}

fn show(system: &EventSystem, judge: &mut Judge) -> Result<()> {
    let replayed = system.replay().run(|event| {
        let _digest = judge.take(event);
        Ok(())
    });
    match replayed {
        Err(error) if is_verdict(&error) => {
            judge
                .findings
                .add(Broken::Refused, error.seq(), &error.to_string());
            Ok(())
        }
        done => done.map(drop),
    }
}

/// Whether an error speaks of the bytes that a crash left, and not of the machine or of a right.
fn is_verdict(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::NoSpace
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnly
            | ErrorKind::Locked
            | ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::Key
            | ErrorKind::ForeignDirectory
    )
}

/// Judges what can be read without opening.
fn read(args: &CheckArgs, judge: &mut Judge) -> Result<()> {
    for record in args.key.inspector(&args.dir)?.records(Selector::all())? {
        match record {
            Ok(record) => drop(judge.take(&record.view()?)),
            Err(error) if is_verdict(&error) => {
                judge
                    .findings
                    .add(Broken::Refused, error.seq(), &error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The gaps that are declared; and the subscription whose lines were given, with where it stands, if the
/// directory knows it.
type Inspected = (Vec<Gap>, Option<(String, Seq)>);

/// Verifies every byte.
fn inspect(args: &CheckArgs, judge: &mut Judge, recovery: Option<&Recovered>) -> Result<Inspected> {
    let report = args.key.inspector(&args.dir)?.verify(&mut |_| {})?;
    if report.verdict == Verdict::Damaged {
        let first = report.damage().next();
        let detail = first.map_or_else(
            || "the index does not agree with the log".to_owned(),
            ToString::to_string,
        );
        judge.findings.add(Broken::Refused, None, &detail);
    }
    let mut gaps = report.log.gaps.clone();
    let opened = recovery.and_then(|recovery| recovery.gap);
    gaps.extend(opened.filter(|gap| !report.log.gaps.contains(gap)));
    let names = report.subscriptions.into_iter();
    let mut fitting = names.filter(|one| args.name.as_ref().is_none_or(|name| *name == one.name));
    let own = fitting.next().map(|own| (own.name, own.cursor));
    if !args.consumed.is_empty() && fitting.next().is_some() {
        let message = "the directory has several subscriptions: say which by --name";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(&args.dir));
    }
    Ok((gaps, own))
}

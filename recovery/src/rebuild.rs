//! `rebuild`: the snapshots of projections, set aside so that their states are made anew.

use std::path::Path;

use forelog::inspect::{Inspector, SnapshotReport, SnapshotState};
use forelog::{Error, ErrorKind};
use forelog_dump::{Exit, Fault, Output};
use serde::Serialize;

use crate::options::RebuildArgs;
use crate::shown::{json as as_json, line, lines, path as shown};

/// The version of the JSON report.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Report<'a> {
    v: u32,
    path: &'a Path,
    /// Those that were set aside, or would be.
    snapshots: &'a [SnapshotReport],
    /// How many were set aside before.
    aside: u64,
    applied: bool,
}

pub(crate) fn rebuild(args: &RebuildArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let wanted = args.projection.as_deref();
    let mut all = Inspector::open(&args.path)?.snapshots()?;
    all.retain(|one| wanted.is_none_or(|name| one.projection == name));
    let (aside, mut snapshots): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|one| one.state == SnapshotState::Aside);
    if args.apply {
        snapshots = forelog::repair::set_aside_snapshots(&args.path, wanted)?;
    }
    if let Some(name) = wanted.filter(|_| snapshots.is_empty() && aside.is_empty()) {
        let message = format!("there is no snapshot of a projection {name:?}");
        let absent = Error::new(ErrorKind::NotFound, message).at_path(&args.path);
        return Err(Fault::Absent(absent));
    }
    let report = Report {
        v: VERSION,
        path: &args.path,
        snapshots: &snapshots,
        aside: aside.len() as u64,
        applied: args.apply,
    };
    let exit = exit_of(&report);
    if json {
        as_json(&report, out)?;
        return Ok(exit);
    }
    let path = shown(&args.path);
    match (snapshots.len(), args.apply) {
        (0, _) if !aside.is_empty() => {
            writeln!(
                out,
                "{path}: {} snapshots were set aside before",
                aside.len()
            )?;
        }
        (0, _) => writeln!(out, "{path}: no snapshot is there")?,
        (count, true) => writeln!(
            out,
            "{path}: {count} snapshots set aside; the programs make their states anew from the log"
        )?,
        (count, false) => writeln!(out, "{path}: {count} snapshots")?,
    }
    let states = snapshots.iter().map(|one| {
        let (version, seq, bytes) = (one.version, one.position, one.bytes);
        let state = format!(
            "version {version} at Seq {seq}, {bytes} bytes, {}",
            one.state
        );
        (one.projection.as_str(), state)
    });
    lines(out, &states.collect::<Vec<_>>())?;
    if !args.apply && !snapshots.is_empty() {
        line(out, "next", "the same command with --apply sets them aside")?;
    }
    Ok(exit)
}

/// Damage is one for as long as it is there: what has been set aside is done.
fn exit_of(report: &Report<'_>) -> Exit {
    let is_damaged = !report.applied
        && report.snapshots.iter().any(|one| {
            matches!(
                one.state,
                SnapshotState::Damaged | SnapshotState::Unreadable
            )
        });
    if is_damaged {
        Exit::Damaged
    } else {
        Exit::Good
    }
}

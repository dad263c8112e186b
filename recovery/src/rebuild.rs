//! `rebuild`: the snapshots of projections, set aside so that their states are made anew.

use std::path::Path;

use forelog::inspect::{Inspector, SnapshotReport, SnapshotState};
use forelog::{Error, ErrorKind};
use forelog_dump::{Exit, Fault, Output};
use serde::Serialize;

use crate::options::RebuildArgs;
use crate::shown::{json as as_json, line};

/// The version of the JSON report.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Report<'a> {
    v: u32,
    path: &'a Path,
    /// Those that were set aside, or would be.
    snapshots: &'a [SnapshotReport],
    applied: bool,
}

pub(crate) fn rebuild(args: &RebuildArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let wanted = args.projection.as_deref();
    let snapshots = if args.apply {
        forelog::repair::set_aside_snapshots(&args.path, wanted)?
    } else {
        let mut all = Inspector::open(&args.path)?.snapshots()?;
        all.retain(|one| {
            one.state != SnapshotState::Aside && wanted.is_none_or(|name| one.projection == name)
        });
        all
    };
    if let Some(name) = wanted.filter(|_| snapshots.is_empty()) {
        let message = format!("there is no snapshot of a projection {name:?}");
        let absent = Error::new(ErrorKind::NotFound, message).at_path(&args.path);
        return Err(Fault::Absent(absent));
    }
    let report = Report {
        v: VERSION,
        path: &args.path,
        snapshots: &snapshots,
        applied: args.apply,
    };
    if json {
        as_json(&report, out)?;
        return Ok(exit_of(&snapshots));
    }
    let path = args.path.display();
    match (snapshots.len(), args.apply) {
        (0, _) => writeln!(out, "{path}: no snapshot is there")?,
        (count, true) => writeln!(
            out,
            "{path}: {count} snapshots set aside; the programs make their states anew from the log"
        )?,
        (count, false) => writeln!(out, "{path}: {count} snapshots")?,
    }
    for one in &snapshots {
        let state = format!(
            "version {} at Seq {}, {} bytes, {}",
            one.version, one.position, one.bytes, one.state
        );
        line(out, &one.projection, &state)?;
    }
    if !args.apply && !snapshots.is_empty() {
        line(out, "next", "the same command with --apply sets them aside")?;
    }
    Ok(exit_of(&snapshots))
}

fn exit_of(snapshots: &[SnapshotReport]) -> Exit {
    let is_damaged = snapshots
        .iter()
        .any(|one| one.state == SnapshotState::Damaged);
    if is_damaged {
        Exit::Damaged
    } else {
        Exit::Good
    }
}

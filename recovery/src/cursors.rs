//! `cursors`: how far named subscriptions have come, and how one is sent elsewhere.

use std::io::{self, Write};
use std::path::Path;

use forelog::inspect::{Damage, Inspector, SubscriptionReport, VerifyReport};
use forelog::{Error, ErrorKind, Seq};
use forelog_dump::{Exit, Fault, Output, clean};
use serde::Serialize;

use crate::options::{CursorPlace, CursorsArgs, CursorsCommand};
use crate::shown::{json as as_json, line, lines, path as shown, typed};

/// The version of the JSON reports.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct List<'a> {
    v: u32,
    path: &'a Path,
    /// The first and the last Seq of the log.
    first: Seq,
    last: Seq,
    subscriptions: &'a [SubscriptionReport],
    /// What is damaged of the control log, which holds the cursors: of the subscriptions some may be missing,
    /// or stand too far back.
    damage: &'a [Damage],
}

#[derive(Debug, Serialize)]
struct Move<'a> {
    v: u32,
    path: &'a Path,
    name: &'a str,
    from: Seq,
    to: Seq,
    /// How many Seqs are delivered once more, and how many are not delivered any more.
    again: u64,
    skipped: u64,
    applied: bool,
}

pub(crate) fn cursors(args: &CursorsArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let (path, name, place, apply) = match &args.command {
        CursorsCommand::List { path } => return list(path, json, out),
        CursorsCommand::Set(set) => (&set.path, &set.name, set.seq, set.apply),
        CursorsCommand::Reset(set) => (&set.path, &set.name, CursorPlace::Seq(0), set.apply),
    };
    let report = look(path)?;
    if let Some(damage) = damage(&report).first() {
        return Err(untrusted(path, damage).into());
    }
    let Some(one) = report.subscriptions.iter().find(|one| one.name == *name) else {
        let known = report.subscriptions.iter().map(|one| one.name.as_str());
        let known = known.collect::<Vec<_>>().join(", ");
        let known = Some(known).filter(|known| !known.is_empty());
        let known = known.as_deref().unwrap_or("none");
        let message = format!("there is no subscription {name:?}; there are: {known}");
        let absent = Error::new(ErrorKind::NotFound, message).at_path(path);
        return Err(Fault::Absent(absent));
    };
    let to = match place {
        CursorPlace::Seq(seq) => Seq(seq),
        CursorPlace::End => report.log.last,
    };
    if to > report.log.last {
        let message = format!(
            "the log ends at Seq {}; name that or one before it",
            report.log.last
        );
        return Err(Error::new(ErrorKind::Invalid, message).at_path(path).into());
    }
    let planned = Move {
        v: VERSION,
        path,
        name,
        from: one.cursor,
        to,
        // A cursor may stand beyond the end: by a seek, or in a log that was restored from an older copy.
        again: one.cursor.min(report.log.last).since(to),
        skipped: to.since(one.cursor),
        applied: apply,
    };
    if apply {
        forelog::repair::move_cursor(path, name, to)?;
    }
    if json {
        as_json(&planned, out)?;
    } else {
        text(&planned, out)?;
    }
    Ok(Exit::Good)
}

/// The subscriptions of a directory, and where its log ends.
fn look(path: &Path) -> Result<VerifyReport, Fault> {
    Ok(Inspector::open(path)?.verify_fast()?)
}

fn list(path: &Path, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let report = look(path)?;
    let list = List {
        v: VERSION,
        path,
        first: report.log.first,
        last: report.log.last,
        subscriptions: &report.subscriptions,
        damage: damage(&report),
    };
    let exit = if list.damage.is_empty() {
        Exit::Good
    } else {
        Exit::Damaged
    };
    if json {
        as_json(&list, out)?;
        return Ok(exit);
    }
    writeln!(out, "{}: the log ends at Seq {}", shown(path), list.last)?;
    let place = |one: &SubscriptionReport| {
        let (at, parked) = (one.cursor, one.parked);
        let behind = list.last.since(at);
        format!("at Seq {at}, {behind} behind, {parked} parked")
    };
    let places = list
        .subscriptions
        .iter()
        .map(|one| (one.name.as_str(), place(one)));
    lines(out, &places.collect::<Vec<_>>())?;
    if list.subscriptions.is_empty() {
        writeln!(out, "  no named subscription is known")?;
    }
    for damage in list.damage {
        line(out, "damage", &format!("control log, {damage}"))?;
    }
    if !list.damage.is_empty() {
        let says = "of the subscriptions some may be missing, or stand too far back";
        line(out, "so", says)?;
        line(
            out,
            "next",
            &format!("forelog-recovery repair {} --plan", typed(path)),
        )?;
    }
    Ok(exit)
}

/// What is damaged of the control log.
fn damage(report: &VerifyReport) -> &[Damage] {
    report.control.as_ref().map_or(&[], |log| &log.damage)
}

fn untrusted(path: &Path, damage: &Damage) -> Error {
    let message = format!(
        "the control log, which holds the cursors, is damaged ({damage}), so that this one may be missing or \
         stand elsewhere; run forelog-recovery repair {} --plan first",
        typed(path)
    );
    Error::new(ErrorKind::Corrupt, message).at_path(path)
}

fn text(planned: &Move<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (name, from, to) = (clean(planned.name), planned.from, planned.to);
    if from == to {
        return writeln!(out, "{name}: stands at Seq {to} already");
    }
    let verb = if planned.applied { "went" } else { "would go" };
    writeln!(out, "{name}: {verb} from Seq {from} to Seq {to}")?;
    if planned.again > 0 {
        let last = Seq(to.0.saturating_add(planned.again));
        let again = format!("Seqs {} to {last} are delivered again", to.next());
        line(out, "again", &again)?;
    }
    if planned.skipped > 0 {
        let skipped = format!("Seqs {} to {to} are not delivered", from.next());
        line(out, "skipped", &skipped)?;
    }
    if !planned.applied {
        line(out, "next", "the same command with --apply")?;
    }
    Ok(())
}

//! `replay`: the events as JSON lines, or emitted into another directory.

use std::path::{self, Path, PathBuf};

use forelog::inspect::{Inspector, Records, Selector};
use forelog::{Durability, EncryptionKey, Error, ErrorKind, EventSystem, Seq};
use forelog_dump::{Exit, Fault, Output, Told};
use serde::Serialize;

use crate::args::ReplayArgs;
use crate::exec::{self, Pace};
use crate::progress;
use crate::shown::path as shown;

/// The version of the JSON report.
const VERSION: u32 = 1;

pub(crate) fn replay(
    args: &ReplayArgs,
    json: bool,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let inspector = args.key.inspector(&args.path)?;
    if let Some(into) = &args.into {
        check_apart(&args.path, into)?;
        return replay_into(&inspector, args, into, json, out, told);
    }
    let mut records = inspector.records(args.selector.selector()?)?;
    let mut pace = Pace::new(args.rate);
    for record in &mut records {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                told.damage(&error);
                continue;
            }
        };
        pace.wait();
        let Some(command) = &args.exec else {
            serde_json::to_writer(&mut *out, &record)?;
            writeln!(out)?;
            if args.rate.is_some() {
                out.flush()?;
            }
            continue;
        };
        match exec::run(command, &record) {
            Err(error) if args.keep_going => told.damage(&error),
            done => done?,
        }
    }
    Ok(end_of(&inspector, &records))
}

fn end_of(inspector: &Inspector, records: &Records) -> Exit {
    // Beside a writer what stands behind the last event is one on its way.
    if records.torn_bytes() > 0 && inspector.writer().is_none() {
        Exit::Torn
    } else {
        Exit::Good
    }
}

/// What was replayed into another directory.
#[derive(Debug, Serialize)]
struct Report<'a> {
    v: u32,
    into: &'a Path,
    replayed: u64,
    /// Events that can be read and not be emitted again, such as ones whose data is no valid value.
    skipped: u64,
    /// The Seqs, here and there, of the last event that was replayed.
    last_from: Seq,
    last_into: Seq,
}

fn replay_into(
    inspector: &Inspector,
    args: &ReplayArgs,
    into: &Path,
    json: bool,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let mut report = Report {
        v: VERSION,
        into,
        replayed: 0,
        skipped: 0,
        last_from: Seq::ZERO,
        last_into: Seq::ZERO,
    };
    let mut records = inspector.records(args.selector.selector()?)?;
    let system = open_target(into, args.into_key_file.as_deref())?;
    let bar = progress::events("replaying");
    let mut pace = Pace::new(args.rate);
    let step = &mut || {
        pace.wait();
        bar.inc(1);
    };
    let replayed = copy(&mut records, &system, &mut report, told, step);
    bar.finish_and_clear();
    // What was replayed is made durable also where the rest could not be.
    let closed = system.flush().and_then(|()| system.close());
    replayed
        .and(closed)
        .map_err(|error| stopped(error, &report))?;
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        let (count, into) = (report.replayed, shown(into));
        writeln!(
            out,
            "{into}: {count} events replayed, {} skipped",
            report.skipped
        )?;
    }
    Ok(end_of(inspector, &records))
}

fn copy(
    records: &mut Records,
    system: &EventSystem,
    report: &mut Report<'_>,
    told: &mut Told<'_>,
    step: &mut dyn FnMut(),
) -> forelog::Result<()> {
    for record in records {
        let event = record.and_then(|record| Ok((record.seq(), record.to_event()?)));
        match event {
            Ok((seq, event)) => {
                step();
                report.last_into = system.emit(event)?.seq;
                report.last_from = seq;
                report.replayed = report.replayed.saturating_add(1);
            }
            Err(error) => {
                if error.kind() == ErrorKind::Decode {
                    report.skipped = report.skipped.saturating_add(1);
                }
                told.damage(&error);
            }
        }
    }
    Ok(())
}

/// Refuses a target inside of what is read, which is never written to; and one that is no folder.
fn check_apart(source: &Path, into: &Path) -> forelog::Result<()> {
    if into.is_file() {
        let message = "the path is no folder; name a new or an empty one";
        return Err(Error::new(ErrorKind::NotRegular, message).at_path(into));
    }
    let read = directory_of(source)?;
    let target = path::absolute(into).map_err(|e| Error::io("look at", into, e))?;
    let standing = target.ancestors().find(|path| path.exists());
    let standing = standing.unwrap_or(&target);
    if real(standing)?.starts_with(read) {
        let message = "the target is the directory that is read, or lies in it; name another place";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(into));
    }
    Ok(())
}

/// The directory that a log's folder or a segment file belongs to, as far as its neighbours tell.
pub(crate) fn directory_of(source: &Path) -> forelog::Result<PathBuf> {
    let source = real(source)?;
    let is_whole = |path: &&Path| path.join("log").exists() && path.join("control").exists();
    let whole = source.ancestors().take(3).find(is_whole);
    Ok(whole.unwrap_or(&source).to_path_buf())
}

fn real(path: &Path) -> forelog::Result<PathBuf> {
    path.canonicalize()
        .map_err(|e| Error::io("look at", path, e))
}

/// Opens the directory to replay into, which must not hold events yet: replaying twice would double
/// them. Looked at before it is opened, for opening writes.
fn open_target(into: &Path, key_file: Option<&Path>) -> forelog::Result<EventSystem> {
    let key = key_file.map(EncryptionKey::from_file).transpose()?;
    let holds_events = match Inspector::open(into) {
        Ok(held) => held.records(Selector::all().limit(1))?.next().is_some(),
        // Missing or empty; what else stands here opening refuses.
        Err(_) => false,
    };
    if holds_events {
        let message = "the directory holds events already; name a new or an empty one";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(into));
    }
    let builder = EventSystem::builder()
        .persistence_path(into)
        .durability(Durability::Os);
    match key {
        Some(key) => builder.encryption_key(key),
        None => builder,
    }
    .open()
}

fn stopped(error: Error, report: &Report<'_>) -> Error {
    let message = format!(
        "{}; {} events were replayed before, the last one Seq {}",
        error.message(),
        report.replayed,
        report.last_from
    );
    let mut told = Error::new(error.kind(), message);
    if let Some(path) = error.path() {
        told = told.at_path(path);
    }
    told.caused_by(error)
}

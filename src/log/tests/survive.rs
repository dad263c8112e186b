//! Opens what a crash left and goes on, to see that every promise was kept.

use super::mirror;
use super::promise::{Promise, Sent};
use super::run::{Run, Setup, Step, snapshots};
use crate::durability::Durability;
use crate::log::Log;
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, SimDisk};

/// Opens an image that a crash left, holds it against the promise, goes on, and crashes it again.
/// `later` are the choices of that second crash. Returns how many crash states were opened, or what is
/// wrong.
pub(super) fn survive(
    image: SimDisk,
    setup: Setup,
    promise: &Promise,
    kind: CrashKind,
    later: &[Choice],
) -> Result<u64, String> {
    let origin = image.clone();
    let explain = |wrong: String| format!("{wrong}\nafter {}", origin.describe());
    let (log, found) = open(&image, setup, promise, kind).map_err(&explain)?;
    let mut run = Run::resume(image, setup, log, promise.after(&found));
    for step in [
        Step::Append(2, 30, Durability::Os),
        Step::Append(1, 30, Durability::Sync),
        Step::Append(1, 30, Durability::Os),
    ] {
        run.step(step)
            .map_err(|error| explain(format!("{error:?}")))?;
    }
    let mut states = 1;
    let system = later
        .iter()
        .map(|choice| (CrashKind::System, choice.clone()));
    let process = (CrashKind::Process, Choice::AllKept);
    for (kind, choice) in system.chain([process]) {
        let again = run.disk.crash(kind, choice);
        let explain = |wrong: String| format!("{wrong}\nafter {}", again.describe());
        open(&again, setup, &run.promise, kind).map_err(explain)?;
        states += 1;
    }
    Ok(states)
}

/// Opens a log that a crash left, and holds it and its snapshot against the promise.
pub(super) fn open(
    disk: &SimDisk,
    setup: Setup,
    promise: &Promise,
    kind: CrashKind,
) -> Result<(Log, Vec<Sent>), String> {
    let shown = mirror::shown(disk)?;
    let log = setup.open(disk).map_err(|error| format!("{error:?}"))?;
    let found = promise.check(&log, kind)?;
    // Recovery finds the same prefix; with its first breath retention may remove some of it.
    if !shown.ends_with(&found) || (setup.max_events.is_none() && shown != found) {
        return Err(format!("read-only it has {shown:?}, and opened {found:?}"));
    }
    let last = log.watermark().appended();
    let snapshots = snapshots(disk, &log).map_err(|error| format!("{error:?}"))?;
    let loaded = snapshots.load::<(u64, u64)>("sums", 1, last, last);
    match loaded.map_err(|error| format!("{error:?}"))? {
        None if promise.snapshot > Seq::ZERO => return Err("the snapshot is lost".to_owned()),
        Some((position, _)) if position < promise.snapshot => {
            return Err(format!("the snapshot is that of {position}"));
        }
        Some((position, state)) if state != promise.state_at(position) => {
            return Err(format!("the snapshot at {position} holds {state:?}"));
        }
        Some((position, _)) if !found.iter().any(|sent| sent.seq == position) => {
            let last = found.last().map(|sent| sent.seq);
            if position > Seq::ZERO && last.is_some_and(|last| position > last) {
                return Err(format!("the snapshot at {position} is ahead of the log"));
            }
        }
        _ => {}
    }
    Ok((log, found))
}

/// Crashes the opening of an image at each of its storage operations, and opens what that left: the
/// same events must come back. Returns how many crash states were opened.
pub(super) fn crash_recovery(
    image: &SimDisk,
    setup: Setup,
    promise: &Promise,
    kind: CrashKind,
    seed: u64,
) -> Result<u64, String> {
    let copy = || image.crash(CrashKind::Process, Choice::AllKept);
    let whole = copy();
    let (log, first) = open(&whole, setup, promise, kind)?;
    let after_open = whole.op_count();
    drop(log);
    let shown = promise.after(&first);
    let mut states = 0;
    for nth in 1..=after_open {
        let disk = copy();
        disk.crash_at(nth);
        let opened = setup.open(&disk);
        drop(opened);
        let process = (CrashKind::Process, Choice::AllKept);
        let system = [
            Choice::AllLost,
            Choice::AllKept,
            Choice::Seed(seed),
            Choice::Seed(seed + 1),
        ];
        let crashes = system.map(|choice| (CrashKind::System, choice));
        for (second, choice) in crashes.into_iter().chain([process]) {
            let left = disk.crash(second, choice);
            let explain = |wrong: String| format!("{wrong}\nafter {}", left.describe());
            // What only the page cache had may be lost by a second, harder crash.
            let pending = kind == CrashKind::Process && second == CrashKind::System;
            let promise = if pending { promise } else { &shown };
            let (_, found) = open(&left, setup, promise, second).map_err(explain)?;
            if !pending && found != first {
                return Err(explain(format!("{found:?} came back, and first {first:?}")));
            }
            states += 1;
        }
    }
    Ok(states)
}

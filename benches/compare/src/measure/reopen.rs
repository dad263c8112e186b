//! Opening after a kill: a child process fills a log and kills itself; the parent opens it.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, getpid, kill_process};

use super::{Bench, Sample, folder, load};
use crate::engine::{Engine, Facts, Mode, Offer, Place};
use crate::record::Records;

/// What a child prints where its engine is not offered.
const NOT_OFFERED: &str = "not offered";

/// Milliseconds from the call that opens a killed log to its first record. `count` also checks,
/// outside the clock, that every record came back.
pub fn reopened(facts: &Facts, bench: Bench<'_>, count: bool) -> Offer<Sample> {
    let dir = folder(bench.dir)?;
    let events = bench.settings.events;
    let Some(first) = fill_and_kill(facts, dir.path(), events)? else {
        return Ok(None);
    };
    let started = Instant::now();
    let Some(engine) = (facts.open)(dir.path(), Mode::Buffered)? else {
        return Ok(None);
    };
    let found = first_record(&*engine, first)?;
    let elapsed = started.elapsed();
    engine.close().context("cannot close")?;
    if found == Some(false) {
        bail!("the first record is lost");
    }
    if count {
        let kept = count_records(facts, dir.path())?;
        ensure!(kept == events, "{kept} of {events} records survive a kill");
    }
    Ok(found.map(|_| Sample::of(elapsed.as_secs_f64() * 1e3)))
}

/// The child's part: fills a log, prints where its first record is, and dies without a farewell.
pub fn write_and_die(facts: &Facts, dir: &Path, events: u64) -> anyhow::Result<()> {
    let records = Records::new()?;
    let engine = (facts.open)(dir, Mode::Buffered)?;
    let places = match &engine {
        Some(engine) => load(&**engine, &records, events)?,
        None => None,
    };
    let (Some(engine), Some(places)) = (engine, places) else {
        println!("{NOT_OFFERED}");
        return Ok(());
    };
    let Place(file, at) = *places.first().context("no events")?;
    println!("{file} {at}");
    let server = engine.server().and_then(|id| i32::try_from(id).ok());
    if let Some(server) = server.and_then(Pid::from_raw) {
        kill_process(server, Signal::KILL)?;
    }
    kill_process(getpid(), Signal::KILL)?;
    bail!("outlived its own kill")
}

/// Runs `write_and_die` in a process of its own; where the first record is.
fn fill_and_kill(facts: &Facts, dir: &Path, events: u64) -> Offer<Place> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--write-and-die", facts.name, "--dir"])
        .arg(dir)
        .args(["--events", &events.to_string()])
        .output()?;
    let printed = String::from_utf8(output.stdout)?;
    if printed.trim() == NOT_OFFERED {
        return Ok(None);
    }
    ensure!(
        output.status.signal() == Some(Signal::KILL.as_raw()),
        "the child ended by {} and not by a kill: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let (file, at) = printed.trim().split_once(' ').context("no place")?;
    Ok(Some(Place(file.parse()?, at.parse()?)))
}

/// Reads the first record by its place, or by a replay where the engine has no such read.
fn first_record(engine: &dyn Engine, place: Place) -> Offer<bool> {
    let mut found = false;
    let read = engine.read(place, &mut |record| {
        black_box(record);
        found = true;
    })?;
    if read.is_some() {
        return Ok(Some(found));
    }
    let replayed = engine.replay(&mut |record| {
        black_box(record);
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(replayed.map(|()| found))
}

fn count_records(facts: &Facts, dir: &Path) -> anyhow::Result<u64> {
    let engine = (facts.open)(dir, Mode::Buffered)?.context("was offered before")?;
    let mut count = 0;
    engine.replay(&mut |_| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    engine.close()?;
    Ok(count)
}

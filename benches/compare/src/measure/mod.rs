//! One measurement of one engine: opens it in a folder of its own, runs the workload, closes it.
//! `None` where the engine does not offer the workload.

mod append;
mod durable;
mod loaded;
mod reopen;

use std::path::Path;
use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tempfile::TempDir;

pub use append::buffered;
pub use durable::{Pairs, batches, durable};
pub use loaded::{Loaded, load};
pub use reopen::{reopened, write_and_die};

use crate::engine::{Engine, Facts, Mode, Offer};
use crate::record::Records;

/// One figure of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    pub value: f64,
    /// The latency of a durable append, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
}

impl Sample {
    pub fn of(value: f64) -> Self {
        Sample {
            value,
            p50_us: None,
            p99_us: None,
        }
    }
}

/// How much a measurement does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Settings {
    /// Records of buffered and loading workloads.
    pub events: u64,
    /// Seconds of a durable measurement.
    pub seconds: f64,
    pub runs: usize,
    /// Pairs of durable slices against the best rival.
    pub pairs: usize,
}

impl Settings {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// Opens the engine in a new folder below `base`, hands it to `work`, closes it and removes the folder.
fn with_engine<T>(
    facts: &Facts,
    base: &Path,
    mode: Mode,
    work: impl FnOnce(&dyn Engine) -> Offer<T>,
) -> Offer<T> {
    let dir = folder(base)?;
    let Some(engine) = (facts.open)(dir.path(), mode)? else {
        return Ok(None);
    };
    let done = work(&*engine)?;
    engine.close().context("cannot close")?;
    dir.close().context("cannot remove its folder")?;
    Ok(done)
}

/// A folder for one log, removed with the value. Its name says whose it is, should a run be killed.
fn folder(base: &Path) -> anyhow::Result<TempDir> {
    let made = tempfile::Builder::new()
        .prefix("forelog-compare-")
        .tempdir_in(base);
    made.with_context(|| format!("cannot make a folder in {}", base.display()))
}

/// Runs `work` on so many threads at once, which start together; what each returned, and from when.
fn on_threads<T: Send>(
    threads: usize,
    work: impl Fn(usize) -> Offer<T> + Sync,
) -> Offer<(Vec<T>, Instant)> {
    let start = Barrier::new(threads + 1);
    let (results, started) = std::thread::scope(|scope| {
        let run = |thread| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(thread)
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        start.wait();
        let started = Instant::now();
        let results: Vec<_> = running.into_iter().map(ScopedJoinHandle::join).collect();
        (results, started)
    });
    let mut done = Vec::with_capacity(threads);
    for result in results {
        let Ok(result) = result else {
            anyhow::bail!("a thread panicked");
        };
        match result? {
            Some(value) => done.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some((done, started)))
}

/// Events a second.
fn rate(events: u64, elapsed: Duration) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is shown with a few digits"
    )]
    let events = events as f64;
    events / elapsed.as_secs_f64()
}

/// Where in the pool a thread starts, so that threads do not append the same record at once.
fn first_record(thread: usize) -> u64 {
    thread as u64 * 61
}

/// The records that everything is measured with.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    pub records: &'a Records,
    pub settings: &'a Settings,
    /// Where folders are made.
    pub dir: &'a Path,
}

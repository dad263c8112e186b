//! A log with all its records: its size on disk, replays and random reads.

use std::fs;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use super::{Bench, Sample, folder, rate};
use crate::engine::{Engine, Facts, Mode, Offer, Place};
use crate::record::{Random, Records};

/// How many records a load hands over at once.
const BATCH: usize = 1000;
const READS_MAX: u64 = 200_000;
/// How many reads go by between two looks at the clock.
const STRIDE: u64 = 64;
/// `stat` counts in blocks of this size, whatever the file system's is.
const BLOCK: u64 = 512;
const SEED: u64 = 0x4EAD_0000_0000_0001;

/// A log that was filled and closed.
#[derive(Debug)]
pub struct Loaded {
    facts: &'static Facts,
    dir: TempDir,
    places: Vec<Place>,
}

impl Loaded {
    /// Fills a log with the bench's number of records.
    pub fn new(facts: &'static Facts, bench: Bench<'_>) -> Offer<Self> {
        let dir = folder(bench.dir)?;
        let Some(engine) = (facts.open)(dir.path(), Mode::Buffered)? else {
            return Ok(None);
        };
        let places = load(&*engine, bench.records, bench.settings.events)?;
        engine.close().context("cannot close")?;
        Ok(places.map(|places| Loaded { facts, dir, places }))
    }

    /// The bytes that each record takes on disk, holes left out.
    pub fn bytes_on_disk(&self) -> anyhow::Result<Sample> {
        #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
        let each = blocks(self.dir.path())? as f64 * BLOCK as f64 / self.places.len() as f64;
        Ok(Sample::of(each))
    }

    /// Opens the log anew, outside the clock, and goes through all of it.
    pub fn replay(&self) -> Offer<Sample> {
        self.with_engine(|engine| {
            let mut count = 0;
            let started = Instant::now();
            let replayed = engine.replay(&mut |record| {
                black_box(record);
                count += 1;
                ControlFlow::Continue(())
            })?;
            let elapsed = started.elapsed();
            let all = self.places.len() as u64;
            ensure!(
                replayed.is_none() || count == all,
                "replays {count} of {all} records"
            );
            Ok(replayed.map(|()| Sample::of(rate(count, elapsed))))
        })
    }

    /// Opens the log anew, outside the clock, and reads at random places, at most for `seconds`.
    pub fn read(&self, bench: Bench<'_>) -> Offer<Sample> {
        let limit = bench.settings.duration();
        self.with_engine(|engine| {
            let mut random = Random::new(SEED);
            let (mut reads, mut seen) = (0, 0);
            let started = Instant::now();
            while reads < READS_MAX && (reads % STRIDE > 0 || started.elapsed() < limit) {
                let place = self.places[random.below(self.places.len())];
                let read = engine.read(place, &mut |record| {
                    black_box(record);
                    seen += 1;
                })?;
                if read.is_none() {
                    return Ok(None);
                }
                reads += 1;
            }
            let rate = rate(reads, started.elapsed());
            ensure!(seen == reads, "found {seen} of {reads} records");
            Ok(Some(Sample::of(rate)))
        })
    }

    fn with_engine<T>(&self, work: impl FnOnce(&dyn Engine) -> Offer<T>) -> Offer<T> {
        let Some(engine) = (self.facts.open)(self.dir.path(), Mode::Buffered)? else {
            return Ok(None);
        };
        let done = work(&*engine)?;
        engine.close().context("cannot close")?;
        Ok(done)
    }
}

/// Appends `events` records in the engine's quickest way that a killed process survives, and says
/// where they are.
pub fn load(engine: &dyn Engine, records: &Records, events: u64) -> Offer<Vec<Place>> {
    let mut places = Vec::new();
    while (places.len() as u64) < events {
        let done = places.len() as u64;
        let missing = usize::try_from(events - done).unwrap_or(BATCH);
        let batch = records.batch(done, missing.min(BATCH));
        if engine.append_batch(batch, &mut places)?.is_some() {
            continue;
        }
        let Some(place) = engine.append(records.get(done))? else {
            return Ok(None);
        };
        places.push(place);
    }
    engine.flush()?;
    Ok(Some(places))
}

/// The blocks of all files below `dir`.
fn blocks(dir: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() {
            blocks(&entry.path())?
        } else {
            metadata.blocks()
        };
    }
    Ok(sum)
}

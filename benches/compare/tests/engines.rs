//! Every engine gives back what was appended: in order, by place, after a reopening too.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use forelog_compare::engine::{Engine, Facts, Mode, Place};
use forelog_compare::engines::{self, OWN};
use forelog_compare::record::{Batch, Random, Record, Records};

/// Records of a test, appended one by one, durably, and as a batch.
const SINGLES: u64 = 300;
const DURABLES: u64 = 200;
const BATCH: usize = 500;
const READS: usize = 300;
const SEED: u64 = 0x7E57_0001;
const THREADS: u64 = 4;
const RECORDS_EACH: u64 = 25;

fn main() -> Result<()> {
    let _namespaces = engines::prepare_process();
    let records = Records::new()?;
    for facts in engines::ALL {
        for mode in [Mode::Buffered, Mode::Durable] {
            let done = gives_back(facts, mode, &records)
                .with_context(|| format!("{} {mode:?}, seed {SEED:#x}", facts.name))?;
            report(facts, &format!("{mode:?}"), done);
        }
        let done = takes_threads(facts, &records)
            .with_context(|| format!("{}, {THREADS} threads", facts.name))?;
        report(facts, "threads", done);
    }
    Ok(())
}

fn report(facts: &Facts, what: &str, done: Option<()>) {
    let done = done.map_or("not offered", |()| "ok");
    println!("test {} {what} ... {done}", facts.name);
}

/// What an engine should give back for a record: Forelog the data of the event.
fn stored<'a>(facts: &Facts, record: Record<'a>) -> &'a [u8] {
    match facts.name {
        OWN => record.event.data.as_bytes(),
        _ => record.bytes,
    }
}

/// Appends in every way that the engine offers; `None` if it is not on this machine.
fn gives_back(facts: &'static Facts, mode: Mode, records: &Records) -> Result<Option<()>> {
    let dir = tempfile::tempdir()?;
    let Some(engine) = (facts.open)(dir.path(), mode)? else {
        return Ok(None);
    };
    let mut model = Model {
        facts,
        records,
        places: Vec::new(),
    };
    model.append(&*engine, mode)?;
    model.check_reads(&*engine)?;
    engine.close()?;
    model.check_replay(dir.path(), mode)?;

    let engine = model.open(dir.path(), mode)?;
    model.check_reads(&*engine)?;
    model.append(&*engine, mode)?;
    engine.close()?;
    model.check_replay(dir.path(), mode)?;
    Ok(Some(()))
}

/// What was appended: record `n` of the pool is at place `n`.
struct Model<'a> {
    facts: &'static Facts,
    records: &'a Records,
    places: Vec<Place>,
}

impl Model<'_> {
    fn open(&self, dir: &Path, mode: Mode) -> Result<Box<dyn Engine>> {
        (self.facts.open)(dir, mode)?.context("was offered before")
    }

    fn append(&mut self, engine: &dyn Engine, mode: Mode) -> Result<()> {
        let before = self.places.len();
        for _ in 0..SINGLES {
            let record = self.next();
            self.places.extend(engine.append(record)?);
        }
        if mode == Mode::Durable {
            for _ in 0..DURABLES {
                let record = self.next();
                self.places.extend(engine.append_durable(record)?);
            }
        }
        let batch: Batch<'_> = self.records.batch(self.places.len() as u64, BATCH);
        let (len, known) = (batch.len(), self.places.len());
        let appended = engine.append_batch(batch, &mut self.places)?;
        let said = self.places.len() - known;
        ensure!(said == appended.map_or(0, |()| len), "{said} places");
        engine.flush()?;
        ensure!(self.places.len() > before, "offers no append at all");
        Ok(())
    }

    fn next(&self) -> Record<'_> {
        self.records.get(self.places.len() as u64)
    }

    fn expected(&self, n: usize) -> &[u8] {
        stored(self.facts, self.records.get(n as u64))
    }

    /// A fresh opening each time: with some engines a replay consumes.
    fn check_replay(&self, dir: &Path, mode: Mode) -> Result<()> {
        let engine = self.open(dir, mode)?;
        let (mut count, mut wrong) = (0, None);
        engine.replay(&mut |record| {
            if count >= self.places.len() || record != self.expected(count) {
                wrong = Some(count);
                return ControlFlow::Break(());
            }
            count += 1;
            ControlFlow::Continue(())
        })?;
        engine.close()?;
        ensure!(wrong.is_none(), "record {wrong:?} is another one");
        let appended = self.places.len();
        ensure!(count == appended, "replays {count} of {appended}");
        self.check_break(dir, mode)
    }

    /// A replay ends where it is told to.
    fn check_break(&self, dir: &Path, mode: Mode) -> Result<()> {
        let engine = self.open(dir, mode)?;
        let mut seen = 0;
        engine.replay(&mut |_| {
            seen += 1;
            ControlFlow::Break(())
        })?;
        engine.close()?;
        ensure!(seen == 1, "goes on after a break: {seen}");
        Ok(())
    }

    fn check_reads(&self, engine: &dyn Engine) -> Result<()> {
        let mut random = Random::new(SEED);
        for _ in 0..READS {
            let n = random.below(self.places.len());
            let mut found = None;
            let read = engine.read(self.places[n], &mut |record| found = Some(record.to_vec()))?;
            match (read, found) {
                (None, None) => return Ok(()),
                (Some(()), Some(found)) => ensure!(found == self.expected(n), "record {n} differs"),
                (read, found) => bail!("record {n}: {read:?}, {found:?}"),
            }
        }
        Ok(())
    }
}

/// Durable appends by some threads at once: each record once, none lost.
fn takes_threads(facts: &'static Facts, records: &Records) -> Result<Option<()>> {
    let dir = tempfile::tempdir()?;
    let Some(engine) = (facts.open)(dir.path(), Mode::Durable)? else {
        return Ok(None);
    };
    let append = |thread: u64| -> Result<()> {
        for n in 0..RECORDS_EACH {
            engine.append_durable(records.get(thread * RECORDS_EACH + n))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || append(thread)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(done) => done,
                Err(_) => bail!("panicked"),
            })
    })?;
    engine.close()?;

    let engine = (facts.open)(dir.path(), Mode::Durable)?.context("was offered before")?;
    let mut seen: HashMap<Vec<u8>, u64> = HashMap::new();
    engine.replay(&mut |record| {
        *seen.entry(record.to_vec()).or_default() += 1;
        ControlFlow::Continue(())
    })?;
    engine.close()?;
    let all = THREADS * RECORDS_EACH;
    for n in 0..all {
        let count = seen.remove(stored(facts, records.get(n)));
        ensure!(count == Some(1), "record {n}: {count:?} times");
    }
    ensure!(seen.is_empty(), "{} records of nowhere", seen.len());
    Ok(Some(()))
}

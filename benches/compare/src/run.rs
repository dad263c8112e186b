//! The rounds: each runs all engines once before the next begins, in an order that moves on by one.

use serde::Serialize;

use crate::engine::{Facts, Offer};
use crate::engines::{self, OWN};
use crate::machine::Machine;
use crate::measure::{
    Bench, Loaded, Pairs, Sample, Settings, batches, buffered, durable, reopened,
};
use crate::stats::{self, Ratio};
use crate::workload::{Kind, Workload};

/// Rounds of the workload that fills a log a round.
const OPEN_ROUNDS_MAX: usize = 3;

/// All that was measured: what every report is made of.
#[derive(Debug, Serialize)]
pub struct Results {
    pub machine: Machine,
    pub settings: Settings,
    pub cells: Vec<Cell>,
    pub pair: Option<Pair>,
}

/// One engine under one workload.
#[derive(Debug, Serialize)]
pub struct Cell {
    pub workload: Workload,
    pub engine: &'static str,
    /// One a round; empty where the engine does not offer the workload.
    pub samples: Vec<Sample>,
    /// Why there are no more samples, if something failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Cell {
    pub fn median(&self) -> Option<f64> {
        self.median_of(|sample| Some(sample.value))
    }

    /// The median over the rounds of one of the numbers of a sample.
    pub fn median_of(&self, number: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        stats::median(&self.samples.iter().filter_map(number).collect::<Vec<_>>())
    }
}

/// Durable appends by one thread, Forelog and the best rival in turns.
#[derive(Debug, Serialize)]
pub struct Pair {
    pub rival: &'static str,
    pub ratio: Ratio,
}

impl Results {
    pub fn cell(&self, workload: Workload, engine: &str) -> Option<&Cell> {
        let mut cells = self.cells.iter();
        cells.find(|cell| cell.workload == workload && cell.engine == engine)
    }

    /// The best engine but our own among those that promise what was asked, and its median.
    pub fn best_rival(&self, workload: Workload) -> Option<(&'static str, f64)> {
        let rivals = self.cells.iter().filter(|cell| {
            cell.workload == workload
                && cell.engine != OWN
                && engines::find(cell.engine)
                    .is_some_and(|facts| facts.weaker_in(workload.group()).is_none())
        });
        let figures = rivals.filter_map(|cell| Some((cell.engine, cell.median()?)));
        figures.max_by(|a, b| workload.unit().advantage(a.1, b.1).total_cmp(&1.0))
    }
}

/// Runs the workloads over the engines. `note` takes a line of progress for each measurement.
pub fn run(
    workloads: &[Workload],
    entrants: &[&'static Facts],
    bench: Bench<'_>,
    note: &mut dyn FnMut(&str),
) -> anyhow::Result<Results> {
    let mut results = Results {
        machine: Machine::read(bench.dir, entrants),
        settings: *bench.settings,
        cells: Vec::new(),
        pair: None,
    };
    let (loaded, others): (Vec<Workload>, Vec<Workload>) = workloads
        .iter()
        .partition(|workload| needs_load(**workload));
    for workload in others {
        let cells = rounds(
            workload,
            entrants,
            bench.settings.runs,
            note,
            |facts, round| measure(workload, facts, bench, round),
        );
        results.cells.extend(cells);
        if workload == Workload::Durable1 {
            results.pair = pair(&results, entrants, bench, note);
        }
    }
    if !loaded.is_empty() {
        results
            .cells
            .extend(run_loaded(&loaded, entrants, bench, note));
    }
    Ok(results)
}

fn needs_load(workload: Workload) -> bool {
    matches!(workload.kind(), Kind::Replay | Kind::Read | Kind::Disk)
}

fn measure(workload: Workload, facts: &Facts, bench: Bench<'_>, round: usize) -> Offer<Sample> {
    match workload.kind() {
        Kind::Buffered { threads } => buffered(facts, bench, threads),
        Kind::Durable { threads } => durable(facts, bench, threads),
        Kind::Batch { len } => batches(facts, bench, len),
        Kind::Open if round < OPEN_ROUNDS_MAX => reopened(facts, bench, round == 0),
        Kind::Open | Kind::Replay | Kind::Read | Kind::Disk => Ok(None),
    }
}

/// Fills a log with each engine once, then runs the workloads over these.
fn run_loaded(
    workloads: &[Workload],
    entrants: &[&'static Facts],
    bench: Bench<'_>,
    note: &mut dyn FnMut(&str),
) -> Vec<Cell> {
    let mut logs = Vec::with_capacity(entrants.len());
    for facts in entrants {
        note(&format!("load {}", facts.name));
        logs.push(Loaded::new(facts, bench));
    }
    rustix::fs::sync();
    let log_of = |facts: &Facts| {
        let at = entrants
            .iter()
            .position(|entrant| entrant.name == facts.name);
        match at.and_then(|at| logs.get(at)) {
            Some(Ok(log)) => Ok(log.as_ref()),
            Some(Err(error)) => Err(anyhow::anyhow!("loading failed: {error:#}")),
            None => Ok(None),
        }
    };
    let mut cells = Vec::new();
    for workload in workloads {
        let runs = match workload.kind() {
            Kind::Disk => 1,
            _ => bench.settings.runs,
        };
        cells.extend(rounds(*workload, entrants, runs, note, |facts, _| {
            let Some(log) = log_of(facts)? else {
                return Ok(None);
            };
            match workload.kind() {
                Kind::Replay => log.replay(),
                Kind::Read => log.read(bench),
                _ => log.bytes_on_disk().map(Some),
            }
        }));
    }
    cells
}

/// Runs `measure` for each engine in each round. An engine that fails is left out from there on.
fn rounds(
    workload: Workload,
    entrants: &[&'static Facts],
    runs: usize,
    note: &mut dyn FnMut(&str),
    measure: impl Fn(&Facts, usize) -> Offer<Sample>,
) -> Vec<Cell> {
    let cell = |facts: &&Facts| Cell {
        workload,
        engine: facts.name,
        samples: Vec::new(),
        trouble: None,
    };
    let mut cells: Vec<Cell> = entrants.iter().map(cell).collect();
    let count = entrants.len();
    for round in 0..runs {
        for turn in 0..count {
            let at = (turn + round) % count;
            let cell = &mut cells[at];
            if cell.trouble.is_some() {
                continue;
            }
            match measure(entrants[at], round) {
                Ok(Some(sample)) => {
                    note(&line(cell, round, sample.value));
                    cell.samples.push(sample);
                }
                Ok(None) => {}
                Err(error) => {
                    note(&format!("{}: {error:#}", cell.engine));
                    cell.trouble = Some(format!("{error:#}"));
                }
            }
        }
    }
    cells
}

fn line(cell: &Cell, round: usize, value: f64) -> String {
    let (title, unit) = (cell.workload.title(), cell.workload.unit().label());
    format!(
        "{title}, round {}: {} {value:.1} {unit}",
        round + 1,
        cell.engine
    )
}

/// The paired ratio against whoever was the best in the rounds.
fn pair(
    results: &Results,
    entrants: &[&'static Facts],
    bench: Bench<'_>,
    note: &mut dyn FnMut(&str),
) -> Option<Pair> {
    let (best, _) = results.best_rival(Workload::Durable1)?;
    let find = |name| entrants.iter().find(|facts| facts.name == name).copied();
    let pairs = Pairs {
        own: find(OWN)?,
        rival: find(best)?,
    };
    note(&format!("durable append in pairs: {OWN} and {best}"));
    match pairs.ratios(bench) {
        Ok(ratios) => Some(Pair {
            rival: best,
            ratio: Ratio::of_pairs(&ratios?)?,
        }),
        Err(error) => {
            note(&format!("{error:#}"));
            None
        }
    }
}

//! `torture`: seeds in all modes that were asked for, or that this machine can do.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use forelog::{Error, ErrorKind};
use forelog_dump::{Exit, Fault, Output, Told, clean};
use serde::Serialize;

use super::args::RunArgs;
use super::findings::{Finding, Findings};
use super::judge::is_zero;
use super::{faults, flip, full, kill, sim};
use crate::progress;

/// The version of the JSON report.
const VERSION: u32 = 1;

/// How many seeds run unless told otherwise.
const SEEDS: u64 = 20;

/// What came of one mode.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) mode: &'static str,
    /// How many seeds were run, or how many times something was tried.
    pub(crate) runs: u64,
    /// How many states of a directory were opened and judged.
    pub(crate) states: u64,
    /// How many events compactions have dropped, as they may.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) dropped: u64,
    /// Why it was not run, or not all of it.
    pub(crate) skipped: Vec<String>,
    pub(crate) broken: Vec<Finding>,
    /// How a simulated disk came to be what it is.
    pub(crate) history: Option<String>,
    /// What repeats the failure.
    pub(crate) repeat: Option<String>,
    pub(crate) seconds: f64,
}

impl Report {
    /// Notes what was found wrong, and how to see it again.
    pub(crate) fn fail(&mut self, findings: &Findings, repeat: String) {
        self.broken = findings.list();
        self.history.clone_from(&findings.history);
        self.repeat = Some(repeat);
    }
}

#[derive(Debug, Serialize)]
struct Summary {
    v: u32,
    /// Whether every promise was kept.
    kept: bool,
    seconds: f64,
    modes: Vec<Report>,
}

type Mode = fn(&RunArgs) -> forelog::Result<Report>;

pub(crate) fn run(
    args: &RunArgs,
    json: bool,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let began = Instant::now();
    check_seeds(args)?;
    let modes: [(bool, Mode); 5] = [
        (args.sim, |args| Ok(simulated(args))),
        (args.faults, faults::failing),
        (args.flip, flip::flipped),
        (args.kill, kill::killed),
        (args.full, full::filled),
    ];
    let is_all = modes.iter().all(|(asked, _)| !asked);
    let mut summary = Summary {
        v: VERSION,
        kept: true,
        seconds: 0.0,
        modes: Vec::new(),
    };
    for (_, mode) in modes.iter().filter(|(asked, _)| is_all || *asked) {
        let began = Instant::now();
        let mut report = mode(args)?;
        report.seconds = began.elapsed().as_secs_f64();
        for why in &report.skipped {
            told.note(&format!("--{}: skipped: {why}", report.mode));
        }
        if !json {
            text(&report, out)?;
            out.flush()?;
        }
        summary.kept &= report.broken.is_empty();
        summary.modes.push(report);
    }
    summary.seconds = began.elapsed().as_secs_f64();
    if json {
        serde_json::to_writer(&mut *out, &summary)?;
        writeln!(out)?;
    } else {
        let verdict = if summary.kept {
            "every promise was kept"
        } else {
            "A PROMISE IS BROKEN"
        };
        writeln!(out, "{verdict}, {:.1} s", summary.seconds)?;
    }
    Ok(if summary.kept {
        Exit::Good
    } else {
        Exit::Damaged
    })
}

fn text(report: &Report, out: Output<'_>) -> std::io::Result<()> {
    let Report {
        mode, runs, states, ..
    } = report;
    let (verdict, seconds) = match report.broken.is_empty() {
        true if *runs == 0 => ("skipped", report.seconds),
        true => ("good", report.seconds),
        false => ("BROKEN", report.seconds),
    };
    writeln!(
        out,
        "--{mode:<8} {verdict:<8} {runs:>8} runs {states:>10} states {seconds:>8.1} s"
    )?;
    for finding in &report.broken {
        writeln!(out, "  {}: {}", finding.promise, finding.count)?;
        for example in &finding.examples {
            let place = example
                .seq
                .map_or_else(String::new, |seq| format!("Seq {seq}: "));
            writeln!(out, "    {place}{}", clean(&example.detail))?;
        }
    }
    if let Some(history) = &report.history {
        writeln!(out, "  on the disk that is left by {history}")?;
    }
    if let Some(repeat) = &report.repeat {
        writeln!(out, "  repeat: {repeat}")?;
    }
    Ok(())
}

/// Refuses seeds beyond the last that there is.
fn check_seeds(args: &RunArgs) -> forelog::Result<()> {
    let asked = seeds(args);
    let count = args.seeds.unwrap_or(1);
    if asked.end - asked.start >= count {
        return Ok(());
    }
    let message = format!(
        "there are not so many seeds from {} on; begin lower",
        asked.start
    );
    Err(Error::new(ErrorKind::Invalid, message))
}

/// The seeds that are asked for.
fn seeds(args: &RunArgs) -> Range<u64> {
    let first = args.seed.unwrap_or(1);
    let count = args.seeds.unwrap_or(match args.seed {
        Some(_) => 1,
        None => SEEDS,
    });
    first..first.saturating_add(count)
}

/// As [`seeds`], for a mode whose seeds take so much longer: where it runs beside all others, so many
/// seeds have one run.
pub(crate) fn seeds_of(args: &RunArgs, per_run: u64) -> Range<u64> {
    let all = seeds(args);
    let is_alone = args.kill || args.faults || args.full || args.flip || args.sim;
    let count = all.end - all.start;
    let few = if is_alone {
        count
    } else {
        count.div_ceil(per_run)
    };
    all.start..all.start.saturating_add(few)
}

/// All seeds on the simulated disk, on as many threads as there are processors.
fn simulated(args: &RunArgs) -> Report {
    let seeds = seeds(args);
    let (count, nth) = (seeds.end - seeds.start, AtomicU64::new(0));
    let bar = progress::seeds("--sim", count);
    let (states, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let dropped = AtomicU64::new(0);
    let failed: Mutex<Option<(u64, Findings)>> = Mutex::new(None);
    let runs = AtomicU64::new(0);
    let work = || {
        while !is_over.load(Ordering::Acquire) {
            let nth = nth.fetch_add(1, Ordering::AcqRel);
            if nth >= count {
                return;
            }
            let seed = seeds.start + nth;
            let life = sim::live(seed, args.unsafe_no_sync);
            runs.fetch_add(1, Ordering::AcqRel);
            states.fetch_add(life.states, Ordering::AcqRel);
            dropped.fetch_add(life.dropped, Ordering::AcqRel);
            bar.inc(1);
            if !life.findings.is_empty() {
                is_over.store(true, Ordering::Release);
                if let Ok(mut failed) = failed.lock() {
                    failed.get_or_insert((seed, life.findings));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        // More than there are processors, since each waits for the threads of its system now and then.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads.saturating_mul(2) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let mut report = Report {
        mode: "sim",
        runs: runs.into_inner(),
        states: states.into_inner(),
        dropped: dropped.into_inner(),
        ..Report::default()
    };
    if let Ok(Some((seed, findings))) = failed.into_inner() {
        let control = if args.unsafe_no_sync {
            " --unsafe-no-sync"
        } else {
            ""
        };
        report.fail(
            &findings,
            format!("forelog-recovery torture --sim --seed {seed} --seeds 1{control}"),
        );
    }
    report
}

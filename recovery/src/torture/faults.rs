//! `torture --faults`: storage operations and real system calls that fail, each in its turn.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use forelog::testing::DiskOp;
use forelog::{Error, Result};
use forelog_dump::KeyArgs;

use super::args::RunArgs;
use super::child::{Ended, finish, folder, note, succeeds, words};
use super::findings::{Broken, Findings};
use super::kill;
use super::run::{Report, seeds_of};
use super::sim;
use crate::progress;

/// Where all modes run, so many seeds have one run of each fault at the storage seam.
const SEEDS_PER_RUN: u64 = 100;
/// The operations that fail at the seam, each up to this one of its kind.
const OPS: [(DiskOp, u64); 7] = [
    (DiskOp::Sync, 24),
    (DiskOp::SyncFolder, 12),
    (DiskOp::Create, 6),
    (DiskOp::Write, 6),
    (DiskOp::Rename, 6),
    (DiskOp::Remove, 4),
    (DiskOp::Map, 8),
];
/// The system calls that fail, and how.
const CALLS: [&str; 9] = [
    "fallocate:error=ENOSPC",
    "fallocate:error=EIO",
    "pwrite64:error=ENOSPC",
    "pwrite64:error=EIO",
    "pwritev2:error=EIO",
    "fdatasync,msync:error=EIO",
    "fsync:error=EIO",
    "rename,renameat,renameat2:error=EIO",
    "mmap:error=ENOMEM",
];
/// Up to which call of a thread the sweep goes at most.
const NTH_MAX: u64 = 60;
const EVENTS: &str = "40";

pub(crate) fn failing(args: &RunArgs) -> Result<Report> {
    let mut report = Report {
        mode: "faults",
        ..Report::default()
    };
    let seeds = seeds_of(args, SEEDS_PER_RUN);
    let first = seeds.start;
    let bar = progress::seeds("--faults", seeds.end - seeds.start);
    for seed in seeds {
        at_the_seam(seed, &mut report);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !report.broken.is_empty() {
        return Ok(report);
    }
    let probe = "inject=fdatasync:error=EIO";
    if succeeds(&["strace", "-f", "-o", "/dev/null", "-e", probe, "true"]) {
        below_the_process(first, &mut report)?;
    } else {
        let why = "no strace, or it may not trace here: faults at the storage seam alone";
        report.skipped.push(why.to_owned());
    }
    Ok(report)
}

/// Every kind of operation of the simulated disk fails, as an error of the device and as a full disk.
fn at_the_seam(seed: u64, report: &mut Report) {
    for (op, nth_max) in OPS {
        for nth in 1..=nth_max {
            let life = sim::live_with(seed, op, nth);
            report.runs += 1;
            report.states += life.states;
            if !life.findings.is_empty() {
                let repeat = format!("forelog-recovery torture --faults --seed {seed} --seeds 1");
                report.fail(&life.findings, repeat);
                return;
            }
        }
    }
}

/// A real writer, of which strace makes the first, second, … such call of each thread fail, once or from
/// then on, until none is left.
fn below_the_process(seed: u64, report: &mut Report) -> Result<()> {
    let pairs = CALLS.iter().flat_map(|call| [(call, ""), (call, "+")]);
    let mapped = mapped(seed)?;
    // Without a path every map would fail.
    let sweeps = pairs.filter(|(call, _)| !call.starts_with("mmap") || !mapped.is_empty());
    let sweeps: Vec<_> = sweeps.collect();
    let bar = progress::seeds("--faults", sweeps.len() as u64);
    let next = AtomicUsize::new(0);
    let whole = Mutex::new(Ok(std::mem::take(report)));
    let work = || {
        while let Some((call, plus)) = sweeps.get(next.fetch_add(1, Ordering::AcqRel)) {
            for nth in 1..=NTH_MAX {
                let injected = inject(&format!("{call}:when={nth}{plus}"), &mapped, seed);
                let mut whole = whole.lock().unwrap_or_else(PoisonError::into_inner);
                if !add(&mut whole, injected, seed) {
                    break;
                }
            }
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    *report = whole.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    Ok(())
}

/// Takes in what came of one injection; says whether the next call is to fail.
fn add(whole: &mut Result<Report>, injected: Result<Injected>, seed: u64) -> bool {
    let Ok(report) = whole else { return false };
    match injected {
        Ok(injected) => {
            report.runs += 1;
            report.states += 1;
            if !injected.findings.is_empty() {
                let repeat = format!("forelog-recovery torture --faults --seed {seed} --seeds 1");
                report.fail(&injected.findings, repeat);
            }
            injected.has_struck && report.broken.is_empty()
        }
        Err(error) => {
            *whole = Err(error);
            false
        }
    }
}

/// What came of one fault below a process.
struct Injected {
    /// Whether there was a call left to fail.
    has_struck: bool,
    findings: Findings,
}

/// Runs a writer with one fault, and judges what it has left.
fn inject(fault: &str, mapped: &[PathBuf], seed: u64) -> Result<Injected> {
    let home = folder()?;
    let (dir, acks) = (home.path().join("data"), home.path().join("acks"));
    let trace = home.path().join("trace");
    let calls = fault.split(':').next().unwrap_or_default();
    let mut wrapper = words([&"strace", &"-f", &"-qq", &"-o", &trace]);
    wrapper.extend(words([&"-e", &format!("trace={calls}")]));
    wrapper.extend(words([&"-e", &format!("inject={fault}")]));
    if calls == "mmap" {
        let dir = real(home.path())?.join("data");
        for path in mapped {
            wrapper.extend(words([&"-P", &dir.join(path)]));
        }
    }
    let ended = finish(&wrapper, &writer(&dir, seed))?;
    note(&acks, &ended.printed)?;
    let trace = std::fs::read_to_string(&trace).unwrap_or_default();
    let has_struck = trace.lines().any(|line| line.contains("(INJECTED)"));
    let mut findings = said(&ended);
    for broken in kill::judge(seed, &dir, &acks, None, &KeyArgs::default())? {
        for example in broken.examples {
            findings.add(broken.promise, example.seq, &example.detail);
        }
    }
    if !findings.is_empty() {
        let kept = home.keep();
        let detail = format!("under {fault}; what is left is in {}", kept.display());
        findings.add(Broken::Failed, None, &detail);
    }
    Ok(Injected {
        has_struck,
        findings,
    })
}

/// The files that a writer in a new directory maps, as it names them by then, from that directory on. Maps of
/// memory are not to fail: a program that gets none is at its end.
fn mapped(seed: u64) -> Result<Vec<PathBuf>> {
    let home = folder()?;
    let trace = home.path().join("trace");
    let mut wrapper = words([&"strace", &"-f", &"-qq", &"-y", &"-o", &trace]);
    wrapper.extend(words([&"-e", &"trace=mmap"]));
    finish(&wrapper, &writer(&home.path().join("data"), seed))?;
    let dir = real(home.path())?.join("data");
    let trace = std::fs::read_to_string(&trace).unwrap_or_default();
    let paths = trace.lines().filter_map(|line| {
        let (_, path) = line.split_once('<')?;
        let (path, _) = path.split_once('>')?;
        Path::new(path)
            .strip_prefix(&dir)
            .ok()
            .map(Path::to_path_buf)
    });
    Ok(paths.collect())
}

/// A path as the system names it.
fn real(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(|e| Error::io("look at", path, e))
}

/// The command of a writer.
fn writer(dir: &Path, seed: u64) -> Vec<OsString> {
    let seed = seed.to_string();
    let mut writer = words([&"write", &dir, &"--events", &EVENTS, &"--seed", &seed]);
    writer.extend(words([&"--segment-bytes", &"65536", &"--threads", &"2"]));
    writer
}

/// A writer that ends well has acknowledged all; one that dies of a signal, or of a panic, has done wrong.
fn said(ended: &Ended) -> Findings {
    let mut findings = Findings::default();
    let acks = String::from_utf8_lossy(&ended.printed).lines().count();
    let is_whole = acks.to_string() == EVENTS;
    match ended.status.code() {
        Some(0) if !is_whole => {
            let detail = format!("it ended well with {acks} of {EVENTS} events acknowledged");
            findings.add(Broken::Failed, None, &detail);
        }
        Some(0 | 3 | 4) => {}
        _ => {
            let detail = format!("it ended by {}: {}", ended.status, ended.told);
            findings.add(Broken::Failed, None, &detail);
        }
    }
    findings
}

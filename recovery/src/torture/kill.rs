//! `torture --kill`: real processes that write and consume one directory by turns, and are killed with
//! `kill -9` after some of their lines, or before the first.

use std::path::{Path, PathBuf};

use forelog::{EncryptionKey, Error, Result};
use forelog_dump::{KeyArgs, Told};

use super::args::{CheckArgs, Promise, RunArgs};
use super::check::examine;
use super::child::{folder, kill_after, note, words};
use super::findings::Finding;
use super::random::Random;
use super::run::{Report, seeds_of};
use crate::progress;

/// Real processes take their time: where all modes run, so many seeds have one run here.
const SEEDS_PER_RUN: u64 = 10;
/// How often each directory's processes are killed.
const ROUNDS: u64 = 3;
/// The name of the subscription.
const NAME: &str = "torture";

pub(crate) fn killed(args: &RunArgs) -> Result<Report> {
    let mut report = Report {
        mode: "kill",
        ..Report::default()
    };
    if !cfg!(unix) {
        report.skipped.push("only Unix kills like this".to_owned());
        return Ok(report);
    }
    let seeds = seeds_of(args, SEEDS_PER_RUN);
    let bar = progress::seeds("--kill", seeds.end - seeds.start);
    for seed in seeds {
        let home = folder()?;
        let broken = live(seed, home.path(), &mut report.states)?;
        report.runs += 1;
        bar.inc(1);
        if !broken.is_empty() {
            let kept = home.keep();
            report.broken = broken;
            report.repeat = Some(format!(
                "forelog-recovery torture --kill --seed {seed} --seeds 1   (what is left is in {})",
                kept.display()
            ));
            break;
        }
    }
    bar.finish_and_clear();
    Ok(report)
}

/// One directory's life; returns the promises that are broken.
fn live(seed: u64, home: &Path, states: &mut u64) -> Result<Vec<Finding>> {
    let random = &mut Random::of(seed, &[3]);
    let (dir, acks, consumed) = (home.join("data"), home.join("acks"), home.join("consumed"));
    note(&acks, b"")?;
    note(&consumed, b"")?;
    let segment = (64_u64 << 10) << random.below(4);
    let key = key_of(seed, home)?;
    for _ in 0..ROUNDS {
        if random.one_in(3) {
            // Inside of the opening, or soon after.
            let words = with_key(writer(&dir, seed, segment, random), &key);
            note(&acks, &kill_after(0, &words)?)?;
        }
        let lines = 1 + random.below(200);
        let words_of_writer = with_key(writer(&dir, seed, segment, random), &key);
        let printed = kill_after(lines, &words_of_writer)?;
        note(&acks, &printed)?;
        let lines = random.below(80);
        let reader = with_key(words([&"consume", &dir, &"--name", &NAME]), &key);
        note(&consumed, &kill_after(lines, &reader)?)?;
        let has_name = lines > 0;
        *states += 1;
        let broken = judge(seed, &dir, &acks, has_name.then_some(&consumed), &key)?;
        if !broken.is_empty() {
            return Ok(broken);
        }
    }
    Ok(Vec::new())
}

/// A key for one directory of three.
fn key_of(seed: u64, home: &Path) -> Result<KeyArgs> {
    if !Random::of(seed, &[4]).one_in(3) {
        return Ok(KeyArgs::default());
    }
    let path = home.join("key");
    EncryptionKey::generate()?.write_new_file(&path)?;
    Ok(KeyArgs {
        key_file: Some(path),
    })
}

fn with_key(mut all: Vec<std::ffi::OsString>, key: &KeyArgs) -> Vec<std::ffi::OsString> {
    if let Some(path) = &key.key_file {
        all.extend(words([&"--key-file", path]));
    }
    all
}

fn writer(dir: &Path, seed: u64, segment: u64, random: &mut Random) -> Vec<std::ffi::OsString> {
    let modes = ["sync", "interval", "os"];
    let (batch, threads) = (1 + random.below(5), 1 + random.below(3));
    let mut all = words([&"write", &dir, &"--events", &"1000000"]);
    for (option, value) in [
        ("--seed", seed.to_string()),
        ("--durability", random.pick(&modes).to_owned()),
        ("--batch", batch.to_string()),
        ("--threads", threads.to_string()),
        ("--segment-bytes", segment.to_string()),
    ] {
        all.extend(words([&option, &value]));
    }
    all
}

/// Judges what is left: the page cache outlives a process, so nothing may be lost, whatever the mode.
pub(crate) fn judge(
    seed: u64,
    dir: &Path,
    acks: &Path,
    consumed: Option<&PathBuf>,
    key: &KeyArgs,
) -> Result<Vec<Finding>> {
    let args = CheckArgs {
        dir: dir.to_path_buf(),
        acks: vec![acks.to_path_buf()],
        seeds: vec![seed],
        durability: Promise::Os,
        process_crash: true,
        consumed: consumed.into_iter().cloned().collect(),
        name: consumed.map(|_| NAME.to_owned()),
        key: key.clone(),
        no_open: false,
    };
    let mut silence = std::io::sink();
    let report = examine(&args, &mut Told::new(false, &mut silence));
    report.map(|report| report.broken).map_err(|error| {
        let message = format!("what is left cannot be judged: {error}");
        Error::new(error.kind(), message)
    })
}

//! `torture --full`: a writer on a small file system that fills. The emit that finds no room fails with
//! nothing written; what was acknowledged is there, on the full disk and after; and once there is room it
//! goes on.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use forelog::{Error, Result};

use super::args::RunArgs;
use super::child::{folder, program, succeeds};
use super::findings::{Broken, Findings};
use super::run::{Report, seeds_of};

/// Where all modes run, so many seeds have one run of each file system.
const SEEDS_PER_RUN: u64 = 200;

/// What is run: the program, the folder of the small file system, a folder with room, and the seed. Each
/// line says how a step ended.
const SCRIPT: &str = r#"
program=$1; small=$2; home=$3; seed=$4
told() { printf '%s %s\n' "$1" "$2"; }
check() {
    "$program" torture check "$small/data" --acks "$home/acks" --seed "$seed" >>"$home/told" 2>&1
    told "$1" $?
}
write() {
    "$program" torture write "$small/data" --events "$2" --seed "$seed" --segment-bytes 262144 --batch 10 \
        >>"$home/acks" 2>>"$home/told"
    told "$1" $?
}
dd if=/dev/zero of="$small/ballast" bs=1M count=3 2>>"$home/told"
write fill 1000000
check full
write again 1000000
check still
rm "$small/ballast"
write freed 100
check after
"#;
/// How each step has to end.
const EXPECTED: [(&str, &[&str]); 6] = [
    ("fill", &["4"]),
    ("full", &["0"]),
    ("again", &["4"]),
    ("still", &["0"]),
    ("freed", &["0"]),
    ("after", &["0"]),
];
/// Instead of a small file system: files may not grow beyond 200 KiB, so that the next segment has no room.
const LIMITED: &str = r#"
program=$1; home=$2; seed=$3
told() { printf '%s %s\n' "$1" "$2"; }
write() {
    "$program" torture write "$home/data" --events "$2" --seed "$seed" --segment-bytes 262144 \
        >>"$home/acks" 2>>"$home/told"
}
check() {
    "$program" torture check "$home/data" --acks "$home/acks" --seed "$seed" >>"$home/told" 2>&1
    told "$1" $?
}
write open 10
told open $?
(trap '' XFSZ; ulimit -f 400; write fill 1000000)
told fill $?
check full
write freed 100
told freed $?
check after
"#;
const EXPECTED_LIMITED: [(&str, &[&str]); 5] = [
    ("open", &["0"]),
    ("fill", &["4"]),
    ("full", &["0"]),
    ("freed", &["0"]),
    ("after", &["0"]),
];

type Steps = [(&'static str, &'static [&'static str])];

pub(crate) fn filled(args: &RunArgs) -> Result<Report> {
    let mut report = Report {
        mode: "full",
        ..Report::default()
    };
    if !cfg!(target_os = "linux") {
        let why = "small file systems are mounted on Linux only";
        report.skipped.push(why.to_owned());
        return Ok(report);
    }
    for seed in seeds_of(args, SEEDS_PER_RUN) {
        let probe = "mount -t tmpfs -o size=4m none /mnt";
        if mounts(probe) {
            on_tmpfs(seed, &mut report)?;
            on_ext4(seed, &mut report)?;
        } else if report.skipped.is_empty() {
            let why = "no right to mount a small file system; a limit on the size of files instead";
            report.skipped.push(why.to_owned());
        }
        limited(seed, &mut report)?;
        if !report.broken.is_empty() {
            break;
        }
    }
    Ok(report)
}

/// Whether this can be mounted in a namespace of its own.
fn mounts(mount: &str) -> bool {
    succeeds(&[
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        mount,
    ])
}

fn on_tmpfs(seed: u64, report: &mut Report) -> Result<()> {
    mounted("mount -t tmpfs -o size=12m none \"$2\"", seed, report)
}

fn on_ext4(seed: u64, report: &mut Report) -> Result<()> {
    let home = folder()?;
    let image = home.path().join("image");
    let path = image.display().to_string();
    let made = std::fs::File::create(&image).and_then(|file| file.set_len(16 << 20));
    made.map_err(|e| Error::io("make", &image, e))?;
    let mount = format!("mount -o loop '{path}' /mnt");
    if !succeeds(&["mkfs.ext4", "-q", &path]) || !mounts(&mount) {
        let why = "no mkfs.ext4, or no right to mount a loop device: tmpfs alone";
        if report.skipped.is_empty() {
            report.skipped.push(why.to_owned());
        }
        return Ok(());
    }
    mounted(&format!("mount -o loop '{path}' \"$2\""), seed, report)
}

/// Runs the script on a file system that ends with its processes.
fn mounted(mount: &str, seed: u64, report: &mut Report) -> Result<()> {
    let home = folder()?;
    let small = home.path().join("small");
    std::fs::create_dir(&small).map_err(|e| Error::io("make", &small, e))?;
    let script = format!("{mount} || exit 9\n{SCRIPT}");
    let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c"];
    let mut all: Vec<OsString> = words.map(OsString::from).to_vec();
    all.extend([script.into(), "sh".into(), program()?.into()]);
    all.extend([small.into(), home.path().into(), seed.to_string().into()]);
    let said = said(&all, home.path())?;
    judge(mount, &said, &EXPECTED, seed, report);
    Ok(())
}

fn limited(seed: u64, report: &mut Report) -> Result<()> {
    let home = folder()?;
    let mut all: Vec<OsString> = ["sh", "-c", LIMITED, "sh"].map(OsString::from).to_vec();
    all.extend([
        program()?.into(),
        home.path().into(),
        seed.to_string().into(),
    ]);
    let said = said(&all, home.path())?;
    judge("ulimit -f", &said, &EXPECTED_LIMITED, seed, report);
    Ok(())
}

/// Runs a command; returns what it said, and what its children told.
fn said(words: &[OsString], home: &Path) -> Result<(String, String)> {
    let mut words = words.iter();
    let mut command = Command::new(words.next().cloned().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    let output = command.output().map_err(|e| Error::io("run", "sh", e))?;
    let told = std::fs::read_to_string(home.join("told")).unwrap_or_default();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    Ok((lines, format!("{told}{errors}")))
}

fn judge(on: &str, said: &(String, String), expected: &Steps, seed: u64, report: &mut Report) {
    report.runs += 1;
    let mut findings = Findings::default();
    let mut lines = said.0.lines();
    for (step, codes) in expected {
        let line = lines.next().unwrap_or("nothing");
        report.states += 1;
        let is_right = codes.iter().any(|code| line == format!("{step} {code}"));
        if !is_right {
            let detail = format!("{on}: {step} ended with {line:?}\n{}", said.1);
            findings.add(Broken::Failed, None, &detail);
            break;
        }
    }
    if !findings.is_empty() {
        let repeat = format!("forelog-recovery torture --full --seed {seed}");
        report.fail(&findings, repeat);
    }
}

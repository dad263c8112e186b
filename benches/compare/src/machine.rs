//! What a figure was measured on: date, processor, kernel, file system, compiler, versions.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::engine::{Facts, Origin};
use crate::engines::OWN;

/// The versions that this program was built with.
const LOCK_FILE: &str = include_str!("../Cargo.lock");
const UNKNOWN: &str = "unknown";

#[derive(Debug, Serialize)]
pub struct Machine {
    pub date: String,
    pub cpu: String,
    pub cores: usize,
    /// What else ran: the load average of the last minute as the run began, which is 0 when idle.
    pub load: String,
    pub kernel: String,
    pub file_system: String,
    pub rust: String,
    /// Name and version of each engine that takes part.
    pub engines: Vec<(&'static str, String)>,
}

impl Machine {
    pub fn read(dir: &Path, entrants: &[&'static Facts]) -> Self {
        let kernel = rustix::system::uname();
        Machine {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            cpu: cpu().unwrap_or_else(|| UNKNOWN.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load: load().unwrap_or_else(|| UNKNOWN.to_owned()),
            kernel: format!(
                "{} {}",
                kernel.sysname().to_string_lossy(),
                kernel.release().to_string_lossy()
            ),
            file_system: file_system(dir).unwrap_or_else(|| UNKNOWN.to_owned()),
            rust: output("rustc", "--version").unwrap_or_else(|| UNKNOWN.to_owned()),
            engines: entrants
                .iter()
                .map(|facts| (facts.name, version(facts)))
                .collect(),
        }
    }
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn load() -> Option<String> {
    let averages = fs::read_to_string("/proc/loadavg").ok()?;
    averages.split(' ').next().map(str::to_owned)
}

/// The type of the mount that `dir` lies in: the longest mount point above it.
fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (point, kind) = (words.nth(1)?, words.next()?);
        dir.starts_with(point).then_some((point.len(), kind))
    });
    let (_, kind) = above.max_by_key(|(len, _)| *len)?;
    Some(kind.to_owned())
}

/// The version in the lock file, or what a program says of itself; empty if it is not there.
fn version(facts: &Facts) -> String {
    match facts.origin {
        Origin::Package(package) => locked(package).unwrap_or_else(|| UNKNOWN.to_owned()),
        Origin::Program(program) => output(program, "--version")
            .and_then(|line| {
                let version = line.split(' ').find_map(|word| word.strip_prefix("v="));
                version.map(str::to_owned)
            })
            .unwrap_or_default(),
    }
}

fn locked(package: &str) -> Option<String> {
    let entry = format!("name = \"{package}\"\n");
    let (_, rest) = LOCK_FILE.split_once(&entry)?;
    let version = rest.lines().next()?.strip_prefix("version = ")?;
    let version = version.trim_matches('"');
    Some(match package {
        OWN => format!("{version} (this tree)"),
        _ => version.to_owned(),
    })
}

fn output(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_in_the_lock_file() {
        for facts in crate::engines::ALL {
            let Origin::Package(package) = facts.origin else {
                continue;
            };
            let version = locked(package).expect(package);
            assert!(version.contains('.'), "{package} {version}");
        }
    }
}

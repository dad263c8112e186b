//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::engine::Facts;
use crate::engines;
use crate::measure::Settings;
use crate::workload::Workload;

const SHORT_EVENTS: u64 = 20_000;
const SHORT_SECONDS: f64 = 0.05;
const SHORT_RUNS: usize = 2;
const SHORT_PAIRS: usize = 3;

/// Forelog beside the engines that a user would pick instead: same bytes, same durability, same
/// process, interleaved runs, medians.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Seconds of each durable measurement; a buffered one is cut off at three times that.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// Records of a buffered append and of a log that is read.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Rounds over all engines.
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    runs: usize,
    /// Pairs of slices, Forelog and the best rival in turns, for the ratio of durable appends.
    #[arg(long, default_value_t = 40)]
    pairs: usize,
    /// Only these engines.
    #[arg(long, value_delimiter = ',', value_parser = engine, value_name = "ENGINE")]
    only: Vec<&'static Facts>,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Few events and short times: shows that it runs, not how fast.
    #[arg(long, conflicts_with_all = ["seconds", "events", "runs", "pairs"])]
    short: bool,
    /// Prints JSON in place of tables.
    #[arg(long)]
    pub json: bool,
    /// Writes the page of results here, and its plot beside it as `.svg`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where the logs are made: the disk that is measured.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub dir: PathBuf,
    /// What a child process does for the openings after a kill.
    #[arg(long, hide = true, value_parser = engine)]
    pub write_and_die: Option<&'static Facts>,
}

impl Options {
    pub fn settings(&self) -> Settings {
        if self.short {
            return Settings {
                events: SHORT_EVENTS,
                seconds: SHORT_SECONDS,
                runs: SHORT_RUNS,
                pairs: SHORT_PAIRS,
            };
        }
        Settings {
            events: self.events,
            seconds: self.seconds,
            runs: self.runs,
            pairs: self.pairs,
        }
    }

    pub fn entrants(&self) -> Vec<&'static Facts> {
        if self.only.is_empty() {
            return engines::ALL.iter().collect();
        }
        self.only.clone()
    }

    pub fn workloads(&self) -> Vec<Workload> {
        if self.workload.is_empty() {
            return Workload::ALL.to_vec();
        }
        self.workload.clone()
    }
}

fn engine(name: &str) -> Result<&'static Facts, String> {
    let names = || engines::ALL.iter().map(|facts| facts.name);
    engines::find(name)
        .ok_or_else(|| format!("engines are {}", names().collect::<Vec<_>>().join(", ")))
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0.001 to 3600".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(runs) if runs > 0 => Ok(runs),
        _ => Err("a whole number of at least 1".to_owned()),
    }
}

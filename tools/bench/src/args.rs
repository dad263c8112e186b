//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use forelog::Durability;

const AFTER_HELP: &str = "\
Each workload runs the raw floor of the same work in turn with the engine, in the same process, and
shows the medians and their ratio. A ratio_to_floor of 1 is the hardware's limit.

Exit codes:
  0  measured
  2  the command was not understood
  3  the log that was written is damaged
  4  the folder cannot be used, or the output not be written

Examples:
  forelog-bench append
  forelog-bench append --threads 2 --size 64 --json
  forelog-bench append --seconds 60 --dir /mnt/disk
  forelog-bench durable --threads 64
  forelog-bench latency --rate 50000 --durability os
  forelog-bench scale --sizes 1M,10M,100M --size 75 --dir /mnt/disk --report scale.html
  forelog-bench retention --max-mib 1024 --seconds 20 --runs 3
  forelog-bench compress --lines events.jsonl
  forelog-bench all --report bench.html
  forelog-bench all --short --json | jq '.rows[] | {id, value, ratio_to_floor, met}'";

/// Measure Forelog beside the raw floor of the same work.
#[derive(Debug, Clone, Parser)]
#[command(name = "forelog-bench", version, after_help = AFTER_HELP)]
pub struct Args {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
    /// Print one JSON object; errors are JSON too
    #[arg(long, global = true)]
    pub json: bool,
    /// Write a page with plots and tables, complete in one file
    #[arg(long, global = true, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// How much of what.
    #[command(flatten)]
    pub options: Options,
}

/// How much of what: the options that the workloads share.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Events in each run; by default as many as the workload needs for a steady figure
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub events: Option<u64>,
    /// Bytes of type, source and data together, for each event
    #[arg(long, global = true, value_name = "BYTES", default_value_t = 256,
        value_parser = clap::value_parser!(u64).range(17..=1 << 20))]
    pub size: u64,
    /// Threads that emit
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Events in each batch
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_535))]
    pub batch: Option<u64>,
    /// What an emit waits for: `sync`, `os`, or an interval such as `50ms`
    #[arg(long, global = true, value_name = "LEVEL", value_parser = parse_durability)]
    pub durability: Option<Durability>,
    /// Where to measure: a folder on the disk in question. A folder of its own is made in it, and
    /// removed at the end
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Runs of which the median is shown
    #[arg(long, global = true, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub runs: u64,
    /// Fewer events and one run: shows that it works, not how fast it is
    #[arg(long, global = true)]
    pub short: bool,
}

impl Options {
    /// The events of a run, if the user does not say otherwise.
    pub(crate) fn events_or(&self, default: u64) -> u64 {
        let default = if self.short { default / 100 } else { default };
        self.events.unwrap_or(default).max(1)
    }

    /// How many runs there are.
    pub(crate) fn runs(&self) -> u64 {
        if self.short { 1 } else { self.runs }
    }
}

/// The workloads.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Emit ready events without waiting for the disk. Floor: copy and CRC into memory that is
    /// there already
    Append(AppendArgs),
    /// Emit events that each wait for their own sync. Floor: pwrite and fdatasync of 4 KiB on blocks
    /// that were written before
    Durable,
    /// Emit durable batches: within one prepared segment, and through several. Floor: pwrite of as many bytes and
    /// fdatasync, on blocks that were written before; on such that a second thread writes meanwhile
    Batch,
    /// Emit durable events of 1 KiB with thousands in flight. Floor: as many bytes in pieces of 16 MiB,
    /// each synced
    Pipeline,
    /// Replay all events, every checksum checked. Floor: CRC over the same bytes in memory
    Replay,
    /// Get random events by Seq. Floor: a random read and CRC in memory
    Get,
    /// Look events up by type and by id, through the index. Floor: the same reads in memory
    Query,
    /// Look-ups, indexing, opening and memory by the number of events in the log
    Scale(ScaleArgs),
    /// Open a log whose writer was killed, at several sizes
    Open(FullArgs),
    /// Hand events to a handler: the rate when busy, the time from emit to handler when idle
    Dispatch,
    /// Emits beside a monitor, and without one
    Monitor,
    /// Emit at a fixed rate, and measure from the moment when each emit was due
    Latency(LatencyArgs),
    /// Emit at full speed into a directory that may only take so many bytes, with one handler that keeps
    /// up and one that does not: the largest directory, the longest emits, and that each event is
    /// delivered or part of a gap. In turn with it, as often as `--runs` says, the same without a limit
    /// (up to 16 GiB): what emits wait for in both is the disk
    Retention(RetentionArgs),
    /// Room of compressed segments, and what reading them costs, beside the same events plain
    Compress(CompressArgs),
    /// What appending to an encrypted log and reading it costs, beside the same events plain
    Encrypt,
    /// Overhead on disk, and memory of the process
    Space(FullArgs),
    /// Everything, with the targets and whether each was met
    All(FullArgs),
    /// Writes events and waits to be killed; started by `open`.
    #[command(hide = true)]
    Child(ChildArgs),
    /// Measures a log of one size; started by `scale`.
    #[command(hide = true)]
    ScaleAt(ScaleAtArgs),
}

/// The options of `append`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AppendArgs {
    /// Encode a typed value of about 200 bytes for each event, as an application does
    #[arg(long, conflicts_with = "seconds")]
    pub typed: bool,
    /// Go on for so long, with the preparation of segments inside the clock
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
}

/// The option of the workloads that can take long.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FullArgs {
    /// Also at 50 M events, and for 60 seconds: takes minutes and 40 GB of disk
    #[arg(long, conflicts_with = "short")]
    pub full: bool,
}

/// The options of `scale`.
#[derive(Debug, Clone, clap::Args)]
pub struct ScaleArgs {
    /// How many events the logs have, such as `1M,10M,100M`; 1 M and 10 M by default
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = parse_size)]
    pub sizes: Vec<u64>,
    /// How many types the events have
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub types: u64,
    /// How many sources they have
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub sources: u64,
    /// Whose ids: those that the system makes, random ones of the user's, or one log of each
    #[arg(long, value_enum, default_value_t = IdsOf::Both)]
    pub ids: IdsOf,
}

/// What one process of `scale` measures.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ScaleAtArgs {
    /// How many events the log has
    pub count: u64,
    /// How many types they have
    #[arg(long)]
    pub types: u64,
    /// How many sources they have
    #[arg(long)]
    pub sources: u64,
    /// Whether each has a random id of the user's
    #[arg(long)]
    pub random: bool,
}

/// What ids events have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum IdsOf {
    /// Those that the system makes.
    Own,
    /// Random ones of the user's.
    Random,
    /// One log of each.
    Both,
}

/// The options of `latency`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LatencyArgs {
    /// Emits a second, whether or not earlier ones have returned
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: Option<u64>,
    /// For how long
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
}

/// The options of `retention`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RetentionArgs {
    /// What the directory may take, in MiB; 1,024 by default
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub max_mib: Option<u64>,
    /// For how long each run goes; 10 s by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
    /// Make the file of each segment anew, for comparison: no file of a removed segment is used again
    #[arg(long)]
    pub no_recycling: bool,
}

/// The options of `compress`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompressArgs {
    /// Take the lines of this file as the events' data (JSON where it is), instead of made-up orders
    #[arg(long, value_name = "FILE")]
    pub lines: Option<PathBuf>,
    /// The level of Zstandard
    #[arg(long, value_name = "N", default_value_t = 3, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-7..=22))]
    pub level: i32,
}

/// What the child of `open` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct ChildArgs {
    /// The directory of the system
    pub path: PathBuf,
}

fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix(['M', 'm']) {
        Some(number) => (number, 1_000_000),
        None => match text.strip_suffix(['K', 'k']) {
            Some(number) => (number, 1_000),
            None => (text, 1),
        },
    };
    let size = number.parse::<u64>().ok();
    let size = size.and_then(|number| number.checked_mul(unit));
    size.filter(|size| *size > 0)
        .ok_or_else(|| "must be a number of events, such as `500k` or `10M`".to_owned())
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "sync" => Ok(Durability::Sync),
        "os" => Ok(Durability::Os),
        _ => text
            .strip_suffix("ms")
            .and_then(|millis| millis.parse().ok())
            .filter(|millis| *millis > 0)
            .map(|millis| Durability::Interval(Duration::from_millis(millis)))
            .ok_or_else(|| "must be `sync`, `os`, or milliseconds such as `50ms`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("700"), Ok(700));
        assert_eq!(parse_size("20k"), Ok(20_000));
        assert_eq!(parse_size("100M"), Ok(100_000_000));
        for bad in ["", "M", "0", "1.5M", "-1k", "99999999999999999M"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durabilities_are_read() {
        assert_eq!(parse_durability("sync"), Ok(Durability::Sync));
        assert_eq!(parse_durability("os"), Ok(Durability::Os));
        let interval = Durability::Interval(Duration::from_millis(50));
        assert_eq!(parse_durability("50ms"), Ok(interval));
        for bad in ["", "0ms", "50", "fast", "-1ms"] {
            assert!(parse_durability(bad).is_err(), "{bad}");
        }
    }
}

//! The options of `torture`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use forelog::Durability;
use forelog_dump::KeyArgs;

/// What the halves say of their ends.
pub(crate) const HALVES_HELP: &str = "\
Exit codes:
  0  all is done, and every promise was kept
  2  the command was not understood
  3  a promise is broken, or the directory is damaged
  4  an error: no log is there, or one of the engine, of the disk, or of whoever takes the acknowledgements

With a real plug, on the machine that loses its power, and on another one:
  other$   nc -lk 7000 >> acks    (stop it and start it anew after each cut)
  victim$  forelog-recovery torture write /data/t --events 100000000 --seed 1 --ack-to other:7000
           ... cut the power, let it come up again ...
  victim$  scp other:acks . && forelog-recovery torture check /data/t --acks acks --seed 1
The control, which must fail, is the same with --unsafe-no-sync.";

/// What `torture` says of itself.
pub(crate) const HELP: &str = "\
What must hold, by receipts: every event that was acknowledged as synced is present, none is invented,
altered or reordered, no Seq is used twice, a batch is there as a whole, a subscription sees each event
or is told of a gap, what is behind it for good never comes again, a projection applies each event once.

Exit codes:
  0  every promise was kept, in all that this machine can do; what was skipped is said
  2  the command was not understood
  3  a promise is broken: the seed is printed, with the command that repeats it
  4  an error: of the machine, or of the disk

Examples:
  forelog-recovery torture --seeds 200
  forelog-recovery torture --sim --seed 4711
  forelog-recovery torture --kill --faults --seeds 20 --json | jq .modes
  forelog-recovery torture write /data/t --events 1000 --seed 1 > acks
  forelog-recovery torture check /data/t --acks acks --seed 1";

/// The options of `torture`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TortureArgs {
    /// A half of the work, for whoever pulls a real plug.
    #[command(subcommand)]
    pub half: Option<Half>,
    /// All of it.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The options of `torture` as a whole.
#[derive(Debug, Clone, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a mode that may be asked for"
)]
pub struct RunArgs {
    /// How many seeds to run: 20, or 1 if `--seed` names it. Where all modes run, those with real processes
    /// take fewer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: Option<u64>,
    /// The first seed
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Only this, or what else is named: crashes at any operation of a simulated disk
    #[arg(long)]
    pub sim: bool,
    /// … `kill -9` of real processes that write and consume
    #[arg(long)]
    pub kill: bool,
    /// … errors of real system calls
    #[arg(long)]
    pub faults: bool,
    /// … a small file system that fills
    #[arg(long)]
    pub full: bool,
    /// … every byte of a small log changed in turn, then pairs of bytes in headers
    #[arg(long)]
    pub flip: bool,
    /// The control: with `--sim`, disks that ignore syncs. Must fail
    #[arg(long, requires = "sim")]
    pub unsafe_no_sync: bool,
}

/// The two halves for whoever pulls a real plug.
#[derive(Debug, Clone, Subcommand)]
pub enum Half {
    /// Emit events that follow from a seed, and print `ack SEQ EVENT_ID BLAKE3` for each once it is as
    /// durable as was asked. Ends at the first error, with no acknowledgement after it
    #[command(after_help = HALVES_HELP)]
    Write(WriteArgs),
    /// Deliver all events to a named subscription, and print each Seq once its acknowledgement is durable: one
    /// number a line, at once. Makes no directory: where no log is, it ends with exit code 4
    #[command(after_help = HALVES_HELP)]
    Consume(ConsumeArgs),
    /// Judge what is left of a directory by what was acknowledged. Opens it, so that it recovers; where no log
    /// is nothing is made, and it is judged as one without events
    #[command(after_help = HALVES_HELP)]
    Check(CheckArgs),
}

/// What must be true before an event is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Promise {
    /// A sync that covers it has returned
    Sync,
    /// The same, but nobody asks for the sync: it comes by the interval
    Interval,
    /// It is published: a killed process cannot lose it, a power cut can
    Os,
}

impl Promise {
    /// The durability to emit with; `interval` is how often is synced.
    pub(crate) fn durability(self, interval: Duration) -> Durability {
        match self {
            Promise::Sync => Durability::Sync,
            Promise::Interval => Durability::Interval(interval),
            Promise::Os => Durability::Os,
        }
    }
}

/// The options of `torture write`.
#[derive(Debug, Clone, clap::Args)]
pub struct WriteArgs {
    /// The directory: a new one, or one to go on with, by the same seed or another
    pub dir: PathBuf,
    /// How many events to emit
    #[arg(long, value_name = "N")]
    pub events: u64,
    /// What all events follow from
    #[arg(long, value_name = "S")]
    pub seed: u64,
    /// What must be true before an event is acknowledged
    #[arg(long, value_enum, default_value_t = Promise::Sync)]
    pub durability: Promise,
    /// How often is synced with `--durability interval`, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pub interval_ms: u64,
    /// Emit so many events as one atomic batch
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub batch: u16,
    /// Emit from so many threads, which share the events
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
    /// The length of a segment file in bytes, from 64 KiB to 2 GiB: that of the ones that are there, or
    /// 64 MiB
    #[arg(long, value_name = "N")]
    pub segment_bytes: Option<usize>,
    /// Encrypt the log with it, as every later run and check of it must.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Send the acknowledgements to this address over TCP instead of printing them
    #[arg(long, value_name = "HOST:PORT")]
    pub ack_to: Option<String>,
    /// The control: sync nothing and acknowledge all the same. Events are lost with the power
    #[arg(long)]
    pub unsafe_no_sync: bool,
}

/// The options of `torture consume`.
#[derive(Debug, Clone, clap::Args)]
pub struct ConsumeArgs {
    /// The directory, which nobody writes to
    pub dir: PathBuf,
    /// The name of the subscription
    #[arg(long, value_name = "C")]
    pub name: String,
    /// What opens it.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Send the Seqs to this address over TCP instead of printing them
    #[arg(long, value_name = "HOST:PORT")]
    pub ack_to: Option<String>,
    /// The control: sync nothing and print all the same. Acknowledgements are lost with the power
    #[arg(long)]
    pub unsafe_no_sync: bool,
}

/// The options of `torture check`.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// The directory as the crash left it
    pub dir: PathBuf,
    /// What `torture write` has printed; given once for each file. A line that was torn
    /// where a run ended does not count
    #[arg(long, value_name = "FILE")]
    pub acks: Vec<PathBuf>,
    /// The seeds that wrote into the directory, each given once: all events must be theirs
    #[arg(long = "seed", value_name = "S", required = true)]
    pub seeds: Vec<u64>,
    /// What the acknowledgements promised; with several runs, the least
    #[arg(long, value_enum, default_value_t = Promise::Sync)]
    pub durability: Promise,
    /// Only processes were killed, and the machine ran on: with `--durability os` nothing may be lost
    /// either
    #[arg(long)]
    pub process_crash: bool,
    /// What `torture consume` has printed; given once for each file, in the order of the runs: none of it may
    /// be delivered again. A line that was torn where a run ended does not count, also with the next run's
    /// behind it
    #[arg(long, value_name = "FILE")]
    pub consumed: Vec<PathBuf>,
    /// Of which subscription that is; not needed where there is one
    #[arg(long, value_name = "C", requires = "consumed")]
    pub name: Option<String>,
    /// What opens it.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Do not open the directory: read it as it is, and write nothing. What a crash has left unfinished is
    /// then no part of it
    #[arg(long)]
    pub no_open: bool,
}

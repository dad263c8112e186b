//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use forelog_dump::{KeyArgs, SelectorArgs};

use crate::options::{
    CompletionsArgs, CursorsArgs, DiffArgs, DoctorArgs, ManArgs, RebuildArgs, RepairArgs,
    SalvageArgs,
};

const AFTER_HELP: &str = "\
Exit codes:
  0  all is in order, or was done
  1  only a torn tail, as a crash leaves it: the next opening sets it aside; diff: they differ
  2  the command was not understood
  3  something is damaged, or was lost
  4  the path cannot be opened or read, or only with a key that was not given, the target or
     the output not be written, or a command of --exec failed
  5  what was asked for by its name is not there

Examples:
  forelog-recovery doctor /var/lib/orders
  forelog-recovery verify /var/lib/orders
  forelog-recovery verify /var/lib/orders --fast --json | jq .damage
  forelog-recovery repair /var/lib/orders --plan
  forelog-recovery repair /var/lib/orders --apply
  forelog-recovery salvage /var/lib/orders --into /var/lib/orders-salvaged
  forelog-recovery diff /var/lib/orders /var/lib/orders-salvaged
  forelog-recovery cursors list /var/lib/orders
  forelog-recovery cursors set /var/lib/orders billing 41000 --apply
  forelog-recovery replay /var/lib/orders --type 'order.*' --from 2013-01-01T00:00:00Z
  forelog-recovery replay /var/lib/orders --from 41001 --rate 100 --exec 'curl -fsS -d @- http://127.0.0.1:8080/'
  forelog-recovery replay /var/lib/orders --into /var/lib/orders-copied
  forelog-recovery replay /var/lib/orders --key-file old.key --into /var/lib/other --into-key-file new.key
  forelog-recovery rebuild /var/lib/orders --projection totals --apply
  forelog-recovery reindex /var/lib/orders
  forelog-recovery completions bash > /etc/bash_completion.d/forelog-recovery";

/// Verify, repair and salvage Forelog directories, replay their events, move cursors.
///
/// What changes a directory shows first what it would do; only `--apply` acts, and deletes nothing.
#[derive(Debug, Clone, Parser)]
#[command(name = "forelog-recovery", version, after_help = AFTER_HELP)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Report as JSON; errors are JSON too
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Check every checksum, the order of Seqs, footers, links and the index. Never writes; works
    /// beside a live writer
    #[command(after_help = AFTER_HELP)]
    Verify(VerifyArgs),
    /// Tell everything that is wrong at once, and which command to type next. Never writes
    #[command(after_help = AFTER_HELP)]
    Doctor(DoctorArgs),
    /// Show what a repair would keep and lose, or do it: damaged segments are written anew with every
    /// event that can be read, and what cannot is declared as lost. Needs the directory to be closed
    #[command(after_help = AFTER_HELP)]
    Repair(RepairArgs),
    /// Bring every event that can be read into a new directory, under its own Seq, with cursors,
    /// parked and scheduled events. Never writes to the directory that it reads
    #[command(after_help = AFTER_HELP)]
    Salvage(SalvageArgs),
    /// Compare the events of two directories. Reads what can be read; never writes
    #[command(after_help = AFTER_HELP)]
    Diff(DiffArgs),
    /// Print the events as JSON lines, hand each to a command, or emit them into another directory.
    /// Reads what can be read; never writes to the directory it reads
    #[command(after_help = AFTER_HELP)]
    Replay(ReplayArgs),
    /// Show how far each named subscription has come, or send one to another place. What changes
    /// anything needs the directory to be closed
    #[command(after_help = AFTER_HELP)]
    Cursors(CursorsArgs),
    /// Show the snapshots of projections, or set them aside, so that the states are made anew from the
    /// log. What changes anything needs the directory to be closed
    #[command(after_help = AFTER_HELP)]
    Rebuild(RebuildArgs),
    /// Rebuild the lookup index from the log. Needs the directory to be closed
    #[command(after_help = AFTER_HELP)]
    Reindex(ReindexArgs),
    /// Write the manual pages
    Man(ManArgs),
    /// Print what a shell needs to complete commands and options
    Completions(CompletionsArgs),
    /// Attack the promises of the engine, or take part in pulling a real plug
    #[command(after_help = crate::torture::args::HELP)]
    Torture(crate::torture::TortureArgs),
}

/// The options of `verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// The directory, the folder of one of its logs, or one segment file
    pub path: PathBuf,
    /// Read every byte and compare the index: what is done unless told otherwise. The index is copied to the folder
    /// for temporary files (TMPDIR), which needs as much room as it takes; where there is none it is not compared
    #[arg(long, conflicts_with_all = ["fast", "skip_index"])]
    pub deep: bool,
    /// Read headers, footers and links, and the frames of the last segments only: what opening relies
    /// on. Does not find a flipped bit in a sealed segment
    #[arg(long, conflicts_with = "skip_index")]
    pub fast: bool,
    /// Read every byte, several segments at once, and do not compare the index
    #[arg(long)]
    pub skip_index: bool,
    /// Hold each event against its authentication tag too, and the index against the log.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// The options of `replay`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// The directory, the folder of one of its logs, or one segment file
    pub path: PathBuf,
    /// Emit the events into this directory, a new or an empty one, instead of printing them. Ids,
    /// timestamps and headers are kept; Seqs are given anew
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Run this shell command for each event, with its JSON on stdin and its Seq in
    /// `FORELOG_SEQ`; the first one that fails ends the replay
    #[arg(long, value_name = "COMMAND", conflicts_with = "into")]
    pub exec: Option<String>,
    /// Go on after a command that fails
    #[arg(long, requires = "exec")]
    pub keep_going: bool,
    /// At most so many events a second
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// What opens it.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Encrypt the directory that is emitted into with the key in this file
    #[arg(long, value_name = "F", requires = "into")]
    pub into_key_file: Option<PathBuf>,
    /// Which events.
    #[command(flatten)]
    pub selector: SelectorArgs,
}

/// The options of `reindex`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReindexArgs {
    /// The directory
    pub path: PathBuf,
    /// What opens it.
    #[command(flatten)]
    pub key: KeyArgs,
}

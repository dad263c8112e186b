//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use forelog_dump::SelectorArgs;

const AFTER_HELP: &str = "\
Exit codes:
  0  all is in order
  1  only a torn tail, as a crash leaves it: the next opening sets it aside
  2  the command was not understood
  3  something is damaged
  4  the path cannot be opened or read, or the target not be written

Examples:
  forelog-recovery verify /var/lib/orders
  forelog-recovery verify /var/lib/orders --json | jq .damage
  forelog-recovery replay /var/lib/orders --type 'order.*' --from 2013-01-01T00:00:00Z
  forelog-recovery replay /var/lib/orders --into /var/lib/orders-rescued
  forelog-recovery reindex /var/lib/orders";

/// Verify Forelog directories, replay their events, rebuild their index.
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
    /// Print the events as JSON lines, or emit them into another directory. Reads what can be read;
    /// never writes to the directory it reads
    #[command(after_help = AFTER_HELP)]
    Replay(ReplayArgs),
    /// Rebuild the lookup index from the log. Needs the directory to be closed
    #[command(after_help = AFTER_HELP)]
    Reindex(ReindexArgs),
    /// Attack the promises of the engine, or take part in pulling a real plug
    #[command(after_help = crate::torture::args::HELP)]
    Torture(crate::torture::TortureArgs),
}

/// The options of `verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// The directory, the folder of one of its logs, or one segment file
    pub path: PathBuf,
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
    /// Which events.
    #[command(flatten)]
    pub selector: SelectorArgs,
}

/// The options of `reindex`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReindexArgs {
    /// The directory
    pub path: PathBuf,
}

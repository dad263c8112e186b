//! The options of the commands that look at a whole directory, or change it.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};
use clap_complete::Shell;
use forelog_dump::KeyArgs;

/// The options of `doctor`.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorArgs {
    /// The directory
    pub path: PathBuf,
}

/// The options of `repair`.
#[derive(Debug, Clone, clap::Args)]
#[command(group = ArgGroup::new("mode").args(["plan", "apply"]))]
pub struct RepairArgs {
    /// The directory
    pub path: PathBuf,
    /// Show what would be done, kept and lost: what is done unless told otherwise
    #[arg(long)]
    pub plan: bool,
    /// Do it. What is replaced is kept in `aside/repair-N/` within the directory; a repair that was cut
    /// off is gone on with, and doing it twice is doing it once
    #[arg(long)]
    pub apply: bool,
}

/// The options of `salvage`.
#[derive(Debug, Clone, clap::Args)]
pub struct SalvageArgs {
    /// The directory, the folder of one of its logs, or one segment file
    pub path: PathBuf,
    /// The new directory
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
}

/// The options of `diff`.
#[derive(Debug, Clone, clap::Args)]
pub struct DiffArgs {
    /// One directory, folder of a log, or segment file
    pub left: PathBuf,
    /// The other
    pub right: PathBuf,
    /// What opens them.
    #[command(flatten)]
    pub key: KeyArgs,
    /// The file with the key of the other one, where that is another
    #[arg(long, value_name = "F")]
    pub right_key_file: Option<PathBuf>,
}

/// The options of `cursors`.
#[derive(Debug, Clone, clap::Args)]
pub struct CursorsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CursorsCommand,
}

/// What can be done with cursors.
#[derive(Debug, Clone, Subcommand)]
pub enum CursorsCommand {
    /// Show how far each named subscription has come
    List {
        /// The directory
        path: PathBuf,
    },
    /// Send a subscription to a place: it is delivered what stands behind it
    Set(CursorArgs),
    /// Send a subscription to the beginning: it is delivered everything that is held
    Reset(ResetArgs),
}

/// The options of `cursors set`.
#[derive(Debug, Clone, clap::Args)]
pub struct CursorArgs {
    /// The directory
    pub path: PathBuf,
    /// The subscription's name
    pub name: String,
    /// The last Seq that counts as acknowledged, or `end` for the last one of the log
    #[arg(value_name = "SEQ|end", value_parser = place)]
    pub seq: CursorPlace,
    /// Do it, instead of showing what would change
    #[arg(long)]
    pub apply: bool,
}

/// The options of `cursors reset`.
#[derive(Debug, Clone, clap::Args)]
pub struct ResetArgs {
    /// The directory
    pub path: PathBuf,
    /// The subscription's name
    pub name: String,
    /// Do it, instead of showing what would change
    #[arg(long)]
    pub apply: bool,
}

/// Where a cursor is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorPlace {
    /// Behind this Seq.
    Seq(u64),
    /// Behind the last event.
    End,
}

fn place(text: &str) -> Result<CursorPlace, String> {
    if text == "end" {
        return Ok(CursorPlace::End);
    }
    let seq = text.parse().map(CursorPlace::Seq);
    seq.map_err(|_| format!("{text:?} is neither a Seq (such as 42) nor `end`"))
}

/// The options of `rebuild`.
#[derive(Debug, Clone, clap::Args)]
pub struct RebuildArgs {
    /// The directory
    pub path: PathBuf,
    /// Only the snapshots of this projection
    #[arg(long, value_name = "NAME")]
    pub projection: Option<String>,
    /// Set them aside, instead of showing them
    #[arg(long)]
    pub apply: bool,
}

/// The options of `man`.
#[derive(Debug, Clone, clap::Args)]
pub struct ManArgs {
    /// Write a page for each command into this folder, instead of printing the first one
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// The options of `completions`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

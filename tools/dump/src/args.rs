//! The command line.

use std::path::PathBuf;

use clap::Parser;
use forelog::Filter;
use forelog::inspect::{Bound, Selector};
use serde_json::json;

use crate::Exit;

const AFTER_HELP: &str = "\
Exit codes:
  0  all that was shown is in order
  1  only a torn tail, as a crash leaves it: the next opening sets it aside
  2  the command was not understood
  3  something is damaged; what can be read is shown all the same
  4  the path cannot be opened or read

Examples:
  forelog-dump /var/lib/orders
  forelog-dump /var/lib/orders --json --type 'order.*' --from 2013-01-01T00:00:00Z --limit 10
  forelog-dump /var/lib/orders --stats
  forelog-dump /var/lib/orders --follow --json | jq .data
  forelog-dump /var/lib/orders/log/000000000001-000.seg --raw";

/// Show what a Forelog directory, or one segment file, holds. Never writes, needs no lock, and works
/// beside a live writer and on damaged files.
#[derive(Debug, Clone, Parser)]
#[command(name = "forelog-dump", version, after_help = AFTER_HELP)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub struct Args {
    /// The directory, the folder of one of its logs, or one segment file
    pub path: PathBuf,
    /// Print JSON, a line for each record; errors are JSON too
    #[arg(long)]
    pub json: bool,
    /// What to show.
    #[command(flatten)]
    pub selector: SelectorArgs,
    /// Print counts and bytes by type instead of the records
    #[arg(long, conflicts_with_all = ["raw", "follow", "headers"])]
    pub stats: bool,
    /// Print every frame with its bytes, and the bytes that are no frame, even where damaged
    #[arg(long, conflicts_with_all = ["follow", "headers", "types", "source", "from", "to"])]
    pub raw: bool,
    /// Print what a live writer adds, as it comes
    #[arg(long, conflicts_with = "headers")]
    pub follow: bool,
    /// Print the segments with the fields of their headers and footers instead of the records
    #[arg(long, conflicts_with_all = ["types", "source", "from", "to", "limit"])]
    pub headers: bool,
}

/// Which records to show: the options that the tools share.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SelectorArgs {
    /// Only events of this type; `order.*` means all that begin so. May be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only events of this source
    #[arg(long)]
    pub source: Option<String>,
    /// Only from this Seq, or from this RFC 3339 time on (the event's own timestamp)
    #[arg(long, value_name = "SEQ|TIME")]
    pub from: Option<Bound>,
    /// Only up to this Seq or time, itself included
    #[arg(long, value_name = "SEQ|TIME")]
    pub to: Option<Bound>,
    /// At most so many events
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

impl SelectorArgs {
    /// The selector that they stand for.
    pub fn selector(&self) -> Selector {
        let mut filter = Filter::all().types(&self.types);
        if let Some(source) = &self.source {
            filter = filter.source(source);
        }
        let mut selector = Selector::all().filter(filter);
        if let Some(from) = self.from {
            selector = selector.from(from);
        }
        if let Some(to) = self.to {
            selector = selector.to(to);
        }
        match self.limit {
            Some(limit) => selector.limit(limit),
            None => selector,
        }
    }
}

/// Reads the command line. What is wrong with it (or the help that it asks for) is told at once, as
/// JSON if `--json` was given.
pub fn parse<A: Parser>() -> Result<A, Exit> {
    let given = std::env::args_os();
    let json = given.into_iter().any(|arg| arg == "--json");
    A::try_parse().map_err(|error| {
        if json && error.use_stderr() {
            let message = error.render().to_string();
            let line = json!({ "error": { "kind": "Usage", "message": message.trim_end() } });
            eprintln!("{line}");
        } else {
            // Where neither stdout nor stderr can be written there is nobody left to tell.
            let _ = error.print();
        }
        if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Good
        }
    })
}

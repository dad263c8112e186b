//! The command line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use forelog::inspect::{Bound, Inspector, Selector};
use forelog::{EncryptionKey, Error, ErrorKind, EventId, Filter, Seq, Timestamp};
use serde_json::json;

use crate::exit::{Exit, Fault, Told};
use crate::format::Format;
use crate::when;

const AFTER_HELP: &str = "\
Exit codes:
  0  all that was shown is in order
  1  only a torn tail, as a crash leaves it: the next opening sets it aside
  2  the command was not understood
  3  something is damaged; what can be read is shown all the same
  4  the path cannot be opened or read, or only with a key that was not given, or the output not be
     written
  5  get: there is no such event

Examples:
  forelog-dump /var/lib/orders
  forelog-dump /var/lib/orders --json --type 'order.*' --from 2013-01-01T00:00:00Z --limit 10
  forelog-dump /var/lib/orders --stats
  forelog-dump /var/lib/orders --follow --json | jq .data
  forelog-dump /var/lib/orders/log/000000000001-000.seg --raw
  forelog-dump get /var/lib/orders 42
  forelog-dump query /var/lib/orders --type 'order.*' --from 2h --newest-first --limit 20
  forelog-dump query /var/lib/orders --header tenant=7 --format csv > tenant-7.csv
  forelog-dump types /var/lib/orders
  forelog-dump tail /var/lib/orders --source web --key-file /etc/orders.key
  forelog-dump retention /var/lib/orders --max-bytes 1073741824 --max-age 7d";

/// Show what a Forelog directory, or one segment file, holds. Never writes, needs no lock, and works
/// beside a live writer and on damaged files.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "forelog-dump",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub struct Args {
    /// What to do; without it, the records are shown.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The directory, the folder of one of its logs, or one segment file
    #[arg(required = true)]
    pub path: Option<PathBuf>,
    /// Print JSON, a line for each record; errors are JSON too
    #[arg(long)]
    pub json: bool,
    /// What opens it.
    #[command(flatten)]
    pub key: KeyArgs,
    /// What to show.
    #[command(flatten)]
    pub selector: SelectorArgs,
    /// Print counts and bytes by type instead of the records
    #[arg(long, conflicts_with_all = ["raw", "follow", "headers"])]
    pub stats: bool,
    /// Print every frame with its bytes, and the bytes that are no frame, even where damaged
    #[arg(long, conflicts_with_all = ["follow", "headers", "types", "sources", "from", "to"])]
    pub raw: bool,
    /// Print what a live writer adds, as it comes
    #[arg(long, conflicts_with = "headers")]
    pub follow: bool,
    /// Print the segments with the fields of their headers and footers instead of the records
    #[arg(long, conflicts_with_all = ["types", "sources", "from", "to", "limit"])]
    pub headers: bool,
}

/// What can be done besides showing the records.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Show one event, by its Seq or its id
    #[command(after_help = AFTER_HELP)]
    Get(GetArgs),
    /// Show the events that all of the options let pass
    #[command(after_help = AFTER_HELP)]
    Query(QueryArgs),
    /// List the event types with their counts, first and last events
    #[command(after_help = AFTER_HELP)]
    Types(NamesArgs),
    /// List the sources with their counts, first and last events
    #[command(after_help = AFTER_HELP)]
    Sources(NamesArgs),
    /// Show the newest events, and then what a live writer adds, as it comes
    #[command(after_help = AFTER_HELP)]
    Tail(TailArgs),
    /// Show each segment with its size and age, who still needs it, and whether it would go by limits
    #[command(after_help = AFTER_HELP)]
    Retention(RetentionArgs),
}

impl Command {
    /// The directory, and how to show what is in it.
    pub fn place(&self) -> &PlaceArgs {
        match self {
            Command::Get(args) => &args.place,
            Command::Query(args) => &args.place,
            Command::Types(args) | Command::Sources(args) => &args.place,
            Command::Tail(args) => &args.place,
            Command::Retention(args) => &args.place,
        }
    }
}

/// The key of a log whose events are encrypted: an option that the tools share.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct KeyArgs {
    /// The file with the key, where events are encrypted: 32 bytes, or 64 hexadecimal digits
    #[arg(long, value_name = "F")]
    pub key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The key, if one is given.
    ///
    /// # Errors
    /// As [`EncryptionKey::from_file`].
    pub fn key(&self) -> Result<Option<EncryptionKey>, Error> {
        let path = self.key_file.as_ref();
        path.map(EncryptionKey::from_file).transpose()
    }

    /// Looks into a directory, with the key if one is given.
    ///
    /// # Errors
    /// As [`Inspector::open`] and [`KeyArgs::key`].
    pub fn inspector(&self, path: impl AsRef<Path>) -> Result<Inspector, Error> {
        let inspector = Inspector::open(path)?;
        Ok(match self.key()? {
            Some(key) => inspector.encryption_key(key),
            None => inspector,
        })
    }
}

/// The directory, and how to show what is in it: the options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct PlaceArgs {
    /// The directory, the folder of one of its logs, or one segment file
    pub path: PathBuf,
    /// How to show it; with json, errors are JSON too
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// What opens it.
    #[command(flatten)]
    pub key: KeyArgs,
}

impl PlaceArgs {
    /// How to show it.
    pub fn format(&self) -> Format {
        Format::of(self.json, self.format)
    }
}

/// The options of `get`.
#[derive(Debug, Clone, clap::Args)]
pub struct GetArgs {
    /// Where to look.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The event's Seq, or its id
    #[arg(value_name = "ID|SEQ", value_parser = key)]
    pub key: Key,
}

/// What an event is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Its place.
    Seq(Seq),
    /// Its id; all events that have it are shown.
    Id(EventId),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Seq(seq) => write!(f, "Seq {seq}"),
            Key::Id(id) => write!(f, "id {id}"),
        }
    }
}

fn key(text: &str) -> Result<Key, String> {
    match text.parse() {
        Ok(seq) => Ok(Key::Seq(Seq(seq))),
        Err(_) => text.parse().map(Key::Id).map_err(|_| {
            let example = "0190a5b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b";
            format!("{text:?} is neither a Seq (such as 42) nor an event id (such as {example})")
        }),
    }
}

/// The options of `query`.
#[derive(Debug, Clone, clap::Args)]
pub struct QueryArgs {
    /// Where to look.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// What to show.
    #[command(flatten)]
    pub selector: SelectorArgs,
    /// What else to show.
    #[command(flatten)]
    pub more: MoreArgs,
    /// From the newest event to the oldest
    #[arg(long)]
    pub newest_first: bool,
}

/// The options of `types` and `sources`.
#[derive(Debug, Clone, clap::Args)]
pub struct NamesArgs {
    /// Where to look.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Which events to count.
    #[command(flatten)]
    pub selector: SelectorArgs,
    /// Which else.
    #[command(flatten)]
    pub more: MoreArgs,
}

/// The options of `retention`.
#[derive(Debug, Clone, clap::Args)]
pub struct RetentionArgs {
    /// Where to look.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Which segments would go if at most so many events were kept
    #[arg(long, value_name = "N")]
    pub max_events: Option<u64>,
    /// ... if the segments may take so many bytes on the disk
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<u64>,
    /// ... if events are kept for so long: `90s`, `15m`, `2h`, `3d`
    #[arg(long, value_name = "AGE", value_parser = when::age)]
    pub max_age: Option<Duration>,
}

/// The options of `tail`.
#[derive(Debug, Clone, clap::Args)]
pub struct TailArgs {
    /// Where to look.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// What to show.
    #[command(flatten)]
    pub selector: SelectorArgs,
    /// What else to show.
    #[command(flatten)]
    pub more: MoreArgs,
    /// How many of the newest events to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub lines: u64,
}

/// Which records to show: the options that the tools share.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SelectorArgs {
    /// Only events of this type; `order.*` means all that begin so. May be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only events of this source. May be given several times
    #[arg(long = "source", value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Only from this Seq, or from this time on (the event's own timestamp): RFC 3339, a day, or
    /// `2h` for two hours ago
    #[arg(long, value_name = "SEQ|TIME", value_parser = when::bound)]
    pub from: Option<Bound>,
    /// Only up to this Seq or time, itself included
    #[arg(long, value_name = "SEQ|TIME", value_parser = when::bound)]
    pub to: Option<Bound>,
    /// At most so many events
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

impl SelectorArgs {
    /// The selector that they stand for.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if nothing can lie between the two bounds.
    pub fn selector(&self) -> Result<Selector, Error> {
        let is_empty = match (self.from, self.to) {
            (Some(Bound::Seq(from)), Some(Bound::Seq(to))) => to < from,
            (Some(Bound::Time(from)), Some(Bound::Time(to))) => to < from,
            _ => false,
        };
        if is_empty {
            let message = "--to lies before --from, so that no event fits; exchange the two";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let filter = Filter::all().types(&self.types).sources(&self.sources);
        let mut selector = Selector::all().filter(filter);
        if let Some(from) = self.from {
            selector = selector.from(from);
        }
        if let Some(to) = self.to {
            selector = selector.to(to);
        }
        Ok(match self.limit {
            Some(limit) => selector.limit(limit),
            None => selector,
        })
    }
}

/// Which records to show: what looking for events has besides.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct MoreArgs {
    /// Only events with this id. May be given several times
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<EventId>,
    /// Only events with this header. May be given several times: then all must be there
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// Only events that the log took at this time or later
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    pub appended_since: Option<Timestamp>,
    /// Only events that the log took before this time
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    pub appended_until: Option<Timestamp>,
}

impl MoreArgs {
    /// The selector with these added.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if nothing can lie between the two times.
    pub fn add_to(&self, selector: Selector) -> Result<Selector, Error> {
        if let (Some(since), Some(until)) = (self.appended_since, self.appended_until)
            && until < since
        {
            let message = "--appended-until lies before --appended-since, so that no event fits; exchange the two";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let mut selector = selector.ids(self.ids.iter().copied());
        for (name, value) in &self.headers {
            selector = selector.header(name, value);
        }
        if let Some(time) = self.appended_since {
            selector = selector.appended_since(time);
        }
        Ok(match self.appended_until {
            Some(time) => selector.appended_until(time),
            None => selector,
        })
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let (name, value) = pair.ok_or_else(|| format!("{text:?} is no NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads the command line. What is wrong with it (or the help that it asks for) is told at once, as
/// JSON if `--json` was given.
pub fn parse<A: Parser>() -> Result<A, Exit> {
    let given: Vec<_> = std::env::args_os().collect();
    let json = given
        .iter()
        .any(|arg| arg == "--json" || arg == "--format=json")
        || given.windows(2).any(|pair| pair == ["--format", "json"]);
    A::try_parse().map_err(|error| {
        if json && error.use_stderr() {
            let message = error.render().to_string();
            let line = json!({ "error": { "kind": "Usage", "message": message.trim_end() } });
            let _ = writeln!(io::stderr(), "{line}");
            return Exit::Usage;
        }
        let printed = error.print().and_then(|()| io::stdout().flush());
        if error.use_stderr() {
            // Where even stderr cannot be written there is nobody left to tell.
            return Exit::Usage;
        }
        let asked_for = printed.map(|()| Exit::Good).map_err(Fault::Output);
        Told::new(json, &mut io::stderr()).conclude(asked_for)
    })
}

//! The command line, read by hand: an example needs no library for four flags.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Records events in a process that is killed half-way, recovers, and checks that nothing is missing.

Usage: flight_recorder [--input FILE] [--keep DIR] [--top N]

  --input FILE  a JSON-lines file of events, plain or zstd-compressed
                [default: examples/data/flights.jsonl]
  --keep DIR    record into this new directory and keep it [default: a temporary one]
  --top N       how many lines of the board to show [default: 12]
  --help        print this

Exit status: 0 if the board matches the input, 1 if not or if something failed, 2 for wrong usage.";

/// The events that come with the repository.
const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/flights.jsonl");
/// How the program asks itself to be the process that dies; not for users.
const DOOMED: &str = "--doomed";

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Record(Options),
    Die(Orders),
}

/// What a user can choose.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) input: PathBuf,
    pub(crate) keep: Option<PathBuf>,
    pub(crate) top: usize,
}

/// What the child process is told.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) input: PathBuf,
    pub(crate) dir: PathBuf,
    /// How many events the input has.
    pub(crate) events: u64,
}

impl Orders {
    /// The arguments that [`parse`] turns into these orders again.
    pub(crate) fn to_args(&self) -> [OsString; 4] {
        let events = self.events.to_string();
        [
            DOOMED.into(),
            self.input.clone().into(),
            self.dir.clone().into(),
            events.into(),
        ]
    }
}

/// Reads the arguments that follow the program's name; an error is for the user to read.
pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options {
        input: FLIGHTS.into(),
        keep: None,
        top: 12,
    };
    while let Some(arg) = args.next() {
        let flag = arg.to_string_lossy().into_owned();
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--input" => options.input = value()?.into(),
            "--keep" => options.keep = Some(value()?.into()),
            "--top" => options.top = number(&value()?)?,
            DOOMED => {
                let (input, dir) = (value()?.into(), value()?.into());
                return Ok(Command::Die(Orders {
                    input,
                    dir,
                    events: number(&value()?)?,
                }));
            }
            _ => return Err(format!("there is no option {flag}; try --help")),
        }
    }
    Ok(Command::Record(options))
}

fn number<N: std::str::FromStr>(text: &OsString) -> Result<N, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{} is no number", text.display()))
}

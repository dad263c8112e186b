//! How a command ends, and how it tells what went wrong.

use std::io::{self, Write};
use std::process::ExitCode;

use forelog::inspect::Verdict;
use forelog::{Error, ErrorKind};
use serde_json::json;

use crate::text::clean;

/// Where a command writes its data.
pub type Output<'a> = &'a mut dyn Write;

/// How a command ended: the codes that all Forelog tools share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All is in order.
    Good = 0,
    /// Only a torn tail, as a crash leaves it.
    Torn = 1,
    /// The command was not understood.
    Usage = 2,
    /// Something is damaged.
    Damaged = 3,
    /// The path cannot be opened or read, or the output not be written.
    Unopened = 4,
    /// What was asked for by its name is not there.
    Absent = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Good => Exit::Good,
            Verdict::Torn => Exit::Torn,
            Verdict::Damaged => Exit::Damaged,
        }
    }
}

/// Why a command could not go on.
#[derive(Debug)]
pub enum Fault {
    /// An error of the library.
    Log(Error),
    /// What was asked for by its name is not there.
    Absent(Error),
    /// The output cannot be written.
    Output(io::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Log(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Output(error)
    }
}

impl From<csv::Error> for Fault {
    fn from(error: csv::Error) -> Self {
        Fault::Output(error.into())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Fault::Output(error.into())
    }
}

/// What is told besides the data: on stderr, as text or as a JSON object a line.
pub struct Told<'a> {
    json: bool,
    err: &'a mut dyn Write,
    worst: Exit,
}

impl std::fmt::Debug for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told")
            .field("json", &self.json)
            .field("worst", &self.worst)
            .finish_non_exhaustive()
    }
}

impl<'a> Told<'a> {
    /// Tells everything to `err`.
    pub fn new(json: bool, err: &'a mut dyn Write) -> Self {
        Told {
            json,
            err,
            worst: Exit::Good,
        }
    }

    /// Tells of a place that cannot be read; the command goes on.
    pub fn damage(&mut self, error: &Error) {
        self.worst = self.worst.max(exit_of(error));
        self.error(error);
    }

    /// Whether nothing that cannot be read was met so far.
    pub fn is_whole(&self) -> bool {
        self.worst == Exit::Good
    }

    /// Tells of something that is no error.
    pub fn note(&mut self, note: &str) {
        let line = if self.json {
            json!({ "note": note }).to_string()
        } else {
            clean(note)
        };
        // Where even stderr is closed there is nobody left to tell.
        let _ = writeln!(self.err, "{line}");
    }

    /// The end of the command: its own, or what was told on the way if that is worse.
    pub fn conclude(&mut self, outcome: Result<Exit, Fault>) -> Exit {
        match outcome {
            Ok(exit) => exit.max(self.worst),
            // Whoever reads has seen enough.
            Err(Fault::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => self.worst,
            Err(Fault::Output(error)) => {
                self.error(&Error::io("write the output", "stdout", error));
                Exit::Unopened
            }
            Err(Fault::Absent(error)) => {
                self.error(&error);
                Exit::Absent
            }
            Err(Fault::Log(error)) => {
                self.error(&error);
                exit_of(&error)
            }
        }
    }

    fn error(&mut self, error: &Error) {
        let line = if self.json {
            error_json(error).to_string()
        } else {
            clean(&format!("error: {error}"))
        };
        let _ = writeln!(self.err, "{line}");
    }
}

/// An error as a JSON object.
fn error_json(error: &Error) -> serde_json::Value {
    json!({ "error": {
        "kind": format!("{:?}", error.kind()),
        "message": error.message(),
        "path": error.path().map(|path| path.display().to_string()),
        "segment": error.segment(),
        "offset": error.offset(),
        "seq": error.seq(),
    }})
}

/// What an error amounts to.
fn exit_of(error: &Error) -> Exit {
    match error.kind() {
        ErrorKind::Invalid => Exit::Usage,
        ErrorKind::Corrupt
        | ErrorKind::Decode
        | ErrorKind::Truncated
        | ErrorKind::MissingSegment
        | ErrorKind::ForeignSegment
        | ErrorKind::Index => Exit::Damaged,
        _ => Exit::Unopened,
    }
}

//! What the child process tells its parent, a line each: the parent reads it from a pipe, which
//! outlives the child, so all that was said before the end arrives.

use std::fmt;
use std::io::{self, Write as _};

use forelog::Seq;

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// So many events of the input are emitted, and their receipts are here.
    Acknowledged(u64),
    /// A handler has handled an event.
    Handled(Handled),
    /// These are the last words: where the process is going to die.
    Dying(String),
}

/// An event that a handler has handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handled {
    pub(crate) handler: &'static str,
    pub(crate) seq: Seq,
    /// Whether it reports a delay of an hour or more, for the handler that asks.
    pub(crate) late: bool,
}

impl News {
    /// Writes the news to stdout with a single call, so that no line is ever cut in two.
    pub(crate) fn tell(&self) {
        let line = format!("{self}\n");
        // A parent that is gone is told nothing.
        let _ = io::stdout().lock().write_all(line.as_bytes());
    }

    /// Reads a line of news; `handlers` are the names that may stand in it.
    pub(crate) fn parse(line: &str, handlers: &[&'static str]) -> Option<News> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "acknowledged" => rest.parse().ok().map(News::Acknowledged),
            "dying" => Some(News::Dying(rest.to_owned())),
            _ => {
                let handler = handlers.iter().find(|name| **name == word)?;
                let (seq, late) = match rest.strip_suffix(" late") {
                    Some(seq) => (seq, true),
                    None => (rest, false),
                };
                let seq = Seq(seq.parse().ok()?);
                Some(News::Handled(Handled { handler, seq, late }))
            }
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Acknowledged(events) => write!(f, "acknowledged {events}"),
            News::Handled(Handled { handler, seq, late }) => {
                write!(f, "{handler} {seq}{}", if *late { " late" } else { "" })
            }
            News::Dying(place) => write!(f, "dying {place}"),
        }
    }
}

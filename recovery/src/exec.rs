//! `replay --exec`: a shell command for each event; and how fast events are given out.

use std::io::{ErrorKind as IoKind, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use forelog::inspect::LoggedEvent;
use forelog::{Error, ErrorKind};

/// Holds a replay back to so many events a second.
#[derive(Debug)]
pub(crate) struct Pace {
    begun: Instant,
    given: u64,
    rate: Option<u64>,
}

impl Pace {
    /// At most `rate` a second, from now on.
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Pace {
            begun: Instant::now(),
            given: 0,
            rate,
        }
    }

    /// Waits until the next event is due.
    pub(crate) fn wait(&mut self) {
        let Some(rate) = self.rate else { return };
        let nanos = u128::from(self.given) * 1_000_000_000 / u128::from(rate.max(1));
        let due = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.given += 1;
        if let Some(early) = due.checked_sub(self.begun.elapsed()) {
            std::thread::sleep(early);
        }
    }
}

/// Runs the command for one event: its JSON on stdin, its Seq in `FORELOG_SEQ`.
///
/// # Errors
/// If it cannot be run, or fails.
pub(crate) fn run(command: &str, record: &LoggedEvent) -> forelog::Result<()> {
    let failed = |what: &str| {
        let message = format!("the command {what}; what stands before this Seq was handed to it");
        Error::new(ErrorKind::Handler, message).at_seq(record.seq())
    };
    let mut line = serde_json::to_vec(record).map_err(|e| failed(&e.to_string()))?;
    line.push(b'\n');
    let shell = if cfg!(windows) {
        ["cmd", "/C"]
    } else {
        ["sh", "-c"]
    };
    let spawned = Command::new(shell[0])
        .args([shell[1], command])
        .env("FORELOG_SEQ", record.seq().to_string())
        .stdin(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|e| failed(&format!("cannot be run: {e}")))?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(&line),
        None => Ok(()),
    };
    let status = child.wait().map_err(|e| failed(&format!("is lost: {e}")))?;
    if !status.success() {
        return Err(failed(&format!("failed with {status}")));
    }
    match written {
        // One that succeeds without reading all of it has seen enough.
        Err(error) if error.kind() != IoKind::BrokenPipe => Err(failed(&error.to_string())),
        _ => Ok(()),
    }
}

//! The child process: this binary once more, which writes events and waits to be killed.
//!
//! It says `written` when all events are emitted, and `settled BYTES` with its own memory when its
//! threads have come to rest and the index has caught up.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use forelog::{Durability, Error, ErrorKind, EventSystem, Result};

use crate::bench::event_of;
use crate::machine::own_memory;
use crate::num::index;
use crate::quiet;
use crate::work::query::wait_indexed;

const WRITTEN: &str = "written";
const SETTLED: &str = "settled";

/// What the child does.
pub(crate) fn live(path: &Path, events: u64, size: u64, out: &mut dyn Write) -> Result<()> {
    let system = EventSystem::builder()
        .persistence_path(path)
        .durability(Durability::Os)
        .open()?;
    let event = event_of(index(size), "bench.event")?;
    for _ in 0..events {
        system.emit(&event)?;
    }
    say(out, WRITTEN)?;
    wait_indexed(&system)?;
    quiet::wait();
    let memory = own_memory().map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
    say(out, &format!("{SETTLED} {memory}"))?;
    // The pipe ends with the parent: a child that nobody kills does not outlive it.
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .map_err(|source| Error::io("wait for the parent", "stdin", source))?;
    system.close()
}

fn say(out: &mut dyn Write, line: &str) -> Result<()> {
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|source| Error::io("write", "stdout", source))
}

/// A child that writes; killed with SIGKILL when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// Starts a child that appends so many events to the log at `path`.
    pub(crate) fn start(path: &Path, events: u64, size: u64) -> Result<Child> {
        let this = std::env::current_exe()
            .map_err(|source| Error::io("find the own program", "(this process)", source))?;
        let mut process = Command::new(&this)
            .arg("child")
            .arg(path)
            .args(["--events", &events.to_string(), "--size", &size.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| Error::io("start", &this, source))?;
        let lines = process.stdout.take().ok_or_else(gone)?;
        Ok(Child {
            process,
            lines: BufReader::new(lines),
        })
    }

    /// Waits until all is emitted.
    pub(crate) fn written(&mut self) -> Result<()> {
        let line = self.line()?;
        if line == WRITTEN { Ok(()) } else { Err(gone()) }
    }

    /// Waits until it has come to rest; its own memory in bytes, maps of files aside.
    pub(crate) fn settled(&mut self) -> Result<Option<u64>> {
        let line = self.line()?;
        let memory = line.strip_prefix(SETTLED).ok_or_else(gone)?;
        Ok(memory.trim().parse().ok())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line);
        read.map_err(|source| Error::io("read from the child", "stdout", source))?;
        if line.is_empty() {
            return Err(gone());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn gone() -> Error {
    let message = "the child process ended early; what it said is above";
    Error::new(ErrorKind::Io, message)
}

//! The child process: this binary once more, in a role, speaking in lines.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::roles;

const ROLE: &str = "FORELOG_FAULT_ROLE";
const SETTINGS: &str = "FORELOG_FAULT_SETTINGS";
/// How long a child may stay silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many lines a child may be ahead of whoever reads them, beside what its pipe holds.
const AHEAD: usize = 256;

/// Where a child enters; nothing but a name to anybody else.
#[test]
#[ignore = "the child process of other tests"]
fn entry() {
    if let Ok(role) = std::env::var(ROLE) {
        let settings = std::env::var(SETTINGS).unwrap_or_default();
        roles::run(&role, &settings.split('\n').collect::<Vec<_>>());
    }
}

/// A child that runs, with all its process group; killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
}

impl Child {
    /// Starts a child in this role; `wrapper` is a command that runs the command behind it.
    pub(crate) fn start(wrapper: &[String], role: &str, settings: &[&str]) -> Child {
        let this = std::env::current_exe().unwrap();
        let mut words: Vec<&std::ffi::OsStr> = wrapper.iter().map(AsRef::as_ref).collect();
        words.push(this.as_os_str());
        let mut command = Command::new(words.remove(0));
        command.args(words);
        command.args(["child::entry", "--exact", "--ignored", "--nocapture"]);
        command.arg("--test-threads=1");
        command.env(ROLE, role).env(SETTINGS, settings.join("\n"));
        command.env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.process_group(0);
        let mut process = command.spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // A line of the test harness, or one of ours.
                if let Some(line) = line.strip_prefix("> ") {
                    let _ = sender.send(line.to_owned());
                }
            }
        });
        Child { process, lines }
    }

    /// The next line; `None` at the end.
    pub(crate) fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the child has been silent for {PATIENCE:?}"),
        }
    }

    /// Waits for a line that begins so.
    pub(crate) fn wait_for(&self, start: &str) -> String {
        let mut seen = Vec::new();
        while let Some(line) = self.line() {
            if line.starts_with(start) {
                return line;
            }
            seen.push(line);
        }
        panic!("the child ended without {start:?}, after {seen:?}");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Tells the child to go on: [`roles`] wait for a line on their standard input.
    pub(crate) fn go_on(&mut self) {
        use std::io::Write;
        let stdin = self.process.stdin.as_mut().unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    /// Ends the child at once; returns what it had said by then.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.rest()
    }

    /// Waits for the end; returns how it came and what else the child said.
    pub(crate) fn finish(mut self) -> (ExitStatus, Vec<String>) {
        let rest = self.rest();
        (self.process.wait().unwrap(), rest)
    }

    /// Waits for an end in order; returns what else the child said.
    pub(crate) fn succeed(self) -> Vec<String> {
        let (status, lines) = self.finish();
        assert!(status.success(), "{status}: {lines:?}");
        lines
    }

    fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            // The wrapper and what it runs: the group that was made for them.
            if let Some(group) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = self.process.wait();
        }
    }
}

/// A path as a setting.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

//! The parent's side of the crash: it starts the child, listens, and sees how it ends.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use crate::Result;
use crate::args::Orders;
use crate::handlers::{HANDLERS, Ledger};
use crate::news::News;

/// What is known of a child that died.
#[derive(Debug)]
pub(crate) struct Crash {
    /// How many events had been acknowledged, as far as the child could tell.
    pub(crate) acknowledged: u64,
    /// What its handlers had seen.
    pub(crate) ledger: Ledger,
    /// How it ended, as the operating system has it.
    pub(crate) status: ExitStatus,
    /// Where it died, in its own words.
    pub(crate) place: String,
}

impl Crash {
    /// Runs a child process until it kills itself.
    ///
    /// # Errors
    /// If it ends in another way.
    pub(crate) fn witness(orders: &Orders) -> Result<Crash> {
        let mut child = Command::new(env::current_exe()?)
            .args(orders.to_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let (mut acknowledged, mut place) = (0, "unheard".to_owned());
        let ledger = Ledger::default();
        let stdout = child
            .stdout
            .take()
            .ok_or("the child process has no stdout")?;
        for line in BufReader::new(stdout).lines() {
            match News::parse(&line?, &HANDLERS) {
                Some(News::Acknowledged(events)) => acknowledged = events,
                Some(News::Handled(handled)) => ledger.note(handled),
                Some(News::Dying(words)) => place = words,
                None => {}
            }
        }
        let status = child.wait()?;
        if !was_killed(status) {
            return Err(format!("the child process was to be killed, but: {status}").into());
        }
        Ok(Crash {
            acknowledged,
            ledger,
            status,
            place,
        })
    }
}

/// Whether a process ended by SIGKILL.
#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::KILL.as_raw())
}

/// Whether a process ended by `abort`, the nearest thing to SIGKILL where there are no signals.
#[cfg(not(unix))]
fn was_killed(status: ExitStatus) -> bool {
    !status.success()
}

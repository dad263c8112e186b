//! Which operations fail: planned errors, the crash point, a full disk, syncs that lie.

use std::io;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OpKind {
    /// A mapped file is made.
    Create,
    /// A file is mapped.
    Open,
    /// A small file is made and its bytes stored; its sync is an operation of its own.
    Write,
    /// A file gets another name.
    Rename,
    /// A name is removed, also where a creation or a write replaces a file.
    Remove,
    /// The bytes of a file are made durable.
    Sync,
    /// The names in a folder are made durable.
    SyncDir,
    /// A folder is opened or made.
    Folder,
    /// The blocks of a range are given back.
    PunchHole,
    /// Names or bytes are read. Changes nothing and is therefore no crash point.
    Read,
}

/// How often a planned fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Once.
    Once,
    /// From then on.
    FromThenOn,
}

#[derive(Debug, Clone)]
struct Fault {
    op: OpKind,
    /// How many operations of the kind still come to and with the one that fails.
    due_in: u64,
    error: io::ErrorKind,
    times: Times,
}

/// The faults of a disk, and the count of its operations.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) op_count: u64,
    pub(super) last_op: Option<OpKind>,
    pub(super) crash_at: Option<u64>,
    pub(super) is_stopped: bool,
    pub(super) ignores_syncs: bool,
    pub(super) capacity: Option<u64>,
    planned: Vec<Fault>,
}

impl Faults {
    /// Plans that the `nth` operation of a kind from now on (from 1) fails.
    pub(super) fn plan(&mut self, op: OpKind, nth: u64, error: io::ErrorKind, times: Times) {
        self.planned.push(Fault {
            op,
            due_in: nth.max(1),
            error,
            times,
        });
    }

    /// Counts an operation and says whether it may take effect.
    pub(super) fn admit(&mut self, op: OpKind) -> io::Result<()> {
        self.check_running()?;
        if op != OpKind::Read {
            self.op_count += 1;
            self.last_op = Some(op);
            self.is_stopped = self.crash_at.is_some_and(|at| self.op_count >= at);
            self.check_running()?;
        }
        match self.strike(op) {
            Some(error) => Err(io::Error::new(error, format!("injected fault: {error}"))),
            None => Ok(()),
        }
    }

    /// An error once the crash point was reached.
    pub(super) fn check_running(&self) -> io::Result<()> {
        if self.is_stopped {
            return Err(io::Error::other("simulated crash"));
        }
        Ok(())
    }

    /// The error that is due now; every fault of the kind counts the operation.
    fn strike(&mut self, op: OpKind) -> Option<io::ErrorKind> {
        let mut due = None;
        self.planned.retain_mut(|fault| {
            if fault.op != op {
                return true;
            }
            fault.due_in = fault.due_in.saturating_sub(1);
            if fault.due_in > 0 {
                return true;
            }
            due = due.or(Some(fault.error));
            fault.times == Times::FromThenOn
        });
        due
    }
}

//! [`Rewriting`]: how far the rewriting of segments has come, and whether it is to end.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::position::{SegmentId, Seq};

/// How often a rewriting looks whether it is to stop, in events.
const LOOK_EVERY: u64 = 1024;

/// How far the rewriting of segments has come.
#[derive(Debug, Default)]
pub(super) struct Rewriting {
    is_stopping: AtomicBool,
    /// The newest segment that a pass has gone through since the log was opened.
    passed: Mutex<Option<SegmentId>>,
    /// Segments that compression does not make smaller, or could not rewrite.
    left_plain: Mutex<HashSet<SegmentId>>,
}

impl Rewriting {
    /// Ends what is under way.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Whether to go on, now and then.
    pub(super) fn check_going(&self, seq: Seq) -> Result<()> {
        if seq.0.is_multiple_of(LOOK_EVERY) && self.is_stopping() {
            return Err(Error::new(ErrorKind::Closed, "the log is being closed"));
        }
        Ok(())
    }

    pub(super) fn passed(&self) -> MutexGuard<'_, Option<SegmentId>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn left_plain(&self) -> MutexGuard<'_, HashSet<SegmentId>> {
        let held = self.left_plain.lock();
        held.unwrap_or_else(PoisonError::into_inner)
    }
}

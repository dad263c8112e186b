//! Whether a log takes anything more, and what has ended that.

use super::opening::note_failed_sync;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};

impl Shared {
    /// What ended the log's life, if anything has; or that it is the parent's of this process.
    pub(super) fn check_alive(&self) -> Result<()> {
        if let Some(failure) = self.commit.failure() {
            return Err(failure.duplicate());
        }
        if self.process.is_this() {
            return Ok(());
        }
        let message = "this process was forked off the one that has the log open, and would write over its \
                       events; open a directory of its own in it, or start it with exec";
        Err(Error::new(ErrorKind::Closed, message))
    }

    /// Ends the log's life after a failed sync; returns what whoever waits for it is told.
    pub(super) fn fail(&self, cause: Error) -> Error {
        self.end(sync_failed(cause))
    }

    /// Ends the log's life; returns what whoever waits for it is told.
    ///
    /// No waker runs here, for any lock may be held, and a waker may do anything: the committer, whom
    /// every task has asked for a sync, finds the failure and wakes them.
    pub(super) fn end(&self, error: Error) -> Error {
        self.commit.end(error);
        self.mark_poisoned();
        let failure = self.commit.failure().map(Error::duplicate);
        failure.unwrap_or_else(|| Error::new(ErrorKind::SyncFailed, "the log takes nothing more"))
    }

    /// Leaves word for the next opening in this boot, whose page cache shows bytes that the disk may
    /// lack, and tells all who wait.
    fn mark_poisoned(&self) {
        if !self.watermark.is_closed() {
            self.watermark.close();
            note_failed_sync(self.storage.as_ref());
        }
    }
}

/// What a failed sync means for whoever waits for one.
fn sync_failed(cause: Error) -> Error {
    tracing::error!(target: "forelog::log", %cause, "a sync failed; nothing more is taken");
    let message = format!(
        "a sync failed, so the event may or may not be on the disk ({cause}); reopen the system \
         and emit again with the same event id"
    );
    let error = Error::new(ErrorKind::SyncFailed, message);
    match cause.path() {
        Some(path) => error.at_path(path),
        None => error,
    }
    .caused_by(cause)
}

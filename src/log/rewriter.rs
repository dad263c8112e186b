//! [`Rewriter`]: the thread that rewrites segments, for as long as there is something to do. The keeper
//! starts it and has syncs and marks to see to meanwhile.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::shared::Shared;
use crate::error::{ErrorKind, Result};

/// How often a quiet log is looked at.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// At most one thread at a time.
#[derive(Debug, Default)]
pub(super) struct Rewriter(Option<JoinHandle<()>>);

impl Rewriter {
    /// Begins if there is something to do.
    pub(super) fn see_to(&mut self, shared: &Arc<Shared>) {
        if self.0.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.finish();
        if !shared.wants_rewriting() {
            return;
        }
        let own = shared.clone();
        let work = move || tell(own.rewrite_what_is_due());
        let builder = std::thread::Builder::new().name("forelog-rewrite".to_owned());
        match builder.spawn(work) {
            Ok(thread) => self.0 = Some(thread),
            Err(error) => {
                tracing::debug!(target: "forelog::log", %error, "no thread to rewrite segments");
            }
        }
    }

    /// How soon a quiet log is to be looked at for what is to be rewritten then: the thread is at work, and
    /// segments may have been sealed behind it, or somebody who has not seen all holds it up. `None`: never.
    pub(super) fn look_after(&self, shared: &Shared) -> Option<Duration> {
        (self.0.is_some() || shared.compaction_waits()).then_some(LOOK_AFTER)
    }

    /// Waits for the thread.
    pub(super) fn finish(&mut self) {
        if self.0.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(target: "forelog::log", "the thread that rewrites segments panicked");
        }
    }
}

fn tell(done: Result<()>) {
    match done {
        Err(error) if error.kind() != ErrorKind::Closed => {
            tracing::warn!(target: "forelog::log", %error, "a segment is not rewritten");
        }
        _ => {}
    }
}

impl Shared {
    fn wants_rewriting(&self) -> bool {
        self.wants_compaction() || self.wants_compression()
    }

    /// Rewrites the segments for which that is due.
    ///
    /// # Errors
    /// What kept one of them from being rewritten.
    pub(super) fn rewrite_what_is_due(&self) -> Result<()> {
        let compacted = self.compact();
        let compressed = self.compress();
        compacted.and(compressed)
    }
}

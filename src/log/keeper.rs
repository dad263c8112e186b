//! [`Keeper`]: the housekeeping thread of a log.
//!
//! It seals and syncs full segments, prepares the next one, syncs by interval, writes idle marks and
//! applies retention. With nothing to do it sleeps until an append wakes it: a quiet log costs
//! nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::opening::Chores;
use super::rotation::Prepare;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};

/// How long the keeper waits before it tries again what failed, such as preparing on a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Starts the thread, unless the log does its own housekeeping; first what the opening has left
    /// to do is done.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(super) fn start(shared: Arc<Shared>, chores: Chores) -> Result<Keeper> {
        let mut thread = None;
        if shared.config.background {
            let shared = shared.clone();
            let builder = std::thread::Builder::new().name("forelog-keeper".to_owned());
            let work = move || {
                drop(chores);
                run(&shared);
            };
            let spawned = builder.spawn(work).map_err(|source| {
                let message = format!("cannot start the housekeeping thread: {source}");
                Error::new(ErrorKind::Io, message).caused_by(source)
            });
            thread = Some(spawned?);
        }
        Ok(Keeper {
            shared,
            thread: Mutex::new(thread),
        })
    }

    /// No thread: a test does its work, step by step.
    #[cfg(test)]
    pub(super) fn without_thread(shared: Arc<Shared>) -> Keeper {
        Keeper {
            shared,
            thread: Mutex::new(None),
        }
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        self.shared.signal.stop();
        self.shared.prefault.stop();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A waker that drops the last handle of the log may run on the thread itself.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!(target: "forelog::log", "the housekeeping thread panicked");
        }
    }
}

fn run(shared: &Shared) {
    let mut seen = shared.watermark.appended();
    loop {
        let now_at = shared.watermark.appended();
        let quiet = now_at == seen;
        seen = now_at;
        let again = match keep(shared, quiet) {
            Ok(again) => again,
            // After a failed sync or a close there is nothing left to keep.
            Err(_) if shared.watermark.is_closed() => None,
            Err(error) => {
                tracing::warn!(target: "forelog::log", %error, "housekeeping failed");
                Some(RETRY_AFTER)
            }
        };
        if shared
            .signal
            .wait(again, || shared.watermark.appended() != seen)
        {
            return;
        }
    }
}

/// One round; returns when the next one is wanted without being woken.
fn keep(shared: &Shared, quiet: bool) -> Result<Option<Duration>> {
    // Each step is tried, whatever became of the one before: a disk too full to prepare a segment
    // must not keep a due sync, or the retention that makes room, from happening.
    let steps = [
        sync_if_due,
        Shared::settle,
        sync_if_due,
        prepare_if_wanted,
        sync_if_due,
        Shared::retain,
    ];
    let failures = steps.map(|step| step(shared).err());
    if let Some(first) = failures.into_iter().flatten().next() {
        return Err(first);
    }
    if !quiet {
        return Ok(Some(shared.config.mark_after));
    }
    shared.mark_if_idle()?;
    Ok(None)
}

fn sync_if_due(shared: &Shared) -> Result<()> {
    if shared.signal.take_due_sync() {
        shared.wait_durable(shared.watermark.appended())?;
    }
    Ok(())
}

fn prepare_if_wanted(shared: &Shared) -> Result<()> {
    // Its own statement: the tail's lock must not be held while the file is made.
    let (is_wanted, is_stream) = {
        let tail = shared.tail();
        (tail.is_next_wanted, tail.is_stream())
    };
    if is_wanted {
        let how = if is_stream {
            Prepare::Fill
        } else {
            Prepare::Write
        };
        shared.prepare_next(how)?;
    }
    Ok(())
}

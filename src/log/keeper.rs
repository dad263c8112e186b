//! [`Keeper`]: the housekeeping thread of a log.
//!
//! It seals and syncs full segments, has the next one prepared, syncs by interval, writes idle marks
//! and applies retention. With nothing to do it sleeps until an append wakes it, or segments grow
//! too old: a quiet log costs nothing.
//!
//! The next segment is prepared on a thread that lives as long as that takes: while it writes zeros,
//! the keeper has the disk write events.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::opening::Chores;
use super::rewriter::Rewriter;
use super::rotation::Prepare;
use super::shared::Shared;
use super::signal::Again;
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
        self.shared.rewriting.stop();
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

fn run(shared: &Arc<Shared>) {
    let mut preparer = Preparer::default();
    let mut rewriter = Rewriter::default();
    let mut seen = shared.watermark.appended();
    loop {
        let now_at = shared.watermark.appended();
        let quiet = now_at == seen;
        seen = now_at;
        // First what the next segment waits for: removing one may give it a file, which is made ready
        // while the full one is synced.
        let due = shared.sync_if_due();
        let removed = shared.retain();
        let seen_to = preparer.see_to(shared);
        let kept = keep(shared, quiet);
        rewriter.see_to(shared);
        let again = match due.and(removed).and(seen_to).and(kept) {
            Ok(Again::WhenWoken(time)) => {
                let look = rewriter.look_after(shared);
                Again::WhenWoken([time, look].into_iter().flatten().min())
            }
            Ok(again) => again,
            // After a failed sync or a close there is nothing left to keep.
            Err(_) if shared.watermark.is_closed() => Again::WhenWoken(None),
            Err(error) => {
                tracing::warn!(target: "forelog::log", %error, "housekeeping failed");
                Again::After(RETRY_AFTER)
            }
        };
        if shared
            .signal
            .wait(again, || shared.watermark.appended() != seen)
        {
            let hurry = shared.hurry();
            let _reported = preparer.finish();
            drop(hurry);
            rewriter.finish();
            return;
        }
    }
}

/// One round; returns when the next one is wanted.
fn keep(shared: &Shared, quiet: bool) -> Result<Again> {
    // Each step is tried, whatever became of the one before: a disk too full to prepare a segment
    // must not keep a due sync, or the retention that makes room, from happening.
    let steps = [
        Shared::settle_all,
        Shared::sync_if_due,
        Shared::roll_if_old,
        Shared::retain,
    ];
    let failures = steps.map(|step| step(shared).err());
    if let Some(first) = failures.into_iter().flatten().next() {
        return Err(first);
    }
    if !quiet {
        return Ok(Again::After(shared.config.mark_after));
    }
    shared.mark_if_idle()?;
    Ok(Again::WhenWoken(shared.next_retention()))
}

/// Has the next segment prepared, one at a time.
#[derive(Debug, Default)]
struct Preparer(Option<JoinHandle<Result<()>>>);

impl Preparer {
    /// Begins where it is wanted; an error is that of the preparation before.
    fn see_to(&mut self, shared: &Arc<Shared>) -> Result<()> {
        if self.0.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        self.finish()?;
        let Some(how) = wanted(shared) else {
            return Ok(());
        };
        let own = shared.clone();
        let work = move || {
            let prepared = own.prepare_next(how);
            if prepared.is_err() {
                // Its error is found at once, and it is tried again in time.
                own.signal.wake();
            }
            prepared
        };
        let builder = std::thread::Builder::new().name("forelog-prepare".to_owned());
        if let Ok(thread) = builder.spawn(work) {
            self.0 = Some(thread);
        } else {
            // No thread to be had: it is done here, a little slower.
            let _other_chores_wait = shared.hurry();
            shared.prepare_next(how)?;
        }
        Ok(())
    }

    /// Waits for the thread, and says how it went.
    fn finish(&mut self) -> Result<()> {
        match self.0.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(prepared)) => prepared,
            Some(Err(_)) => {
                let message =
                    "the thread that prepares segments panicked; the log goes on without it";
                Err(Error::new(ErrorKind::Io, message))
            }
        }
    }
}

/// How the next segment is to be prepared, if it is to be.
fn wanted(shared: &Shared) -> Option<Prepare> {
    let has_spare = shared.has_spare();
    let tail = shared.tail();
    let is_wanted = tail.is_next_wanted || has_spare;
    let is_wanted = is_wanted && tail.prepared.is_none() && !tail.closed;
    is_wanted.then(|| {
        if tail.is_stream() {
            Prepare::Fill
        } else {
            Prepare::Write
        }
    })
}

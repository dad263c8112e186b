//! [`Keeper`]: the housekeeping thread of a log.
//!
//! It has full segments sealed and synced, and the next one prepared, syncs by interval, writes idle marks
//! and applies retention. With nothing to do it sleeps until an append wakes it, or segments grow
//! too old: a quiet log costs nothing.
//!
//! What waits long for the disk is done by a thread each ([`Job`]): a segment is settled while the next one
//! is prepared, and the keeper goes on with the rest. (A sync that is due takes its turn behind theirs.)

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::job::Job;
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
    let mut preparing = Job::new("forelog-prepare");
    let mut settling = Job::new("forelog-settle");
    let mut rewriter = Rewriter::default();
    let mut seen = shared.watermark.appended();
    loop {
        let now_at = shared.watermark.appended();
        let quiet = now_at == seen;
        seen = now_at;
        // First what the next segment waits for: removing one may give it a file, which is made ready
        // while the full ones are synced.
        let due = shared.sync_if_due();
        let removed = shared.retain();
        let prepared = see_to_next(&mut preparing, shared);
        let settled = see_to_full(&mut settling, shared);
        let kept = keep(shared, quiet);
        rewriter.see_to(shared);
        let again = match due.and(removed).and(prepared).and(settled).and(kept) {
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
            let _reported = preparing.finish();
            drop(hurry);
            let _reported = settling.finish();
            rewriter.finish();
            return;
        }
    }
}

/// One round; returns when the next one is wanted.
fn keep(shared: &Shared, quiet: bool) -> Result<Again> {
    // Each step is tried, whatever became of the one before: a disk too full to prepare a segment
    // must not keep a due sync, or the retention that makes room, from happening.
    let steps = [Shared::sync_if_due, Shared::roll_if_old, Shared::retain];
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

/// Has the next segment prepared where that is wanted; an error is that of the preparation before.
fn see_to_next(preparing: &mut Job, shared: &Arc<Shared>) -> Result<()> {
    if !preparing.is_free()? {
        return Ok(());
    }
    let Some(how) = wanted(shared) else {
        return Ok(());
    };
    preparing.begin(shared, move |shared| shared.prepare_next(how))
}

/// Has full segments settled where there are some; an error is that of those before.
fn see_to_full(settling: &mut Job, shared: &Arc<Shared>) -> Result<()> {
    if !settling.is_free()? || !shared.has_forerunners() {
        return Ok(());
    }
    settling.begin(shared, Shared::settle_all)
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

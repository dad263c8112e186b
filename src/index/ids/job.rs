//! [`Job`]: making a run on a thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::super::catalog::broken;
use super::run::IdRun;
use crate::error::{Error, Result};

/// A run is being made.
#[derive(Debug)]
pub(super) struct Job {
    thread: Option<JoinHandle<Result<Option<IdRun>>>>,
    stopping: Arc<AtomicBool>,
}

impl Job {
    /// Begins a run. `make` is told by the flag that nobody wants it any more, and may then return
    /// `None`.
    pub(super) fn begin(
        name: &str,
        make: impl FnOnce(&AtomicBool) -> Result<Option<IdRun>> + Send + 'static,
    ) -> Result<Job> {
        let stopping = Arc::new(AtomicBool::new(false));
        let is_told = stopping.clone();
        let builder = std::thread::Builder::new().name(name.to_owned());
        let thread = builder.spawn(move || make(&is_told)).map_err(|error| {
            Error::io("start a thread to make a run of ids", Path::new("."), error)
        })?;
        Ok(Job {
            thread: Some(thread),
            stopping,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The run, once it is over.
    pub(super) fn take(mut self) -> Result<Option<IdRun>> {
        let joined = self.thread.take().map(JoinHandle::join);
        let panicked = || broken("making a run of ids panicked");
        joined.map_or(Ok(None), |joined| joined.map_err(|_| panicked())?)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let made = self.thread.take().map(JoinHandle::join);
        // Nobody wants what it made.
        if let Some(Ok(Ok(Some(run)))) = made
            && let Err(error) = run.remove()
        {
            // It goes with the next opening.
            tracing::debug!(target: "forelog::index", %error, "a run of ids stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::run::RunWriter;
    use super::*;
    use crate::index::values::RunNote;

    #[test]
    fn a_run_that_is_given_up_leaves_no_file_and_one_that_is_taken_does() {
        let dir = tempfile::tempdir().unwrap();
        let begin = || {
            let folder = dir.path().to_owned();
            let note = RunNote {
                first: 0,
                end: 2,
                count: 1,
                sum: 0,
            };
            Job::begin("test", move |_| {
                let mut writer = RunWriter::begin(Some(&folder), note, 7)?;
                writer.push(5)?;
                writer.finish().map(Some)
            })
            .unwrap()
        };
        let files = || fs::read_dir(dir.path()).unwrap().count();
        drop(begin());
        assert_eq!(files(), 0);
        assert!(begin().take().unwrap().is_some());
        assert_eq!(files(), 1);
    }
}

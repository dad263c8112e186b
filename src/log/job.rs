//! [`Job`]: a chore that takes long, on a thread that lives as long as that takes. The keeper begins it and
//! goes on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};

/// At most one thread at a time.
#[derive(Debug)]
pub(super) struct Job {
    name: &'static str,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<Result<()>>,
    /// Set before the keeper is woken: a thread that has just woken it has not quite ended.
    is_done: Arc<AtomicBool>,
}

impl Job {
    /// A chore whose threads have this name.
    pub(super) fn new(name: &'static str) -> Job {
        Job {
            name,
            running: None,
        }
    }

    /// Whether it can begin: none is at work. An error is that of the last one.
    pub(super) fn is_free(&mut self) -> Result<bool> {
        let is_done = |running: &Running| running.is_done.load(Ordering::Acquire);
        if !self.running.as_ref().is_none_or(is_done) {
            return Ok(false);
        }
        self.finish().map(|()| true)
    }

    /// Begins; the keeper is woken when it has ended. Where there is no thread to be had it is done here, a
    /// little slower.
    pub(super) fn begin(
        &mut self,
        shared: &Arc<Shared>,
        work: impl Fn(&Shared) -> Result<()> + Clone + Send + 'static,
    ) -> Result<()> {
        let is_done = Arc::new(AtomicBool::new(false));
        let (own, ended, here) = (shared.clone(), is_done.clone(), work.clone());
        let work = move || {
            // Also where it panics.
            let _ended = WhenEnded {
                is_done: ended,
                shared: own.clone(),
            };
            work(&own)
        };
        let builder = std::thread::Builder::new().name(self.name.to_owned());
        if let Ok(thread) = builder.spawn(work) {
            self.running = Some(Running { thread, is_done });
            return Ok(());
        }
        let _other_chores_wait = shared.hurry();
        here(shared)
    }

    /// Waits for the thread, and says how it went.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self.running.take().map(|running| running.thread.join()) {
            None => Ok(()),
            Some(Ok(done)) => done,
            Some(Err(_)) => {
                let message = format!(
                    "the thread {} panicked; the log goes on without it",
                    self.name
                );
                Err(Error::new(ErrorKind::Io, message))
            }
        }
    }
}

struct WhenEnded {
    is_done: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl Drop for WhenEnded {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Release);
        self.shared.signal.wake();
    }
}

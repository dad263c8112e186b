//! [`Prefault`]: a thread that has pages mapped ahead of a stream of buffered events.
//!
//! The first store to each page of a map is a fault: some hundred nanoseconds for an event here and
//! there, and with many small events more than all else that an append costs. This thread takes the
//! faults before the events come. It is begun by the first stream, and sleeps between them; where it
//! is late, or there is no such thread, the appender takes them itself.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::storage::Region;

/// How much is mapped at a time: the pages that the appender needs next are not kept waiting.
const PIECE: usize = 256 << 10;

#[derive(Debug, Default)]
pub(super) struct Prefault {
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    /// Only the newest wish counts: an older one is behind the tail by then.
    wish: Option<(Arc<Region>, Range<usize>)>,
}

impl Prefault {
    /// Asks for these pages, soon.
    pub(super) fn ask(&self, region: &Arc<Region>, range: Range<usize>) {
        let mut state = self.desk.state();
        if state.stop {
            return;
        }
        state.wish = Some((region.clone(), range));
        drop(state);
        self.desk.asked.notify_one();
        self.start();
    }

    /// Starts the thread, if it does not run yet. Without it all works, a little slower.
    fn start(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            return;
        }
        let desk = self.desk.clone();
        let builder = std::thread::Builder::new().name("forelog-pages".to_owned());
        match builder.spawn(move || desk.run()) {
            Ok(started) => *thread = Some(started),
            Err(error) => {
                tracing::debug!(target: "forelog::log", %error, "no thread to map pages ahead");
                self.desk.state().stop = true;
            }
        }
    }

    /// Ends the thread and waits for it; nothing is mapped ahead any more.
    pub(super) fn stop(&self) {
        let mut state = self.desk.state();
        state.stop = true;
        state.wish = None;
        drop(state);
        self.desk.asked.notify_one();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "forelog::log", "the thread that maps pages ahead panicked");
        }
    }
}

impl Desk {
    fn run(&self) {
        while let Some((region, range)) = self.next_wish() {
            let mut start = range.start;
            while start < range.end && !self.has_news() {
                let end = range.end.min(start.saturating_add(PIECE));
                region.populate(start..end);
                start = end;
            }
        }
    }

    /// The next wish; `None` when the thread is to end.
    fn next_wish(&self) -> Option<(Arc<Region>, Range<usize>)> {
        let mut state = self.state();
        loop {
            if state.stop {
                return None;
            }
            if let Some(wish) = state.wish.take() {
                return Some(wish);
            }
            let woken = self.asked.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether the thread is to end. (A newer wish goes on where the one at hand ends.)
    fn has_news(&self) -> bool {
        self.state().stop
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

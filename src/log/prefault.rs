//! [`Prefault`]: a thread that has pages mapped ahead of a stream of buffered events, and of readers that
//! go through much of the log.
//!
//! The first store to each page of a map is a fault: some hundred nanoseconds for an event here and
//! there, and with many small events more than all else that an append costs. The first load from each
//! sixteen pages is one as well. This thread takes the faults before the events come. It is begun by the
//! first stream, and sleeps between them; where it is late, or there is no such thread, the appender and
//! the readers take them themselves.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::segment::Segment;
use crate::storage::Region;

/// How much is mapped at a time: the pages that the appender needs next are not kept waiting.
const PIECE: usize = 256 << 10;
/// After how many bytes that were read in order pages are mapped ahead of a reader.
pub(super) const READ_BEFORE: usize = 1 << 20;
/// How far ahead of it.
pub(super) const READ_AHEAD: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Prefault {
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Pages that are going to be used soon.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    pub(super) region: Arc<Region>,
    pub(super) range: Range<usize>,
    pub(super) use_as: Use,
}

/// What pages are mapped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    /// Only the newest wish counts: an older one is behind the tail by then, or behind its reader.
    wish: Option<Pages>,
}

impl Prefault {
    /// `has_thread`: whether there may be such a thread.
    pub(super) fn new(has_thread: bool) -> Self {
        let prefault = Prefault {
            desk: Arc::default(),
            thread: Mutex::default(),
        };
        prefault.desk.state().stop = !has_thread;
        prefault
    }

    /// Asks for these pages, soon.
    pub(super) fn ask(&self, pages: Pages) {
        let mut state = self.desk.state();
        if state.stop {
            return;
        }
        state.wish = Some(pages);
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

/// Which pages of the segment that it reads a reader asks for.
#[derive(Debug, Default)]
pub(super) struct PagesAhead {
    /// Where the next ones are asked for; 0 before the first frame of a segment.
    pub(super) due_at: usize,
    reach: Reach,
}

/// How far a reader has gone in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reach {
    /// Nowhere yet in this segment: it may be sent elsewhere after a frame or two.
    #[default]
    Nowhere,
    Short,
    /// So far that it will want all of the next segment.
    Long,
}

impl PagesAhead {
    /// The reader goes on at the beginning of another segment.
    pub(super) fn begin_segment(&mut self) {
        self.due_at = 0;
        if self.reach == Reach::Short {
            self.reach = Reach::Nowhere;
        }
    }

    #[inline]
    pub(super) fn are_due(&self, at: usize) -> bool {
        at >= self.due_at
    }

    /// Asks for the pages from `at` on, if the reader has gone far enough.
    #[cold]
    pub(super) fn ask(&mut self, prefault: &Prefault, segment: &Segment, at: usize) {
        if self.reach == Reach::Nowhere {
            self.reach = Reach::Short;
            self.due_at = at.saturating_add(READ_BEFORE);
            return;
        }
        self.due_at = usize::MAX;
        // The pages of one that grows are mapped by whoever writes it.
        if segment.footer().is_none() {
            return;
        }
        self.reach = Reach::Long;
        let region = segment.region.clone();
        self.due_at = at.saturating_add(READ_AHEAD / 2);
        let range = at..at.saturating_add(READ_AHEAD).min(region.len());
        prefault.ask(Pages {
            region,
            range,
            use_as: Use::Read,
        });
    }
}

impl Drop for Prefault {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Desk {
    fn run(&self) {
        while let Some(pages) = self.next_wish() {
            let Range { mut start, end } = pages.range;
            while start < end && !self.has_news() {
                let piece = start..end.min(start.saturating_add(PIECE));
                start = piece.end;
                match pages.use_as {
                    Use::Read => pages.region.populate_to_read(piece),
                    Use::Write => pages.region.populate(piece),
                }
            }
        }
    }

    /// The next wish; `None` when the thread is to end.
    fn next_wish(&self) -> Option<Pages> {
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

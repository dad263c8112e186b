//! The follower: the thread that opens the store, reads the log into the tail, and turns complete
//! windows into records.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::agree;
use super::backing;
use super::batch;
use super::catalog::Catalog;
use super::core::{Core, State};
use super::keys::{self, window_of};
use super::store;
use super::values::Position;
use super::window::Window;
use crate::error::{Error, Result};
use crate::log::reader::Reader;
use crate::log::watermark::Wanted;
use crate::position::Seq;

/// How many events are read while lookups wait.
const BURST: usize = 256;
/// How long the follower waits for a whole window before it takes in a part of one.
const LINGER: Duration = Duration::from_millis(10);
/// How many windows are indexed between two flushes, at least.
const FLUSH_WINDOWS: u32 = 64;
/// How many windows must have gone from the log before their records are removed.
const RETIRE_WINDOWS: usize = 64;

/// Follows the log until it is told to stop, or the log is closed and all is indexed.
pub(super) fn run(core: &Arc<Core>) {
    let end = Ended(core);
    let mut follower = Follower::start(core);
    while !core.is_stopping() {
        let stepped = if core.is_broken() {
            follower.begin_anew();
            Ok(true)
        } else {
            follower.step()
        };
        match stepped {
            Ok(true) => {}
            Ok(false) if follower.wait() => {}
            Ok(false) => break,
            Err(error) => core.report(error.message()),
        }
    }
    follower.finish();
    drop(end);
}

/// Tells all who wait that the thread has ended, however it does.
struct Ended<'a>(&'a Core);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.set_ended();
    }
}

struct Follower<'a> {
    core: &'a Core,
    reader: Reader,
    /// The newest sealed segment that is wholly indexed, and its chain.
    sealed: (u64, u64),
    /// The Seq of the last event that was read.
    last: Seq,
    unflushed: u32,
}

impl<'a> Follower<'a> {
    fn start(core: &'a Core) -> Follower<'a> {
        let mut follower = Follower {
            core,
            reader: core.log.reader(Seq::FIRST),
            sealed: (0, 0),
            last: Seq::ZERO,
            unflushed: 0,
        };
        follower.open_store();
        follower
    }

    /// Sets the broken store aside and begins with an empty one.
    fn begin_anew(&mut self) {
        // The store's files are closed before they are moved. Lookups scan until another is in place.
        self.core.forget();
        self.core.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.core.rebuilding.store(true, Ordering::Release);
        if let Some(folder) = &self.core.folder
            && let Err(error) = store::set_aside(folder)
        {
            tracing::warn!(target: "forelog::index", %error, "the index stays in memory");
        }
        self.open_store();
    }

    fn open_store(&mut self) {
        let (opened, in_memory) = match backing::open(self.core) {
            Some(opened) => (opened, false),
            None => (backing::in_memory(), true),
        };
        let (store, loaded) = opened;
        let first = self.core.log.first_seq();
        let catalog = if let Some(position) = loaded.position {
            self.sealed = (position.segment, position.chain);
            self.last = Seq(position.last_seq);
            loaded.catalog
        } else {
            self.core.rebuilding.store(true, Ordering::Release);
            Catalog::starting_at(window_of(first))
        };
        let next = first.max(keys::first_of(catalog.next_window()));
        self.reader.seek(next);
        self.unflushed = 0;
        let state = State {
            store,
            in_memory,
            catalog,
            tail: Window::starting_at(next),
        };
        drop(self.core.install(state));
    }

    /// Reads some events into the tail and seals it if it is complete; says whether there were any.
    fn step(&mut self) -> Result<bool> {
        let appended = self.core.log.watermark().appended();
        if self.reader.position() > appended {
            return Ok(false);
        }
        let complete = self.fill_tail(appended);
        if complete {
            self.seal_tail()?;
            self.retire()?;
        }
        self.core.set_indexed(self.reader.position());
        Ok(true)
    }

    /// Reads events up to `appended` into the tail; says whether its window is complete.
    fn fill_tail(&mut self, appended: Seq) -> bool {
        let mut state = self.core.write();
        let tail = &mut state.tail;
        for _ in 0..BURST {
            match self.reader.next_event() {
                Ok(Some(event)) => {
                    let seq = event.seq();
                    if window_of(seq) != tail.number() {
                        if !tail.is_empty() {
                            self.reader.seek(seq);
                            break;
                        }
                        *tail = Window::starting_at(seq);
                    }
                    tail.add(seq, event.event_id(), event.event_type());
                    self.last = seq;
                }
                Ok(None) => {
                    let seq = self.reader.position();
                    if seq > appended {
                        break;
                    }
                    // A Seq below the watermark without an event was dropped on purpose.
                    self.reader.seek(seq.next());
                }
                Err(error) => {
                    let seq = self.reader.position();
                    if window_of(seq) != tail.number() {
                        if !tail.is_empty() {
                            break;
                        }
                        *tail = Window::starting_at(seq);
                    }
                    pass_over(self.core, &error);
                    tail.skip(seq);
                    self.reader.seek(seq.next());
                }
            }
            if tail.is_full() {
                break;
            }
        }
        // The reader may have passed over a gap behind the last event.
        let position = self.reader.position();
        let left = window_of(position) != tail.number();
        if tail.is_empty() && position > tail.next() {
            *tail = Window::starting_at(position);
        }
        left && !tail.is_empty()
    }

    /// Hands the tail, which is complete, to the store.
    fn seal_tail(&mut self) -> Result<()> {
        let (store, sealed, position) = {
            let state = self.core.read();
            let sealed = state.tail.seal(&state.catalog, self.core.salt);
            let next_window = sealed.manifest.window.saturating_add(1);
            let sum = state.catalog.sum_with(&sealed);
            self.note_sealed_segment(keys::last_of(sealed.manifest.window));
            let position = self.position(state.catalog.floor(), next_window, sum);
            (state.store.clone(), sealed, position)
        };
        batch::put(store.as_ref(), &sealed.records, self.record(&position))?;
        let mut state = self.core.write();
        state.catalog.take(sealed);
        state.tail = Window::starting_at(self.reader.position());
        drop(state);
        self.core.notify();
        self.unflushed = self.unflushed.saturating_add(1);
        if self.unflushed >= FLUSH_WINDOWS {
            self.unflushed = 0;
            store.flush()?;
        }
        Ok(())
    }

    fn record(&self, position: &Position) -> store::Pair {
        let value = position.encode(self.core.log.log_id());
        (keys::POSITION.to_vec(), value)
    }

    fn position(&self, floor: u64, next_window: u64, sum: u64) -> Position {
        Position {
            floor,
            next_window,
            sum,
            segment: self.sealed.0,
            chain: self.sealed.1,
            last_seq: self.last.0,
            last_hash: agree::hash_at(&self.core.log, self.last),
        }
    }

    /// Notes the newest sealed segment that ends at or before `upto`.
    fn note_sealed_segment(&mut self, upto: Seq) {
        let segments = self.core.log.segments();
        let covered = segments.iter().rev().find_map(|segment| {
            let footer = segment.footer()?;
            (footer.last_seq <= upto).then_some((segment.id().0, footer.chain.0))
        });
        if let Some(covered) = covered {
            self.sealed = covered;
        }
    }

    /// Removes the records of windows whose events have gone, once there are many.
    fn retire(&mut self) -> Result<()> {
        let (store, floor) = {
            let state = self.core.read();
            let gone = window_of(self.core.log.first_seq());
            let floor = gone.min(state.catalog.next_window());
            if state.catalog.windows_before(floor) < RETIRE_WINDOWS {
                return Ok(());
            }
            (state.store.clone(), floor)
        };
        let (position, numbers) = {
            let mut state = self.core.write();
            state.catalog.retire(floor);
            let catalog = &state.catalog;
            let position = self.position(floor, catalog.next_window(), catalog.sum());
            let numbers: Vec<u32> = catalog.numbers().map(|(_, number)| number).collect();
            (position, numbers)
        };
        // The position first: behind it the records are no part of the index any more.
        store.apply(&[self.record(&position)], &[])?;
        batch::remove(store.as_ref(), &keys::manifest(0), &keys::manifest(floor))?;
        batch::remove(store.as_ref(), &keys::piece(0, 0), &keys::piece(floor, 0))?;
        for number in numbers {
            let (from, to) = (keys::chunk(number, 0), keys::chunk(number, floor));
            batch::remove(store.as_ref(), &from, &to)?;
        }
        Ok(())
    }

    /// Sleeps until there is something to do; `false` if there will be nothing any more.
    fn wait(&self) -> bool {
        self.core.rebuilding.store(false, Ordering::Release);
        self.core.notify();
        let (next, watermark) = (self.reader.position(), self.core.log.watermark());
        let is_needed = || self.core.is_stopping() || self.core.is_broken();
        // A window at a time: until there is one, lookups read the few newest events themselves.
        let whole = next.plus(keys::WINDOW_LEN - 1);
        let soon = Some(Instant::now() + LINGER);
        watermark.wait(Wanted::Published(whole), soon, |mark| {
            mark.appended() >= whole || is_needed()
        }) || watermark.wait(Wanted::Published(next), None, |mark| {
            mark.appended() >= next || is_needed()
        })
    }

    /// Leaves a folder that can be opened again: flushed, or out of the way.
    fn finish(&self) {
        let store = self.core.read().store.clone();
        if !self.core.is_broken()
            && let Err(error) = store.flush()
        {
            self.core.report(error.message());
        }
        if !self.core.is_broken() {
            return;
        }
        drop(store);
        self.core.forget();
        if let Some(folder) = &self.core.folder
            && let Err(error) = store::set_aside(folder)
        {
            tracing::warn!(target: "forelog::index", %error, "a broken index is left in place");
        }
    }
}

/// Notes an event that cannot be read; says so once.
fn pass_over(core: &Core, error: &Error) {
    if core.unreadable.fetch_add(1, Ordering::Relaxed) == 0 {
        tracing::error!(target: "forelog::index", %error, "the index passes over an event");
    }
}

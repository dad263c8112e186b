//! The follower: the thread that opens the store and reads the log into the tail. What becomes of a
//! window that is complete stands in [`seal`](super::seal).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::backing::{self, Opened};
use super::catalog::Catalog;
use super::core::{Core, State};
use super::dictionary::Dictionary;
use super::dimension::names_of;
use super::hash::NameHash;
use super::ids::{self, Ids, Upkeep, block::hash_of};
use super::keys::{self, window_of};
use super::store;
use super::visit::for_each;
use super::window::Window;
use crate::error::{Error, Result};
use crate::format::record::EventRef;
use crate::log::reader::Reader;
use crate::log::watermark::Wanted;
use crate::position::Seq;

/// How many events are read while lookups wait.
const BURST: usize = 256;
/// How long the follower waits for a whole window before it takes in a part of one.
const LINGER: Duration = Duration::from_millis(10);

/// Follows the log until it is told to stop, or the log is closed and all is indexed.
pub(super) fn run(core: &Arc<Core>) {
    let end = Ended(core);
    let mut follower = Follower::start(core);
    while !core.is_stopping() {
        #[cfg(test)]
        drop(core.gate.lock());
        let stepped = if core.is_broken() {
            follower.begin_anew();
            Ok(true)
        } else if follower.must_rest() {
            if !follower.rest() {
                break;
            }
            follower.wake().map(|()| true)
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

pub(super) struct Follower<'a> {
    pub(super) core: &'a Core,
    pub(super) reader: Reader,
    pub(super) dictionary: Dictionary,
    /// The newest sealed segment that is wholly indexed, and its chain.
    pub(super) sealed: (u64, u64),
    /// The Seq of the last event that was read.
    pub(super) last: Seq,
    pub(super) unflushed: u32,
    pub(super) upkeep: Upkeep,
    /// When the folder was tried last.
    pub(super) tried_at: Instant,
}

impl<'a> Follower<'a> {
    fn start(core: &'a Core) -> Follower<'a> {
        let mut follower = Follower {
            core,
            reader: core.log.reader(Seq::FIRST),
            dictionary: dictionary(core),
            sealed: (0, 0),
            last: Seq::ZERO,
            unflushed: 0,
            upkeep: Upkeep::default(),
            tried_at: Instant::now(),
        };
        follower.open_store();
        follower
    }

    /// Sets the broken store aside and begins with an empty one.
    fn begin_anew(&mut self) {
        // Files are closed before they are moved. Lookups scan until another store is in place.
        self.upkeep.give_up();
        self.core.resting.store(false, Ordering::Release);
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
        self.tried_at = Instant::now();
        match backing::open(self.core) {
            Some(opened) => self.stand_on(opened, false),
            None => self.stand_on(backing::in_memory(self.core), true),
        }
    }

    /// Goes on with a store, behind what it holds.
    pub(super) fn stand_on(&mut self, (store, loaded, ids): Opened, in_memory: bool) {
        // What was under way belongs to the store before.
        self.upkeep = Upkeep::default();
        let first = self.core.log.first_seq();
        let catalog = if let Some(position) = loaded.position {
            self.sealed = (position.segment, position.chain);
            self.last = Seq(position.last_seq);
            loaded.catalog
        } else {
            self.core.rebuilding.store(true, Ordering::Release);
            (self.sealed, self.last) = ((0, 0), Seq::ZERO);
            Catalog::starting_at(window_of(first))
        };
        let ids = self.read_pending(&catalog, ids);
        let next = first.max(keys::first_of(catalog.next_window()));
        self.reader.seek(next);
        self.unflushed = 0;
        let state = State {
            store,
            in_memory,
            catalog,
            tail: Window::starting_at(next, self.core.hashes),
            ids,
            names_checked: AtomicBool::new(false),
        };
        self.dictionary = dictionary(self.core);
        drop(self.core.install(state));
    }

    /// Takes in from the log the ids of windows that are not in a run yet.
    fn read_pending(&self, catalog: &Catalog, mut ids: Ids) -> Ids {
        for manifest in catalog
            .manifests_from(ids.next())
            .filter(|held| held.foreign)
        {
            let (first, last) = (
                keys::first_of(manifest.window),
                keys::last_of(manifest.window),
            );
            let mut entries = Vec::new();
            for_each(&self.core.log, first, last, |event| {
                if keys::millis_of(event.event_id()).is_none() {
                    let hash = hash_of(event.event_id(), self.core.salt);
                    entries.push(ids::entry_of(hash, keys::offset_of(event.seq())));
                }
                true
            });
            ids::sort::sort(&mut entries, &mut Vec::new());
            ids.take(manifest.window, entries);
        }
        ids
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
        let hashes = self.core.hashes;
        let mut state = self.core.write();
        let tail = &mut state.tail;
        for _ in 0..BURST {
            // Nearly every event stands right behind the one before, and is not moved about then.
            let found = match self.reader.step_on() {
                Some(event) => Ok(Some(event)),
                None => self.reader.next_event(),
            };
            match found {
                Ok(Some(event)) => {
                    let seq = event.seq();
                    if !add(tail, &event, hashes) {
                        self.reader.seek(seq);
                        break;
                    }
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
                        *tail = Window::starting_at(seq, hashes);
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
            *tail = Window::starting_at(position, hashes);
        }
        left && !tail.is_empty()
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
    fn finish(&mut self) {
        // Runs that are being made are given up.
        self.upkeep.give_up();
        let store = self.core.read().store.clone();
        if !self.core.is_broken()
            && let Err(error) = self.flush(store.as_ref())
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

fn dictionary(core: &Core) -> Dictionary {
    Dictionary::new(core.config.names_bytes_max())
}

/// Adds an event to the tail; `false` if events of another window are there.
#[inline]
fn add(tail: &mut Window, event: &EventRef<'_>, hashes: NameHash) -> bool {
    let seq = event.seq();
    if window_of(seq) != tail.number() {
        if !tail.is_empty() {
            return false;
        }
        *tail = Window::starting_at(seq, hashes);
    }
    tail.add(seq, event.event_id(), &names_of(event));
    true
}

/// Notes an event that cannot be read; says so once.
fn pass_over(core: &Core, error: &Error) {
    if core.unreadable.fetch_add(1, Ordering::Relaxed) == 0 {
        tracing::error!(target: "forelog::index", %error, "the index passes over an event");
    }
}

//! [`Core`]: what lookups and the follower share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::catalog::Catalog;
use super::hash::NameHash;
use super::ids::Ids;
use super::keys::window_of;
use super::memory::MemoryStore;
use super::store::Store;
use super::window::Window;
use super::{IndexConfig, IndexState};
use crate::log::Log;
use crate::position::Seq;

/// What is indexed. Lookups hold it shared for one step at a time, so that none sees a store and a
/// catalog that do not belong together.
#[derive(Debug)]
pub(super) struct State {
    pub(super) store: Arc<dyn Store>,
    pub(super) in_memory: bool,
    pub(super) catalog: Catalog,
    /// Holds all events from the catalog's `next_window` on up to its own `next`.
    pub(super) tail: Window,
    /// The ids that tell no time, of the catalog's windows.
    pub(super) ids: Ids,
    /// Whether the names in the store have been found to be all there.
    pub(super) names_checked: AtomicBool,
}

impl State {
    /// Nothing indexed; to begin with `next`.
    pub(super) fn empty(next: Seq, hashes: NameHash) -> State {
        State {
            store: Arc::new(MemoryStore::default()),
            in_memory: true,
            catalog: Catalog::starting_at(window_of(next)),
            tail: Window::starting_at(next, hashes),
            ids: Ids::starting_at(window_of(next), None, 0),
            names_checked: AtomicBool::new(false),
        }
    }
}

/// The stages of the follower that others wait for.
#[derive(Debug, Default)]
struct Stage {
    opened: bool,
    ended: bool,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) log: Arc<Log>,
    pub(super) folder: Option<PathBuf>,
    pub(super) config: IndexConfig,
    /// Salt of the hashes of ids.
    pub(super) salt: u64,
    /// The hashes of names.
    pub(super) hashes: NameHash,
    /// The bytes that the follower says it takes for names.
    pub(super) names_bytes: AtomicU64,
    pub(super) rebuilds: AtomicU64,
    /// How often another state was put in place: what was learned of the one before may not be true of it.
    pub(super) changes: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) rebuilding: AtomicBool,
    state: RwLock<State>,
    /// Set once the store was found to be broken, until another stands in its place: lookups scan.
    broken: AtomicBool,
    stopping: AtomicBool,
    /// Whether the follower [rests](super::resting).
    pub(super) resting: AtomicBool,
    opened: AtomicBool,
    indexed: AtomicU64,
    stage: Mutex<Stage>,
    changed: Condvar,
    /// Holds the follower up before its next step, for as long as a test has it.
    #[cfg(test)]
    pub(super) gate: Mutex<()>,
}

impl Core {
    pub(super) fn new(log: Arc<Log>, folder: Option<PathBuf>, config: IndexConfig) -> Core {
        let first = log.first_seq();
        let hashes = NameHash::of_log(log.log_id());
        Core {
            salt: u64::try_from(log.log_id() & u128::from(u64::MAX)).unwrap_or(0),
            hashes,
            log,
            folder,
            config,
            names_bytes: AtomicU64::new(0),
            rebuilds: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            rebuilding: AtomicBool::new(false),
            state: RwLock::new(State::empty(first, hashes)),
            broken: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            opened: AtomicBool::new(false),
            indexed: AtomicU64::new(0),
            stage: Mutex::default(),
            changed: Condvar::new(),
            #[cfg(test)]
            gate: Mutex::default(),
        }
    }

    /// What is indexed; `None` while the store cannot be trusted.
    pub(super) fn trusted(&self) -> Option<RwLockReadGuard<'_, State>> {
        let state = self.read();
        (!self.is_broken()).then_some(state)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another state in place, to be trusted; returns the one before, whose store may be slow
    /// to drop.
    pub(super) fn install(&self, state: State) -> State {
        let next = state.tail.next();
        let mut held = self.write();
        let before = std::mem::replace(&mut *held, state);
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.indexed.store(next.prev().0, Ordering::Release);
        self.broken.store(false, Ordering::Release);
        drop(held);
        self.set_opened();
        before
    }

    /// Closes the store, and leaves lookups to scan.
    pub(super) fn forget(&self) {
        self.broken.store(true, Ordering::Release);
        let empty = State::empty(self.log.first_seq(), self.hashes);
        let before = std::mem::replace(&mut *self.write(), empty);
        // A store may be slow to close: no lock is held any more.
        drop(before);
    }

    /// Gives the store up: lookups scan from now on, and the follower begins anew.
    pub(super) fn report(&self, reason: &str) {
        if !self.broken.swap(true, Ordering::AcqRel) {
            tracing::warn!(target: "forelog::index", reason, "the index is set aside and rebuilt");
        }
        self.log.watermark().notify();
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.log.watermark().notify();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The last Seq that is indexed, be it in memory.
    pub(super) fn indexed_upto(&self) -> Seq {
        if self.is_broken() {
            Seq::ZERO
        } else {
            Seq(self.indexed.load(Ordering::Acquire))
        }
    }

    pub(super) fn set_indexed(&self, next: Seq) {
        self.indexed.store(next.prev().0, Ordering::Release);
    }

    /// Wakes those who wait for the follower to catch up.
    pub(super) fn notify(&self) {
        drop(self.stage());
        self.changed.notify_all();
    }

    fn set_opened(&self) {
        self.opened.store(true, Ordering::Release);
        self.stage().opened = true;
        self.changed.notify_all();
    }

    /// Nothing will be indexed any more.
    pub(super) fn set_ended(&self) {
        self.stage().ended = true;
        self.set_opened();
    }

    /// Waits until the follower has opened the store: a lookup would scan all of the log before.
    pub(super) fn await_open(&self) {
        if self.opened.load(Ordering::Acquire) {
            return;
        }
        let stage = self.stage();
        let waited = self.changed.wait_while(stage, |stage| !stage.opened);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn catch_up(&self) -> bool {
        let target = self.log.watermark().appended();
        let reached = || !self.is_broken() && self.indexed_upto() >= target;
        let rests = || self.resting.load(Ordering::Acquire);
        let stage = self.stage();
        let waited = self.changed.wait_while(stage, |stage| {
            !(stage.ended || rests() || stage.opened && reached())
        });
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        reached()
    }

    pub(super) fn snapshot(&self) -> IndexState {
        let state = self.read();
        IndexState {
            indexed_upto: self.indexed_upto(),
            rebuilding: !self.is_stopping()
                && (self.is_broken() || self.rebuilding.load(Ordering::Acquire)),
            in_memory: state.in_memory,
            windows: state.catalog.windows(),
            names_bytes: self.names_bytes.load(Ordering::Relaxed),
            bytes: state.catalog.bytes().saturating_add(state.ids.bytes()),
            rebuilds: self.rebuilds.load(Ordering::Relaxed),
            unreadable: self.unreadable.load(Ordering::Relaxed),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

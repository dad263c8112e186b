//! [`Committer`]: a thread that syncs for those who do not wait themselves.
//!
//! Whoever emits and goes on at once leaves nobody who could lead a sync. This thread does: while
//! anything was asked for since its last sync it syncs again, so that however many events are in
//! flight, one sync follows the other without a pause. It is begun by the first who asks.

use std::sync::{Arc, PoisonError};

use super::shared::Shared;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, JoinHandle};

#[derive(Debug, Default)]
pub(super) struct Committer {
    orders: Arc<Orders>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Orders {
    asked: AtomicBool,
    stop: AtomicBool,
}

impl Committer {
    /// Has everything that is appended by now synced soon; `false` if there is no thread for it.
    pub(super) fn ask(&self, shared: &Arc<Shared>) -> bool {
        if self.orders.asked.swap(true, Ordering::AcqRel) {
            return true;
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            *thread = self.start(shared.clone());
        }
        let Some(thread) = &*thread else {
            self.orders.asked.store(false, Ordering::Release);
            return false;
        };
        thread.thread().unpark();
        true
    }

    fn start(&self, shared: Arc<Shared>) -> Option<JoinHandle<()>> {
        if self.orders.stop.load(Ordering::Acquire) {
            return None;
        }
        let orders = self.orders.clone();
        let builder = thread::Builder::new().name("forelog-commit".to_owned());
        let started = builder.spawn(move || run(&shared, &orders));
        let failed = |error| {
            tracing::warn!(target: "forelog::log", %error, "no thread to sync for those who do not wait");
        };
        started.map_err(failed).ok()
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        self.orders.stop.store(true, Ordering::Release);
        // Not joined under the lock: a waker that the thread runs may be asking for a sync.
        let taken = self.thread.lock().map(|mut thread| thread.take());
        let Some(thread) = taken.unwrap_or_else(|poisoned| poisoned.into_inner().take()) else {
            return;
        };
        thread.thread().unpark();
        // A waker that drops the last handle of the log runs on the thread itself.
        let is_here = thread.thread().id() == thread::current().id();
        if !is_here && thread.join().is_err() {
            tracing::error!(target: "forelog::log", "the thread that syncs panicked");
        }
    }
}

fn run(shared: &Shared, orders: &Orders) {
    while !orders.stop.load(Ordering::Acquire) {
        if !orders.asked.swap(false, Ordering::AcqRel) {
            thread::park();
            continue;
        }
        // A failure reaches all who have asked by the log's end of life.
        let synced = shared.wait_durable(shared.last_seq());
        shared.wake_pending();
        if synced.is_err() {
            return;
        }
    }
}

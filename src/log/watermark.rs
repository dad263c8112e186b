//! [`Watermark`]: how far the log is appended and durable. The only signal that goes upward.

use std::time::Instant;

use crossbeam::utils::CachePadded;

use super::waiting::Waiting;
use crate::position::Seq;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use crate::sync::thread;

/// Two numbers that only grow, and that followers wait on. Of a log that is [only read](super::mirror), the
/// first may fall: what was shown is gone from the files.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    /// Stored with each append, and read by followers: on a line of its own.
    appended: CachePadded<AtomicU64>,
    durable: AtomicU64,
    closed: AtomicBool,
    /// Who waits for an event to be published, whatever its durability.
    published: Waiting,
    /// Who waits for an event to be published that need not be synced first.
    buffered: Waiting,
    synced: Waiting,
}

/// What a follower wants to be woken for. A wake-up costs as much as hundreds of appends, so a
/// follower who works in batches, or who must wait for a sync anyway, is not woken before.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// That readers may see the event of this Seq.
    Published(Seq),
    /// That the event of this Seq may be delivered: it is published and need not be synced first,
    /// or it is durable.
    Deliverable(Seq),
    /// That all up to this Seq is durable.
    Durable(Seq),
}

impl Watermark {
    pub(crate) fn new(appended: Seq, durable: Seq) -> Self {
        Watermark {
            appended: CachePadded::new(AtomicU64::new(appended.0)),
            durable: AtomicU64::new(durable.0),
            ..Watermark::default()
        }
    }

    /// The last Seq that readers may see.
    pub(crate) fn appended(&self) -> Seq {
        Seq(self.appended.load(Ordering::Acquire))
    }

    /// The last Seq that a power cut cannot take back.
    pub(crate) fn durable(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    /// Whether the log is closed or poisoned, so that neither number will move again.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Notes that all up to `seq` is published; for the one thread whose turn it is.
    pub(super) fn set_appended(&self, seq: Seq) {
        // An exchange is a full fence too, and cheaper than a store with a fence behind it.
        self.appended.swap(seq.0, Ordering::SeqCst);
    }

    /// Wakes those who wait for an appended Seq that has been reached, `seq` being one that was.
    /// Whoever delivers events is not woken for one that has yet to be synced: the sync will do it.
    pub(super) fn wake_followers(&self, seq: Seq, awaits_sync: bool) {
        // The fence that `Waiting` asks for is the exchange in `set_appended`.
        if !awaits_sync {
            self.buffered.reached(seq);
        }
        self.published.reached(seq);
    }

    pub(super) fn set_durable(&self, seq: Seq) {
        self.durable.fetch_max(seq.0, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.synced.reached(seq);
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.notify();
    }

    /// Wakes all waiters, also when no number has moved: a follower whose own conditions (pause,
    /// stop) have changed calls this.
    pub(crate) fn notify(&self) {
        fence(Ordering::SeqCst);
        for waiting in self.lists() {
            waiting.wake_all();
        }
    }

    /// Waits until `ready` holds, the log is closed, or the deadline has passed; says whether
    /// `ready` held. It is asked when what is `wanted` has come about, and after a
    /// [`Watermark::notify`].
    pub(crate) fn wait(
        &self,
        wanted: Wanted,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&Self) -> bool,
    ) -> bool {
        if ready(self) {
            return true;
        }
        let held = loop {
            self.enlist(wanted);
            fence(Ordering::SeqCst);
            if ready(self) {
                break true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if self.is_closed() || left.is_some_and(|left| left.is_zero()) {
                break false;
            }
            match left {
                None => thread::park(),
                Some(left) => thread::park_timeout(left),
            }
        };
        for waiting in self.lists() {
            waiting.delist();
        }
        held
    }

    fn enlist(&self, wanted: Wanted) {
        match wanted {
            Wanted::Published(seq) => self.published.enlist(seq),
            Wanted::Durable(seq) => self.synced.enlist(seq),
            Wanted::Deliverable(seq) => {
                self.buffered.enlist(seq);
                self.synced.enlist(seq);
            }
        }
    }

    fn lists(&self) -> [&Waiting; 3] {
        [&self.published, &self.buffered, &self.synced]
    }
}

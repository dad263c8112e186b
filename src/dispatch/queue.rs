//! [`Queue`]: the bound on how far emitters may run ahead of the handlers that keep up.
//!
//! The log is the queue: there is no second copy of an event. What is counted is how many events are
//! appended, or admitted to be appended, beyond the slowest *live* position.
//!
//! **Who is live.** A subscription that runs and has once come to within `max_queue_size` events of
//! the end. A backlog found at open, a name that nobody registers, and a subscription that has
//! stopped are not; with nobody live there is no bound.
//!
//! **Cost.** With nobody live an emitter loads one word that nobody writes. Else `admitted` is bumped
//! by one atomic exchange and compared with `limit`, which is `max_queue_size` beyond the slowest live
//! position. Positions only grow, so the limit may be old: it is brought up to date by the emitter
//! whom it would stop, not by the workers.
//!
//! **Exactness.** Events are counted from the moment when somebody is live. An emit that is under way
//! at that moment was let in without being counted: its event is taken in when the limit is next
//! reckoned, since the count is never below what the log holds. It is never above what the log holds
//! and is admitted to, so that no place is lost.
//!
//! **Inside a handler** an emit on a full queue would wait for itself. It passes over the bound
//! instead, on the thread that runs the handler; the queue shrinks again once the handler returns.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;

use super::live::{Live, NOBODY, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;

/// What stands in place of the count while nobody is live.
const UNCOUNTED: u64 = u64::MAX;
/// What stands in place of the count once the queue is closed; beyond every limit.
const CLOSED: u64 = u64::MAX - 1;
/// The highest limit.
const LIMIT_MAX: u64 = u64::MAX - 2;
/// A full queue wakes the emitters once this part of it is free, since a wake-up costs as much as
/// many events.
const WAKE_PART: u64 = 8;
/// After which time a waiting emitter looks for itself, should that part not come free.
const LOOK_AFTER: Duration = Duration::from_millis(5);

/// What an emit does while the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// Wait until there is a place.
    #[default]
    Block,
    /// Return [`QueueFull`](ErrorKind::QueueFull) at once.
    Reject,
    /// Wait, and return [`QueueFull`](ErrorKind::QueueFull) after this time.
    Timeout(Duration),
}

/// Tells the last Seq of the log.
type Appended = dyn Fn() -> Seq + Send + Sync;

/// The bound on the distance between emitters and handlers.
pub(crate) struct Queue {
    /// The last Seq that is appended or admitted to be; or [`UNCOUNTED`], or [`CLOSED`]. All that
    /// emitters write.
    admitted: CachePadded<AtomicU64>,
    /// How far `admitted` may go: `max` beyond the slowest live position, or what that was before.
    limit: AtomicU64,
    pub(super) max: u64,
    /// The lowest position that somebody waits for, who wants a place or a drain.
    wanted: AtomicU64,
    /// Tells the systems of a process apart; from 1.
    pub(super) id: u64,
    appended: Box<Appended>,
    /// How many emits were refused because it was full.
    pub(super) rejected: AtomicU64,
    live: Mutex<Live>,
    moved: Condvar,
}

/// Places for events that are about to be appended. Dropped, it gives them back.
#[derive(Debug)]
#[must_use = "dropping it gives the places back"]
pub(crate) struct Reserved<'q> {
    queue: &'q Queue,
    /// How many are counted: 0 if nobody was live.
    count: u64,
}

impl Reserved<'_> {
    /// The events are in the log now.
    pub(crate) fn appended(self) {
        std::mem::forget(self);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.queue
                .recount(|admitted| admitted.saturating_sub(self.count));
            self.queue.wake_all(self.queue.live());
        }
    }
}

impl Queue {
    /// A queue of at most `max` events, before a log whose last Seq `appended` tells.
    pub(crate) fn new(max: u64, appended: impl Fn() -> Seq + Send + Sync + 'static) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Queue {
            admitted: CachePadded::new(AtomicU64::new(UNCOUNTED)),
            limit: AtomicU64::new(LIMIT_MAX),
            max: max.max(1),
            wanted: AtomicU64::new(NOBODY),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            appended: Box::new(appended),
            rejected: AtomicU64::new(0),
            live: Mutex::new(Live::default()),
            moved: Condvar::new(),
        }
    }

    /// Takes places for `count` events, which are then appended, all or none. A batch larger than
    /// the queue is admitted when the queue is empty.
    ///
    /// `is_over` says that the log takes nothing any more: then there is nothing to wait for, and the
    /// append will say why.
    ///
    /// # Errors
    /// [`QueueFull`](ErrorKind::QueueFull) by the policy; [`Closed`](ErrorKind::Closed) once the
    /// queue is closed, also for those who wait.
    #[inline]
    pub(crate) fn reserve(
        &self,
        count: u64,
        when_full: WhenFull,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Reserved<'_>> {
        let counted = match self.try_admit(count) {
            Some(counted) => counted,
            None => self.admit_slowly(count, when_full, is_over)?,
        };
        Ok(Reserved {
            queue: self,
            count: counted,
        })
    }

    /// How many events are beyond the slowest live position; 0 if nobody is live.
    pub(crate) fn depth(&self) -> u64 {
        let live = self.live();
        self.refresh(&live);
        self.depth_of(&live)
    }

    /// Admits nothing more, but for handlers that are running, and wakes all who wait.
    pub(crate) fn close(&self) {
        let live = self.live();
        self.admitted.store(CLOSED, Ordering::Release);
        self.wake_all(live);
    }

    /// Takes places that are surely free; returns how many of them are counted.
    #[inline]
    fn try_admit(&self, count: u64) -> Option<u64> {
        // Acquire: whoever sees that events are counted sees the limit that was set before.
        let mut admitted = self.admitted.load(Ordering::Acquire);
        while admitted != UNCOUNTED {
            let after = admitted.saturating_add(count);
            if after > self.limit.load(Ordering::Relaxed) {
                return None;
            }
            match self.exchange(admitted, after) {
                Ok(_) => return Some(count),
                Err(now) => admitted = now,
            }
        }
        Some(0)
    }

    #[inline]
    fn exchange(&self, before: u64, after: u64) -> Result<u64, u64> {
        let (success, failure) = (Ordering::Relaxed, Ordering::Acquire);
        let word = &self.admitted;
        word.compare_exchange(before, after, success, failure)
    }

    /// Changes the count, if there is one; says whether there is.
    fn recount(&self, change: impl Fn(u64) -> u64) -> bool {
        let counted = |word: u64| (word <= LIMIT_MAX).then(|| change(word));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.admitted.fetch_update(set, fetch, counted).is_ok()
    }

    /// Takes places whatever the bound says.
    fn admit_anyway(&self, count: u64) -> u64 {
        let is_counted = self.recount(|admitted| admitted.saturating_add(count));
        if is_counted { count } else { 0 }
    }

    #[cold]
    fn admit_slowly(
        &self,
        count: u64,
        when_full: WhenFull,
        is_over: &dyn Fn() -> bool,
    ) -> Result<u64> {
        if self.is_inside() {
            return Ok(self.admit_anyway(count));
        }
        let deadline = match when_full {
            WhenFull::Block => None,
            WhenFull::Reject => Some(Instant::now()),
            WhenFull::Timeout(within) => Instant::now().checked_add(within),
        };
        let wanted = || self.worth_waking(count);
        let admitted = self.wait(deadline, wanted, |live| {
            if self.admitted.load(Ordering::Acquire) == CLOSED {
                let message = "the system is closing; the event is not in the log";
                return Some(Err(Error::new(ErrorKind::Closed, message)));
            }
            if is_over() {
                return Some(Ok(self.admit_anyway(count)));
            }
            self.admit_at(live, count).map(Ok)
        });
        admitted.unwrap_or_else(|| {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            let message = format!(
                "the queue is full: the slowest handler is {} events behind, and max_queue_size \
                 is {}; wait, or make the handler faster. The event is not in the log",
                self.depth(),
                self.max
            );
            Err(Error::new(ErrorKind::QueueFull, message))
        })
    }

    /// Takes places by the positions as they are now.
    fn admit_at(&self, live: &Live, count: u64) -> Option<u64> {
        self.refresh(live);
        if let Some(counted) = self.try_admit(count) {
            return Some(counted);
        }
        // A batch that is larger than the queue.
        let slowest = live.slowest()?;
        let admitted = self.admitted.load(Ordering::Relaxed);
        let is_empty = admitted <= slowest;
        let after = admitted.saturating_add(count);
        (is_empty && self.exchange(admitted, after).is_ok()).then_some(count)
    }

    /// Waits until `look` finds something, or the deadline has passed. `wanted` says which position
    /// should wake us.
    fn wait<T>(
        &self,
        deadline: Option<Instant>,
        wanted: impl Fn() -> u64,
        mut look: impl FnMut(&Live) -> Option<T>,
    ) -> Option<T> {
        let mut live = self.live();
        loop {
            let at = wanted();
            self.wanted.fetch_min(at, Ordering::Relaxed);
            // Pairs with the fence in `paused`: a position that `look` does not see yet will wake us.
            fence(Ordering::SeqCst);
            let found = look(&live);
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if found.is_some() || left.is_some_and(|left| left.is_zero()) {
                return found;
            }
            if wanted() != at {
                // Others were admitted meanwhile, so that this position would not help us.
                continue;
            }
            let nap = left.map_or(LOOK_AFTER, |left| left.min(LOOK_AFTER));
            let napped = self.moved.wait_timeout(live, nap);
            live = napped.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The position of the slowest at which it pays to wake an emitter of `count` events.
    fn worth_waking(&self, count: u64) -> u64 {
        let part = (self.max / WAKE_PART).max(1);
        let free = part.max(count).min(self.max);
        let after = self.last().saturating_add(free);
        after.saturating_sub(self.max)
    }

    /// Waits until `done` holds, which becomes true when a worker has handled `target`; says whether
    /// it held by the deadline.
    pub(super) fn watch(
        &self,
        target: Seq,
        deadline: Option<Instant>,
        mut done: impl FnMut() -> bool,
    ) -> bool {
        self.live().watching += 1;
        let held = self.wait(deadline, || target.0, |_| done().then_some(()));
        self.live().watching -= 1;
        held.is_some()
    }

    /// To be called after a position has moved: a load of a word that is seldom written. Who begins to
    /// wait at this very moment may be missed, until the next move, [`Queue::paused`], or its own look.
    #[inline]
    pub(super) fn moved(&self, position: &Position) {
        let wanted = self.wanted.load(Ordering::Relaxed);
        if position.has_reached(wanted) {
            self.wake();
        }
    }

    /// To be called before a pause, after all moves: misses nobody.
    pub(super) fn paused(&self, position: &Position) {
        fence(Ordering::SeqCst);
        self.moved(position);
    }

    /// Wakes those who wait, if it helps them.
    #[cold]
    fn wake(&self) {
        let live = self.live();
        let wanted = self.wanted.load(Ordering::Relaxed);
        let helps = live.slowest().is_none_or(|slowest| slowest >= wanted);
        if helps || live.watching > 0 {
            self.wake_all(live);
        }
    }

    /// Wakes all who wait; those who wait on say again what for.
    fn wake_all(&self, live: MutexGuard<'_, Live>) {
        self.wanted.store(NOBODY, Ordering::Relaxed);
        drop(live);
        self.moved.notify_all();
    }

    /// Whether a subscription at this position is near enough to the end to be counted.
    pub(super) fn is_near(&self, position: Seq) -> bool {
        self.last().saturating_sub(position.0) <= self.max
    }

    /// Counts a subscription from now on.
    pub(super) fn join(&self, position: Arc<Position>) {
        let mut live = self.live();
        live.positions.push(position);
        self.refresh(&live);
        let begins_at = (self.appended)().0.min(LIMIT_MAX);
        let (set, failure) = (Ordering::Release, Ordering::Relaxed);
        // A queue that counts already, or is closed, stays as it is.
        let _ = self
            .admitted
            .compare_exchange(UNCOUNTED, begins_at, set, failure);
    }

    /// Counts a subscription no more, and wakes those who waited for it.
    pub(super) fn leave(&self, position: &Arc<Position>) {
        let mut live = self.live();
        live.positions.retain(|one| !Arc::ptr_eq(one, position));
        self.refresh(&live);
        if live.positions.is_empty() {
            self.recount(|_| UNCOUNTED);
        }
        self.wake_all(live);
    }

    /// Brings limit and count up to date; under the lock, so that nobody joins meanwhile.
    fn refresh(&self, live: &Live) {
        let appended = (self.appended)().0;
        // Nothing changes where nothing is counted: both words are above every Seq.
        self.admitted.fetch_max(appended, Ordering::Relaxed);
        let slowest = live.slowest();
        let limit = slowest.map_or(LIMIT_MAX, |slowest| slowest.saturating_add(self.max));
        self.limit.store(limit.min(LIMIT_MAX), Ordering::Relaxed);
    }

    /// The last Seq that is appended or, as far as that is counted, admitted.
    fn last(&self) -> u64 {
        let counted = Some(self.admitted.load(Ordering::Relaxed)).filter(|&seq| seq <= LIMIT_MAX);
        counted.unwrap_or(0).max((self.appended)().0)
    }

    fn depth_of(&self, live: &Live) -> u64 {
        let depth = |slowest| self.last().saturating_sub(slowest);
        live.slowest().map_or(0, depth)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("id", &self.id)
            .field("max", &self.max)
            .field("admitted", &self.admitted)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

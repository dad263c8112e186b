//! [`Queue`]: the bound on how far emitters may run ahead of the handlers that keep up.
//!
//! The log is the queue: there is no second copy of an event. What is counted is how many events are
//! appended, or admitted to be appended, beyond the slowest *live* position.
//!
//! **Who is live.** A subscription that runs and has once come to within `max_queue_size` events of
//! the end. A backlog found at open, a name that nobody registers, and a subscription that has
//! stopped are not; with nobody live there is no bound.
//!
//! **Cost.** `admitted` is bumped by one atomic exchange and compared with `floor`, a lower bound of
//! the slowest live position. Positions only grow, so the floor may be old: it is brought up to date
//! by the emitter whom it would stop, not by the workers.
//!
//! **Inside a handler** an emit on a full queue would wait for itself. It passes over the bound
//! instead, on the thread that runs the handler; the queue shrinks again once the handler returns.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::position::Seq;

/// The floor while nobody is live.
const NOBODY: u64 = u64::MAX;
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

/// A subscription's position in memory: the last Seq that it has handled.
#[derive(Debug, Default)]
pub(super) struct Position(AtomicU64);

impl Position {
    pub(super) fn new(seq: Seq) -> Self {
        Position(AtomicU64::new(seq.0))
    }

    pub(super) fn get(&self) -> Seq {
        Seq(self.0.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, seq: Seq) {
        self.0.store(seq.0, Ordering::Release);
    }
}

/// The bound on the distance between emitters and handlers.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Tells the queues of a process apart; from 1.
    id: u64,
    max: u64,
    /// The last Seq that is appended or admitted to be.
    admitted: AtomicU64,
    /// At most the slowest live position; [`NOBODY`] if none is live.
    floor: AtomicU64,
    closed: AtomicBool,
    /// How many threads wait, for a place or for a drain.
    waiting: AtomicUsize,
    live: Mutex<Live>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Live {
    positions: Vec<Arc<Position>>,
    /// How many threads want to hear of every move.
    watching: usize,
}

/// Places for events that are about to be appended. Dropped, it gives them back.
#[derive(Debug)]
#[must_use = "dropping it gives the places back"]
pub(crate) struct Reserved<'q> {
    queue: &'q Queue,
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
        self.queue.admitted.fetch_sub(self.count, Ordering::Relaxed);
        self.queue.moved();
    }
}

thread_local! {
    /// The queue of the system whose handler this thread is running; 0: none.
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

/// While it lives, this thread runs a handler.
#[derive(Debug)]
pub(super) struct Inside {
    before: u64,
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

impl Queue {
    /// A queue of at most `max` events behind the log's last Seq.
    pub(crate) fn new(max: u64, appended: Seq) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Queue {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            max: max.max(1),
            admitted: AtomicU64::new(appended.0),
            floor: AtomicU64::new(NOBODY),
            closed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            live: Mutex::new(Live::default()),
            moved: Condvar::new(),
        }
    }

    /// Takes places for `count` events, which are then appended, all or none. A batch larger than
    /// the queue is admitted when the queue is empty.
    ///
    /// # Errors
    /// [`QueueFull`](ErrorKind::QueueFull) by the policy; [`Closed`](ErrorKind::Closed) once the
    /// queue is closed, also for those who wait.
    ///
    /// `is_over` says that the log takes nothing any more: then there is nothing to wait for, and the
    /// append will say why.
    pub(crate) fn reserve(
        &self,
        count: u64,
        when_full: WhenFull,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Reserved<'_>> {
        let open = !self.closed.load(Ordering::Relaxed);
        if open && self.try_admit(count) {
            return Ok(Reserved { queue: self, count });
        }
        self.reserve_slowly(count, when_full, is_over)
    }

    /// How many events are beyond the slowest live position; 0 if nobody is live.
    pub(crate) fn depth(&self) -> u64 {
        self.refresh(&self.live());
        let floor = self.floor.load(Ordering::Acquire);
        self.admitted.load(Ordering::Relaxed).saturating_sub(floor)
    }

    /// Admits nothing more, but for handlers that are running, and wakes all who wait.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.live());
        self.moved.notify_all();
    }

    fn try_admit(&self, count: u64) -> bool {
        let floor = self.floor.load(Ordering::Acquire);
        let mut admitted = self.admitted.load(Ordering::Relaxed);
        loop {
            let depth = admitted.saturating_sub(floor);
            if depth > 0 && count > self.max.saturating_sub(depth) {
                return false;
            }
            match self.admitted.compare_exchange_weak(
                admitted,
                admitted.saturating_add(count),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => admitted = now,
            }
        }
    }

    #[cold]
    fn reserve_slowly(
        &self,
        count: u64,
        when_full: WhenFull,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Reserved<'_>> {
        if self.is_inside() {
            self.admitted.fetch_add(count, Ordering::Relaxed);
            return Ok(Reserved { queue: self, count });
        }
        let deadline = match when_full {
            WhenFull::Block => None,
            WhenFull::Reject => Some(Instant::now()),
            WhenFull::Timeout(within) => Instant::now().checked_add(within),
        };
        let admitted = self.wait(deadline, |live| {
            if self.closed.load(Ordering::Acquire) {
                let message = "the system is closing; the event is not in the log";
                return Some(Err(Error::new(ErrorKind::Closed, message)));
            }
            if is_over() {
                self.admitted.fetch_add(count, Ordering::Relaxed);
                return Some(Ok(()));
            }
            self.refresh(live);
            self.try_admit(count).then_some(Ok(()))
        });
        match admitted {
            Some(Ok(())) => Ok(Reserved { queue: self, count }),
            Some(Err(error)) => Err(error),
            None => {
                let message = format!(
                    "the queue is full: the slowest handler is {} events behind, and max_queue_size \
                     is {}; wait, or make the handler faster. The event is not in the log",
                    self.depth(),
                    self.max
                );
                Err(Error::new(ErrorKind::QueueFull, message))
            }
        }
    }

    /// Waits until `look` finds something, or the deadline has passed.
    fn wait<T>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut(&Live) -> Option<T>,
    ) -> Option<T> {
        let mut live = self.live();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `moved`: a position that `look` does not see yet will wake us.
        fence(Ordering::SeqCst);
        let found = loop {
            let found = look(&live);
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if found.is_some() || left.is_some_and(|left| left.is_zero()) {
                break found;
            }
            let nap = left.map_or(LOOK_AFTER, |left| left.min(LOOK_AFTER));
            let waited = self.moved.wait_timeout(live, nap);
            live = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        found
    }

    /// Waits until `done` holds, which is asked after every move; says whether it held by the
    /// deadline.
    pub(super) fn watch(&self, deadline: Option<Instant>, mut done: impl FnMut() -> bool) -> bool {
        self.live().watching += 1;
        let held = self.wait(deadline, |_| done().then_some(()));
        self.live().watching -= 1;
        held.is_some()
    }

    /// To be called after a position has moved.
    pub(super) fn moved(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let live = self.live();
        self.refresh(&live);
        let floor = self.floor.load(Ordering::Relaxed);
        let depth = self.admitted.load(Ordering::Relaxed).saturating_sub(floor);
        let free = self.max.saturating_sub(depth);
        if live.watching > 0 || free >= (self.max / WAKE_PART).max(1) {
            drop(live);
            self.moved.notify_all();
        }
    }

    /// Whether a subscription at this position is near enough to the end to be counted.
    pub(super) fn is_near(&self, position: Seq) -> bool {
        self.admitted
            .load(Ordering::Relaxed)
            .saturating_sub(position.0)
            <= self.max
    }

    /// Counts a subscription from now on.
    pub(super) fn join(&self, position: Arc<Position>) {
        let mut live = self.live();
        live.positions.push(position);
        self.refresh(&live);
    }

    /// Counts a subscription no more, and wakes those who waited for it.
    pub(super) fn leave(&self, position: &Arc<Position>) {
        let mut live = self.live();
        live.positions.retain(|one| !Arc::ptr_eq(one, position));
        self.refresh(&live);
        drop(live);
        self.moved.notify_all();
    }

    /// Brings the floor up to date; under the lock, so that nobody joins meanwhile.
    fn refresh(&self, live: &Live) {
        let slowest = live.positions.iter().map(|position| position.get().0).min();
        self.floor
            .store(slowest.unwrap_or(NOBODY), Ordering::Release);
    }

    /// Notes that this thread runs a handler of this queue's system.
    pub(super) fn enter(&self) -> Inside {
        Inside {
            before: INSIDE.replace(self.id),
        }
    }

    /// Whether this thread runs a handler of this queue's system.
    pub(crate) fn is_inside(&self) -> bool {
        INSIDE.get() == self.id
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

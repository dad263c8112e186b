//! [`Following`]: a projection that goes on by itself, on a thread of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::projection::Projection;
use crate::error::{Error, ErrorKind, Result, guarded};
use crate::log::Log;
use crate::log::watermark::Wanted;
use crate::position::Seq;

/// How often a thread with nothing to do looks whether a snapshot is due by time.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How often the thread steps back for those who want to read, before it goes on all the same.
const YIELDS_MAX: usize = 64;

/// A live projection: a thread applies events as they come, and anybody may read the state.
///
/// It sees an event as soon as it is published. An error of the apply function, of reading the log, or of
/// saving the state, or a panic in the code of the state itself ([`Handler`](ErrorKind::Handler)), ends it;
/// [`Following::wait_for`] and [`Following::stop`] say which. Dropped, it stops.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem};
/// let system = EventSystem::builder().open()?;
/// let sum = system.projection("sum", 1, 0_i64, |sum, event| {
///     *sum += event.data::<i64>()?;
///     Ok(())
/// })?;
/// let live = sum.follow()?;
/// let receipt = system.emit(Event::new("payment.done", "web", &42)?)?;
/// live.wait_for(receipt.seq, None)?;
/// assert_eq!(live.read(|sum| *sum), 42);
/// # drop(live);
/// # system.close() }
/// ```
pub struct Following<S> {
    shared: Arc<Shared<S>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<S> {
    projection: Mutex<Projection<S>>,
    /// How many want to read; the thread lets them go first.
    readers: AtomicUsize,
    log: Arc<Log>,
    place: Mutex<Place>,
    moved: Condvar,
    stop: AtomicBool,
}

#[derive(Debug)]
struct Place {
    position: Seq,
    is_over: bool,
    failure: Option<Error>,
}

impl<S: Serialize + DeserializeOwned + Clone + Send + 'static> Projection<S> {
    /// Lets the projection go on by itself: catches up, and then applies what comes.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn follow(self) -> Result<Following<S>> {
        let name = format!("forelog-projection-{}", self.name);
        let shared = Arc::new(Shared {
            log: self.log.clone(),
            place: Mutex::new(Place {
                position: self.position(),
                is_over: false,
                failure: None,
            }),
            projection: Mutex::new(self),
            readers: AtomicUsize::new(0),
            moved: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let followed = shared.clone();
        // A thread's name ends at a zero byte, and the projection's may hold one.
        let builder = thread::Builder::new().name(name.replace('\0', ""));
        let thread = builder
            .spawn(move || followed.run())
            .map_err(|cause| Error::io("start the thread of a projection", "", cause))?;
        Ok(Following {
            shared,
            thread: Some(thread),
        })
    }
}

impl<S> Following<S> {
    /// Looks at the state. The projection stands still meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&S) -> T) -> T
    where
        S: Serialize + DeserializeOwned + Clone,
    {
        let _wanted = Reading::of(&self.shared.readers);
        look(self.shared.projection().state())
    }

    /// A copy of the state, and the last event that it has taken in.
    pub fn state(&self) -> (Seq, S)
    where
        S: Serialize + DeserializeOwned + Clone,
    {
        let _wanted = Reading::of(&self.shared.readers);
        let projection = self.shared.projection();
        (projection.position(), projection.state().clone())
    }

    /// The last event that was applied or passed over.
    pub fn position(&self) -> Seq {
        self.shared.place().position
    }

    /// Waits until the state has taken this event in; says whether it has by the deadline.
    ///
    /// # Errors
    /// What ended the projection before. [`Closed`](crate::ErrorKind::Closed) if the system was closed
    /// before there was such an event.
    pub fn wait_for(&self, seq: Seq, deadline: Option<Instant>) -> Result<bool> {
        let mut place = self.shared.place();
        loop {
            if place.position >= seq {
                return Ok(true);
            }
            if let Some(failure) = &place.failure {
                return Err(failure.duplicate());
            }
            if place.is_over {
                let message = "the system is closed, and the projection has seen all there is";
                return Err(Error::new(ErrorKind::Closed, message));
            }
            let moved = &self.shared.moved;
            place = match deadline.map(|by| by.saturating_duration_since(Instant::now())) {
                None => moved.wait(place).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Ok(false),
                Some(left) => {
                    let waited = moved.wait_timeout(place, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Ends the thread and gives the projection back; it is saved if it saves by itself.
    ///
    /// # Errors
    /// What ended the projection before, or the error of saving it.
    pub fn stop(mut self) -> Result<Projection<S>> {
        self.end();
        let failure = self.shared.place().failure.take();
        if let Some(failure) = failure {
            return Err(failure);
        }
        let shared = self.shared.clone();
        drop(self);
        let shared = Arc::into_inner(shared).ok_or_else(|| {
            let message = "the thread of a projection has not let go of it; open it again";
            Error::new(ErrorKind::Handler, message)
        })?;
        let projection = shared.projection;
        Ok(match projection.into_inner() {
            Ok(projection) => projection,
            // A reader panicked; it can change nothing.
            Err(poisoned) => poisoned.into_inner(),
        })
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.log.watermark().notify();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "forelog::replay", "the thread of a projection panicked");
        }
    }
}

impl<S> Drop for Following<S> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<S> Shared<S> {
    fn projection(&self) -> MutexGuard<'_, Projection<S>> {
        let projection = self.projection.lock();
        projection.unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Serialize + DeserializeOwned + Clone> Shared<S> {
    fn run(&self) {
        // What of the state is the user's code, such as how it is saved or copied, may panic as well.
        let followed = guarded("state of a projection", || self.follow());
        let followed =
            followed.unwrap_or_else(|reason| Err(Error::new(ErrorKind::Handler, reason)));
        let failure = followed.err();
        if let Some(error) = &failure {
            tracing::error!(target: "forelog::replay", %error, "a live projection has ended");
        }
        let mut place = self.place();
        place.is_over = true;
        place.failure = failure;
        drop(place);
        self.moved.notify_all();
    }

    fn follow(&self) -> Result<()> {
        loop {
            let is_closed = self.log.watermark().is_closed();
            let is_end = self.step()?;
            if self.stop.load(Ordering::SeqCst) {
                return self.save_last();
            }
            // What was appended before the log was closed has been seen by now.
            if is_end && is_closed {
                return Ok(());
            }
            if is_end {
                self.wait();
            }
        }
    }

    /// Applies some events; says whether none is left.
    fn step(&self) -> Result<bool> {
        for _ in 0..YIELDS_MAX {
            if self.readers.load(Ordering::Relaxed) == 0 {
                break;
            }
            thread::yield_now();
        }
        let mut projection = self.projection();
        let target = self.log.watermark().appended();
        let stretch = projection.advance(target)?;
        projection.save_if_due()?;
        let position = projection.position();
        drop(projection);
        if std::mem::replace(&mut self.place().position, position) != position {
            self.moved.notify_all();
        }
        Ok(stretch.is_end)
    }

    fn wait(&self) {
        let (next, looks) = {
            let projection = self.projection();
            let every = projection.cadence.time;
            let looks = every.filter(|_| projection.unsaved() > 0);
            (projection.position().next(), looks)
        };
        let deadline = looks.map(|every| Instant::now() + every.min(LOOK_AFTER));
        let is_stopped = || self.stop.load(Ordering::SeqCst);
        let watermark = self.log.watermark();
        watermark.wait(Wanted::Published(next), deadline, |watermark| {
            watermark.appended() >= next || is_stopped()
        });
    }

    fn save_last(&self) -> Result<()> {
        let mut projection = self.projection();
        if projection.cadence.is_set() && !self.log.watermark().is_closed() {
            projection.save()?;
        }
        Ok(())
    }
}

/// Somebody who wants to read.
struct Reading<'a>(&'a AtomicUsize);

impl<'a> Reading<'a> {
    fn of(readers: &'a AtomicUsize) -> Self {
        readers.fetch_add(1, Ordering::Relaxed);
        Reading(readers)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S> std::fmt::Debug for Following<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following")
            .field("place", &*self.shared.place())
            .finish_non_exhaustive()
    }
}

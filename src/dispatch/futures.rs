//! Handlers that return a `Future`: [`spawning`] for a runtime of the caller's, [`polling`] without one.
//!
//! Both put the delivery off, and resolve its token with what the future returns. So many are under way
//! at the same time, of different keys; [`Subscription::in_flight_max`](super::Subscription) bounds how
//! many. A future that is dropped, or panics, asks for another attempt, as its token does.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use tracing::Span;

use super::delivery::{Delivery, Handler};
use super::outcome::{IntoOutcome, Outcome};
use super::phase::Phase;
use super::token::AckToken;
use crate::event::Event;
use crate::position::Seq;

/// A future that a runtime takes: it returns nothing, and may go to another thread.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A delivery that stands on its own, for a future that outlives the call of its handler: the event is
/// copied out of the log.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OwnedDelivery {
    /// The event.
    pub event: Event,
    /// The event's place in the total order; [`Seq::ZERO`] of a volatile event.
    pub seq: Seq,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// In which part of the subscription's life the event comes.
    pub phase: Phase,
}

/// A handler whose futures are handed to a runtime: `spawn` is called with each, on the subscription's
/// thread.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem, OwnedDelivery, Subscription, spawning};
/// let system = EventSystem::builder().open()?;
/// // With tokio: `let runtime = Handle::current()`, and `runtime.spawn(future)` in place of the thread.
/// let charge = |delivery: OwnedDelivery| async move { delivery.event.data::<u32>().map(drop) };
/// let handler = spawning(charge, |future| drop(std::thread::spawn(|| pollster(future))));
/// system.register_handler(Subscription::named("charge"), handler)?;
/// system.start()?;
/// system.emit(Event::new("order.placed", "web", &7)?)?;
/// system.drain(None)?;
/// # system.close() }
/// # fn pollster(mut future: forelog::BoxFuture) {
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     while future.as_mut().poll(&mut context).is_pending() {}
/// # }
/// ```
pub fn spawning<F, R, S>(make: F, spawn: S) -> impl Handler
where
    F: FnMut(OwnedDelivery) -> R + Send + 'static,
    R: Future<Output: IntoOutcome> + Send + 'static,
    S: FnMut(BoxFuture) + Send + 'static,
{
    Spawning { make, spawn }
}

/// A handler whose futures are polled by one thread of their own, which ends with the handler: for
/// futures that wait for other threads, without a runtime.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem, OwnedDelivery, Subscription, polling};
/// let system = EventSystem::builder().open()?;
/// let handler = polling(|delivery: OwnedDelivery| async move { delivery.attempt > 0 });
/// system.register_handler(Subscription::named("later"), handler)?;
/// system.start()?;
/// system.emit(Event::new("order.placed", "web", &7)?)?;
/// system.drain(None)?;
/// # system.close() }
/// ```
pub fn polling<F, R>(make: F) -> impl Handler
where
    F: FnMut(OwnedDelivery) -> R + Send + 'static,
    R: Future<Output: IntoOutcome> + Send + 'static,
{
    let mut executor = Executor::default();
    spawning(make, move |future| executor.spawn(future))
}

struct Spawning<F, S> {
    make: F,
    spawn: S,
}

impl<F, R, S> Handler for Spawning<F, S>
where
    F: FnMut(OwnedDelivery) -> R + Send + 'static,
    R: Future<Output: IntoOutcome> + Send + 'static,
    S: FnMut(BoxFuture) + Send + 'static,
{
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        let event = match delivery.event().to_event() {
            Ok(event) => event,
            Err(error) => return Outcome::Park(error.to_string()),
        };
        let future = (self.make)(OwnedDelivery {
            event,
            seq: delivery.seq(),
            attempt: delivery.attempt(),
            phase: delivery.phase(),
        });
        (self.spawn)(Box::pin(Resolving {
            future: Box::pin(future),
            token: Some(delivery.defer()),
            span: Span::current(),
        }));
        Outcome::Ack
    }
}

/// Polls a future as a handler is called, and resolves the token with what it returns.
struct Resolving<R> {
    future: Pin<Box<R>>,
    token: Option<AckToken>,
    /// The span in which the handler was called.
    span: Span,
}

impl<R: Future<Output: IntoOutcome>> Future for Resolving<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(token) = self.token.take() else {
            return Poll::Ready(());
        };
        let span = self.span.clone();
        let _within = span.enter();
        // An emit in it must not wait for a place that only this event can make.
        match token.within(|| self.future.as_mut().poll(context)) {
            Poll::Ready(outcome) => {
                token.resolve(outcome);
                Poll::Ready(())
            }
            Poll::Pending => {
                self.token = Some(token);
                Poll::Pending
            }
        }
    }
}

/// One thread that polls futures; it ends when this is dropped.
#[derive(Default)]
struct Executor {
    woken: Option<Arc<Woken>>,
    count: u64,
}

/// The futures that are to be polled.
#[derive(Default)]
struct Woken {
    list: Mutex<List>,
    added: Condvar,
}

#[derive(Default)]
struct List {
    tasks: VecDeque<Arc<Task>>,
    is_closed: bool,
}

struct Task {
    id: u64,
    future: Mutex<Option<BoxFuture>>,
    woken: Arc<Woken>,
    is_listed: AtomicBool,
}

impl Executor {
    fn spawn(&mut self, future: BoxFuture) {
        self.spawn_on(future, |woken| {
            let builder = thread::Builder::new().name("forelog-async".to_owned());
            builder.spawn(move || woken.poll_all()).map(drop)
        });
    }

    /// As [`Executor::spawn`]; `start` begins to poll on another thread, where nothing polls.
    fn spawn_on(&mut self, future: BoxFuture, start: impl FnOnce(Arc<Woken>) -> io::Result<()>) {
        let polled = self.woken.take().filter(|woken| !woken.list().is_closed);
        let woken = polled.unwrap_or_else(|| {
            let woken = Arc::<Woken>::default();
            if let Err(error) = start(woken.clone()) {
                tracing::error!(target: "forelog::dispatch", %error, "no thread for futures");
                // The future is dropped, which asks for another attempt; that may find a thread.
                woken.list().is_closed = true;
            }
            woken
        });
        self.count += 1;
        let task = Task {
            id: self.count,
            future: Mutex::new(Some(future)),
            woken: woken.clone(),
            is_listed: AtomicBool::new(false),
        };
        self.woken = Some(woken);
        Arc::new(task).wake();
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if let Some(woken) = &self.woken {
            woken.list().is_closed = true;
            woken.added.notify_all();
        }
    }
}

impl Woken {
    fn poll_all(&self) {
        let mut polling = Polling {
            woken: self,
            under_way: HashMap::new(),
        };
        while let Some(task) = self.next() {
            task.is_listed.store(false, Ordering::Release);
            if task.poll() {
                polling.under_way.remove(&task.id);
            } else {
                polling.under_way.insert(task.id, task);
            }
        }
    }

    /// Waits for the next one; `None` once there will be none.
    fn next(&self) -> Option<Arc<Task>> {
        let mut list = self.list();
        loop {
            if list.is_closed {
                return None;
            }
            if let Some(task) = list.tasks.pop_front() {
                return Some(task);
            }
            list = self
                .added
                .wait(list)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, a list is polled. However that ends, no future is left to wait for it.
struct Polling<'w> {
    woken: &'w Woken,
    /// Those under way: they end with this thread, whoever still holds a waker of theirs.
    under_way: HashMap<u64, Arc<Task>>,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let mut list = self.woken.list();
        list.is_closed = true;
        let listed = std::mem::take(&mut list.tasks);
        drop(list);
        let under_way = self.under_way.drain().map(|(_, task)| task);
        for task in listed.into_iter().chain(under_way) {
            task.drop_future();
        }
    }
}

impl Task {
    /// Polls the future; says whether it is done.
    fn poll(self: &Arc<Self>) -> bool {
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut future) = slot.take() else {
            return true;
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        if let Ok(Poll::Pending) = polled {
            *slot = Some(future);
            return false;
        }
        drop(slot);
        drop_guarded(future);
        true
    }

    fn drop_future(&self) {
        // Where it is being polled, by the thread that calls this, it is dropped after that.
        let Ok(mut slot) = self.future.try_lock() else {
            return;
        };
        let future = slot.take();
        drop(slot);
        drop_guarded(future);
    }
}

/// A panic in the drop of a future is the user's, and there is nobody left to tell.
fn drop_guarded<T>(future: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if self.is_listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let woken = self.woken.clone();
        let mut list = woken.list();
        if list.is_closed {
            drop(list);
            self.drop_future();
            return;
        }
        list.tasks.push_back(self);
        drop(list);
        woken.added.notify_one();
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn counting(polled: &Arc<AtomicU64>) -> BoxFuture {
        let polled = polled.clone();
        Box::pin(async move {
            polled.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[test]
    fn a_thread_that_cannot_be_started_is_tried_again_with_the_next_future() {
        let (mut executor, polled) = (Executor::default(), Arc::default());
        let refused = |_| Err(io::Error::from(io::ErrorKind::WouldBlock));
        for _ in 0..2 {
            executor.spawn_on(counting(&polled), refused);
            assert_eq!(Arc::strong_count(&polled), 1, "it is dropped at once");
        }
        let (mut thread, mut starts) = (None, 0);
        for _ in 0..2 {
            executor.spawn_on(counting(&polled), |woken| {
                starts += 1;
                thread = Some(thread::spawn(move || woken.poll_all()));
                Ok(())
            });
        }
        while polled.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
        drop(executor);
        thread.unwrap().join().unwrap();
        assert_eq!(starts, 1);
    }

    /// What polls may end with a panic all the same, and then waits for nothing that comes later.
    #[test]
    fn a_list_that_nobody_polls_any_more_is_replaced() {
        let (mut executor, polled) = (Executor::default(), Arc::default());
        let dies = |woken: Arc<Woken>| {
            let polling = thread::spawn(move || {
                let _polling = Polling {
                    woken: &woken,
                    under_way: HashMap::new(),
                };
                panic!("it polls no more");
            });
            assert!(polling.join().is_err());
            Ok(())
        };
        executor.spawn_on(counting(&polled), dies);
        assert_eq!(Arc::strong_count(&polled), 1, "it is dropped");
        executor.spawn(counting(&polled));
        while polled.load(Ordering::SeqCst) < 1 {
            thread::yield_now();
        }
    }
}

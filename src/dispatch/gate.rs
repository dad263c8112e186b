//! [`Gate`]: one handler for two workers, that of the durable events and that of the volatile ones.
//!
//! A worker takes the handler out for one call and puts it back. While the other one waits for it, it may
//! be taken again for a millisecond; then it is the other one's turn. So neither lane starves the other,
//! and a busy handler is not handed from thread to thread for every event.
//!
//! The gate is empty at first: the worker of the durable events has the handler, and puts it in when it
//! is asked to, between two calls.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::{BatchHandler, BatchOutcome};
use super::delivery::{Delivery, Handler};
use super::outcome::Outcome;
use crate::position::Gap;

/// For how long a worker may go on taking the handler that the other one waits for.
const TURN: Duration = Duration::from_millis(1);

/// Which of the two workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Durable,
    Volatile,
}

/// Where the handler is while nobody calls it.
#[derive(Debug)]
pub(super) struct Gate<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    handler: Option<T>,
    /// Whether it was ever put in.
    was_here: bool,
    /// Nobody will put it in any more.
    is_gone: bool,
    /// Since when each side waits.
    waiting: [Option<Instant>; 2],
}

impl<T> Default for Gate<T> {
    fn default() -> Self {
        Gate {
            state: Mutex::new(State {
                handler: None,
                was_here: false,
                is_gone: false,
                waiting: [None; 2],
            }),
            changed: Condvar::new(),
        }
    }
}

impl<T> Gate<T> {
    /// Puts the handler in.
    fn put(&self, handler: T) {
        let mut state = self.state();
        state.handler = Some(handler);
        state.was_here = true;
        let is_awaited = state.waiting.iter().any(Option::is_some);
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
    }

    /// Says that the handler will not come, if it has not come yet.
    fn give_up(&self) {
        let mut state = self.state();
        state.is_gone = !state.was_here;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the handler and takes it; `None` if it will not come.
    fn take(&self, side: Side) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.is_gone {
                return None;
            }
            if !state.is_others_turn(side)
                && let Some(handler) = state.handler.take()
            {
                *state.since(side) = None;
                return Some(handler);
            }
            state.since(side).get_or_insert_with(Instant::now);
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn since(&mut self, side: Side) -> &mut Option<Instant> {
        let [durable, volatile] = &mut self.waiting;
        match side {
            Side::Durable => durable,
            Side::Volatile => volatile,
        }
    }

    /// Whether the other side has waited for a turn's length, and for longer than this one: of two that
    /// wait, one may always go.
    fn is_others_turn(&mut self, side: Side) -> bool {
        let other = match side {
            Side::Durable => Side::Volatile,
            Side::Volatile => Side::Durable,
        };
        let own = *self.since(side);
        self.since(other)
            .is_some_and(|since| since.elapsed() >= TURN && own.is_none_or(|own| since < own))
    }
}

/// One side's access to the handler: a handler itself.
#[derive(Debug)]
pub(super) struct Shared<T> {
    gate: Arc<Gate<T>>,
    side: Side,
}

impl<T> Shared<T> {
    /// The access of the worker of durable events.
    fn durable(gate: Arc<Gate<T>>) -> Self {
        let side = Side::Durable;
        Shared { gate, side }
    }

    /// The access of its twin.
    pub(super) fn volatile(gate: Arc<Gate<T>>) -> Self {
        let side = Side::Volatile;
        Shared { gate, side }
    }

    fn with<R>(&self, call: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut held = Held {
            handler: Some(self.gate.take(self.side)?),
            gate: &self.gate,
        };
        held.handler.as_mut().map(call)
    }
}

/// A handler that is taken out; it goes back also if its call panics.
struct Held<'g, T> {
    handler: Option<T>,
    gate: &'g Gate<T>,
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        if let Some(handler) = self.handler.take() {
            self.gate.put(handler);
        }
    }
}

fn gone() -> Outcome {
    Outcome::Failed("the handler has ended".to_owned())
}

impl Handler for Shared<Box<dyn Handler>> {
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        self.with(|handler| handler.handle(delivery))
            .unwrap_or_else(gone)
    }

    fn skipped(&mut self, gap: Gap) {
        self.with(|handler| handler.skipped(gap));
    }
}

impl BatchHandler for Shared<Box<dyn BatchHandler>> {
    fn handle(&mut self, deliveries: &[Delivery<'_>]) -> BatchOutcome {
        self.with(|handler| handler.handle(deliveries))
            .unwrap_or_else(|| BatchOutcome::All(gone()))
    }

    fn together(&mut self, deliveries: &[Delivery<'_>]) -> usize {
        self.with(|handler| handler.together(deliveries))
            .unwrap_or(deliveries.len())
    }
}

/// Asks a worker to share its handler. Dropped, it says that the handler does not come.
pub(super) enum Sharing {
    One(Arc<Gate<Box<dyn Handler>>>),
    Batch(Arc<Gate<Box<dyn BatchHandler>>>),
}

impl Sharing {
    /// Puts a worker's handler where its twin finds it too.
    pub(super) fn share_one(&self, handler: &mut Box<dyn Handler>) {
        if let Sharing::One(gate) = self {
            let shared = Box::new(Shared::durable(gate.clone()));
            gate.put(std::mem::replace(handler, shared));
        }
    }

    /// As [`Sharing::share_one`], for a batch handler.
    pub(super) fn share_batch(&self, handler: &mut Box<dyn BatchHandler>) {
        if let Sharing::Batch(gate) = self {
            let shared = Box::new(Shared::durable(gate.clone()));
            gate.put(std::mem::replace(handler, shared));
        }
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        match self {
            Sharing::One(gate) => gate.give_up(),
            Sharing::Batch(gate) => gate.give_up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use super::*;

    fn shared(gate: &Arc<Gate<u64>>, side: Side) -> Shared<u64> {
        let gate = gate.clone();
        Shared { gate, side }
    }

    #[test]
    fn neither_side_starves_the_other() {
        let gate = Arc::new(Gate::default());
        gate.put(0);
        let (is_over, calls) = (AtomicBool::new(false), [(); 2].map(|()| AtomicU64::new(0)));
        thread::scope(|scope| {
            for (side, count) in [Side::Durable, Side::Volatile].into_iter().zip(&calls) {
                let (mine, is_over, calls) = (shared(&gate, side), &is_over, &calls);
                scope.spawn(move || {
                    while !is_over.load(Ordering::SeqCst) {
                        mine.with(|sum| *sum += 1).unwrap();
                        count.fetch_add(1, Ordering::SeqCst);
                        let enough = |one: &AtomicU64| one.load(Ordering::SeqCst) > 1000;
                        is_over.fetch_or(calls.iter().all(enough), Ordering::SeqCst);
                    }
                });
            }
        });
        let sum: u64 = calls.iter().map(|one| one.load(Ordering::SeqCst)).sum();
        assert_eq!(shared(&gate, Side::Durable).with(|all| *all), Some(sum));
    }

    #[test]
    fn a_handler_that_never_comes_keeps_nobody_waiting() {
        let gate: Arc<Gate<u64>> = Arc::default();
        thread::scope(|scope| {
            let waits = scope.spawn(|| shared(&gate, Side::Volatile).with(|_| ()));
            gate.give_up();
            assert_eq!(waits.join().unwrap(), None);
        });
    }

    #[test]
    fn a_handler_that_was_put_in_comes_back_after_a_panic() {
        let gate = Arc::new(Gate::default());
        gate.put(7);
        gate.give_up();
        let mine = shared(&gate, Side::Volatile);
        let call = std::panic::AssertUnwindSafe(|| mine.with(|_| panic!("on purpose")));
        std::panic::catch_unwind(call).unwrap_err();
        assert_eq!(shared(&gate, Side::Durable).with(|one| *one), Some(7));
    }
}

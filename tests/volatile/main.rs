//! Volatile events and durability by type: what is queued in memory, delivered, and never on disk.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forelog::testing::{Crash, TestSystem};
use forelog::{
    BatchSize, Builder, CAUSATION_HEADER, Delivery, DuplicatePolicy, Durability, ErrorKind, Event,
    EventRef, EventSystem, Level, OrderBy, Outcome, PartitionedEventSystem, Phase, Result,
    RetryPolicy, Seq, Subscription, Timestamp, VolatileState, WhenBehind, WhenFull,
};

mod choice;
mod delivery;
mod draining;
mod memory;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

fn number(event_type: &str, n: u64) -> Event {
    Event::new(event_type, "test", &n).unwrap()
}

fn volatile(system: &EventSystem, n: u64) {
    let receipt = system.emit_with(number("tick", n), Durability::Volatile);
    assert_eq!(receipt.unwrap().level, Level::Queued);
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn await_that(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::yield_now();
    }
}

type Seen = Arc<Mutex<Vec<u64>>>;

/// A handler that notes all numbers that it gets.
fn recorder() -> (Seen, impl FnMut(&Delivery<'_>) + Send + Clone) {
    let seen = Seen::default();
    let mine = seen.clone();
    let handler = move |delivery: &Delivery<'_>| {
        mine.lock().unwrap().push(delivery.data().unwrap());
    };
    (seen, handler)
}

/// A handler that says what it begins with, and goes on when it is told.
fn gated() -> (Receiver<u64>, Sender<()>, impl FnMut(&Delivery<'_>) + Send) {
    let (begun, begins) = channel();
    let (go, may_go) = channel::<()>();
    let handler = move |delivery: &Delivery<'_>| {
        let _ = begun.send(delivery.data().unwrap());
        let _ = may_go.recv_timeout(PATIENCE);
    };
    (begins, go, handler)
}

fn state_of(system: &EventSystem, name: &str) -> VolatileState {
    let mut states = system.subscriptions().into_iter();
    let named = states.find(|state| state.name.as_deref() == Some(name));
    named.unwrap().volatile
}

fn ticking() -> Builder {
    EventSystem::builder().durability_for("tick*", Durability::Volatile)
}

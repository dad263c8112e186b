//! What the handlers of a run were given and what they answered, over all its incarnations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use blake3::Hash;
use forelog::testing::TestDisk;
use forelog::{Delivery, Handler, IntoOutcome, Outcome, Phase, Seq};

use crate::torture::content::digest_of;
use crate::torture::random::Random;

/// How often a handler that is held looks whether the disk has stopped.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long is waited at most for a handler to be inside an event.
const PATIENCE: Duration = Duration::from_millis(500);

/// What one subscription was given; a clone is the same book.
#[derive(Debug, Clone, Default)]
pub(super) struct Book(Arc<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    pages: Mutex<Pages>,
    turned: Condvar,
}

#[derive(Debug, Default)]
struct Pages {
    /// Acknowledged on a disk that had not stopped.
    handled: BTreeSet<Seq>,
    /// All that was delivered.
    seen: BTreeMap<Seq, Hash>,
    /// Up to here everything is behind the subscription for good.
    durable: Seq,
    /// What came although it was.
    again: Vec<Seq>,
    /// Whether handlers wait inside of an event.
    is_held: bool,
    /// How many do.
    inside: u64,
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handler for the system on this disk; `picky` ones fail and park some events.
    pub(super) fn handler(&self, disk: &TestDisk, seed: u64, picky: bool) -> impl Handler + use<> {
        let (book, disk) = (self.clone(), disk.clone());
        move |delivery: &Delivery<'_>| book.take(&disk, delivery, seed, picky).into_outcome()
    }

    fn take(&self, disk: &TestDisk, delivery: &Delivery<'_>, seed: u64, picky: bool) -> Outcome {
        let seq = delivery.seq();
        let digest = digest_of(delivery);
        {
            let mut pages = self.pages();
            pages.seen.insert(seq, digest);
            if seq <= pages.durable && delivery.phase() != Phase::Replay {
                pages.again.push(seq);
            }
        }
        self.wait_inside(disk);
        let outcome = if picky {
            outcome(seed, seq, delivery.attempt())
        } else {
            Outcome::Ack
        };
        // What is answered after the disk has stopped nobody has noted.
        if matches!(outcome, Outcome::Ack) && !disk.is_stopped() {
            self.pages().handled.insert(seq);
        }
        outcome
    }

    fn wait_inside(&self, disk: &TestDisk) {
        let mut pages = self.pages();
        if !pages.is_held {
            return;
        }
        pages.inside += 1;
        self.0.turned.notify_all();
        while pages.is_held && !disk.is_stopped() {
            let waited = self.0.turned.wait_timeout(pages, LOOK_EVERY);
            pages = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        pages.inside -= 1;
    }

    /// Lets handlers wait inside of their next event, until they are let go or the disk stops.
    pub(super) fn hold(&self, is_held: bool) {
        self.pages().is_held = is_held;
        self.0.turned.notify_all();
    }

    /// Waits until a handler is inside of an event.
    pub(super) fn wait_held(&self) {
        let began = Instant::now();
        let mut pages = self.pages();
        while pages.inside == 0 && began.elapsed() < PATIENCE {
            let waited = self.0.turned.wait_timeout(pages, LOOK_EVERY);
            pages = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Notes up to where the subscription has everything behind it for good.
    pub(super) fn set_durable(&self, upto: Seq) {
        let mut pages = self.pages();
        pages.durable = pages.durable.max(upto);
    }

    /// What was delivered since this was asked last, and what of it came again against the promise.
    pub(super) fn turn(&self) -> (BTreeMap<Seq, Hash>, Vec<Seq>) {
        let mut pages = self.pages();
        (
            std::mem::take(&mut pages.seen),
            std::mem::take(&mut pages.again),
        )
    }

    /// Whether an event was acknowledged.
    pub(super) fn has_handled(&self, seq: Seq) -> bool {
        self.pages().handled.contains(&seq)
    }
}

/// The same for the same event, whichever incarnation it is delivered in.
fn outcome(seed: u64, seq: Seq, attempt: u32) -> Outcome {
    match Random::of(seed, &[seq.0]).below(16) {
        0 => Outcome::Park("it is one of those".to_owned()),
        1 | 2 if attempt == 1 => Outcome::Retry,
        _ => Outcome::Ack,
    }
}

//! The two handlers, and the [`Ledger`] of what they have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use forelog::{Delivery, EventSystem, Seq, Subscription};

use crate::delays::{LATE, delays_of};
use crate::news::Handled;

/// Sees every event.
pub(crate) const BOARD: &str = "board";
/// Sees every event as well, and looks for delays of an hour or more.
pub(crate) const WATCH: &str = "delay-watch";
/// The names of the subscriptions. Their places in the log are durable under these names.
pub(crate) const HANDLERS: [&str; 2] = [BOARD, WATCH];

/// Registers both handlers; `tell` hears of each event that one of them has handled.
pub(crate) fn register(
    system: &EventSystem,
    tell: impl Fn(Handled) + Clone + Send + 'static,
) -> forelog::Result<()> {
    let board = {
        let tell = tell.clone();
        move |delivery: &Delivery<'_>| {
            let seq = delivery.seq();
            tell(Handled {
                handler: BOARD,
                seq,
                late: false,
            });
        }
    };
    let watch = move |delivery: &Delivery<'_>| {
        let seq = delivery.seq();
        let late = delays_of(delivery).any(|(_, minutes)| minutes >= LATE);
        tell(Handled {
            handler: WATCH,
            seq,
            late,
        });
    };
    system.register_handler(Subscription::named(BOARD), board)?;
    system.register_handler(Subscription::named(WATCH), watch)?;
    Ok(())
}

/// What the handlers have seen, for the check at the end. An event may come twice; that it came is
/// noted once.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<BTreeMap<&'static str, Seen>>);

/// What one handler has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) events: BTreeSet<Seq>,
    /// Those with a delay of an hour or more.
    pub(crate) late: BTreeSet<Seq>,
}

impl Ledger {
    /// Notes an event that was handled.
    pub(crate) fn note(&self, handled: Handled) {
        let mut ledger = self.lock();
        let seen = ledger.entry(handled.handler).or_default();
        seen.events.insert(handled.seq);
        if handled.late {
            seen.late.insert(handled.seq);
        }
    }

    /// Takes over what another ledger has.
    pub(crate) fn absorb(&self, other: &Ledger) {
        let mut ledger = self.lock();
        for (handler, seen) in other.lock().iter() {
            let sum = ledger.entry(handler).or_default();
            sum.events.extend(&seen.events);
            sum.late.extend(&seen.late);
        }
    }

    /// What a handler has seen so far.
    pub(crate) fn seen_by(&self, handler: &str) -> Seen {
        self.lock().get(handler).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

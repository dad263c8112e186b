//! [`Cause`]: which event this thread is handling, so that what the handler emits says so, and whether
//! what it emits is held back.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::event::{Event, EventId};
use crate::format::lineage::Lineage;
use crate::format::record::EventRef;

thread_local! {
    /// What this thread handles: each emit asks, and each delivery says it, for a load and a store. An event
    /// without headers has nothing to pass on but its id, and `CURRENT` is left alone.
    static HANDLED: Cell<Handled> = const { Cell::new(Handled::Nothing) };
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

#[derive(Debug, Clone, Copy)]
enum Handled {
    Nothing,
    /// An event of this id that has no headers.
    Plain(EventId),
    /// What stands in [`CURRENT`].
    Current,
}

#[derive(Debug)]
struct Current {
    lineage: Lineage,
    held: Option<HeldBack>,
}

/// Where events go that are emitted in a rehearsal: nowhere but here.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldBack(Arc<Mutex<Vec<HeldEvent>>>);

/// An event that was held back.
#[derive(Debug, Clone)]
pub(crate) struct HeldEvent {
    /// The event in whose handling it was emitted.
    pub(crate) cause: EventId,
    pub(crate) event: Event,
    /// When it was to be emitted, if that was not at once.
    pub(crate) due: Option<Timestamp>,
}

impl HeldBack {
    /// What was held back since the last time.
    pub(crate) fn take(&self) -> Vec<HeldEvent> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, held: HeldEvent) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(held);
    }
}

/// While it lives, this thread handles an event.
#[derive(Debug)]
pub(crate) struct Cause {
    before: Handled,
    /// Whether [`CURRENT`] was changed.
    is_current: bool,
    /// What stood there before.
    displaced: Option<Current>,
}

impl Cause {
    #[inline]
    pub(super) fn of(event: &EventRef<'_>) -> Self {
        if event.has_headers() {
            return Cause::by(Lineage::of(event), None);
        }
        Cause {
            before: HANDLED.replace(Handled::Plain(event.event_id())),
            is_current: false,
            displaced: None,
        }
    }

    /// As [`Cause::of`], and what is emitted goes here and not into the log.
    pub(crate) fn held(event: &EventRef<'_>, held: &HeldBack) -> Self {
        Cause::by(Lineage::of(event), Some(held.clone()))
    }

    #[cold]
    pub(super) fn by(lineage: Lineage, held: Option<HeldBack>) -> Self {
        Cause {
            before: HANDLED.replace(Handled::Current),
            is_current: true,
            displaced: CURRENT.replace(Some(Current { lineage, held })),
        }
    }
}

impl Drop for Cause {
    #[inline]
    fn drop(&mut self) {
        HANDLED.set(self.before);
        if self.is_current {
            CURRENT.set(self.displaced.take());
        }
    }
}

/// Whether this thread handles an event.
#[inline]
pub(crate) fn is_handling() -> bool {
    !matches!(HANDLED.get(), Handled::Nothing)
}

/// Whether what this thread emits is held back.
pub(crate) fn is_held_back() -> bool {
    let is_held = |current: &Current| current.held.is_some();
    let is_current = matches!(HANDLED.get(), Handled::Current);
    is_current && CURRENT.with_borrow(|current| current.as_ref().is_some_and(is_held))
}

/// Holds an event back that this thread emits, if it is to be; to be emitted at `due` if that is given.
pub(crate) fn hold_back(event: Event, due: Option<Timestamp>) {
    if !is_held_back() {
        return;
    }
    CURRENT.with_borrow(|current| {
        let Some(current) = current else { return };
        let Some(held) = &current.held else { return };
        held.push(HeldEvent {
            cause: current.lineage.cause(),
            event,
            due,
        });
    });
}

/// All headers of an event with these that is emitted here and now; `None` if they are all it has.
pub(crate) fn carried(headers: &[(String, String)]) -> Option<Vec<(String, String)>> {
    let missing = match HANDLED.get() {
        Handled::Nothing => return None,
        Handled::Plain(cause) => Lineage::plain(cause).missing_from(headers),
        Handled::Current => CURRENT.with_borrow(|current| {
            let lineage = &current.as_ref()?.lineage;
            Some(lineage.missing_from(headers))
        })?,
    };
    (!missing.is_empty()).then(|| [headers, &missing].concat())
}

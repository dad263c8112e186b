//! [`Cause`]: which event this thread is handling, so that what the handler emits says so.

use std::cell::{Cell, RefCell};

use crate::format::lineage::Lineage;
use crate::format::record::EventRef;

thread_local! {
    static CURRENT: RefCell<Option<Lineage>> = const { RefCell::new(None) };
    /// Whether there is one: each emit asks, and this costs one load.
    static IS_HANDLING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, this thread handles an event.
#[derive(Debug)]
pub(super) struct Cause {
    before: Option<Lineage>,
}

impl Cause {
    #[inline]
    pub(super) fn of(event: &EventRef<'_>) -> Self {
        Cause::by(Lineage::of(event))
    }

    pub(super) fn by(lineage: Lineage) -> Self {
        IS_HANDLING.set(true);
        Cause {
            before: CURRENT.replace(Some(lineage)),
        }
    }
}

impl Drop for Cause {
    fn drop(&mut self) {
        IS_HANDLING.set(self.before.is_some());
        CURRENT.set(self.before.take());
    }
}

/// Whether this thread handles an event.
#[inline]
pub(crate) fn is_handling() -> bool {
    IS_HANDLING.get()
}

/// All headers of an event with these that is emitted here and now; `None` if they are all it has.
pub(crate) fn carried(headers: &[(String, String)]) -> Option<Vec<(String, String)>> {
    CURRENT.with_borrow(|current| {
        let missing = current.as_ref()?.missing_from(headers);
        (!missing.is_empty()).then(|| [headers, &missing].concat())
    })
}

//! [`Cause`]: which event this thread is handling, so that what the handler emits says so.

use std::cell::RefCell;

use crate::format::lineage::Lineage;
use crate::format::record::EventRef;

thread_local! {
    static CURRENT: RefCell<Option<Lineage>> = const { RefCell::new(None) };
}

/// While it lives, this thread handles an event.
#[derive(Debug)]
pub(super) struct Cause {
    before: Option<Lineage>,
}

impl Cause {
    pub(super) fn of(event: &EventRef<'_>) -> Self {
        Cause {
            before: CURRENT.replace(Some(Lineage::of(event))),
        }
    }
}

impl Drop for Cause {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// All headers of an event with these that is emitted here and now; `None` if they are all it has.
pub(crate) fn carried(headers: &[(String, String)]) -> Option<Vec<(String, String)>> {
    CURRENT.with_borrow(|current| {
        let missing = current.as_ref()?.missing_from(headers);
        (!missing.is_empty()).then(|| [headers, &missing].concat())
    })
}

//! [`Inside`]: which system's handler this thread is running.

use std::cell::Cell;

/// A queue, by its id, and the registration whose handler runs.
type Whose = (u64, u64);

/// No queue has this id.
const NOBODY: Whose = (0, 0);

thread_local! {
    /// Whose handler this thread runs.
    static INSIDE: Cell<Whose> = const { Cell::new(NOBODY) };
}

/// While it lives, this thread runs a handler.
#[derive(Debug)]
pub(super) struct Inside {
    before: Whose,
}

impl Inside {
    pub(super) fn of(queue_id: u64, handler_id: u64) -> Self {
        Inside {
            before: INSIDE.replace((queue_id, handler_id)),
        }
    }

    /// The registration whose handler this thread runs, if it belongs to this queue.
    pub(super) fn handler_of(queue_id: u64) -> Option<u64> {
        let (queue, handler) = INSIDE.get();
        (queue == queue_id).then_some(handler)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

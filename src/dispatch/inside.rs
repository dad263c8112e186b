//! [`Inside`]: which system's handler this thread is running.

use std::cell::Cell;

thread_local! {
    /// The id of the queue of that system; 0: none.
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

/// While it lives, this thread runs a handler.
#[derive(Debug)]
pub(super) struct Inside {
    before: u64,
}

impl Inside {
    pub(super) fn of(queue_id: u64) -> Self {
        Inside {
            before: INSIDE.replace(queue_id),
        }
    }

    pub(super) fn is_of(queue_id: u64) -> bool {
        INSIDE.get() == queue_id
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

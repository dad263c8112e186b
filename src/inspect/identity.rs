//! Which log it is that was looked at.

use super::layout::Layout;

impl Layout {
    /// The identity of the log, as most of its segments have it; `None` without one that can be read.
    pub(super) fn log_id(&self) -> Option<u128> {
        self.pieces.last().map(|piece| piece.at.header.log_id)
    }
}

//! The seam between verification and the lookup index: it is told of every event that the log has,
//! in order, and says at the end whether the index agrees.
//!
//! The index is derived and may be deleted, so a directory without one is in order. A reader of the
//! index must not write either; until there is one, nothing is compared and the report says so
//! (`index_ok` is null).

use super::place::Place;
use super::report::IndexReport;
use crate::error::Result;
use crate::format::record::EventRef;
use crate::position::Seq;

/// A comparison under way.
#[derive(Debug)]
pub(super) struct IndexCheck {
    checked: u64,
}

impl IndexCheck {
    /// Begins to compare the index of a directory; `None` if it has none that can be read.
    #[expect(clippy::unnecessary_wraps, reason = "reading an index can fail")]
    pub(super) fn begin(_place: &Place) -> Result<Option<IndexCheck>> {
        Ok(None)
    }

    /// The log has this event.
    pub(super) fn event(&mut self, _event: &EventRef<'_>) {
        self.checked = self.checked.saturating_add(1);
    }

    /// The log cannot tell which event this is.
    pub(super) fn unreadable(&mut self, _seq: Seq) {}

    /// Those were all.
    #[expect(clippy::unnecessary_wraps, reason = "reading an index can fail")]
    pub(super) fn finish(self) -> Result<IndexReport> {
        Ok(IndexReport {
            ok: true,
            checked: self.checked,
            problem: None,
        })
    }
}

//! The seam between verification and the lookup index.
//!
//! The index is derived and may be deleted, so a directory without one is in order. Comparing it
//! needs a reader of the index that never writes; until the index has one, nothing is compared and
//! the report says so (`index_ok` is null).

use super::place::Place;
use super::report::IndexReport;
use crate::error::Result;

/// Compares the index of a directory with its log; `None` if there is none, or it was not compared.
#[expect(clippy::unnecessary_wraps, reason = "reading an index can fail")]
pub(super) fn compare(_place: &Place) -> Result<Option<IndexReport>> {
    Ok(None)
}

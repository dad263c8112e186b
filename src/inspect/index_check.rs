//! [`IndexCheck`]: holds the lookup index against the log, event by event.
//!
//! The index is derived and may be deleted, so a directory without one is in order. Beside a live
//! writer it is not compared, for it cannot be copied while it changes.

use super::place::Place;
use super::report::IndexReport;
use crate::error::{Error, ErrorKind, Result};
use crate::format::record::EventRef;
use crate::index::{IndexConfig, Verifier};
use crate::position::Seq;

/// A comparison under way.
#[derive(Debug)]
pub(super) struct IndexCheck {
    verifier: std::result::Result<Verifier, Error>,
    checked: u64,
}

impl IndexCheck {
    /// Begins to compare the index of a directory with its log; `None` if it has none.
    pub(super) fn begin(place: &Place, log_id: u128) -> Result<Option<IndexCheck>> {
        let Some(folder) = place.index()?.filter(|_| place.writer().is_none()) else {
            return Ok(None);
        };
        let verifier = match Verifier::open(&folder, log_id, &IndexConfig::default()) {
            Ok(verifier) => Ok(verifier),
            Err(error) if error.kind() == ErrorKind::Index => Err(error),
            Err(error) => return Err(error),
        };
        Ok(Some(IndexCheck {
            verifier,
            checked: 0,
        }))
    }

    /// The log has this event.
    pub(super) fn event(&mut self, event: &EventRef<'_>) {
        self.checked = self.checked.saturating_add(1);
        if let Ok(verifier) = &mut self.verifier
            && let Err(error) = verifier.event(event)
        {
            self.verifier = Err(error);
        }
    }

    /// Compaction has dropped these from the log.
    pub(super) fn dropped(&mut self, first: Seq, last: Seq) {
        if let Ok(verifier) = &mut self.verifier {
            verifier.dropped(first, last);
        }
    }

    /// Those were all.
    pub(super) fn finish(self) -> IndexReport {
        let problem = match self.verifier.and_then(Verifier::finish) {
            Ok(mismatches) => mismatches.first().map(ToString::to_string),
            Err(error) => Some(error.to_string()),
        };
        IndexReport {
            ok: problem.is_none(),
            checked: self.checked,
            problem,
        }
    }
}

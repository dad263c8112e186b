//! [`IndexCheck`]: holds the lookup index against the log, event by event.
//!
//! The index is derived and may be deleted, so a directory without one is in order. Beside a live
//! writer it is not compared, for it cannot be copied while it changes; nor where there is no room for a copy.

use super::file::is_environment;
use super::place::Place;
use super::report::IndexReport;
use crate::error::{Error, ErrorKind, Result};
use crate::format::record::EventRef;
use crate::index::{IndexConfig, Verifier};
use crate::position::Seq;
use crate::storage::copied::{Copied, NoCopy};

/// A comparison under way.
#[derive(Debug)]
pub(super) struct IndexCheck {
    verifier: Result<Verifier>,
    checked: u64,
    /// Why there is nothing to compare with, if there is not.
    not_compared: Option<Error>,
}

impl IndexCheck {
    /// Begins to compare the index of a directory with its log; `None` if it has none.
    pub(super) fn begin(place: &Place, log_id: u128) -> Result<Option<IndexCheck>> {
        let Some(folder) = place.index()?.filter(|_| place.writer().is_none()) else {
            return Ok(None);
        };
        let verifier = match Copied::of(&folder) {
            Ok(copy) => Verifier::open(copy, &folder, log_id, &IndexConfig::default()),
            Err(NoCopy::Place(error)) => return Ok(Some(IndexCheck::without(error))),
            Err(NoCopy::Index(error)) => Err(error),
        };
        match verifier {
            Err(error) if is_environment(&error) => Err(error),
            verifier => Ok(Some(IndexCheck {
                verifier,
                checked: 0,
                not_compared: None,
            })),
        }
    }

    /// A comparison that is none.
    fn without(error: Error) -> IndexCheck {
        IndexCheck {
            verifier: Err(error.duplicate()),
            checked: 0,
            not_compared: Some(error),
        }
    }

    /// A comparison that is none, as the events are encrypted.
    pub(super) fn locked() -> IndexCheck {
        let message = "the events are encrypted: give the key to have the index compared";
        IndexCheck::without(Error::new(ErrorKind::Key, message))
    }

    /// Whether the events are needed, in their order.
    pub(super) fn is_under_way(&self) -> bool {
        self.not_compared.is_none()
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
        if let Some(error) = self.not_compared {
            return IndexReport {
                not_compared: Some(error.to_string()),
                ..IndexReport::default()
            };
        }
        let problem = match self.verifier.and_then(Verifier::finish) {
            Ok(mismatches) => mismatches.first().map(ToString::to_string),
            Err(error) => Some(error.to_string()),
        };
        IndexReport {
            ok: problem.is_none(),
            checked: self.checked,
            problem,
            not_compared: None,
        }
    }
}

//! [`Choice`]: which events a subscription wants.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Filter;
use crate::format::record::EventRef;

/// A function that says whether an event is wanted.
pub(super) type Predicate = dyn Fn(&EventRef<'_>) -> bool + Send + Sync;

/// Types and sources, and what must be looked at more closely.
#[derive(Clone, Default)]
pub(super) struct Choice {
    pub(super) filter: Filter,
    headers: Vec<(String, Option<String>)>,
    predicate: Option<Arc<Predicate>>,
}

impl Choice {
    pub(super) fn add_header(&mut self, name: String, value: Option<String>) {
        self.headers.push((name, value));
    }

    pub(super) fn set_predicate(&mut self, predicate: Arc<Predicate>) {
        self.predicate = Some(predicate);
    }

    /// Whether type and source fit; then [`Choice::fits_closely`] has the last word.
    #[inline]
    pub(super) fn fits(&self, event: &EventRef<'_>) -> bool {
        self.filter.matches(event.event_type(), event.source())
    }

    /// Whether there is more to look at than type and source.
    #[inline]
    pub(super) fn is_close(&self) -> bool {
        self.predicate.is_some() || !self.headers.is_empty()
    }

    /// Whether headers and predicate fit. The predicate is the user's, and may panic.
    pub(super) fn fits_closely(&self, event: &EventRef<'_>) -> bool {
        let header_fits =
            |(name, value): &(String, Option<String>)| match (event.header(name), value) {
                (Some(found), Some(wanted)) => found == wanted,
                (found, None) => found.is_some(),
                (None, Some(_)) => false,
            };
        self.headers.iter().all(header_fits)
            && self.predicate.as_ref().is_none_or(|fits| fits(event))
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.headers.iter().any(|(name, _)| name.is_empty()) {
            let message = "the name of a header has 1 byte or more";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.filter.check()
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice")
            .field("filter", &self.filter)
            .field("headers", &self.headers)
            .field("has_predicate", &self.predicate.is_some())
            .finish()
    }
}

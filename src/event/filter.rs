//! [`Filter`]: which events somebody wants, by type and source.

use crate::error::{Error, ErrorKind, Result};

/// Which events are wanted: those of certain types, or from certain sources. The default is all.
///
/// A type is given exactly (`order.placed`) or by its start (`order.*`); `*` alone means all.
///
/// ```
/// use forelog::Filter;
/// let filter = Filter::all().types(["order.*", "payment.failed"]).source("web");
/// assert!(filter.matches("order.placed", "web"));
/// assert!(filter.matches("payment.failed", "web"));
/// assert!(!filter.matches("payment.done", "web"));
/// assert!(!filter.matches("order.placed", "batch"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    types: Vec<Pattern>,
    sources: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    Prefix(String),
}

impl Filter {
    /// All events.
    pub fn all() -> Self {
        Filter::default()
    }

    /// Adds event types; with none added, all types are wanted.
    #[must_use]
    pub fn types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types.extend(types.into_iter().map(|text| {
            let text = text.into();
            match text.strip_suffix('*') {
                Some(prefix) => Pattern::Prefix(prefix.to_owned()),
                None => Pattern::Exact(text),
            }
        }));
        self
    }

    /// Adds a source; with none added, all sources are wanted.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.sources.push(source.into());
        self
    }

    /// Whether an event of this type and source is wanted.
    pub fn matches(&self, event_type: &str, source: &str) -> bool {
        let type_fits = |pattern: &Pattern| match pattern {
            Pattern::Exact(text) => text == event_type,
            Pattern::Prefix(prefix) => event_type.starts_with(prefix.as_str()),
        };
        (self.types.is_empty() || self.types.iter().any(type_fits))
            && (self.sources.is_empty() || self.sources.iter().any(|wanted| wanted == source))
    }

    /// Whether the patterns can match anything.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if a type has a `*` before its end, or is empty.
    pub(crate) fn check(&self) -> Result<()> {
        for pattern in &self.types {
            let (Pattern::Exact(text) | Pattern::Prefix(text)) = pattern;
            let empty = matches!(pattern, Pattern::Exact(text) if text.is_empty());
            if empty || text.contains('*') {
                let message = format!(
                    "the event type {text:?} is no pattern: write a whole type, or its start and \
                     one * at the end"
                );
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_match_exactly_or_by_their_start() {
        let filter = Filter::all().types(["a", "b.*"]);
        for (event_type, wanted) in [("a", true), ("ab", false), ("b.c", true), ("b", false)] {
            assert_eq!(filter.matches(event_type, "s"), wanted, "{event_type}");
        }
        assert!(Filter::all().matches("x", "y"));
        assert!(Filter::all().types(["*"]).matches("x", "y"));
    }

    #[test]
    fn a_pattern_that_matches_nothing_sensible_is_refused() {
        assert!(Filter::all().types(["a*b"]).check().is_err());
        assert!(Filter::all().types([""]).check().is_err());
        assert!(Filter::all().types(["*", "a.*", "b"]).check().is_ok());
    }
}

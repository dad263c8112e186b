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

/// Which types are wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pattern {
    /// This one.
    Exact(String),
    /// Those that begin so.
    Prefix(String),
}

impl Pattern {
    fn fits(&self, event_type: &str) -> bool {
        match self {
            Pattern::Exact(text) => text == event_type,
            Pattern::Prefix(prefix) => event_type.starts_with(prefix.as_str()),
        }
    }
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

    /// Adds sources; with none added, all sources are wanted.
    #[must_use]
    pub fn sources<S: Into<String>>(mut self, sources: impl IntoIterator<Item = S>) -> Self {
        self.sources.extend(sources.into_iter().map(Into::into));
        self
    }

    /// Whether an event of this type and source is wanted.
    #[inline]
    pub fn matches(&self, event_type: &str, source: &str) -> bool {
        self.wants_type(event_type) && self.wants_source(source)
    }

    /// Whether some event of this type is wanted.
    #[inline]
    pub(crate) fn wants_type(&self, event_type: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|pattern| pattern.fits(event_type))
    }

    /// Whether some event of this source is wanted.
    #[inline]
    pub(crate) fn wants_source(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|wanted| wanted == source)
    }

    /// The patterns of which a type must fit one, each once and in order; none if all types are wanted.
    pub(crate) fn type_patterns(&self) -> Vec<&Pattern> {
        if self.types.iter().any(|pattern| pattern.fits("")) {
            return Vec::new();
        }
        let mut patterns: Vec<_> = self.types.iter().collect();
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    }

    /// The sources of which one is wanted, each once and in order; none if all are.
    pub(crate) fn wanted_sources(&self) -> Vec<&str> {
        let mut sources: Vec<_> = self.sources.iter().map(String::as_str).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
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

//! [`KeepLast`]: of which events only the last of each key is worth anything, once the others are old.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::Filter;
use crate::error::Result;

/// What tells the states apart of which compaction keeps the last: see
/// [`Builder::keep_last`](crate::Builder::keep_last).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateKey {
    /// Who says so: the event's source.
    Source,
    /// The value of this header. Events that lack it are kept.
    Header(String),
}

/// The types of which the last of each key is kept. The default is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeepLast {
    rules: Vec<Rule>,
    hashes: [RandomState; 2],
    spared: Spared,
}

/// Which of the newest events are all kept, because their ids are looked up. The default is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spared {
    /// The last so many.
    pub(crate) events: u64,
    /// Those that were appended no longer ago than this.
    pub(crate) age: Option<Duration>,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: String,
    filter: Filter,
    key: StateKey,
}

impl KeepLast {
    /// Adds a rule, in place of one for the same pattern.
    pub(crate) fn set(&mut self, pattern: String, key: StateKey) {
        self.rules.retain(|rule| rule.pattern != pattern);
        self.rules.push(Rule {
            filter: Filter::all().types([pattern.as_str()]),
            pattern,
            key,
        });
    }

    /// Keeps all of these events, whatever the rules say.
    pub(crate) fn spare(&mut self, spared: Spared) {
        self.spared = spared;
    }

    pub(crate) fn spared(&self) -> Spared {
        self.spared
    }

    /// Whether all rules make sense.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for what is no pattern.
    pub(crate) fn check(&self) -> Result<()> {
        self.rules.iter().try_for_each(|rule| rule.filter.check())
    }

    /// Whether all events are kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// A hash of the event's type and key; `None` if it is kept in any case. Of several rules that fit, the
    /// first counts.
    ///
    /// The hash has 128 bits and a secret of its own: nobody can make two keys that share one.
    pub(crate) fn key_of<'a>(
        &self,
        event_type: &str,
        source: &str,
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<u128> {
        let rule = self
            .rules
            .iter()
            .find(|rule| rule.filter.wants_type(event_type))?;
        let key = match &rule.key {
            StateKey::Source => source,
            StateKey::Header(name) => header(name)?,
        };
        let [high, low] = &self.hashes;
        let hash = |state: &RandomState| u128::from(state.hash_one((event_type, key)));
        Some(hash(high) << 64 | hash(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_of_a_type_and_of_what_the_rule_names() {
        let mut rules = KeepLast::default();
        assert!(rules.is_empty());
        rules.set("position.*".to_owned(), StateKey::Source);
        rules.set("seat".to_owned(), StateKey::Source);
        rules.set("seat".to_owned(), StateKey::Header("flight".to_owned()));
        rules.check().unwrap();
        let key = |event_type: &str, source: &str, flight: Option<&'static str>| {
            rules.key_of(event_type, source, |name| {
                flight.filter(|_| name == "flight")
            })
        };
        let position = key("position.gps", "a", None);
        assert!(position.is_some());
        assert_eq!(position, key("position.gps", "a", Some("1")));
        assert_ne!(position, key("position.gps", "b", None));
        assert_ne!(position, key("position.radar", "a", None));
        assert_eq!(key("seat", "a", Some("1")), key("seat", "b", Some("1")));
        assert_eq!(key("seat", "a", None), None, "it lacks the header");
        assert_eq!(key("order", "a", Some("1")), None);
        rules.set("a*b".to_owned(), StateKey::Source);
        assert!(rules.check().is_err());
    }
}

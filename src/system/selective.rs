//! [`Selective`]: durability by event type.

use crate::durability::Durability;
use crate::error::Result;
use crate::event::Filter;

/// The durability of event types that have one of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Selective {
    /// The narrowest first.
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    /// What the user wrote.
    pattern: String,
    filter: Filter,
    durability: Durability,
}

impl Rule {
    /// How narrow it is: a whole type before any start of one, and a longer start before a shorter one.
    fn rank(&self) -> (bool, usize) {
        (!self.pattern.ends_with('*'), self.pattern.len())
    }
}

impl Selective {
    /// Adds a rule, in place of one for the same pattern.
    pub(super) fn set(&mut self, pattern: String, durability: Durability) {
        self.rules.retain(|rule| rule.pattern != pattern);
        self.rules.push(Rule {
            filter: Filter::all().types([pattern.as_str()]),
            pattern,
            durability,
        });
        self.rules
            .sort_by_key(|rule| std::cmp::Reverse(rule.rank()));
    }

    /// Whether all patterns are patterns.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid).
    pub(super) fn check(&self) -> Result<()> {
        self.rules.iter().try_for_each(|rule| rule.filter.check())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The durability of an event type, if it has one of its own.
    pub(super) fn of(&self, event_type: &str) -> Option<Durability> {
        let fits = |rule: &&Rule| rule.filter.matches(event_type, "");
        let narrowest = self.rules.iter().find(fits);
        narrowest.map(|rule| rule.durability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_pattern_counts_whatever_the_order() {
        let rules = [
            ("*", Durability::Os),
            ("tick.*", Durability::Volatile),
            ("tick.close", Durability::Sync),
            ("tick.close.*", Durability::Os),
        ];
        for turn in 0..rules.len() {
            let mut selective = Selective::default();
            for (pattern, durability) in rules.iter().cycle().skip(turn).take(rules.len()) {
                selective.set((*pattern).to_owned(), *durability);
            }
            for (event_type, wanted) in [
                ("order", Durability::Os),
                ("tick.bid", Durability::Volatile),
                ("tick.close", Durability::Sync),
                ("tick.close.late", Durability::Os),
            ] {
                assert_eq!(selective.of(event_type), Some(wanted), "{event_type}");
            }
        }
    }

    #[test]
    fn the_last_rule_for_a_pattern_counts() {
        let mut selective = Selective::default();
        selective.set("a".to_owned(), Durability::Volatile);
        selective.set("a".to_owned(), Durability::Sync);
        assert_eq!(selective.of("a"), Some(Durability::Sync));
        assert_eq!(selective.of("b"), None);
        selective.set("a*b".to_owned(), Durability::Os);
        selective.check().unwrap_err();
    }
}

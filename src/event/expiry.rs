//! [`Expiry`]: for how long events of a type are worth anything.

use std::time::Duration;

use super::Filter;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// For how long the events of some types are worth anything. The default is for ever.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expiry {
    /// The narrowest first.
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    /// What the user wrote.
    pattern: String,
    filter: Filter,
    after: Duration,
}

impl Rule {
    /// How narrow it is: a whole type before any start of one, and a longer start before a shorter one.
    fn rank(&self) -> (bool, usize) {
        (!self.pattern.ends_with('*'), self.pattern.len())
    }
}

impl Expiry {
    /// Adds a rule, in place of one for the same pattern.
    pub(crate) fn set(&mut self, pattern: String, after: Duration) {
        self.rules.retain(|rule| rule.pattern != pattern);
        self.rules.push(Rule {
            filter: Filter::all().types([pattern.as_str()]),
            pattern,
            after,
        });
        self.rules
            .sort_by_key(|rule| std::cmp::Reverse(rule.rank()));
    }

    /// Whether all rules make sense.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for what is no pattern, and for a time of nothing.
    pub(crate) fn check(&self) -> Result<()> {
        if self.rules.iter().any(|rule| rule.after.is_zero()) {
            let message = "events must be kept for longer than nothing before they expire";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.rules.iter().try_for_each(|rule| rule.filter.check())
    }

    /// Whether nothing ever expires.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// When an event of this type that was appended at this time expires; `None`: never.
    pub(crate) fn expires_at(&self, event_type: &str, appended_at: Timestamp) -> Option<Timestamp> {
        let fits = |rule: &&Rule| rule.filter.matches(event_type, "");
        let narrowest = self.rules.iter().find(fits)?;
        Some(appended_at.plus(narrowest.after))
    }

    /// Whether an event of this type that was appended at this time has expired by `now`.
    #[inline]
    pub(crate) fn is_expired(
        &self,
        event_type: &str,
        appended_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        !self.is_empty()
            && self
                .expires_at(event_type, appended_at)
                .is_some_and(|at| at < now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_rule_counts_and_what_has_none_stays_for_ever() {
        let mut expiry = Expiry::default();
        let never = |at| expiry.is_expired("tick", Timestamp(0), Timestamp(at));
        assert!(expiry.is_empty() && !never(i64::MAX));
        for (pattern, nanos) in [("tick.*", 10), ("tick.close", 1_000), ("tick.close", 100)] {
            expiry.set(pattern.to_owned(), Duration::from_nanos(nanos));
        }
        expiry.check().unwrap();
        let expired = |event_type, now| expiry.is_expired(event_type, Timestamp(5), Timestamp(now));
        assert!(!expired("tick.bid", 15) && expired("tick.bid", 16));
        assert!(!expired("tick.close", 105) && expired("tick.close", 106));
        assert!(!expired("order", i64::MAX));
        assert!(!expired("tick.bid", 0), "a clock that went back");
        expiry.set("a*b".to_owned(), Duration::from_secs(1));
        assert_eq!(expiry.check().unwrap_err().kind(), ErrorKind::Invalid);
        let mut expiry = Expiry::default();
        expiry.set("a".to_owned(), Duration::ZERO);
        assert_eq!(expiry.check().unwrap_err().kind(), ErrorKind::Invalid);
    }
}

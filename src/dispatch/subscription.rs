//! [`Subscription`]: who wants which events, from where on, and what happens when handling fails.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Filter;
use crate::position::Seq;

/// The longest name of a subscription in bytes.
const NAME_LEN_MAX: usize = 255;

/// Where a subscription begins that has no place yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the first event that the log holds.
    Beginning,
    /// With the first event emitted from now on.
    Now,
    /// With the event of this Seq, or the first one after it.
    At(Seq),
}

/// How often and how soon a failed delivery is tried again.
///
/// The delay before the second attempt is `backoff_initial`; it doubles with each further one, up to
/// `backoff_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// With how many failed attempts an event is parked: 1 or more, 5 by default.
    pub attempts_max: u32,
    /// The first delay: 100 ms by default.
    pub backoff_initial: Duration,
    /// The longest delay: 10 s by default.
    pub backoff_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts_max: 5,
            backoff_initial: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// The delay after so many failed attempts.
    pub(super) fn delay_after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let delay = self.backoff_initial.saturating_mul(1 << doublings);
        delay.min(self.backoff_max)
    }
}

/// The description of a subscription.
///
/// ```
/// use forelog::{RetryPolicy, Start, Subscription};
///
/// let billing = Subscription::named("billing")
///     .event_types(["order.*", "refund"])
///     .source("web")
///     .start(Start::Beginning)
///     .retry(RetryPolicy { attempts_max: 3, ..RetryPolicy::default() });
/// ```
#[derive(Debug, Clone)]
#[must_use = "a subscription does nothing until a handler is registered with it"]
pub struct Subscription {
    pub(super) name: Option<String>,
    pub(super) filter: Filter,
    pub(super) start: Start,
    pub(super) retry: RetryPolicy,
    pub(super) on_publish: bool,
}

impl Subscription {
    /// A durable subscription: its place is kept under this name, and the next process that
    /// registers the name goes on there. A new name starts at the beginning.
    pub fn named(name: impl Into<String>) -> Self {
        Subscription::of(Some(name.into()), Start::Beginning)
    }

    /// A subscription to what is emitted from now on, which ends with its registration.
    pub fn unnamed() -> Self {
        Subscription::of(None, Start::Now)
    }

    fn of(name: Option<String>, start: Start) -> Self {
        Subscription {
            name,
            filter: Filter::all(),
            start,
            retry: RetryPolicy::default(),
            on_publish: false,
        }
    }

    /// Adds an event type: exact, its start followed by `*`, or `*` for all. With none, all types
    /// are wanted.
    pub fn event_type(self, event_type: impl Into<String>) -> Self {
        self.event_types([event_type])
    }

    /// Adds event types; see [`Subscription::event_type`].
    pub fn event_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.filter = self.filter.types(types);
        self
    }

    /// Adds a source; with none, events of all sources are wanted.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.filter = self.filter.source(source);
        self
    }

    /// Takes this filter in place of the types and sources so far.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Where to begin. Counts for a name that has no place yet, and for an unnamed subscription.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How failed deliveries are tried again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Delivers events once they are published, without waiting until they are synced. A power cut
    /// may then take an event back that the handler has seen.
    pub fn deliver_on_publish(mut self) -> Self {
        self.on_publish = true;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let name_len = self.name.as_ref().map_or(1, String::len);
        if name_len == 0 || name_len > NAME_LEN_MAX {
            let message = format!("the name of a subscription has 1 to {NAME_LEN_MAX} bytes");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if self.retry.attempts_max == 0 {
            let message = "attempts_max must be 1 or more: the first delivery counts";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.filter.check()
    }
}

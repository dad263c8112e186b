//! [`Subscription`]: who wants which events, from where on, and what happens when handling fails.

use std::sync::Arc;
use std::time::Duration;

use super::key::OrderBy;
use super::retry::RetryPolicy;
use super::role::Role;
use super::wanted::Choice;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Filter;
use crate::format::record::EventRef;
use crate::position::Seq;

/// The longest name of a subscription in bytes.
const NAME_LEN_MAX: usize = 255;
/// The most events that may be open: each is written into the control log with the cursor.
const IN_FLIGHT_MAX: usize = 1 << 16;
/// The most threads of one subscription.
const THREADS_MAX: usize = 256;

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
    /// With the first event that the log took at this time or later, by its own clock
    /// ([`EventRef::appended_at`](crate::EventRef::appended_at)).
    Time(Timestamp),
}

/// What happens to later events of a key while an event of it is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenParked {
    /// They are delivered.
    #[default]
    GoOn,
    /// They are parked behind it, undelivered, and delivered in order once it is: a sequence of dead
    /// letters. Only for named subscriptions.
    KeyWaits,
}

/// What happens when a subscription falls behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenBehind {
    /// Emitters wait for it once it is [`Builder::max_queue_size`](crate::Builder::max_queue_size)
    /// events behind: nothing is lost, and a slow handler slows the emitters down.
    #[default]
    HoldEmitters,
    /// It is paused, with an alert, once it is more than this many events behind. Emitters never wait
    /// for it. It goes on from there when it is resumed, whatever its lag then is, and is not paused again
    /// before it has caught up to within the limit.
    Pause(u64),
    /// It skips to half as many events behind the end, once it is more than this many behind. Emitters
    /// never wait for it. What it skips is counted ([`SubscriptionState::skipped`](
    /// crate::SubscriptionState::skipped)), logged, and told to the handler ([`Handler::skipped`](
    /// crate::Handler::skipped)).
    Skip(u64),
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
    pub(super) role: Role,
    /// How messages call it that has no name.
    pub(super) label: Option<String>,
    pub(super) choice: Choice,
    pub(super) start: Start,
    pub(super) on_publish: bool,
    pub(super) concurrency: usize,
    pub(super) rules: Rules,
}

/// What a worker must know of the description.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) retry: RetryPolicy,
    pub(super) order: OrderBy,
    pub(super) when_parked: WhenParked,
    pub(super) when_behind: WhenBehind,
    pub(super) parked_max: u64,
    pub(super) in_flight_max: usize,
    pub(super) stall_after: Duration,
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
            role: Role::default(),
            label: None,
            choice: Choice::default(),
            start,
            on_publish: false,
            concurrency: 1,
            rules: Rules {
                retry: RetryPolicy::default(),
                order: OrderBy::default(),
                when_parked: WhenParked::default(),
                when_behind: WhenBehind::default(),
                parked_max: 100_000,
                in_flight_max: 1024,
                stall_after: Duration::from_secs(60),
            },
        }
    }

    /// What the subscription is for: whether replays come to it. The default is [`Role::Reactor`], which
    /// they pass by.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Adds an event type: exact, its start followed by `*`, or `*` for all. With none, all types
    /// are wanted.
    pub fn event_type(self, event_type: impl Into<String>) -> Self {
        self.event_types([event_type])
    }

    /// Adds event types; see [`Subscription::event_type`].
    pub fn event_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.choice.filter = self.choice.filter.types(types);
        self
    }

    /// Adds a source; with none, events of all sources are wanted.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.choice.filter = self.choice.filter.source(source);
        self
    }

    /// Takes this filter in place of the types and sources so far.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.choice.filter = filter;
        self
    }

    /// Wants only events whose first header of this name has this value; said several times, all must
    /// fit.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.choice.add_header(name.into(), Some(value.into()));
        self
    }

    /// Wants only events that have a header of this name.
    pub fn has_header(mut self, name: impl Into<String>) -> Self {
        self.choice.add_header(name.into(), None);
        self
    }

    /// Wants only events for which this function returns `true`. It is asked after all other filters,
    /// on the subscription's thread; a panic in it is a failed delivery.
    pub fn predicate(
        mut self,
        fits: impl Fn(&EventRef<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.choice.set_predicate(Arc::new(fits));
        self
    }

    /// Where to begin. Counts for a name that has no place yet, and for an unnamed subscription.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How failed deliveries are tried again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.rules.retry = policy;
        self
    }

    /// Which events are kept in order among themselves, and wait for one of them that failed. The
    /// default is those of the same source.
    pub fn order_by(mut self, order: OrderBy) -> Self {
        self.rules.order = order;
        self
    }

    /// What happens to later events of a key while an event of it is parked. By default they go on.
    pub fn when_parked(mut self, rule: WhenParked) -> Self {
        self.rules.when_parked = rule;
        self
    }

    /// How many events may be parked, 100,000 by default; 1 or more. An event that would be parked beyond
    /// them is tried again every second, and holds up its key.
    pub fn parked_max(mut self, events: u64) -> Self {
        self.rules.parked_max = events;
        self
    }

    /// What happens when the subscription falls behind. By default emitters wait for it.
    pub fn when_behind(mut self, rule: WhenBehind) -> Self {
        self.rules.when_behind = rule;
        self
    }

    /// How many threads deliver: 1 by default, at most 256. With more than one, events of different
    /// keys ([`Subscription::order_by`]) are handled at the same time, by handlers that are registered
    /// with [`EventSystem::register_parallel`](crate::EventSystem::register_parallel) or
    /// [`EventSystem::register_handlers`](crate::EventSystem::register_handlers).
    pub fn concurrency(mut self, threads: usize) -> Self {
        self.concurrency = threads;
        self
    }

    /// How many events may be taken up and not handled: those that wait for a retry, for another one of
    /// their key, for a thread, or for an outcome that was put off. 1 to 65,536, 1,024 by default. Beyond
    /// that nothing is taken up: it bounds the memory, and what is kept of each in the control log.
    pub fn in_flight_max(mut self, events: usize) -> Self {
        self.rules.in_flight_max = events;
        self
    }

    /// How long a delivery may take until the subscription is reported as stalled, with the event's Seq:
    /// 60 seconds by default.
    pub fn stall_after(mut self, time: Duration) -> Self {
        self.rules.stall_after = time;
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
        let rules = &self.rules;
        let message = if !(1..=IN_FLIGHT_MAX).contains(&rules.in_flight_max) {
            "in_flight_max must lie between 1 and 65,536"
        } else if !(1..=THREADS_MAX).contains(&self.concurrency) {
            "concurrency must lie between 1 and 256"
        } else if rules.parked_max == 0 {
            "parked_max must be 1 or more"
        } else if self.name.is_none() && rules.when_parked == WhenParked::KeyWaits {
            "an unnamed subscription parks nothing, so that no key can wait; name it"
        } else {
            rules.retry.check()?;
            return self.choice.check();
        };
        Err(Error::new(ErrorKind::Invalid, message))
    }
}

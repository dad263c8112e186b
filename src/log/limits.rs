//! [`Retention`]: how much of the past is kept, and what happens where somebody still needs more.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How much of the past is kept. The default is all.
///
/// Whole sealed segments go, the oldest first, as soon as one of the limits asks for it. What is held
/// beyond a limit is at most a segment; see [`manual::retention`](crate::manual::retention).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Retention {
    /// How many events are kept at most.
    pub max_events: Option<u64>,
    /// How many bytes the segments take on the disk at most, the one that grows and the one that is
    /// prepared behind it included.
    pub max_bytes: Option<u64>,
    /// How long ago the newest event of a segment was appended at most, by the system's clock.
    pub max_age: Option<Duration>,
}

/// What happens where a limit of [`Retention`] meets somebody who still needs the oldest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenPinned {
    /// The segment is kept, and that is told: in the log, by
    /// [`Stats::retention_waits`](crate::Stats::retention_waits) and by
    /// [`EventStore::explain_retention`](crate::EventStore::explain_retention).
    #[default]
    Keep,
    /// The segment goes. Whoever needed it passes an explicit gap: a subscription counts it in
    /// [`SubscriptionState::skipped`](crate::SubscriptionState::skipped) and its handler is told
    /// ([`Handler::skipped`](crate::Handler::skipped)); a projection and a replay into handlers end with an
    /// error. Names without a handler hold nothing back either.
    Gap,
    /// The segment is kept, and once the active one is full `emit` fails with
    /// [`QueueFull`](crate::ErrorKind::QueueFull) until it has become free. Names without a handler make no
    /// emit fail: they are kept for within [`DetachedLag`](crate::DetachedLag).
    Reject,
}

/// What asks for a segment to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Limit {
    /// [`Retention::max_events`].
    MaxEvents,
    /// [`Retention::max_bytes`].
    MaxBytes,
    /// [`Retention::max_age`].
    MaxAge,
    /// All its events have expired; see [`Builder::expire`](crate::Builder::expire).
    Expired,
    /// It was asked for.
    Asked,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Limit::MaxEvents => "max_events",
            Limit::MaxBytes => "max_bytes",
            Limit::MaxAge => "max_age",
            Limit::Expired => "expiry",
            Limit::Asked => "request",
        })
    }
}

/// Into how many parts the age that is kept is divided: a segment that is not full is sealed after one.
const PARTS_OF_AGE: u32 = 8;

impl Retention {
    /// Whether everything is kept.
    pub fn is_unlimited(&self) -> bool {
        *self == Retention::default()
    }

    /// Which limit asks for the oldest segment to go, where so much is held.
    pub(crate) fn asks(&self, events: u64, bytes: u64, age: Duration) -> Option<Limit> {
        let is_over = |max: Option<u64>, held: u64| max.is_some_and(|max| held > max);
        if is_over(self.max_events, events) {
            Some(Limit::MaxEvents)
        } else if is_over(self.max_bytes, bytes) {
            Some(Limit::MaxBytes)
        } else if self.max_age.is_some_and(|max| age > max) {
            Some(Limit::MaxAge)
        } else {
            None
        }
    }

    /// How long a segment that is not full grows; `None`: until it is full.
    pub(crate) fn grows_for(&self) -> Option<Duration> {
        self.max_age.map(|age| age / PARTS_OF_AGE)
    }
}

/// How long ago that was; nothing for a segment without events, which is as old as its log.
pub(crate) fn age_of(newest: Option<Timestamp>, now: Timestamp) -> Duration {
    newest.map_or(Duration::MAX, |newest| now.since(newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_asks_once_it_is_passed() {
        let second = Duration::from_secs(1);
        let limits = Retention {
            max_events: Some(10),
            max_bytes: Some(100),
            max_age: Some(second),
        };
        assert_eq!(limits.asks(10, 100, second), None);
        assert_eq!(limits.asks(11, 101, second * 2), Some(Limit::MaxEvents));
        assert_eq!(limits.asks(10, 101, second * 2), Some(Limit::MaxBytes));
        assert_eq!(limits.asks(10, 100, second * 2), Some(Limit::MaxAge));
        let all = Retention::default();
        assert_eq!(all.asks(u64::MAX, u64::MAX, Duration::MAX), None);
        assert!(all.is_unlimited() && !limits.is_unlimited());
    }
}

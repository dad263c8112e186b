//! Time: [`Timestamp`] and the injectable [`Clock`].
//!
//! Time is information and never decides order: a clock may jump, stand still or run backwards.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
#[cfg(not(unix))]
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Nanoseconds since the Unix epoch (1970-01-01T00:00:00Z), from the year 1677 to 2262.
///
/// Shown, parsed and serialized as RFC 3339 in UTC.
///
/// ```
/// use forelog::Timestamp;
/// let t: Timestamp = "2013-01-01T10:17:00.5Z".parse().unwrap();
/// assert_eq!(t.to_string(), "2013-01-01T10:17:00.500000000Z");
/// assert_eq!(t.0 % 1_000_000_000, 500_000_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time of the system's clock.
    pub fn now() -> Timestamp {
        #[cfg(unix)]
        {
            // Without the detour over durations, which costs a quarter of the call.
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
            let seconds = now.tv_sec.saturating_mul(1_000_000_000);
            Timestamp(seconds.saturating_add(now.tv_nsec))
        }
        #[cfg(not(unix))]
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp(clamp_nanos(after)),
            Err(before) => Timestamp(-clamp_nanos(before.duration())),
        }
    }

    /// The time `delay` after this one (saturating).
    #[must_use]
    pub fn plus(self, delay: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(clamp_nanos(delay)))
    }

    /// The time before a delay.
    pub(crate) fn minus(self, delay: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(clamp_nanos(delay)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn clamp_nanos(duration: Duration) -> i64 {
    // In 64 bits: 128 would cost as much as reading the clock.
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let whole = seconds.saturating_mul(1_000_000_000);
    whole.saturating_add(i64::from(duration.subsec_nanos()))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default();
        write!(f, "{instant:.9}")
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    /// Reads an RFC 3339 time; an offset from UTC is applied.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant: jiff::Timestamp = text.parse()?;
        i64::try_from(instant.as_nanosecond())
            .map(Timestamp)
            .map_err(|_| jiff::Error::from_args(format_args!("{text} is outside 1677..2262")))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Where the engine takes the time from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now; it need not be monotonic, the log forces `appended_at` not to decrease.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that moves only when told to, for tests.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        ManualClock(AtomicI64::new(start.0))
    }

    /// Puts the clock to `time`, which may lie before the time it shows.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.0, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(clamp_nanos(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

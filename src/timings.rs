//! [`Timings`]: how long something took, noted where it is done and read elsewhere; [`Pace`]: which of many
//! are timed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::Timestamp;

/// Two digits: a percentile is wrong by 1 % at most, and a histogram takes some 30 KB.
const DIGITS: u8 = 2;
/// No more than this is told apart, in nanoseconds: three days.
const NANOS_MAX: u64 = 3 * 24 * 3600 * 1_000_000_000;
/// Timing costs about 60 ns; where more than one event is handled in this time, fewer of them are timed.
const TIMED_PER: Duration = Duration::from_micros(4);
const STRIDE_MAX: u32 = 64;

/// Up to here small timings tell nothing apart, in nanoseconds; it is a power of two.
const SMALL_NANOS: u64 = 1 << 10;

/// Durations in nanoseconds. It takes no memory until the first is noted.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    is_small: bool,
    noted: Mutex<Option<Histogram<u64>>>,
}

/// An empty histogram of the small kind.
fn small_histogram() -> Option<Histogram<u64>> {
    let mut histogram = Histogram::new_with_bounds(SMALL_NANOS, 2 * SMALL_NANOS, DIGITS).ok()?;
    histogram.auto(true);
    Some(histogram)
}

impl Timings {
    /// Timings that take less memory, where there are many: some 10 KB, growing with the longest. What
    /// takes less than a microsecond they do not tell apart.
    pub(crate) fn small() -> Self {
        Timings {
            is_small: true,
            noted: Mutex::default(),
        }
    }

    /// Notes a duration that stands for `count` of them.
    pub(crate) fn note(&self, took: Duration, count: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(NANOS_MAX);
        let mut slot = self.slot();
        if slot.is_none() {
            *slot = if self.is_small {
                small_histogram()
            } else {
                Histogram::new_with_bounds(1, NANOS_MAX, DIGITS).ok()
            };
        }
        if let Some(histogram) = slot.as_mut() {
            let nanos = nanos.clamp(1, NANOS_MAX);
            // One that grows does so, and the other saturates: neither fails.
            if self.is_small {
                let _ = histogram.record_n(nanos, count);
            } else {
                histogram.saturating_record_n(nanos, count);
            }
        }
    }

    /// All that was noted by now; `None` before the first.
    pub(crate) fn all(&self) -> Option<Histogram<u64>> {
        self.slot().clone()
    }

    /// Adds all that was noted by now to a sum of small timings.
    pub(crate) fn add_to(&self, sum: &mut Option<Histogram<u64>>) {
        let slot = self.slot();
        let Some(noted) = slot.as_ref() else { return };
        if sum.is_none() {
            *sum = small_histogram();
        }
        if let Some(sum) = sum {
            // It cannot fail: a small one grows.
            let _ = sum.add(noted);
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Histogram<u64>>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which events are timed: each one as long as they are few, then one of up to 64 on average, which stands
/// for those since the last. Which one it is, is a matter of chance: types that come in turns are all hit.
#[derive(Debug)]
pub(crate) struct Pace {
    stride: u32,
    /// Which one is timed next.
    next: u32,
    chance: u32,
    passed: u32,
    last: Timestamp,
    /// How long the last one took that was timed, if that was noted.
    noted: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            stride: 1,
            next: 1,
            chance: 0x9e37_79b9,
            passed: 0,
            last: Timestamp(i64::MIN),
            noted: None,
        }
    }
}

impl Pace {
    /// Counts an event; says whether it is to be timed.
    #[inline]
    pub(crate) fn is_due(&mut self) -> bool {
        self.passed += 1;
        self.passed >= self.next
    }

    /// It is timed now: for how many events it stands.
    pub(crate) fn take(&mut self, now: Timestamp) -> u64 {
        let since = now.since(self.last);
        self.stride = if since < TIMED_PER.saturating_mul(self.stride) {
            (self.stride * 2).min(STRIDE_MAX)
        } else {
            (self.stride / 2).max(1)
        };
        // Marsaglia's xorshift.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 17;
        self.chance ^= self.chance << 5;
        self.next = 1 + self.chance % (2 * self.stride - 1);
        self.last = now;
        u64::from(std::mem::take(&mut self.passed))
    }

    /// Notes how long the one took that is timed now, if that counts.
    pub(crate) fn note(&mut self, took: Option<Duration>) {
        self.noted = took;
    }

    /// Nothing is left to do, and the next one is timed: returns how long the last one took that was timed,
    /// if that counts, and for how many it stands too.
    pub(crate) fn rest(&mut self) -> (Option<Duration>, u64) {
        (self.stride, self.next) = (1, 1);
        let passed = std::mem::take(&mut self.passed);
        (self.noted, u64::from(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_few_are_timed_in_a_stream() {
        let (timings, mut pace) = (Timings::default(), Pace::default());
        assert!(timings.all().is_none());
        let (mut now, mut timed) = (Timestamp(0), 0_u64);
        for _ in 0..100_000 {
            now = now.plus(Duration::from_nanos(100));
            if pace.is_due() {
                timed += 1;
                let took = Duration::from_millis(1);
                timings.note(took, pace.take(now));
                pace.note(Some(took));
            }
        }
        let (took, count) = pace.rest();
        timings.note(took.unwrap(), count);
        assert_eq!(timings.all().unwrap().len(), 100_000);
        assert!(timed < 4_000, "{timed}");
        assert_eq!(pace.rest().1, 0, "nothing came since");
        assert!(pace.is_due(), "the first one after a rest");
    }

    #[test]
    fn slow_ones_are_all_timed() {
        let mut pace = Pace::default();
        let mut now = Timestamp(0);
        for _ in 0..100 {
            now = now.plus(Duration::from_millis(1));
            assert!(pace.is_due());
            assert_eq!(pace.take(now), 1);
        }
    }

    #[test]
    fn percentiles_are_right_to_a_hundredth() {
        let timings = Timings::default();
        for millis in 1..=1000 {
            timings.note(Duration::from_millis(millis), 1);
        }
        let all = timings.all().unwrap();
        let p99 = all.value_at_quantile(0.99);
        assert!((980_000_000..=1_000_000_000).contains(&p99), "{p99}");
        timings.note(Duration::from_secs(u64::MAX), 1);
        assert_eq!(timings.all().unwrap().len(), 1001);
    }
}

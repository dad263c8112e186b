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

/// Durations in nanoseconds. It takes no memory until the first is noted.
#[derive(Debug, Default)]
pub(crate) struct Timings(Mutex<Option<Histogram<u64>>>);

impl Timings {
    /// Notes a duration that stands for `count` of them.
    pub(crate) fn note(&self, took: Duration, count: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(NANOS_MAX);
        let mut slot = self.slot();
        if slot.is_none() {
            *slot = Histogram::new_with_bounds(1, NANOS_MAX, DIGITS).ok();
        }
        if let Some(histogram) = slot.as_mut() {
            histogram.saturating_record_n(nanos.clamp(1, NANOS_MAX), count);
        }
    }

    /// All that was noted by now; `None` before the first.
    pub(crate) fn all(&self) -> Option<Histogram<u64>> {
        self.slot().clone()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Histogram<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which events are timed: each one as long as they are few, then one of up to 64, which stands for those
/// since the last.
#[derive(Debug)]
pub(crate) struct Pace {
    stride: u32,
    passed: u32,
    last: Timestamp,
    /// How long the last one took that was timed, if that was noted.
    noted: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            stride: 1,
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
        self.passed >= self.stride
    }

    /// It is timed now: for how many events it stands.
    pub(crate) fn take(&mut self, now: Timestamp) -> u64 {
        let since = now.since(self.last);
        self.stride = if since < TIMED_PER.saturating_mul(self.stride) {
            (self.stride * 2).min(STRIDE_MAX)
        } else {
            (self.stride / 2).max(1)
        };
        self.last = now;
        u64::from(std::mem::take(&mut self.passed))
    }

    /// Notes how long the one took that is timed now, if that counts.
    pub(crate) fn note(&mut self, took: Option<Duration>) {
        self.noted = took;
    }

    /// Nothing is left to do, and the next one is timed: returns for how many the last one that was timed
    /// stands too, and how long it took.
    pub(crate) fn rest(&mut self) -> Option<(Duration, u64)> {
        self.stride = 1;
        let passed = std::mem::take(&mut self.passed);
        let took = self.noted.filter(|_| passed > 0)?;
        Some((took, u64::from(passed)))
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
        if let Some((took, count)) = pace.rest() {
            timings.note(took, count);
        }
        assert_eq!(timings.all().unwrap().len(), 100_000);
        assert!(timed < 4_000, "{timed}");
        assert!(pace.rest().is_none(), "nothing came since");
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

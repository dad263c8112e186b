//! [`Latency`]: how long something takes, since the beginning and lately.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock::Timestamp;

/// How old the beginning of *lately* is at least; and twice that at most.
const LATELY: Duration = Duration::from_secs(10);
/// The upper bounds of the buckets, in microseconds.
const BOUNDS_US: [u64; 14] = [
    10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
    10_000_000, 60_000_000,
];

/// How long something takes.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// In the last ten to twenty seconds.
    pub recent: Percentiles,
    /// Since it was first done.
    pub total: Percentiles,
    /// How many took at most so long, since it was first done; each bound counts those below as well.
    pub buckets: Vec<Bucket>,
}

/// How many took at most so long.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Bucket {
    /// The bound, in seconds.
    pub upto_s: f64,
    /// How many.
    pub count: u64,
}

/// How long something takes, in milliseconds; 1 % at most beside the truth.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// Half of them took at most this.
    pub p50_ms: f64,
    /// 95 of 100 took at most this.
    pub p95_ms: f64,
    /// 99 of 100 took at most this.
    pub p99_ms: f64,
    /// 999 of 1,000 took at most this.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    pub(super) fn of(recent: &Histogram<u64>, all: &Histogram<u64>) -> Self {
        Latency {
            recent: Percentiles::of(recent),
            total: Percentiles::of(all),
            buckets: buckets(all),
        }
    }
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Percentiles::default();
        }
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Percentiles {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e6,
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(histogram.max()),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a hundredth is all it is good for"
)]
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// What was noted by two earlier times, so that what is recent can be told.
#[derive(Debug)]
pub(super) struct Recent {
    older: Option<Histogram<u64>>,
    newer: (Timestamp, Option<Histogram<u64>>),
}

impl Recent {
    /// All that was noted by now is not recent.
    pub(super) fn new(now: Timestamp, all: Option<&Histogram<u64>>) -> Self {
        Recent {
            older: all.cloned(),
            newer: (now, all.cloned()),
        }
    }

    /// Takes in all that was noted by now; returns what is recent of it.
    pub(super) fn take_in(&mut self, now: Timestamp, all: &Histogram<u64>) -> Histogram<u64> {
        if now < self.newer.0 {
            // The clock was set back: begin anew.
            *self = Recent::new(now, Some(all));
        }
        if now.since(self.newer.0) >= LATELY {
            let newer = std::mem::replace(&mut self.newer, (now, Some(all.clone())));
            self.older = newer.1;
        }
        let mut recent = all.clone();
        if let Some(before) = &self.older {
            // It cannot fail: the same bounds, and no less was noted since.
            let _ = recent.subtract(before);
        }
        recent
    }
}

fn buckets(all: &Histogram<u64>) -> Vec<Bucket> {
    let bucket = |&micros: &u64| Bucket {
        upto_s: millis(micros * 1000) / 1e3,
        count: all.count_between(0, micros * 1000),
    };
    BOUNDS_US.iter().map(bucket).collect()
}

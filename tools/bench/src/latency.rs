//! Latencies: a histogram while measuring, its percentiles afterwards.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::num::{float, median, nanos};

/// Where a second lies in microseconds, the unit of a row's latencies.
const NANOS_PER_MICRO: f64 = 1e3;

/// The percentiles of a latency, all in one unit: that of the row or of the field which holds them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The mean.
    pub avg: f64,
    /// Half were no slower.
    pub p50: f64,
    /// Nine in ten were no slower.
    pub p90: f64,
    /// All but one in a hundred were no slower.
    pub p99: f64,
    /// All but one in a thousand were no slower.
    pub p99_9: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// The same in a unit of which `per` make one of this.
    #[must_use]
    pub(crate) fn scaled(self, factor: f64) -> Latency {
        Latency {
            count: self.count,
            avg: self.avg * factor,
            p50: self.p50 * factor,
            p90: self.p90 * factor,
            p99: self.p99 * factor,
            p99_9: self.p99_9 * factor,
            max: self.max * factor,
        }
    }

    /// What several runs have in common: the median of each percentile, and the slowest of all.
    pub(crate) fn of_runs(runs: &[Latency]) -> Option<Latency> {
        let middle = |field: fn(&Latency) -> f64| {
            let values: Vec<f64> = runs.iter().map(field).collect();
            median(&values)
        };
        Some(Latency {
            count: runs.iter().map(|run| run.count).sum(),
            avg: middle(|run| run.avg)?,
            p50: middle(|run| run.p50)?,
            p90: middle(|run| run.p90)?,
            p99: middle(|run| run.p99)?,
            p99_9: middle(|run| run.p99_9)?,
            max: runs.iter().map(|run| run.max).fold(0.0, f64::max),
        })
    }
}

/// Latencies as they come in; one for each thread, merged afterwards.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(Option<Histogram<u64>>);

impl Recorder {
    /// Three digits, from a nanosecond up, growing as needed.
    pub(crate) fn new() -> Self {
        Recorder(Histogram::new(3).ok())
    }

    pub(crate) fn record(&mut self, time: Duration) {
        if let Some(histogram) = &mut self.0 {
            // One that grows takes every value.
            let _ = histogram.record(nanos(time).max(1));
        }
    }

    pub(crate) fn merge(&mut self, other: &Recorder) {
        if let (Some(histogram), Some(other)) = (&mut self.0, &other.0) {
            let _ = histogram.add(other);
        }
    }

    /// How many took longer than this, as far as three digits tell.
    pub(crate) fn longer_than(&self, time: Duration) -> u64 {
        let histogram = self.0.as_ref();
        histogram.map_or(0, |held| {
            held.count_between(nanos(time).saturating_add(1), u64::MAX)
        })
    }

    /// The microseconds that all but the rest of this share of 1 took at most.
    pub(crate) fn micros_at(&self, share: f64) -> f64 {
        let histogram = self.0.as_ref();
        histogram.map_or(0.0, |held| {
            float(held.value_at_quantile(share)) / NANOS_PER_MICRO
        })
    }

    /// The percentiles in microseconds.
    pub(crate) fn micros(&self) -> Latency {
        let Some(histogram) = &self.0 else {
            return Latency::default();
        };
        let at = |quantile| float(histogram.value_at_quantile(quantile));
        let nanos = Latency {
            count: histogram.len(),
            avg: histogram.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: float(histogram.max()),
        };
        nanos.scaled(1.0 / NANOS_PER_MICRO)
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder::new()
    }
}

/// All of the recorders in one.
pub(crate) fn merged(recorders: &[Recorder]) -> Recorder {
    let mut all = Recorder::new();
    for recorder in recorders {
        all.merge(recorder);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(micros: impl IntoIterator<Item = u64>) -> Recorder {
        let mut recorder = Recorder::new();
        for time in micros {
            recorder.record(Duration::from_micros(time));
        }
        recorder
    }

    fn is_near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() <= wanted * 0.002
    }

    #[test]
    fn percentiles_are_those_of_what_came_in() {
        let latency = recorded(1..=1000).micros();
        assert_eq!(latency.count, 1000);
        for (value, wanted) in [
            (latency.avg, 500.5),
            (latency.p50, 500.0),
            (latency.p90, 900.0),
            (latency.p99, 990.0),
            (latency.p99_9, 999.0),
            (latency.max, 1000.0),
        ] {
            assert!(is_near(value, wanted), "{value} for {wanted}");
        }
    }

    #[test]
    fn the_slowest_are_counted() {
        let recorder = recorded(1..=1000);
        assert_eq!(recorder.longer_than(Duration::from_micros(1001)), 0);
        let slow = recorder.longer_than(Duration::from_micros(900));
        assert!((99..=101).contains(&slow), "{slow}");
        assert!(is_near(recorder.micros_at(0.9999), 1000.0));
        assert!(is_near(recorder.micros_at(0.5), 500.0));
    }

    #[test]
    fn merged_recorders_are_one() {
        let both = merged(&[recorded(1..=500), recorded(501..=1000)]).micros();
        assert_eq!(both, recorded(1..=1000).micros());
    }

    #[test]
    fn runs_give_the_median_and_the_slowest() {
        let runs = [1, 30, 2].map(|micros| recorded([micros; 10]).micros());
        let latency = Latency::of_runs(&runs).unwrap();
        assert!(is_near(latency.p99, 2.0), "{latency:?}");
        assert!(is_near(latency.max, 30.0), "{latency:?}");
        assert_eq!(latency.count, 30);
        assert_eq!(Latency::of_runs(&[]), None);
    }
}

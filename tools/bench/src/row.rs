//! [`Row`]: one measured figure beside its floor.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::latency::Latency;
use crate::num::median;
use crate::target::Check;

/// One figure: what was measured, the raw floor of the same work, and the proportion of the two.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// A name for scripts, the same in every version.
    pub id: String,
    /// What was measured, for people.
    pub what: String,
    /// The unit of `value` and `floor`.
    pub unit: &'static str,
    /// Events in each run, or in the log.
    pub events: Option<u64>,
    /// Threads that emitted.
    pub threads: Option<u64>,
    /// The median of the runs.
    pub value: Option<f64>,
    /// The median of the floor's runs.
    pub floor: Option<f64>,
    /// What the floor does.
    pub floor_what: Option<String>,
    /// The engine's rate by the floor's: 1 is the hardware's limit.
    pub ratio_to_floor: Option<f64>,
    /// The engine's median latency by the floor's: 1 is the hardware's limit, more is slower.
    pub latency_ratio: Option<f64>,
    /// The figures behind `value`, in the order of the runs.
    pub runs: Vec<f64>,
    /// The figures behind `floor`.
    pub floor_runs: Vec<f64>,
    /// Of single events, in microseconds.
    pub latency: Option<Latency>,
    /// The floor's, in microseconds.
    pub floor_latency: Option<Latency>,
    /// What else was measured on the way, by name.
    pub extra: BTreeMap<&'static str, f64>,
    /// How far the bare work gets that no engine can do without, by the name of the figure.
    #[serde(skip)]
    pub(crate) reach: BTreeMap<&'static str, f64>,
    /// The bounds that this figure must keep, each with what was measured.
    pub checks: Vec<Check>,
    /// Whether all bounds are kept; `null` if that cannot be told from this run.
    pub met: Option<bool>,
    /// What to know when reading it.
    pub note: Option<String>,
}

impl Row {
    /// A row without figures yet.
    pub(crate) fn new(id: impl Into<String>, what: impl Into<String>, unit: &'static str) -> Row {
        Row {
            id: id.into(),
            what: what.into(),
            unit,
            events: None,
            threads: None,
            value: None,
            floor: None,
            floor_what: None,
            ratio_to_floor: None,
            latency_ratio: None,
            runs: Vec::new(),
            floor_runs: Vec::new(),
            latency: None,
            floor_latency: None,
            extra: BTreeMap::new(),
            reach: BTreeMap::new(),
            checks: Vec::new(),
            met: None,
            note: None,
        }
    }

    /// The figures of the runs; their median is the value.
    pub(crate) fn values(mut self, runs: Vec<f64>) -> Row {
        self.value = median(&runs);
        self.runs = runs;
        self
    }

    /// Rates, beside those of a floor that does `what`.
    pub(crate) fn rates(self, pair: Pair, what: impl Into<String>) -> Row {
        let mut row = self.values(pair.engine).floor(pair.floor, what);
        row.ratio_to_floor = quotient(row.value, row.floor);
        row
    }

    /// Times, beside those of a floor that does `what`: less is better.
    pub(crate) fn times(self, pair: Pair, what: impl Into<String>) -> Row {
        let mut row = self.values(pair.engine).floor(pair.floor, what);
        row.latency_ratio = quotient(row.value, row.floor);
        row.ratio_to_floor = quotient(row.floor, row.value);
        row
    }

    fn floor(mut self, runs: Vec<f64>, what: impl Into<String>) -> Row {
        self.floor = median(&runs);
        self.floor_runs = runs;
        self.floor_what = Some(what.into());
        self
    }

    /// The latencies of the runs.
    pub(crate) fn latencies(mut self, runs: &[Latency]) -> Row {
        self.latency = Latency::of_runs(runs);
        self
    }

    /// The latencies of the runs, and of the floor's.
    pub(crate) fn latencies_beside(self, runs: &[Latency], floor: &[Latency]) -> Row {
        let mut row = self.latencies(runs);
        row.floor_latency = Latency::of_runs(floor);
        let p50 = |latency: Option<Latency>| latency.map(|latency| latency.p50);
        row.latency_ratio = quotient(p50(row.latency), p50(row.floor_latency));
        row
    }

    /// The latencies of the runs, and of a part of the floor: the proportion of the two is not that
    /// of the row.
    pub(crate) fn with_latencies(self, runs: &[Latency], floor: &[Latency]) -> Row {
        let mut row = self.latencies(runs);
        row.floor_latency = Latency::of_runs(floor);
        row
    }

    pub(crate) fn events(mut self, events: u64) -> Row {
        self.events = Some(events);
        self
    }

    pub(crate) fn threads(mut self, threads: u64) -> Row {
        self.threads = Some(threads);
        self
    }

    /// One more figure, by name.
    pub(crate) fn extra(mut self, name: &'static str, figure: Option<f64>) -> Row {
        if let Some(figure) = figure {
            self.extra.insert(name, figure);
        }
        self
    }

    /// How far bare work gets with a figure that may have a bound.
    pub(crate) fn reach(mut self, of: &'static str, figure: Option<f64>) -> Row {
        if let Some(figure) = figure {
            self.reach.insert(of, figure);
        }
        self
    }

    /// The floor is the least of the work: the value gets no further.
    pub(crate) fn reaches_floor(self) -> Row {
        let floor = self.floor;
        self.reach("value", floor)
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Row {
        self.note = Some(note.into());
        self
    }

    /// The figure of this name, if the run has it.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        match name {
            "value" => self.value,
            "ratio_to_floor" => self.ratio_to_floor,
            "latency_ratio" => self.latency_ratio,
            "latency_p50" => self.latency.map(|latency| latency.p50),
            "latency_p99" => self.latency.map(|latency| latency.p99),
            name => self.extra.get(name).copied(),
        }
    }
}

/// `a / b`, if both are there and `b` is not nothing.
pub(crate) fn quotient(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    let (a, b) = (a?, b?);
    (b != 0.0).then(|| a / b)
}

/// The figures of an engine and of its floor, run in turn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pair {
    pub(crate) engine: Vec<f64>,
    pub(crate) floor: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(engine: &[f64], floor: &[f64]) -> Pair {
        let (engine, floor) = (engine.to_vec(), floor.to_vec());
        Pair { engine, floor }
    }

    #[test]
    fn a_ratio_is_that_of_the_medians() {
        let row = Row::new("a", "a", "events/s").rates(pair(&[1.0, 4.0, 100.0], &[8.0]), "raw");
        assert_eq!(row.figure("value"), Some(4.0));
        assert_eq!(row.figure("ratio_to_floor"), Some(0.5));
        assert_eq!(row.latency_ratio, None);
    }

    #[test]
    fn of_times_the_smaller_is_better() {
        let row = Row::new("a", "a", "ns").times(pair(&[200.0], &[50.0]), "raw");
        assert_eq!(row.latency_ratio, Some(4.0));
        assert_eq!(row.ratio_to_floor, Some(0.25));
    }

    #[test]
    fn without_a_floor_there_is_no_ratio() {
        let row = Row::new("a", "a", "ns").rates(pair(&[200.0], &[]), "raw");
        assert_eq!(row.ratio_to_floor, None);
        assert_eq!(quotient(Some(1.0), Some(0.0)), None);
    }

    #[test]
    fn extras_are_figures_too() {
        let row = Row::new("a", "a", "ns")
            .extra("x", Some(3.0))
            .extra("y", None);
        assert_eq!(row.figure("x"), Some(3.0));
        assert_eq!(row.figure("y"), None);
    }
}

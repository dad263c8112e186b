//! What the engine must reach on the class of machine that it was built for, as bounds on rows.

use serde::Serialize;

use crate::row::Row;

/// One bound on one figure of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The figure: `value`, `ratio_to_floor`, `latency_ratio`, or one of the row's extras.
    pub of: &'static str,
    /// On which side of the bound it must lie.
    #[serde(flatten)]
    pub bound: Bound,
    /// What was measured; `null` if this run does not measure it.
    pub measured: Option<f64>,
    /// Whether the bound is kept; `null` if that cannot be told.
    pub met: Option<bool>,
    /// How far the bare work gets that no engine can do without, measured in the same run; `null` if
    /// that was not measured.
    pub reach: Option<f64>,
}

impl Check {
    /// Whether not even the bare work keeps the bound.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        self.met == Some(false) && self.reach.is_some_and(|reach| !self.bound.holds(reach))
    }
}

/// The side and the place of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            AtLeast(bound) => figure >= bound,
            AtMost(bound) => figure <= bound,
        }
    }
}

type Bounds = &'static [(&'static str, Bound)];

/// Measured by the comparison with other engines, not here: such a bound is listed and left open.
const RIVAL: &str = "ratio_to_best_rival";

/// The rows that `all` must show, in order, with their bounds.
pub(crate) const TARGETS: &[(&str, Bounds)] = &[
    (
        "append_1",
        &[
            ("value", AtLeast(12e6)),
            ("ratio_to_floor", AtLeast(0.5)),
            (RIVAL, AtLeast(5.0)),
        ],
    ),
    ("append_sustained", &[]),
    (
        "append_2",
        &[("ratio_to_one_thread", AtLeast(1.0)), (RIVAL, AtLeast(4.0))],
    ),
    ("append_monitored", &[("ratio_to_floor", AtLeast(0.97))]),
    ("append_typed", &[("value", AtLeast(5e6))]),
    (
        "durable_1",
        &[("latency_ratio", AtMost(1.1)), (RIVAL, AtLeast(1.0))],
    ),
    ("durable_8", &[(RIVAL, AtLeast(1.1))]),
    (
        "durable_64",
        &[("p99_to_raw_sync", AtMost(8.0)), (RIVAL, AtLeast(1.2))],
    ),
    ("batch_100", &[(RIVAL, AtLeast(1.2))]),
    ("batch_100_kept", &[]),
    ("batch_1000", &[(RIVAL, AtLeast(1.7))]),
    ("batch_1000_kept", &[]),
    ("durable_pipelined", &[("ratio_to_floor", AtLeast(0.8))]),
    ("replay", &[("ratio_to_floor", AtLeast(0.7))]),
    ("replay_64", &[("value", AtLeast(25e6))]),
    (
        "open",
        &[
            ("value", AtMost(50.0)),
            ("largest_to_smallest", AtMost(2.0)),
        ],
    ),
    ("get", &[("value", AtMost(300.0))]),
    ("disk", &[("value", AtMost(72.0))]),
    ("memory", &[("mib_at_50_m", AtMost(64.0))]),
    ("dispatch_idle", &[("latency_p50", AtMost(30.0))]),
    ("dispatch_busy", &[("value", AtLeast(4e6))]),
    ("dispatch_8", &[("value", AtLeast(10e6))]),
    ("dispatch_keyed", &[("ratio_to_floor", AtLeast(1.7))]),
    ("dispatch_keyed_slow", &[("ratio_to_floor", AtLeast(1.7))]),
    ("dispatch_100_idle", &[("ratio_to_floor", AtLeast(0.95))]),
    ("dispatch_beside_slow", &[("ratio_to_floor", AtLeast(0.95))]),
    ("dispatch_idle_sync", &[("syncs_added", AtMost(1.1))]),
    ("compare", &[(RIVAL, AtLeast(1.0))]),
];

/// The bounds of `scale`, at every size: those on look-ups by the kind of ids, and those on all else.
const BY_OWN_ID: Bound = AtMost(3.0);
const BY_RANDOM_ID: Bound = AtMost(30.0);
const AT_SCALE: Bounds = &[
    ("newest_100_us", AtMost(15.0)),
    ("time_start_us", AtMost(20.0)),
    ("index_events_s", AtLeast(2e6)),
    ("rebuild_events_s", AtLeast(5e6)),
    ("open_ms", AtMost(100.0)),
    ("memory_mib", AtMost(96.0)),
    ("index_bytes_an_event", AtMost(24.0)),
];
/// Logs with more types than this, or more sources, have to stay usable, and no more.
const NAMES_MAX: f64 = 100.0;

fn bounds_of(row: &Row) -> Vec<(&'static str, Bound)> {
    if let Some((_, bounds)) = TARGETS.iter().find(|(id, _)| *id == row.id) {
        return bounds.to_vec();
    }
    let by_id = match row.id.strip_prefix("scale_") {
        Some(rest) if rest.starts_with("own") => BY_OWN_ID,
        Some(_) => BY_RANDOM_ID,
        None => return Vec::new(),
    };
    let few = |name| row.figure(name).is_some_and(|names| names <= NAMES_MAX);
    if few("types") && few("sources") {
        [&[("value", by_id)], AT_SCALE].concat()
    } else {
        Vec::new()
    }
}

/// Sets the checks of a row that is a target. A short run measures nothing worth judging, so there
/// every answer stays open.
pub(crate) fn judge(row: &mut Row, judged: bool) {
    row.checks = bounds_of(row)
        .into_iter()
        .map(|(of, bound)| {
            let measured = row.figure(of);
            let met = measured
                .filter(|_| judged)
                .map(|figure| bound.holds(figure));
            Check {
                of,
                bound,
                measured,
                met,
                reach: row.reach.get(of).copied(),
            }
        })
        .collect();
    row.met = all_met(&row.checks);
}

/// One that failed decides; else one that is open leaves it open.
fn all_met(checks: &[Check]) -> Option<bool> {
    if checks.iter().any(|check| check.met == Some(false)) {
        return Some(false);
    }
    let is_known = !checks.is_empty() && checks.iter().all(|check| check.met.is_some());
    is_known.then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Pair;

    fn get_row(nanos: f64) -> Row {
        Row::new("get", "get", "ns").values(vec![nanos])
    }

    #[test]
    fn a_row_of_scale_is_judged_by_its_ids_and_if_it_has_few_names() {
        let row = |id: &str, types: f64| {
            let mut row = Row::new(id, "by id", "us").values(vec![10.0]);
            for (name, figure) in [("types", types), ("sources", 100.0), ("open_ms", 5.0)] {
                row = row.extra(name, Some(figure));
            }
            judge(&mut row, true);
            row
        };
        assert_eq!(row("scale_own_at_10", 100.0).met, Some(false));
        assert_eq!(row("scale_random_at_10", 100.0).checks[0].met, Some(true));
        assert!(row("scale_random_at_10", 1000.0).checks.is_empty());
        assert!(row("other", 1.0).checks.is_empty());
    }

    #[test]
    fn a_bound_is_kept_or_not() {
        for (nanos, met) in [(299.0, true), (300.0, true), (301.0, false)] {
            let mut row = get_row(nanos);
            judge(&mut row, true);
            assert_eq!(row.met, Some(met), "{nanos}");
        }
    }

    #[test]
    fn a_short_run_is_not_judged_but_lists_its_bounds() {
        let mut row = get_row(1e9);
        judge(&mut row, false);
        assert_eq!((row.met, row.checks.len()), (None, 1));
    }

    #[test]
    fn one_that_failed_decides_and_one_that_is_open_leaves_it_open() {
        let append = |rate: f64| {
            let pair = Pair {
                engine: vec![rate],
                floor: vec![20e6],
            };
            let mut row = Row::new("append_1", "append", "events/s").rates(pair, "raw");
            judge(&mut row, true);
            row
        };
        assert_eq!(append(13e6).met, None, "the rivals are not measured here");
        assert_eq!(append(9e6).met, Some(false));
    }

    #[test]
    fn a_bound_is_out_of_reach_where_the_bare_work_misses_it_as_well() {
        for (bare, is_out) in [(450.0, true), (250.0, false)] {
            let mut row = get_row(500.0).reach("value", Some(bare));
            judge(&mut row, true);
            assert_eq!(row.checks[0].is_out_of_reach(), is_out, "{bare}");
        }
        let mut kept = get_row(200.0).reach("value", Some(450.0));
        judge(&mut kept, true);
        assert!(!kept.checks[0].is_out_of_reach(), "it is kept all the same");
    }

    #[test]
    fn other_rows_have_no_bounds() {
        let mut row = Row::new("query_by_id", "query", "ns").values(vec![1.0]);
        judge(&mut row, true);
        assert!(row.checks.is_empty() && row.met.is_none());
    }
}

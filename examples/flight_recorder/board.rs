//! The board: what happened at each airport, or at each source of whatever events these are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The ending of the names of the fields that a board takes means of.
pub(crate) const DELAY: &str = "delay_min";

/// What happened, by source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Board {
    pub(crate) rows: BTreeMap<String, Row>,
}

/// What happened at one source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    /// How many events there were, by type.
    pub(crate) counts: BTreeMap<String, u64>,
    /// The delays, by the name of the field.
    pub(crate) delays: BTreeMap<String, Delays>,
}

/// The delays of many events.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Delays {
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl Board {
    /// Counts one event.
    pub(crate) fn add<'a>(
        &mut self,
        event_type: &str,
        source: &str,
        delays: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        let row = self.rows.entry(source.to_owned()).or_default();
        *row.counts.entry(event_type.to_owned()).or_default() += 1;
        for (field, minutes) in delays {
            let delays = row.delays.entry(field.to_owned()).or_default();
            delays.count += 1;
            delays.sum += minutes;
        }
    }

    /// All rows in one.
    pub(crate) fn total(&self) -> Row {
        let mut total = Row::default();
        for row in self.rows.values() {
            for (event_type, count) in &row.counts {
                *total.counts.entry(event_type.clone()).or_default() += count;
            }
            for (field, delays) in &row.delays {
                let sum = total.delays.entry(field.clone()).or_default();
                sum.count += delays.count;
                sum.sum += delays.sum;
            }
        }
        total
    }

    /// Every figure in which this board and the true one differ, down to the last bit of a sum:
    /// events come out of the log in the order in which they went in.
    pub(crate) fn differences(&self, truth: &Board) -> Vec<String> {
        let mut found = Vec::new();
        let none = Row::default();
        for source in keys(&self.rows, &truth.rows) {
            let ours = self.rows.get(source).unwrap_or(&none);
            let theirs = truth.rows.get(source).unwrap_or(&none);
            ours.differences(theirs, |what, ours, theirs| {
                found.push(format!(
                    "{source}: {what}: {ours} on the board, {theirs} in the input"
                ));
            });
        }
        found
    }
}

impl Row {
    /// How many events there were.
    pub(crate) fn events(&self) -> u64 {
        self.counts.values().sum()
    }

    fn differences(&self, truth: &Row, mut differ: impl FnMut(&str, String, String)) {
        for event_type in keys(&self.counts, &truth.counts) {
            let [ours, theirs] =
                [self, truth].map(|row| row.counts.get(event_type).copied().unwrap_or_default());
            if ours != theirs {
                differ(event_type, ours.to_string(), theirs.to_string());
            }
        }
        for field in keys(&self.delays, &truth.delays) {
            let [ours, theirs] =
                [self, truth].map(|row| row.delays.get(field).copied().unwrap_or_default());
            if (ours.count, ours.sum.to_bits()) != (theirs.count, theirs.sum.to_bits()) {
                differ(field, ours.in_full(), theirs.in_full());
            }
        }
    }
}

impl Delays {
    /// The mean; `None` if nothing was counted.
    pub(crate) fn mean(self) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a mean is shown with one decimal"
        )]
        let count = self.count as f64;
        (self.count > 0).then(|| self.sum / count)
    }

    fn in_full(self) -> String {
        format!("{} in {} events", self.sum, self.count)
    }
}

/// The keys of either map, in order.
fn keys<'a, V>(
    ours: &'a BTreeMap<String, V>,
    theirs: &'a BTreeMap<String, V>,
) -> BTreeSet<&'a str> {
    ours.keys()
        .chain(theirs.keys())
        .map(String::as_str)
        .collect()
}

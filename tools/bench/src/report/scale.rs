//! Plots of what `scale` measures: the cost of an event and of a look-up by the size of the log.

use super::measured;
use super::plot::{Line, Plot, short};
use crate::num::float;
use crate::row::Row;

/// What look-ups and indexing cost over the number of events in the log.
pub(super) fn at_scale(rows: &[Row]) -> Vec<Plot> {
    let all: Vec<&Row> = rows
        .iter()
        .filter(|row| row.id.starts_with("scale_"))
        .collect();
    if all.is_empty() {
        return Vec::new();
    }
    let mut sizes: Vec<u64> = all.iter().filter_map(|row| row.events).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let line = |colour, (kind, name, figure): (&str, &str, Figure)| {
        let at = |&size: &u64| {
            let mut of_kind = all.iter().filter(|row| row.id.starts_with(kind));
            let row = of_kind.find(|row| row.events == Some(size))?;
            figure(row)
        };
        Line {
            name: name.to_owned(),
            points: sizes.iter().map(at).collect(),
            colour,
            is_floor: false,
        }
    };
    let plot = |id: &str, title: &str, unit, lines: &[(&str, &str, Figure)]| {
        let lines = lines.iter().enumerate();
        Plot {
            id: id.to_owned(),
            title: title.to_owned(),
            unit,
            x_name: "events in the log",
            x: sizes.iter().map(|&size| short(float(size))).collect(),
            lines: measured(lines.map(|(colour, of)| line(colour, *of)).collect()),
        }
    };
    vec![
        plot("scale-lookups", "Cost by log size: look-ups", "µs", LOOKUPS),
        plot("scale-events", "Cost by log size: an event", "ns", EVENTS),
    ]
}

const OWN: &str = "scale_own";
const RANDOM: &str = "scale_random";
/// Whose rows have the figure, and what the line is called.
const LOOKUPS: &[(&str, &str, Figure)] = &[
    (OWN, "by id, own ids", |row| row.value),
    (RANDOM, "by id, random ids", |row| row.value),
    (RANDOM, "a random id that is not there", |row| {
        row.figure("absent_us")
    }),
    (OWN, "newest 100 of a type", |row| {
        row.figure("newest_100_us")
    }),
    (OWN, "where a time begins", |row| {
        row.figure("time_start_us")
    }),
];
const EVENTS: &[(&str, &str, Figure)] = &[
    (OWN, "emitted and indexed, own ids", |row| {
        each(row, "index_events_s")
    }),
    (RANDOM, "emitted and indexed, random ids", |row| {
        each(row, "index_events_s")
    }),
    (OWN, "index rebuilt, own ids", |row| {
        each(row, "rebuild_events_s")
    }),
    (RANDOM, "index rebuilt, random ids", |row| {
        each(row, "rebuild_events_s")
    }),
];

type Figure = fn(&Row) -> Option<f64>;

/// The nanoseconds that an event takes, of a rate.
fn each(row: &Row, rate: &str) -> Option<f64> {
    row.figure(rate).map(|rate| 1e9 / rate)
}

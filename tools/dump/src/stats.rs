//! Counts and bytes by type.

use std::collections::BTreeMap;

use forelog::Timestamp;
use forelog::inspect::Inspector;
use serde::Serialize;

use crate::text::{clean, grouped};
use crate::{Args, Exit, Fault, Output, Told};

/// The version of the JSON object.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Stats {
    v: u32,
    count: u64,
    bytes: u64,
    torn_bytes: u64,
    types: Vec<TypeStats>,
}

#[derive(Serialize)]
struct TypeStats {
    event_type: String,
    #[serde(flatten)]
    sum: Sum,
}

#[derive(Default, Serialize)]
struct Sum {
    count: u64,
    /// Of their frames in the log.
    bytes: u64,
    timestamp_min: Option<Timestamp>,
    timestamp_max: Option<Timestamp>,
}

impl Sum {
    fn add(&mut self, bytes: u64, timestamp: Timestamp) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        let (min, max) = (self.timestamp_min, self.timestamp_max);
        self.timestamp_min = Some(min.map_or(timestamp, |min| min.min(timestamp)));
        self.timestamp_max = Some(max.map_or(timestamp, |max| max.max(timestamp)));
    }
}

pub(crate) fn show(
    inspector: &Inspector,
    args: &Args,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let mut types: BTreeMap<String, Sum> = BTreeMap::new();
    let mut records = inspector.records(args.selector.selector()?)?;
    for record in &mut records {
        match record {
            Ok(record) => {
                let event = record.view()?;
                let (bytes, timestamp) = (record.frame_len(), event.timestamp());
                if let Some(sum) = types.get_mut(event.event_type()) {
                    sum.add(bytes, timestamp);
                } else {
                    let sum = types.entry(event.event_type().to_owned()).or_default();
                    sum.add(bytes, timestamp);
                }
            }
            Err(error) => told.damage(&error),
        }
    }
    let torn_bytes = match inspector.writer() {
        Some(_) => 0,
        None => records.torn_bytes(),
    };
    let stats = Stats {
        v: VERSION,
        count: types.values().map(|sum| sum.count).sum(),
        bytes: types.values().map(|sum| sum.bytes).sum(),
        torn_bytes,
        types: types
            .into_iter()
            .map(|(event_type, sum)| TypeStats { event_type, sum })
            .collect(),
    };
    if args.json {
        serde_json::to_writer(&mut *out, &stats)?;
        writeln!(out)?;
    } else {
        table(&stats, out)?;
    }
    Ok(if torn_bytes > 0 {
        Exit::Torn
    } else {
        Exit::Good
    })
}

fn table(stats: &Stats, out: Output<'_>) -> Result<(), Fault> {
    let names: Vec<String> = stats
        .types
        .iter()
        .map(|line| clean(&line.event_type))
        .collect();
    let widest = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let width = widest.max("total".len());
    let (name, count, bytes, share) = ("type", "count", "bytes", "bytes %");
    writeln!(out, "{name:<width$}  {count:>14}  {bytes:>18}  {share:>7}")?;
    for (name, line) in names.iter().zip(&stats.types) {
        let share = percent(line.sum.bytes, stats.bytes);
        let (count, bytes) = (grouped(line.sum.count), grouped(line.sum.bytes));
        writeln!(out, "{name:<width$}  {count:>14}  {bytes:>18}  {share:>7}")?;
    }
    let (total, count, bytes) = ("total", grouped(stats.count), grouped(stats.bytes));
    let share = percent(stats.bytes, stats.bytes);
    writeln!(out, "{total:<width$}  {count:>14}  {bytes:>18}  {share:>7}")?;
    Ok(())
}

/// A share in per cent with one decimal place.
fn percent(part: u64, whole: u64) -> String {
    let permille = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{}", permille / 10, permille % 10)
}

//! The event types, or the sources, with their counts.

use std::collections::BTreeMap;

use forelog::inspect::Inspector;
use forelog::{EventRef, Seq, Timestamp};
use serde::Serialize;

use crate::args::NamesArgs;
use crate::format::Format;
use crate::lines::csv_line;
use crate::text::{clean, counted, grouped};
use crate::{Exit, Fault, Output, Told};

/// What events are counted by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Type,
    Source,
}

impl By {
    fn of<'a>(self, event: &EventRef<'a>) -> &'a str {
        match self {
            By::Type => event.event_type(),
            By::Source => event.source(),
        }
    }

    /// As a column, and as a field.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            By::Type => ("type", "event_type"),
            By::Source => ("source", "source"),
        }
    }
}

#[derive(Clone, Copy, Serialize)]
struct Sum {
    count: u64,
    first_seq: Seq,
    last_seq: Seq,
    first_appended_at: Timestamp,
    last_appended_at: Timestamp,
}

pub(crate) fn show(
    inspector: &Inspector,
    args: &NamesArgs,
    by: By,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    let selector = args.more.add_to(args.selector.selector()?)?;
    for record in inspector.records(selector)? {
        match record {
            Ok(record) => add(&mut sums, by, &record.view()?),
            Err(error) => told.damage(&error),
        }
    }
    match args.place.format() {
        Format::Json => json(&sums, by, out)?,
        Format::Csv => csv(&sums, by, out)?,
        Format::Table => table(&sums, by, out)?,
    }
    Ok(Exit::Good)
}

fn add(sums: &mut BTreeMap<String, Sum>, by: By, event: &EventRef<'_>) {
    let (seq, appended_at) = (event.seq(), event.appended_at());
    if let Some(sum) = sums.get_mut(by.of(event)) {
        sum.count = sum.count.saturating_add(1);
        (sum.last_seq, sum.last_appended_at) = (seq, appended_at);
        return;
    }
    let sum = Sum {
        count: 1,
        first_seq: seq,
        last_seq: seq,
        first_appended_at: appended_at,
        last_appended_at: appended_at,
    };
    sums.insert(by.of(event).to_owned(), sum);
}

fn json(sums: &BTreeMap<String, Sum>, by: By, out: Output<'_>) -> Result<(), Fault> {
    for (name, sum) in sums {
        let mut line = serde_json::Map::new();
        line.insert(by.names().1.to_owned(), name.as_str().into());
        if let serde_json::Value::Object(fields) = serde_json::to_value(sum)? {
            line.extend(fields);
        }
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}

fn csv(sums: &BTreeMap<String, Sum>, by: By, out: Output<'_>) -> Result<(), Fault> {
    let name = by.names().1;
    let rest = ["first_appended_at", "last_appended_at"];
    csv_line(
        out,
        [name, "count", "first_seq", "last_seq"]
            .into_iter()
            .chain(rest),
    )?;
    for (name, sum) in sums {
        let fields = [
            name.clone(),
            sum.count.to_string(),
            sum.first_seq.to_string(),
            sum.last_seq.to_string(),
            sum.first_appended_at.to_string(),
            sum.last_appended_at.to_string(),
        ];
        csv_line(out, fields)?;
    }
    Ok(())
}

fn table(sums: &BTreeMap<String, Sum>, by: By, out: Output<'_>) -> Result<(), Fault> {
    let name = by.names().0;
    let widths = sums.keys().map(|name| clean(name).chars().count());
    let width = widths.max().unwrap_or(0).max(name.len());
    let (count, first, last) = ("events", "first", "last");
    writeln!(
        out,
        "{name:<width$}  {count:>14}  {first:>10}  {last:>10}  last appended"
    )?;
    for (name, sum) in sums {
        let (name, count) = (clean(name), grouped(sum.count));
        let (first, last, at) = (sum.first_seq, sum.last_seq, sum.last_appended_at);
        writeln!(
            out,
            "{name:<width$}  {count:>14}  {first:>10}  {last:>10}  {at}"
        )?;
    }
    let events = sums.values().map(|sum| sum.count).sum();
    let names = counted(sums.len() as u64, name);
    writeln!(out, "# {names}, {}", counted(events, "event"))?;
    Ok(())
}

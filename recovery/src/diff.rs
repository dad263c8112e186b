//! `diff`: whether two logs hold the same events under the same Seqs.

use std::io::{self, Write};
use std::iter::Peekable;
use std::path::Path;

use forelog::inspect::{LoggedEvent, Records, Selector};
use forelog::{EventId, Seq};
use forelog_dump::{Exit, Fault, KeyArgs, Output, Told};
use serde::Serialize;

use crate::options::DiffArgs;
use crate::progress;
use crate::shown::{json as as_json, line, path as shown};

/// The version of the JSON report.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Report<'a> {
    v: u32,
    left: &'a Path,
    right: &'a Path,
    /// How many Seqs hold the same event on both sides.
    same: u64,
    /// How many hold another one.
    different: u64,
    only_left: u64,
    only_right: u64,
    /// The first Seq at which they differ.
    first_difference: Option<Difference>,
    /// Places that could not be read.
    unreadable_left: u64,
    unreadable_right: u64,
}

#[derive(Debug, Serialize)]
struct Difference {
    seq: Seq,
    left: Option<EventId>,
    right: Option<EventId>,
    /// The fields that differ.
    fields: Vec<&'static str>,
}

/// The events of one side, and how many places were met that cannot be read.
struct Side {
    records: Records,
    unreadable: u64,
}

impl Iterator for Side {
    type Item = LoggedEvent;

    fn next(&mut self) -> Option<LoggedEvent> {
        loop {
            match self.records.next()? {
                Ok(record) => return Some(record),
                Err(_) => self.unreadable = self.unreadable.saturating_add(1),
            }
        }
    }
}

pub(crate) fn diff(
    args: &DiffArgs,
    json: bool,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    let of_right = KeyArgs {
        key_file: args.right_key_file.clone().or(args.key.key_file.clone()),
    };
    let mut sides = (side(&args.left, &args.key)?, side(&args.right, &of_right)?);
    let mut report = Report {
        v: VERSION,
        left: &args.left,
        right: &args.right,
        same: 0,
        different: 0,
        only_left: 0,
        only_right: 0,
        first_difference: None,
        unreadable_left: 0,
        unreadable_right: 0,
    };
    let bar = progress::events("comparing");
    let mut pair = (sides.0.by_ref().peekable(), sides.1.by_ref().peekable());
    while compare_next(&mut pair, &mut report)? {
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.unreadable_left = sides.0.unreadable;
    report.unreadable_right = sides.1.unreadable;
    if report.unreadable_left + report.unreadable_right > 0 {
        told.note("some places cannot be read; forelog-recovery doctor tells what is wrong there");
    }
    if json {
        as_json(&report, out)?;
    } else {
        text(&report, out)?;
    }
    let is_same = report.first_difference.is_none();
    Ok(if is_same { Exit::Good } else { Exit::Torn })
}

fn side(path: &Path, key: &KeyArgs) -> Result<Side, Fault> {
    Ok(Side {
        records: key.inspector(path)?.records(Selector::all())?,
        unreadable: 0,
    })
}

type Ahead<'a> = Peekable<&'a mut Side>;

/// Compares what stands at the lowest Seq that is left; `false` at the end of both.
fn compare_next(
    (left, right): &mut (Ahead<'_>, Ahead<'_>),
    report: &mut Report<'_>,
) -> Result<bool, Fault> {
    let heads = (
        left.peek().map(LoggedEvent::seq),
        right.peek().map(LoggedEvent::seq),
    );
    let Some(seq) = heads.0.into_iter().chain(heads.1).min() else {
        return Ok(false);
    };
    let here = |event: &LoggedEvent| event.seq() == seq;
    let pair = (left.next_if(here), right.next_if(here));
    let fields = match &pair {
        (Some(left), Some(right)) => {
            let fields = differing(left, right)?;
            let count = if fields.is_empty() {
                &mut report.same
            } else {
                &mut report.different
            };
            *count += 1;
            fields
        }
        (Some(_), None) => {
            report.only_left += 1;
            vec!["presence"]
        }
        _ => {
            report.only_right += 1;
            vec!["presence"]
        }
    };
    if !fields.is_empty() && report.first_difference.is_none() {
        let id = |event: &Option<LoggedEvent>| Some(event.as_ref()?.view().ok()?.event_id());
        report.first_difference = Some(Difference {
            seq,
            left: id(&pair.0),
            right: id(&pair.1),
            fields,
        });
    }
    Ok(true)
}

/// The fields in which two events differ.
fn differing(left: &LoggedEvent, right: &LoggedEvent) -> Result<Vec<&'static str>, Fault> {
    let (left, right) = (left.view()?, right.view()?);
    let fields = [
        ("id", left.event_id() == right.event_id()),
        ("type", left.event_type() == right.event_type()),
        ("source", left.source() == right.source()),
        ("timestamp", left.timestamp() == right.timestamp()),
        ("appended_at", left.appended_at() == right.appended_at()),
        ("headers", left.headers().eq(right.headers())),
        ("data", left.data_bytes() == right.data_bytes()),
    ];
    let differ = fields.iter().filter(|(_, is_same)| !is_same);
    Ok(differ.map(|(name, _)| *name).collect())
}

fn text(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (left, right) = (shown(report.left), shown(report.right));
    match &report.first_difference {
        None => writeln!(out, "the same {} events", report.same)?,
        Some(first) => {
            let fields = first.fields.join(", ");
            writeln!(out, "they differ from Seq {} on: {fields}", first.seq)?;
        }
    }
    for (count, what) in [
        (report.same, "are the same".to_owned()),
        (report.different, "differ".to_owned()),
        (report.only_left, format!("only in {left}")),
        (report.only_right, format!("only in {right}")),
        (
            report.unreadable_left,
            format!("places that cannot be read in {left}"),
        ),
        (
            report.unreadable_right,
            format!("places that cannot be read in {right}"),
        ),
    ] {
        if count > 0 {
            line(out, &count.to_string(), &what)?;
        }
    }
    Ok(())
}

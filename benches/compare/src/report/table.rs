//! The tables: one for each group, engines that promise less than asked in rows below the others.

use std::fmt::Write;

use super::numbers::{figure, thousands};
use crate::engine::{Facts, Group};
use crate::engines::{self, OWN};
use crate::run::{Cell, Results};
use crate::workload::{Kind, Workload};

/// Group and heading, in the order of the page.
const GROUPS: [(Group, &str); 5] = [
    (Group::Buffered, "Buffered appends, events/s"),
    (Group::Durable, "Durable appends, events/s"),
    (Group::Read, "Reading, events/s"),
    (Group::Reopen, "Open after a kill, ms"),
    (Group::Disk, "On disk, bytes an event"),
];

/// All tables that have a figure.
pub(super) fn tables(results: &Results) -> String {
    let tables = GROUPS.iter().filter_map(|(group, heading)| {
        let table = table(results, *group)?;
        Some(format!("## {heading}\n\n{table}"))
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn table(results: &Results, group: Group) -> Option<String> {
    let measured = |workload: &Workload| results.cells.iter().any(|c| c.workload == *workload);
    let columns: Vec<Workload> = Workload::ALL
        .into_iter()
        .filter(|workload| workload.group() == group && measured(workload))
        .collect();
    let first = *columns.first()?;
    let mut rows: Vec<Row<'_>> = engines::ALL
        .iter()
        .filter_map(|facts| Row::of(results, facts, &columns))
        .collect();
    rows.sort_by(|a, b| a.apart().cmp(&b.apart()).then(a.rank(b, first)));
    let mut text = head(&columns);
    for row in &rows {
        row.write(&mut text, &columns);
    }
    notes(&mut text, &rows, group);
    Some(text)
}

fn head(columns: &[Workload]) -> String {
    let names: Vec<&str> = columns.iter().map(|workload| workload.column()).collect();
    format!(
        "| engine | {} |\n|---|{}\n",
        names.join(" | "),
        "---:|".repeat(columns.len())
    )
}

struct Row<'a> {
    facts: &'static Facts,
    cells: Vec<Option<&'a Cell>>,
    weaker: Option<&'static str>,
}

impl<'a> Row<'a> {
    /// `None` where the engine was not run for this table, or is not on this machine.
    fn of(results: &'a Results, facts: &'static Facts, columns: &[Workload]) -> Option<Self> {
        let cell = |workload: &Workload| results.cell(*workload, facts.name);
        let cells: Vec<Option<&Cell>> = columns.iter().map(cell).collect();
        let versions = &results.machine.engines;
        let here = versions
            .iter()
            .any(|(name, version)| *name == facts.name && !version.is_empty());
        let run = cells.iter().any(Option::is_some);
        let any = cells.iter().flatten().any(|cell| !cell.samples.is_empty());
        let weaker = facts.weaker_in(columns.first()?.group()).filter(|_| any);
        (here && run).then_some(Row {
            facts,
            cells,
            weaker,
        })
    }

    fn apart(&self) -> bool {
        self.weaker.is_some()
    }

    /// The better of the first column first; without a figure last.
    fn rank(&self, other: &Self, first: Workload) -> std::cmp::Ordering {
        match (self.first(), other.first()) {
            (Some(own), Some(other)) => 1.0_f64.total_cmp(&first.unit().advantage(own, other)),
            (own, other) => own.is_none().cmp(&other.is_none()),
        }
    }

    fn first(&self) -> Option<f64> {
        self.cells.first().copied().flatten()?.median()
    }

    fn write(&self, text: &mut String, columns: &[Workload]) {
        let name = match (self.facts.name, self.weaker) {
            (OWN, _) => format!("**{OWN}**"),
            (name, Some(_)) => format!("{name} †"),
            (name, None) => name.to_owned(),
        };
        let cells = columns.iter().zip(&self.cells);
        let figures: Vec<String> = cells
            .map(|(workload, cell)| entry(*workload, *cell))
            .collect();
        let figures = figures.join(" | ");
        let _ = writeln!(text, "| {name} | {figures} |");
    }
}

fn entry(workload: Workload, cell: Option<&Cell>) -> String {
    let Some((cell, median)) = cell.and_then(|cell| Some((cell, cell.median()?))) else {
        return "–".to_owned();
    };
    let figure = figure(median, workload.unit());
    let latency = match workload.kind() {
        Kind::Durable { threads: 1 } => {
            cell.median_of(|sample| sample.p50_us).map(|us| ("p50", us))
        }
        Kind::Durable { .. } => cell.median_of(|sample| sample.p99_us).map(|us| ("p99", us)),
        _ => None,
    };
    match latency {
        Some((name, us)) => format!("{figure} ({name} {} µs)", thousands(us)),
        None => figure,
    }
}

/// Why rows stand apart, and what else to know of them.
fn notes(text: &mut String, rows: &[Row<'_>], group: Group) {
    let apart = rows
        .iter()
        .filter_map(|row| Some((row.facts.name, row.weaker?)));
    let apart: Vec<String> = apart.map(|(name, why)| format!("{name}: {why}")).collect();
    if !apart.is_empty() {
        let _ = writeln!(text, "\n† Weaker than asked. {}.", apart.join("; "));
    }
    let remarks = rows.iter().filter_map(|row| {
        let remark = row.facts.remark_in(group)?;
        Some(format!("{}: {remark}", row.facts.name))
    });
    let remarks: Vec<String> = remarks.collect();
    if !remarks.is_empty() {
        let _ = writeln!(text, "\nTo be known. {}.", remarks.join("; "));
    }
}

//! Rows as a table for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::num::shown;
use crate::row::Row;
use crate::target::{Bound, Check};

/// The rows in aligned columns, with the percentiles and the notes below.
pub(crate) fn table(rows: &[Row]) -> String {
    let judged = rows.iter().any(|row| !row.checks.is_empty());
    let mut head = vec!["what", "value", "unit", "floor", "ratio"];
    if judged {
        head.extend(["target", "met"]);
    }
    let mut table = plain(&head);
    for row in rows {
        let mut cells = vec![
            row.what.clone(),
            dashed(row.value),
            row.unit.to_owned(),
            dashed(row.floor),
            ratio(row),
        ];
        if judged {
            cells.push(targets(&row.checks));
            cells.push(met(row).to_owned());
        }
        table.add_row(cells);
    }
    right(&mut table, &[1, 3]);
    let mut text = format!("{}\n", table.trim_fmt());
    text.push_str(&latencies(rows));
    text.push_str(&notes(rows));
    text
}

fn plain(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn dashed(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), shown)
}

/// Rates by their floor; of latencies how many times the floor's.
pub(crate) fn ratio(row: &Row) -> String {
    match (row.ratio_to_floor, row.latency_ratio) {
        (Some(rate), Some(latency)) => format!("{}; p50 ×{}", shown(rate), shown(latency)),
        (Some(rate), None) => shown(rate),
        (None, Some(latency)) => format!("p50 ×{}", shown(latency)),
        (None, None) => "-".to_owned(),
    }
}

/// The bounds of a row in a few words; those that it does not keep with what was measured.
pub(crate) fn targets(checks: &[Check]) -> String {
    let words: Vec<String> = checks.iter().map(target).collect();
    words.join(", ")
}

fn target(check: &Check) -> String {
    let name = check.of.replace('_', " ");
    let missed = check.measured.filter(|_| check.met == Some(false));
    let missed = missed.map_or_else(String::new, |figure| format!(" (is {})", shown(figure)));
    match check.bound {
        Bound::AtLeast(bound) => format!("{name} ≥ {}{missed}", shown(bound)),
        Bound::AtMost(bound) => format!("{name} ≤ {}{missed}", shown(bound)),
    }
}

/// `yes`, `no`, whether the bare work keeps them either, or `open`.
pub(crate) fn met(row: &Row) -> &'static str {
    let mut failed = row.checks.iter().filter(|check| check.met == Some(false));
    match row.met {
        Some(true) => "yes",
        Some(false) if failed.all(Check::is_out_of_reach) => "no, nor bare",
        Some(false) => "no",
        None => "open",
    }
}

fn latencies(rows: &[Row]) -> String {
    let mut table = plain(&["latency, µs", "p50", "p90", "p99", "p99.9", "max"]);
    let mut any = false;
    for row in rows {
        let floor = format!("  {}: floor", row.what);
        for (what, latency) in [(&row.what, row.latency), (&floor, row.floor_latency)] {
            let Some(l) = latency else { continue };
            let figures = [l.p50, l.p90, l.p99, l.p99_9, l.max].map(shown);
            table.add_row([&[what.clone()][..], &figures[..]].concat());
            any = true;
        }
    }
    right(&mut table, &[1, 2, 3, 4, 5]);
    if any {
        format!("\n{}\n", table.trim_fmt())
    } else {
        String::new()
    }
}

fn notes(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let floor = row.floor_what.iter().map(|what| format!("floor: {what}"));
        let extra = row.extra.iter();
        let extra =
            extra.map(|(name, figure)| format!("{}: {}", name.replace('_', " "), shown(*figure)));
        let reach = row.reach.iter().map(|(of, figure)| {
            let of = of.replace('_', " ");
            format!("bare: {of} {}", shown(*figure))
        });
        let said = floor.chain(reach).chain(extra).chain(row.note.clone());
        let said: Vec<String> = said.collect();
        if !said.is_empty() {
            text.extend(["\n", &row.what, "\n  ", &said.join("\n  "), "\n"]);
        }
    }
    text
}

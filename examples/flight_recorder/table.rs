//! The board as a table.

use std::fmt::{self, Write as _};

use crate::board::{Board, Row};

/// How many event types get a column of their own.
const TYPES_MAX: usize = 4;
/// How many delays do.
const DELAYS_MAX: usize = 2;
/// How much of a name is shown.
const NAME_LEN_MAX: usize = 16;
/// The events of flights: their title and type.
const FLIGHTS: [(&str, &str); 3] = [
    ("departed", "flight.departed"),
    ("arrived", "flight.arrived"),
    ("cancelled", "flight.cancelled"),
];
const FLIGHT_DELAYS: [(&str, &str); 2] = [
    ("departure delay", "dep_delay_min"),
    ("arrival delay", "arr_delay_min"),
];

/// A board to be printed: the sources with the most events, and the total.
pub(crate) struct Table<'b> {
    board: &'b Board,
    top: usize,
    total: Row,
    label: &'static str,
    /// The columns of event types: title and type.
    counts: Vec<(String, String)>,
    /// The columns of mean delays: title and field.
    delays: Vec<(String, String)>,
}

impl<'b> Table<'b> {
    /// The view that suits the board: flights, or else its most frequent event types.
    pub(crate) fn of(board: &'b Board, top: usize) -> Self {
        let total = board.total();
        let is_flight =
            |event_type: &String| FLIGHTS.iter().any(|(_, flight)| flight == event_type);
        let (label, counts, delays) = if total.counts.keys().all(is_flight) {
            ("airport", titled(FLIGHTS), titled(FLIGHT_DELAYS))
        } else {
            let counts = total
                .counts
                .iter()
                .map(|(event_type, count)| (event_type, *count));
            let delays = total
                .delays
                .iter()
                .map(|(field, delays)| (field, delays.count));
            (
                "source",
                most_frequent(counts, TYPES_MAX),
                most_frequent(delays, DELAYS_MAX),
            )
        };
        Table {
            board,
            top,
            total,
            label,
            counts,
            delays,
        }
    }

    fn header(&self) -> Vec<String> {
        let mut cells = vec![self.label.to_owned()];
        cells.extend(self.counts.iter().map(|(title, _)| shown(title)));
        if self.counts.len() < self.total.counts.len() {
            cells.push("other types".to_owned());
        }
        cells.extend(self.delays.iter().map(|(title, _)| shown(title)));
        cells
    }

    fn cells(&self, label: &str, row: &Row) -> Vec<String> {
        let mut cells = vec![shown(label)];
        let count = |event_type| row.counts.get(event_type).copied().unwrap_or_default();
        let counts: Vec<u64> = self
            .counts
            .iter()
            .map(|(_, event_type)| count(event_type))
            .collect();
        cells.extend(counts.iter().map(|count| grouped(*count)));
        if self.counts.len() < self.total.counts.len() {
            cells.push(grouped(row.events() - counts.iter().sum::<u64>()));
        }
        for (_, field) in &self.delays {
            let mean = row.delays.get(field).and_then(|delays| delays.mean());
            cells.push(mean.map_or("–".to_owned(), |mean| format!("{mean:+.1} min")));
        }
        cells
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<_> = self.board.rows.iter().collect();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.events()));
        let mut lines = vec![self.header()];
        lines.extend(
            rows.iter()
                .take(self.top)
                .map(|(source, row)| self.cells(source, row)),
        );
        lines.push(self.cells(&format!("all {}", grouped(rows.len() as u64)), &self.total));

        let columns = lines[0].len();
        let width = |column: usize| lines.iter().map(|line| chars(&line[column])).max();
        let widths: Vec<usize> = (0..columns).filter_map(width).collect();
        let rule = "─".repeat(widths.iter().sum::<usize>() + 3 * (columns - 1));
        let last = lines.len() - 1;
        for (number, line) in lines.iter().enumerate() {
            if number == 1 || number == last {
                writeln!(f, "  {rule}")?;
            }
            writeln!(f, "  {}", aligned(line, &widths))?;
        }
        Ok(())
    }
}

/// The first cell to the left, the others to the right.
fn aligned(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let gap = " ".repeat(width - chars(cell));
        let _ = match column {
            0 => write!(line, "{cell}{gap}"),
            _ => write!(line, "   {gap}{cell}"),
        };
    }
    line.trim_end().to_owned()
}

fn titled<const N: usize>(columns: [(&str, &str); N]) -> Vec<(String, String)> {
    columns
        .map(|(title, key)| (title.to_owned(), key.to_owned()))
        .into()
}

fn most_frequent<'k>(
    keys: impl Iterator<Item = (&'k String, u64)>,
    max: usize,
) -> Vec<(String, String)> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    keys.truncate(max);
    keys.into_iter()
        .map(|(key, _)| (key.clone(), key.clone()))
        .collect()
}

/// A name as a terminal may show it: not too long, and without control characters.
fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(NAME_LEN_MAX).collect();
    if text.len() < name.len() {
        text.pop();
        text.push('…');
    }
    text.replace(char::is_control, "·")
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// A number with a comma before every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

//! [`Row`]: an event as a naive scan has it, and what a query means said once more, in another way.

use crate::event::EventId;
use crate::log::Log;
use crate::position::Seq;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) seq: u64,
    pub(super) id: EventId,
    pub(super) event_type: String,
    pub(super) source: String,
    pub(super) timestamp: i64,
    pub(super) appended: i64,
    pub(super) headers: Vec<(String, String)>,
}

/// All events of the log, read one by one.
pub(super) fn rows_of(log: &Log) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut reader = log.reader(Seq::FIRST);
    while let Some(event) = reader.next_event().unwrap() {
        rows.push(Row {
            seq: event.seq().0,
            id: event.event_id(),
            event_type: event.event_type().to_owned(),
            source: event.source().to_owned(),
            timestamp: event.timestamp().0,
            appended: event.appended_at().0,
            headers: event
                .headers()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        });
    }
    rows
}

/// A query as the scan understands it; an empty list asks for nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) patterns: Vec<String>,
    pub(super) sources: Vec<String>,
    pub(super) ids: Vec<EventId>,
    pub(super) header: Option<(String, String)>,
    pub(super) seqs: Option<(u64, u64)>,
    pub(super) timestamp: Option<(i64, i64)>,
    pub(super) appended: Option<(i64, i64)>,
    pub(super) newest_first: bool,
}

impl Wanted {
    fn wants(&self, row: &Row) -> bool {
        let type_fits = |pattern: &String| match pattern.split_once('*') {
            Some((start, _)) => row.event_type.starts_with(start),
            None => row.event_type == *pattern,
        };
        if !self.patterns.is_empty() && !self.patterns.iter().any(type_fits) {
            return false;
        }
        if !self.sources.is_empty() && !self.sources.contains(&row.source) {
            return false;
        }
        if !self.ids.is_empty() && !self.ids.contains(&row.id) {
            return false;
        }
        if let Some(header) = &self.header
            && !row.headers.contains(header)
        {
            return false;
        }
        if let Some((from, end)) = self.seqs
            && (row.seq < from || row.seq >= end)
        {
            return false;
        }
        if let Some((since, until)) = self.timestamp
            && (row.timestamp < since || row.timestamp >= until)
        {
            return false;
        }
        if let Some((since, until)) = self.appended
            && (row.appended < since || row.appended >= until)
        {
            return false;
        }
        true
    }

    /// The Seqs of the rows that are wanted, in order.
    pub(super) fn find(&self, rows: &[Row]) -> Vec<u64> {
        let wanted = rows.iter().filter(|row| self.wants(row));
        let mut seqs: Vec<u64> = wanted.map(|row| row.seq).collect();
        if self.newest_first {
            seqs.reverse();
        }
        seqs
    }
}

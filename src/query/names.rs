//! [`NameSummaries`]: the event types, or the sources, that the log holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::index::{Dimension, Index, Names};
use crate::log::View;
use crate::position::Seq;

/// An event type, or a source, and the events that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameSummary {
    /// The type, or the source.
    pub name: String,
    /// How many events have it.
    pub count: u64,
    /// The first of them.
    pub first: Seq,
    /// The last of them.
    pub last: Seq,
}

/// The event types, or the sources, of the events that are held, each once, ascending by their bytes;
/// see [`EventStore::types`](crate::EventStore::types).
#[derive(Debug)]
pub struct NameSummaries(From);

#[derive(Debug)]
enum From {
    Index {
        index: Arc<Index>,
        dimension: Dimension,
        names: Names,
    },
    Scan(std::collections::btree_map::IntoIter<String, NameSummary>),
}

impl NameSummaries {
    /// From the index, or from a scan while it is of no use.
    pub(crate) fn new(
        log: &Arc<View>,
        index: Option<&Arc<Index>>,
        dimension: Dimension,
    ) -> NameSummaries {
        let Ok((index, _)) = super::route::usable(log, index) else {
            return NameSummaries(From::Scan(scan(log, dimension).into_iter()));
        };
        NameSummaries(From::Index {
            index: index.clone(),
            dimension,
            names: index.names(dimension),
        })
    }
}

impl Iterator for NameSummaries {
    type Item = NameSummary;

    fn next(&mut self) -> Option<NameSummary> {
        match &mut self.0 {
            From::Scan(summaries) => summaries.next().map(|(_, summary)| summary),
            From::Index {
                index,
                dimension,
                names,
            } => loop {
                let name = names.next()?;
                let tally = index.tally(*dimension, &name);
                // Retention may have removed the last event of that name just now.
                if let (Some(first), Some(last)) = (tally.first, tally.last) {
                    return Some(NameSummary {
                        name: name.into(),
                        count: tally.count,
                        first,
                        last,
                    });
                }
            },
        }
    }
}

/// What a scan finds; as in the index, an event that cannot be read has no name.
fn scan(log: &Arc<View>, dimension: Dimension) -> BTreeMap<String, NameSummary> {
    let end = log.watermark().appended();
    let mut summaries: BTreeMap<String, NameSummary> = BTreeMap::new();
    let mut reader = log.reader(log.first_seq());
    while reader.position() <= end {
        match reader.next_event() {
            Ok(Some(event)) => count(&mut summaries, event.seq(), dimension.of(&event)),
            Ok(None) => break,
            Err(_) => reader.seek(reader.position().next()),
        }
    }
    summaries
}

fn count(summaries: &mut BTreeMap<String, NameSummary>, seq: Seq, name: &str) {
    if let Some(summary) = summaries.get_mut(name) {
        summary.count += 1;
        summary.last = seq;
        return;
    }
    let summary = NameSummary {
        name: name.to_owned(),
        count: 1,
        first: seq,
        last: seq,
    };
    summaries.insert(name.to_owned(), summary);
}

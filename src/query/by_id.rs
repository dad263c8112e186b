//! [`ById`]: the events that have one of some ids, oldest first, each looked up when it is come to; and those
//! that may have one for all that the index knows.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::iter::Peekable;
use std::sync::Arc;

use super::bounds::Bounds;
use crate::error::Result;
use crate::event::EventId;
use crate::index::{Index, Unread};
use crate::position::Seq;

/// A list of events for each id, merged.
#[derive(Debug)]
pub(super) struct ById {
    index: Arc<Index>,
    last: Seq,
    /// From where each id is to be looked up, before the next event is known.
    pending: Vec<(EventId, Seq)>,
    /// The next event of each of the others, the first on top.
    found: BinaryHeap<Reverse<(Seq, EventId)>>,
    unread: Peekable<Unread>,
    /// The events that cannot be read of which an error of a look-up has told: they may have several of the ids.
    told: BTreeSet<Seq>,
}

impl ById {
    /// Of ids that are distinct, the events between these bounds.
    pub(super) fn new(index: &Arc<Index>, ids: &[EventId], bounds: Bounds) -> ById {
        ById {
            index: index.clone(),
            last: bounds.last,
            pending: ids.iter().map(|id| (*id, bounds.first)).collect(),
            found: BinaryHeap::new(),
            unread: index.unread(bounds.first, bounds.last).peekable(),
            told: BTreeSet::new(),
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if one that may have an id cannot be read: the next call goes
    /// on behind it.
    pub(super) fn next(&mut self) -> Result<Option<Seq>> {
        while let Some((id, from)) = self.pending.pop() {
            match self.index.by_id_from(id, from) {
                Ok(Some(seq)) if seq <= self.last => self.found.push(Reverse((seq, id))),
                Ok(_) => {}
                Err(error) => {
                    let sick = error.seq().filter(|seq| *seq >= from);
                    self.pending.extend(sick.map(|seq| (id, seq.next())));
                    if sick.is_none_or(|seq| self.told.insert(seq)) {
                        return Err(error);
                    }
                }
            }
        }
        let next = self.found.peek().map(|Reverse((seq, _))| *seq);
        let before = |seq: &Seq| next.is_none_or(|next| *seq < next);
        while let Some(seq) = self.unread.next_if(before) {
            if !self.told.contains(&seq) {
                return Ok(Some(seq));
            }
        }
        self.unread.next_if(|seq| Some(*seq) == next);
        let next = self.found.pop();
        Ok(next.map(|Reverse((seq, id))| {
            self.pending.push((id, seq.next()));
            seq
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::durability::Durability;
    use crate::format::record::Record;
    use crate::index::IndexConfig;
    use crate::log::{Log, LogConfig};
    use crate::storage::memory::MemoryStorage;

    #[test]
    fn what_is_behind_the_next_event_of_an_id_is_left_for_later() {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let config = LogConfig {
            segment_len: 64 << 10,
            background: false,
            ..LogConfig::default()
        };
        let storage = Arc::new(MemoryStorage::default());
        let log = Arc::new(Log::open(storage, config, clock, Seq::ZERO).unwrap());
        for n in 1..=300_u64 {
            let mut record = Record::new("a", "b", Timestamp(1), &[0xc0]).unwrap();
            record.event_id = EventId(u128::from(n % 3) + 1);
            log.append(&[record], Durability::Os).unwrap();
        }
        let index = Arc::new(Index::open(log, None, IndexConfig::default()));
        let bounds = Bounds {
            first: Seq(1),
            last: Seq(300),
        };
        let ids = [EventId(1), EventId(2), EventId(3)];
        let mut by_id = ById::new(&index, &ids, bounds);
        for seq in (1..=298).map(Seq) {
            assert_eq!(by_id.next().unwrap(), Some(seq));
            assert_eq!((by_id.pending.len(), by_id.found.len()), (1, 2));
        }
        let rest = [Some(Seq(299)), Some(Seq(300)), None];
        for due in rest {
            assert_eq!(by_id.next().unwrap(), due);
        }
    }
}

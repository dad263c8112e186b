//! [`Bounds`]: between which Seqs a query looks, and in which direction.

use std::sync::Arc;

use super::criteria::Criteria;
use super::token::PageToken;
use crate::clock::Timestamp;
use crate::log::View;
use crate::position::Seq;

/// The way through the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    OldestFirst,
    NewestFirst,
}

/// The Seqs from `first` to `last`; none if `last` is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) first: Seq,
    pub(super) last: Seq,
}

impl Bounds {
    /// What is left to look at: up to the last event that is appended now, behind the token.
    ///
    /// The log's times never decrease, so a range of them is one of Seqs as well. Where an event that
    /// would tell cannot be read, the range stays wider: each event that is read is held against the
    /// criteria all the same.
    pub(super) fn of(
        log: &Arc<View>,
        criteria: &Criteria,
        direction: Direction,
        after: Option<PageToken>,
    ) -> Bounds {
        let appended = log.watermark().appended();
        let mut bounds = Bounds {
            first: criteria.seqs.start,
            last: criteria.seqs.end.prev().min(appended),
        };
        let upto = |time: Timestamp| log.last_at(Timestamp(time.0.saturating_sub(1))).ok();
        if let Some(before) = criteria.appended.first().and_then(upto) {
            bounds.first = bounds.first.max(before.next());
        }
        if let Some(last) = criteria.appended.end().and_then(upto) {
            bounds.last = bounds.last.min(last);
        }
        match (after, direction) {
            (None, _) => bounds.first = bounds.first.max(log.first_seq()),
            (Some(token), Direction::OldestFirst) => {
                bounds.first = bounds.first.max(token.seq.next());
            }
            (Some(token), Direction::NewestFirst) => {
                bounds.first = bounds.first.max(log.first_seq());
                bounds.last = bounds.last.min(token.seq.prev());
            }
        }
        bounds
    }

    /// How many Seqs there are.
    pub(super) fn len(self) -> u64 {
        self.last.next().since(self.first)
    }

    pub(super) fn is_empty(self) -> bool {
        self.last < self.first
    }

    pub(super) fn contains(self, seq: Seq) -> bool {
        (self.first..=self.last).contains(&seq)
    }

    /// What lies in both.
    pub(super) fn within(self, first: Seq, last: Seq) -> Bounds {
        Bounds {
            first: self.first.max(first),
            last: self.last.min(last),
        }
    }
}

//! [`Merge`]: several lists of the index as one, in order of Seq.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use super::bounds::{Bounds, Direction};
use super::criteria::Criteria;
use crate::index::{Dimension, Index, Postings, PostingsBack, Unread};
use crate::log::View;
use crate::position::Seq;

#[derive(Debug)]
enum List {
    Onward(Postings),
    Back(PostingsBack),
    Unread(Unread),
    UnreadBack(Unread),
}

impl List {
    fn next(&mut self) -> Option<Seq> {
        match self {
            List::Onward(list) => list.next(),
            List::Back(list) => list.next(),
            List::Unread(list) | List::UnreadBack(list) => list.next(),
        }
    }
}

/// A list by the Seq that it goes on with.
#[derive(Debug)]
struct Head {
    seq: Seq,
    list: List,
}

impl Ord for Head {
    /// The greatest is the one whose turn it is.
    fn cmp(&self, other: &Head) -> Ordering {
        match self.list {
            List::Onward(_) | List::Unread(_) => other.seq.cmp(&self.seq),
            List::Back(_) | List::UnreadBack(_) => self.seq.cmp(&other.seq),
        }
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// The events of several names of one dimension, and those that may have one of these names for all that the
/// index knows. Those of segments whose times say that nothing wanted is in them are passed over unread.
#[derive(Debug)]
pub(super) struct Merge {
    log: Arc<View>,
    criteria: Arc<Criteria>,
    bounds: Bounds,
    heads: BinaryHeap<Head>,
    /// What was taken last.
    taken: Option<Seq>,
    /// The segment that was looked at last, and whether its events may be wanted.
    looked_at: Option<(Bounds, bool)>,
}

impl Merge {
    pub(super) fn new(
        (log, index): (&Arc<View>, &Index),
        criteria: Arc<Criteria>,
        direction: Direction,
        bounds: Bounds,
        (dimension, names): (Dimension, &[Box<str>]),
    ) -> Merge {
        let open = |name: &str| match direction {
            Direction::OldestFirst => {
                let list = index.postings(dimension, name, bounds.first);
                List::Onward(list.upto(bounds.last))
            }
            Direction::NewestFirst => List::Back(index.newest(dimension, name, bounds.last)),
        };
        let unread = match direction {
            Direction::OldestFirst => List::Unread(index.unread(bounds.first, bounds.last)),
            Direction::NewestFirst => {
                List::UnreadBack(index.newest_unread(bounds.first, bounds.last))
            }
        };
        let head = |mut list: List| {
            let seq = list.next().filter(|&seq| bounds.contains(seq))?;
            Some(Head { seq, list })
        };
        let lists = names.iter().map(|name| open(name)).chain([unread]);
        Merge {
            log: log.clone(),
            criteria,
            bounds,
            heads: lists.filter_map(head).collect(),
            taken: None,
            looked_at: None,
        }
    }

    fn take(&mut self) -> Option<Seq> {
        let mut head = self.heads.peek_mut()?;
        let seq = head.seq;
        match head.list.next().filter(|&next| self.bounds.contains(next)) {
            Some(next) => head.seq = next,
            None => drop(PeekMut::pop(head)),
        }
        Some(seq)
    }

    fn may_be_wanted(&mut self, seq: Seq) -> bool {
        if !self.criteria.has_timestamp() {
            return true;
        }
        if let Some((bounds, may)) = self.looked_at
            && bounds.contains(seq)
        {
            return may;
        }
        let Some(span) = self.log.span_from(seq) else {
            return true;
        };
        let Some(times) = span.times else {
            return true;
        };
        let may = self.criteria.may_lie_in(&times);
        let bounds = Bounds {
            first: span.first,
            last: span.last,
        };
        self.looked_at = Some((bounds, may));
        may || !bounds.contains(seq)
    }
}

impl Iterator for Merge {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        loop {
            let seq = self.take()?;
            // One that is listed may stand beside another that could not be read.
            if self.taken.replace(seq) != Some(seq) && self.may_be_wanted(seq) {
                return Some(seq);
            }
        }
    }
}

//! [`Scan`]: the events that are wanted, found by reading one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bounds::{Bounds, Direction};
use super::criteria::Criteria;
use crate::log::Log;
use crate::log::past::Span;
use crate::log::reader::Reader;
use crate::position::Seq;

/// How many events are read before the first is given; whoever wants more gets twice as many the next time.
const PIECE_MIN: u64 = 32;
const PIECE_MAX: u64 = 4096;

/// A walk over a range of the log, piece by piece. Segments whose times say that they hold nothing of
/// what is wanted are not read.
#[derive(Debug)]
pub(super) struct Scan {
    log: Arc<Log>,
    criteria: Arc<Criteria>,
    direction: Direction,
    /// What is not yet read.
    left: Bounds,
    /// Whether every event of the range is wanted, so that none has to be read to find out.
    wants_all: bool,
    piece: u64,
    page: VecDeque<Seq>,
    reader: Option<Reader>,
}

impl Scan {
    pub(super) fn new(
        log: Arc<Log>,
        criteria: Arc<Criteria>,
        direction: Direction,
        bounds: Bounds,
    ) -> Scan {
        let wants_all = criteria.is_by_name() && criteria.filter == crate::event::Filter::all();
        Scan {
            log,
            criteria,
            direction,
            left: bounds,
            wants_all,
            piece: PIECE_MIN,
            page: VecDeque::new(),
            reader: None,
        }
    }

    /// Reads the next piece that holds anything; `false` at the end.
    fn fill(&mut self) -> bool {
        while self.page.is_empty() {
            let Some(span) = self.next_span() else {
                return false;
            };
            let part = self.left.within(span.first, span.last);
            let is_skipped = span
                .times
                .is_some_and(|times| !self.criteria.may_lie_in(&times));
            let part = if is_skipped {
                part
            } else {
                self.piece_of(part)
            };
            if !is_skipped {
                self.read(part);
            }
            match self.direction {
                Direction::OldestFirst => self.left.first = part.last.next(),
                Direction::NewestFirst => self.left.last = part.first.prev(),
            }
        }
        true
    }

    /// The segment to go on in.
    fn next_span(&self) -> Option<Span> {
        if self.left.is_empty() {
            return None;
        }
        let span = match self.direction {
            Direction::OldestFirst => self.log.span_from(self.left.first),
            Direction::NewestFirst => self.log.span_upto(self.left.last),
        };
        span.filter(|span| !self.left.within(span.first, span.last).is_empty())
    }

    fn piece_of(&mut self, part: Bounds) -> Bounds {
        let len = self.piece - 1;
        self.piece = (self.piece * 2).min(PIECE_MAX);
        match self.direction {
            Direction::OldestFirst => part.within(part.first, part.first.plus(len)),
            Direction::NewestFirst => part.within(Seq(part.last.0.saturating_sub(len)), part.last),
        }
    }

    /// Notes what is wanted of these, and what cannot be read: that may be wanted.
    fn read(&mut self, part: Bounds) {
        if self.wants_all {
            self.page.extend((part.first.0..=part.last.0).map(Seq));
            return;
        }
        let reader = self
            .reader
            .get_or_insert_with(|| self.log.reader(part.first));
        if reader.position() != part.first {
            reader.seek(part.first);
        }
        while reader.position() <= part.last {
            match reader.next_event() {
                Ok(Some(event)) if event.seq() > part.last => return,
                Ok(Some(event)) => {
                    if self.criteria.matches(&event) {
                        self.page.push_back(event.seq());
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    // Whoever reads it gets the error.
                    let seq = reader.position();
                    self.page.push_back(seq);
                    reader.seek(seq.next());
                }
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        if self.page.is_empty() && !self.fill() {
            return None;
        }
        match self.direction {
            Direction::OldestFirst => self.page.pop_front(),
            Direction::NewestFirst => self.page.pop_back(),
        }
    }
}

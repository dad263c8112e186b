//! [`Scan`]: the events that are wanted, found by reading one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bounds::{Bounds, Direction};
use super::criteria::Criteria;
use crate::clock::Timestamp;
use crate::log::View;
use crate::log::past::Span;
use crate::log::reader::Reader;
use crate::log::time_blocks;
use crate::position::Seq;

/// How many events are read before the first is given; whoever wants more gets twice as many the next time.
const PIECE_MIN: u64 = 32;
const PIECE_MAX: u64 = 4096;

/// A walk over a range of the log, piece by piece. Segments, and blocks of a segment, whose times say that
/// they hold nothing of what is wanted are not read.
#[derive(Debug)]
pub(super) struct Scan {
    log: Arc<View>,
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
        log: Arc<View>,
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
            let mut part = self.left.within(span.first, span.last);
            let times = span.times;
            let may_be_wanted = times.is_none_or(|times| self.criteria.may_lie_in(&times));
            if may_be_wanted && let Some(piece) = self.piece_of(part) {
                self.read(piece);
                part = piece;
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

    /// What to read next of a segment; `None` if nothing in it is wanted.
    fn piece_of(&mut self, part: Bounds) -> Option<Bounds> {
        if self.criteria.has_timestamp() {
            return self.block_of(part);
        }
        let len = self.piece - 1;
        self.piece = (self.piece * 2).min(PIECE_MAX);
        Some(match self.direction {
            Direction::OldestFirst => part.within(part.first, part.first.plus(len)),
            Direction::NewestFirst => part.within(Seq(part.last.0.saturating_sub(len)), part.last),
        })
    }

    /// The next block whose times may be wanted.
    fn block_of(&self, part: Bounds) -> Option<Bounds> {
        let blocks = time_blocks::block_of(part.first)..=time_blocks::block_of(part.last);
        let may = |min, max| self.criteria.may_have_time(min, max);
        let known = self.log.time_blocks();
        let block = match self.direction {
            Direction::OldestFirst => known.find(blocks, may),
            Direction::NewestFirst => known.find(blocks.rev(), may),
        };
        let (first, last) = time_blocks::seqs_of(block?);
        Some(part.within(first, last))
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
        let mut times = Some((Timestamp(i64::MAX), Timestamp(i64::MIN)));
        while reader.position() <= part.last {
            match reader.next_event() {
                Ok(Some(event)) if event.seq() > part.last => break,
                Ok(Some(event)) => {
                    let time = event.timestamp();
                    times = times.map(|(min, max)| (min.min(time), max.max(time)));
                    if self.criteria.matches(&event) {
                        self.page.push_back(event.seq());
                    }
                }
                Ok(None) => {
                    times = None;
                    break;
                }
                Err(_) => {
                    // Whoever reads it gets the error; nobody knows its time.
                    times = None;
                    let seq = reader.position();
                    self.page.push_back(seq);
                    reader.seek(seq.next());
                }
            }
        }
        let block = time_blocks::block_of(part.first);
        let is_whole = time_blocks::seqs_of(block) == (part.first, part.last);
        if let Some(times) = times.filter(|_| is_whole && self.criteria.has_timestamp()) {
            self.log
                .time_blocks()
                .learn(block, times, self.log.first_seq());
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

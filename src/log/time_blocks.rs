//! [`TimeBlocks`]: between which of the users' times the events of a few hundred Seqs lie, as far as
//! somebody has read them.
//!
//! A footer tells that of a whole segment, and a query for a time would read half of one before the first
//! event that is meant. What it has read is noted here, so that the next one reads a block. It is kept in
//! memory alone: 16 bytes for each 256 events that a query for a time has gone through.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::position::Seq;

/// How many Seqs a block has.
const BLOCK_LEN: u64 = 256;
/// How many blocks may lie between those that are kept: Seqs may leave a gap of any width, and across a wider
/// one what was known is forgotten.
const FAR: u64 = 1 << 20;
/// Nobody has read it: there may be any time.
const UNKNOWN: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

/// The number of the block that a Seq lies in.
pub(crate) fn block_of(seq: Seq) -> u64 {
    seq.prev().0 / BLOCK_LEN
}

/// The first and the last Seq of a block.
pub(crate) fn seqs_of(block: u64) -> (Seq, Seq) {
    let first = Seq(block.saturating_mul(BLOCK_LEN)).next();
    (first, first.plus(BLOCK_LEN - 1))
}

/// The least and the greatest time of each block.
#[derive(Debug, Default)]
pub(crate) struct TimeBlocks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The number of the first block that is kept.
    first: u64,
    times: VecDeque<(Timestamp, Timestamp)>,
    /// Nothing is noted any more.
    is_stopped: bool,
}

impl Known {
    fn times_of(&self, block: u64) -> (Timestamp, Timestamp) {
        let place = block.checked_sub(self.first);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let times = place.and_then(|place| self.times.get(place));
        times.copied().unwrap_or(UNKNOWN)
    }

    fn end(&self) -> u64 {
        self.first.saturating_add(self.times.len() as u64)
    }

    /// Forgets the blocks before this one.
    fn retire(&mut self, block: u64) {
        while self.first < block && self.times.pop_front().is_some() {
            self.first += 1;
        }
    }

    fn set(&mut self, block: u64, times: (Timestamp, Timestamp)) {
        let is_far =
            self.first.saturating_sub(block) > FAR || block.saturating_sub(self.end()) > FAR;
        if self.times.is_empty() || is_far {
            self.times.clear();
            self.first = block;
        }
        while self.first > block {
            self.times.push_front(UNKNOWN);
            self.first -= 1;
        }
        while self.end() <= block {
            self.times.push_back(UNKNOWN);
        }
        let place = usize::try_from(block - self.first).ok();
        if let Some(known) = place.and_then(|place| self.times.get_mut(place)) {
            *known = times;
        }
    }
}

impl TimeBlocks {
    /// Notes the least and the greatest time of a block all of whose events were read. Blocks before that
    /// of `held`, the first Seq that the log has, are forgotten.
    pub(crate) fn learn(&self, block: u64, times: (Timestamp, Timestamp), held: Seq) {
        let mut known = self.lock();
        known.retire(block_of(held));
        if block >= block_of(held) && !known.is_stopped {
            known.set(block, times);
        }
    }

    /// Forgets all, and notes nothing from now on: other events may have come to have the same Seqs, and
    /// whoever reads the earlier ones still would note their times.
    pub(super) fn stop(&self) {
        let mut known = self.lock();
        known.times.clear();
        known.is_stopped = true;
    }

    /// The first of these blocks whose times may be meant; `None` if those of none may.
    pub(crate) fn find(
        &self,
        mut blocks: impl Iterator<Item = u64>,
        may_lie_in: impl Fn(Timestamp, Timestamp) -> bool,
    ) -> Option<u64> {
        let known = self.lock();
        blocks.find(|&block| {
            let (min, max) = known.times_of(block);
            may_lie_in(min, max)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> (Timestamp, Timestamp) {
        (Timestamp(nanos), Timestamp(nanos + 9))
    }

    #[test]
    fn blocks_begin_with_the_first_seq() {
        assert_eq!(
            (block_of(Seq(1)), block_of(Seq(256)), block_of(Seq(257))),
            (0, 0, 1)
        );
        assert_eq!(seqs_of(0), (Seq(1), Seq(256)));
        assert_eq!(seqs_of(3), (Seq(769), Seq(1024)));
    }

    #[test]
    fn what_is_known_is_passed_over_and_nothing_else() {
        let blocks = TimeBlocks::default();
        let find = |time: i64| {
            let is_in = |min: Timestamp, max: Timestamp| min.0 <= time && time <= max.0;
            (blocks.find(0..10, is_in), blocks.find((0..10).rev(), is_in))
        };
        assert_eq!(find(35), (Some(0), Some(9)));
        for block in [5, 2, 3, 0, 9, 8, 1] {
            let time = i64::try_from(block).unwrap() * 10;
            blocks.learn(block, at(time), Seq(1));
        }
        assert_eq!(find(35), (Some(3), Some(7)), "4, 6 and 7 are not known");
        assert_eq!(find(85), (Some(4), Some(8)));
        blocks.learn(6, at(60), Seq(600));
        assert_eq!(find(35), (Some(0), Some(7)), "0 and 1 are forgotten");
        blocks.learn(1, at(10), Seq(600));
        assert_eq!(find(35).0, Some(0));
        for far in [1 << 50, 7] {
            blocks.learn(far, at(0), Seq(1));
            assert_eq!(blocks.lock().times.len(), 1, "nothing lies in between");
        }
        blocks.stop();
        blocks.learn(3, at(90), Seq(1));
        assert_eq!(find(35), (Some(0), Some(9)));
    }
}

//! [`Drops`]: which events of a segment go when it is written anew.

use super::segment::Segment;
use crate::format::frame::padded;
use crate::format::segment::BLOCK_LEN;
use crate::position::Seq;

/// Which of a segment's Seqs hold no event once it is rewritten.
#[derive(Debug)]
pub(super) struct Drops {
    first: Seq,
    /// A bit for each Seq.
    bits: Vec<u64>,
    /// How many ranges there are whose events damage took.
    lost: usize,
    /// The room that the frames take that are kept.
    pub(super) kept_len: usize,
    /// How many events there are to be dropped, and the room that they take.
    pub(super) count: u64,
    pub(super) len: usize,
}

impl Drops {
    /// None but those that an earlier compaction has dropped from this segment.
    pub(super) fn none(segment: &Segment) -> Drops {
        let first = segment.base_seq();
        let span = segment.last_seq().next().since(first);
        let words = usize::try_from(span.div_ceil(64)).unwrap_or(usize::MAX);
        let mut drops = Drops {
            first,
            bits: vec![0; words],
            lost: 0,
            kept_len: 0,
            count: 0,
            len: 0,
        };
        for range in segment.dropped().iter() {
            drops.lost += usize::from(range.lost);
            for seq in range.first.0..=range.last.0.min(segment.last_seq().0) {
                drops.set(Seq(seq));
            }
        }
        drops
    }

    /// None but those, and all events kept.
    pub(super) fn keeping_all(segment: &Segment) -> Drops {
        let mut drops = Drops::none(segment);
        drops.kept_len = segment.frames_end().saturating_sub(BLOCK_LEN);
        drops
    }

    /// Notes an event, to be kept unless it is dropped later.
    pub(super) fn keep(&mut self, frame_len: usize) {
        self.kept_len = self.kept_len.saturating_add(padded(frame_len));
    }

    /// Drops an event that was noted.
    pub(super) fn drop(&mut self, seq: Seq, frame_len: usize) {
        self.set(seq);
        self.count += 1;
        self.len = self.len.saturating_add(padded(frame_len));
        self.kept_len = self.kept_len.saturating_sub(padded(frame_len));
    }

    /// The room of the frames of all events that were noted.
    pub(super) fn all_len(&self) -> usize {
        self.kept_len.saturating_add(self.len)
    }

    fn set(&mut self, seq: Seq) {
        let (word, bit) = self.place(seq);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn has(&self, seq: Seq) -> bool {
        let (word, bit) = self.place(seq);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(&self, seq: Seq) -> (usize, u64) {
        let index = seq.since(self.first);
        let word = usize::try_from(index / 64).unwrap_or(usize::MAX);
        (word, 1 << (index % 64))
    }

    /// How many ranges of Seqs there are that follow each other.
    pub(super) fn ranges(&self, last: Seq) -> usize {
        let seqs = (self.first.0..=last.0).map(Seq);
        let begins = |seq: &Seq| self.has(*seq) && (*seq == self.first || !self.has(seq.prev()));
        // One that was lost stays apart, and may part another in two.
        let apart = self.lost.saturating_mul(2);
        seqs.filter(begins).count().saturating_add(apart)
    }
}

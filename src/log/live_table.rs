//! [`LiveTable`]: where each Seq of a growing segment lies, in memory until the segment is sealed.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use super::guesses::{RUN, between};
use crate::position::Seq;
use crate::sync::atomic::{AtomicU64, Ordering};

const CHUNK: usize = 4096;

/// The offsets of a growing segment by Seq: written by one thread, read by many, without a lock.
#[derive(Debug)]
pub(super) struct LiveTable {
    base: Seq,
    /// How many entries are readable; stored after the entry.
    count: AtomicU64,
    chunks: Box<[OnceLock<Box<[AtomicU32]>>]>,
}

impl LiveTable {
    pub(super) fn new(base: Seq, frames_max: u64) -> Self {
        let chunks = usize::try_from(frames_max).unwrap_or(0) / CHUNK + 1;
        let chunks = (0..chunks).map(|_| OnceLock::new()).collect();
        LiveTable {
            base,
            count: AtomicU64::new(0),
            chunks,
        }
    }

    pub(super) fn last(&self) -> Seq {
        Seq(self
            .base
            .0
            .saturating_add(self.count.load(Ordering::Acquire))
            .saturating_sub(1))
    }

    pub(super) fn push(&self, seq: Seq, offset: usize) {
        let index = seq.since(self.base);
        let Ok(at) = usize::try_from(index) else {
            return;
        };
        let Some(chunk) = self.chunks.get(at / CHUNK) else {
            return;
        };
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| AtomicU32::new(0)).collect());
        let offset = u32::try_from(offset).unwrap_or(0);
        chunk[at % CHUNK].store(offset, Ordering::Relaxed);
        self.count.store(index + 1, Ordering::Release);
    }

    pub(super) fn get(&self, index: u64) -> Option<usize> {
        let at = usize::try_from(index).ok()?;
        let chunk = self.chunks.get(at / CHUNK)?.get()?;
        usize::try_from(chunk[at % CHUNK].load(Ordering::Relaxed))
            .ok()
            .filter(|&offset| offset > 0)
    }

    /// About where the frame of the `index`th Seq lies; see [`guesses`](super::guesses).
    #[inline]
    pub(super) fn guess(&self, index: usize) -> Option<Range<usize>> {
        let first = (index / RUN * RUN) as u64;
        let start = self.get(first)?;
        let end = self.get(first + RUN as u64)?;
        Some(between(start, end, index))
    }

    /// The table as it stands in the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let count = self.count.load(Ordering::Acquire);
        let entry = |index| {
            u32::try_from(self.get(index).unwrap_or(0))
                .unwrap_or(0)
                .to_le_bytes()
        };
        (0..count).flat_map(entry).collect()
    }
}

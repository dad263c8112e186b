//! [`Guesses`]: about where the events of a sealed segment lie, so that a look-up has the frame fetched
//! while it still waits for the frame's place.
//!
//! A look-up at random waits for memory twice, one wait after the other: for the entry of the offset
//! table, and for the frame. The table of a large log stays in no near cache. One offset of each 64
//! does, and frames lie between two of them about evenly; where not, a few lines were fetched in vain.
//!
//! The offsets are learned from the table as look-ups come by: nothing is read when a log is opened,
//! and a segment from which nobody reads at random takes no memory.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::format::footer::{ENTRY_LEN, Footer, table_entry};

/// How many events stand between two offsets that are kept.
pub(super) const RUN: usize = 64;
/// No more than this is fetched of a frame: the processor itself goes on where bytes follow bytes.
const FETCHED_MAX: usize = 192;

/// For each run of a segment the offset of its first frame (high half) and its length in bytes; 0 where
/// that is not known yet.
#[derive(Debug, Default)]
pub(super) struct Guesses(OnceLock<Box<[AtomicU64]>>);

impl Guesses {
    /// About where the frame of the `index`th Seq lies.
    #[inline]
    pub(super) fn range(&self, index: usize) -> Option<Range<usize>> {
        let run = self.0.get()?.get(index / RUN)?.load(Ordering::Relaxed);
        let start = usize::try_from(run >> 32).ok()?;
        let len = usize::try_from(run & u64::from(u32::MAX)).ok()?;
        (start > 0).then(|| between(start, start.saturating_add(len), index))
    }

    /// Keeps where the run of the `index`th Seq lies, by the segment's offset table.
    #[cold]
    pub(super) fn learn(&self, index: usize, table: &[u8], footer: &Footer) {
        let entries = footer.table_len().unwrap_or(0) / ENTRY_LEN;
        let unknown = || {
            let runs = entries.div_ceil(RUN);
            (0..runs).map(|_| AtomicU64::new(0)).collect()
        };
        let runs = self.0.get_or_init(unknown);
        if let (Some(run), Some(place)) =
            (run_of(index, entries, table, footer), runs.get(index / RUN))
        {
            place.store(run, Ordering::Relaxed);
        }
    }
}

/// The run of the `index`th Seq as it is kept; `None` where compaction has dropped an event that it is
/// measured by.
fn run_of(index: usize, entries: usize, table: &[u8], footer: &Footer) -> Option<u64> {
    let first = index / RUN * RUN;
    let start = table_entry(table, first)?;
    let end = if first + RUN < entries {
        table_entry(table, first + RUN)?
    } else {
        usize::try_from(footer.frames_end).ok()?
    };
    let len = u32::try_from(end.checked_sub(start)?).ok()?;
    Some(u64::from(u32::try_from(start).ok()?) << 32 | u64::from(len))
}

/// About where the frame of the `index`th Seq lies in its run, which takes the bytes from `start` to
/// `end`.
#[inline]
pub(super) fn between(start: usize, end: usize, index: usize) -> Range<usize> {
    let len = end.saturating_sub(start);
    let at = start.saturating_add(len.saturating_mul(index % RUN) / RUN);
    at..at.saturating_add((len / RUN).min(FETCHED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::footer::{Rewritten, TimeRanges};
    use crate::format::frame::Chain;
    use crate::position::{SegmentId, Seq};

    const FRAME: usize = 320;
    const START: usize = 4096;

    fn footer(events: usize) -> Footer {
        Footer {
            segment_id: SegmentId::FIRST,
            generation: 0,
            salt: 0,
            first_seq: Seq::FIRST,
            last_seq: Seq(events as u64),
            count: events as u64,
            frames_end: (START + events * FRAME) as u64,
            table_checksum: 0,
            chain: Chain::default(),
            times: TimeRanges::EMPTY,
            durable_upto: Seq::ZERO,
            rewritten: Rewritten::default(),
        }
    }

    fn table(events: usize) -> Vec<u8> {
        let offset = |index| u32::try_from(START + index * FRAME).unwrap();
        (0..events)
            .flat_map(|index| offset(index).to_le_bytes())
            .collect()
    }

    #[test]
    fn even_frames_are_guessed_where_they_are_once_their_run_is_known() {
        let events = 3 * RUN;
        let guesses = Guesses::default();
        assert_eq!(guesses.range(RUN), None);
        guesses.learn(RUN + 5, &table(events), &footer(events));
        for index in RUN..2 * RUN {
            let guess = guesses.range(index).unwrap();
            assert_eq!(guess.start, START + index * FRAME);
            assert_eq!(guess.len(), FRAME.min(FETCHED_MAX));
        }
        assert_eq!(guesses.range(RUN - 1), None);
        assert_eq!(guesses.range(2 * RUN), None);
        assert_eq!(guesses.range(usize::MAX), None);
    }

    #[test]
    fn no_guess_leaves_the_frames_at_the_end_of_a_segment_or_beside_dropped_events() {
        let events = RUN + 7;
        let guesses = Guesses::default();
        guesses.learn(events - 1, &table(events), &footer(events));
        let end = START + events * FRAME;
        for index in RUN..2 * RUN {
            let guess = guesses.range(index).unwrap();
            assert!(guess.start >= START + RUN * FRAME && guess.start < end);
        }
        let mut dropped = table(events);
        dropped[RUN * ENTRY_LEN..][..ENTRY_LEN].fill(0);
        let guesses = Guesses::default();
        guesses.learn(0, &dropped, &footer(events));
        guesses.learn(RUN, &dropped, &footer(events));
        assert_eq!(guesses.range(0), None);
        assert_eq!(guesses.range(RUN), None);
        guesses.learn(usize::MAX, &dropped, &footer(events));
    }
}

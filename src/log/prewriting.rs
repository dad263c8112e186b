//! [`Prewriting`]: the blocks of the segment to come are written ahead of need, between the syncs of events.
//!
//! A sync of events that meets zeros on their way to the disk waits for them. So zeros go there in small
//! [pieces](PIECE_MIN): the system begins to write one, and the next one follows when a sync of events has
//! ended. A log that grows so fast that the segment would not be ready in time is not waited for, nor is
//! any sync once [somebody waits](Shared::hurry) for the file or for the end of the work.

use std::time::{Duration, Instant};

use super::shared::Shared;
use super::watermark::Wanted;
use crate::error::Result;
use crate::storage::Region;
use crate::sync::atomic::Ordering;

/// How much is begun to be written at least. Less at a time costs the syncs of batches more than it spares them.
const PIECE_MIN: usize = 512 << 10;
/// How many times as much as the log grew by since the last piece.
const PIECE_TO_GROWTH: usize = 3;
/// After how much the file is synced. By then most of it is written; what is left to do is to note that in the
/// file system.
const SYNC_EVERY: usize = 4 << 20;
/// How long a sync of events is waited for. Where none comes nobody is kept waiting either.
const PAUSE: Duration = Duration::from_millis(2);

/// How far a file that is written ahead has come.
#[derive(Debug)]
pub(super) struct Prewriting<'a> {
    log: &'a Shared,
    /// Up to where its bytes are on their way to the disk.
    begun: usize,
    /// Up to where they are durable.
    synced: usize,
    pace: Pace,
}

/// What keeps it in step with the log.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Where the frames of the active segment ended as this began, and what it could take from there on.
    began_at: usize,
    room: usize,
    /// Where they ended when the last piece was begun.
    log_end: usize,
    /// How much is begun at once next.
    piece: usize,
}

impl Pace {
    fn starting_at(log_end: usize, segment_len: usize) -> Self {
        Pace {
            began_at: log_end,
            room: segment_len.saturating_sub(log_end),
            log_end,
            piece: PIECE_MIN,
        }
    }

    /// Takes note of where the log ends by now; says whether so much of the file is begun that it will be
    /// ready when three quarters of the active segment's room are used.
    fn is_ahead(&mut self, log_end: usize, begun: usize, len: usize) -> bool {
        let grown = log_end.saturating_sub(self.log_end);
        self.piece = grown
            .saturating_mul(PIECE_TO_GROWTH)
            .clamp(PIECE_MIN, SYNC_EVERY);
        self.log_end = log_end;
        let used = log_end.saturating_sub(self.began_at) as u128;
        let due = used * len as u128 / (self.room as u128 * 3 / 4).max(1);
        self.room > 0 && begun as u128 >= due
    }
}

impl Shared {
    /// Begins to write the file of the next segment ahead.
    pub(super) fn prewriting(&self) -> Prewriting<'_> {
        let tail = self.tail();
        Prewriting {
            log: self,
            begun: 0,
            synced: 0,
            pace: Pace::starting_at(tail.reserved(), tail.active().region.len()),
        }
    }

    /// Has a file that is being written ahead got ready without a pause, for as long as what is returned
    /// lives: its caller waits for that.
    pub(super) fn hurry(&self) -> Hurry<'_> {
        self.hurried.fetch_add(1, Ordering::SeqCst);
        // Who lets a sync pass looks again.
        self.watermark.notify();
        Hurry(self)
    }

    /// Whether somebody waits.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::SeqCst) > 0
    }
}

/// That somebody waits for a file that is being written ahead.
#[derive(Debug)]
pub(super) struct Hurry<'a>(&'a Shared);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurried.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Prewriting<'_> {
    /// Takes note that the file has its bytes up to `end`; returns when it is time for the next ones. Once it
    /// has all, they are durable on return.
    ///
    /// # Errors
    /// A failed sync, which is final.
    pub(super) fn wrote(&mut self, region: &Region, end: usize) -> Result<()> {
        let len = region.len();
        let end = end.min(len);
        if end - self.begun < self.pace.piece && end < len {
            return Ok(());
        }
        region.begin_write_back(self.begun..end);
        self.begun = end;
        if end - self.synced >= SYNC_EVERY || end == len {
            region.sync().map_err(|cause| self.log.fail(cause))?;
            self.synced = end;
        }
        if end < len && self.may_wait(len) {
            self.let_a_sync_pass();
        }
        Ok(())
    }

    /// Whether there is time, and another thread that appends meanwhile.
    pub(super) fn may_wait(&mut self, len: usize) -> bool {
        let tail = self.log.tail();
        let is_ahead = self.pace.is_ahead(tail.reserved(), self.begun, len);
        is_ahead && self.log.config.background && !tail.closed && !self.log.is_hurried()
    }

    fn let_a_sync_pass(&self) {
        let watermark = &self.log.watermark;
        let next = watermark.durable().next();
        let soon = Some(Instant::now() + PAUSE);
        watermark.wait(Wanted::Durable(next), soon, |mark| {
            mark.durable() >= next || self.log.is_hurried()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 64 << 20;

    /// Writes a file ahead of a log that grows by so much while a sync is let pass: how many pieces that took,
    /// how many of them were waited behind, and what the active segment had room for at the end.
    fn run(log_end: usize, growth: usize) -> (usize, usize, usize) {
        let mut pace = Pace::starting_at(log_end, LEN);
        let (mut log_end, mut begun, mut pieces, mut pauses) = (log_end, 0, 0, 0);
        loop {
            begun += pace.piece;
            pieces += 1;
            if begun >= LEN {
                return (pieces, pauses, LEN - log_end);
            }
            if pace.is_ahead(log_end, begun, LEN) {
                pauses += 1;
                log_end = LEN.min(log_end + growth);
            }
        }
    }

    #[test]
    fn small_syncs_are_let_pass_behind_each_small_piece() {
        assert_eq!(run(LEN / 4, 0), (128, 127, LEN * 3 / 4));
        let (pieces, pauses, _) = run(LEN / 4, 20_000);
        assert_eq!((pieces, pauses), (128, 127));
    }

    #[test]
    fn the_file_is_ready_before_the_active_segment_is_full() {
        for growth in [1, 20_000, 320_000, 3 << 20, 10 << 20] {
            for begun_at in [0, LEN / 4, LEN / 2, LEN - (1 << 20)] {
                let (pieces, _, room) = run(begun_at, growth);
                let kept = (LEN - begun_at) / 4;
                assert!(
                    room + growth >= kept,
                    "{growth} from {begun_at}: {room} of {kept} left"
                );
                assert!(pieces <= LEN / PIECE_MIN);
            }
        }
    }

    #[test]
    fn large_batches_have_larger_pieces_before_them() {
        let (pieces, pauses, _) = run(LEN / 4, 320_000);
        assert!((60..=80).contains(&pieces), "{pieces}");
        assert!(pauses > pieces / 2, "{pauses} of {pieces}");
    }

    #[test]
    fn nobody_waits_where_the_segment_is_full() {
        assert_eq!(run(LEN, 0).1, 0);
    }
}

//! [`Turns`]: the order in which claims that are written in parallel are published.
//!
//! Each claim has its turn, once all before it are published. One that is written before says so, and
//! whoever has the turn before it publishes it as well: with more threads than processors the next in
//! turn is often not running. Whoever takes a claim's end away from the waiting ones publishes it, so
//! nobody publishes a claim twice.

use std::ops::Range;

use crossbeam::utils::CachePadded;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{hint, thread};

/// How many claims may be under way at a time; in the models so few that they come round.
pub(super) const WAITING_MAX: usize = if cfg!(all(test, shuttle)) { 2 } else { 256 };

/// How often a claim looks for its turn before it lets other threads run: whoever holds the turn may
/// be waiting for this very processor.
const SPINS: u32 = 64;

/// A claim of the region was dropped unpublished, and nothing behind it can be published any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abandoned;

#[derive(Debug)]
pub(super) struct Turns {
    /// Where the claim starts whose turn it is: all before it is published.
    pub(super) turn: CachePadded<AtomicUsize>,
    /// The ends of claims that are written and wait for their turn, each at its number modulo
    /// [`WAITING_MAX`]; 0: none.
    waiting: Box<[AtomicUsize]>,
    /// Where the first claim starts that was dropped unpublished; `usize::MAX`: none was.
    abandoned: AtomicUsize,
}

impl Turns {
    /// No claim yet; the first one will start at `start`.
    pub(super) fn from(start: usize) -> Self {
        Turns {
            turn: CachePadded::new(AtomicUsize::new(start)),
            waiting: (0..WAITING_MAX).map(|_| AtomicUsize::new(0)).collect(),
            abandoned: AtomicUsize::new(usize::MAX),
        }
    }

    /// Goes on at `start`, with no claim under way.
    pub(super) fn skip_to(&mut self, start: usize) {
        *self.turn.get_mut() = start;
    }

    /// Up to where all is published.
    pub(super) fn turn(&self) -> usize {
        self.turn.load(Ordering::Acquire)
    }

    /// Notes that the claim that starts here will never be published.
    pub(super) fn abandon(&self, start: usize) {
        self.abandoned.fetch_min(start, Ordering::AcqRel);
    }

    /// Waits until all before `end` is published.
    ///
    /// # Errors
    /// [`Abandoned`] if something before it never will be.
    #[inline]
    pub(super) fn wait_for(&self, end: usize) -> Result<(), Abandoned> {
        if self.turn() >= end {
            return Ok(());
        }
        self.wait_long_for(end)
    }

    fn wait_long_for(&self, end: usize) -> Result<(), Abandoned> {
        let mut looks = 0_u32;
        while self.turn() < end {
            if self.abandoned.load(Ordering::Acquire) < end {
                return Err(Abandoned);
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(SPINS) {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        }
        Ok(())
    }

    /// Waits for the turn of a claim that is written, and lets others publish it meanwhile; says
    /// whether one has. If not, it is the caller's turn.
    ///
    /// # Errors
    /// [`Abandoned`] if a claim before it never will be published.
    pub(super) fn is_published_by_another(
        &self,
        number: usize,
        range: &Range<usize>,
    ) -> Result<bool, Abandoned> {
        let waiting = self.place_of(number);
        waiting.store(range.end, Ordering::Release);
        let awaited = self.wait_for(range.start);
        if take(waiting, range.end) {
            return awaited.map(|()| false);
        }
        // It is being published; nothing can stop that but the end of the thread that does it.
        self.wait_for(range.end)?;
        Ok(true)
    }

    /// Publishes the claim of this range, whose turn it is, and those right behind it that are
    /// written already, the first of which has the number `next`. Returns where the turn is to be
    /// passed on to, by a store to `turn`.
    pub(super) fn publish_from(
        &self,
        mut range: Range<usize>,
        mut next: usize,
        mut publish: impl FnMut(Range<usize>),
    ) -> usize {
        loop {
            let end = range.end;
            publish(range);
            // One that says so after this look finds the turn when it looks itself.
            let waiting = self.place_of(next);
            let waiting_end = waiting.load(Ordering::Acquire);
            if waiting_end == 0 || !take(waiting, waiting_end) {
                return end;
            }
            range = end..waiting_end;
            next = next.wrapping_add(1);
        }
    }

    fn place_of(&self, number: usize) -> &AtomicUsize {
        &self.waiting[number % WAITING_MAX]
    }
}

/// Takes the right to publish a claim that waits; `false` if another thread has it.
fn take(waiting: &AtomicUsize, end: usize) -> bool {
    let taken = waiting.compare_exchange(end, 0, Ordering::AcqRel, Ordering::Relaxed);
    taken.is_ok()
}

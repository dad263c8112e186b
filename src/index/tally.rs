//! [`Tally`]: counting the events of one name without reading them.

use std::sync::Arc;

use super::core::{Core, State};
use super::dimension::Dimension;
use super::keys::{first_of, window_of};
use super::postings::{Postings, PostingsBack};
use super::runs::Runs;
use super::visit::for_each;
use crate::error::Result;
use crate::position::Seq;

/// How often a count is begun anew because events were removed meanwhile.
const TRIES_MAX: u32 = 4;

/// How many events have a name, and the ends of their list. Events that retention has removed or
/// compaction has dropped do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    /// The Seq of the first one; `None` if there is none.
    pub(crate) first: Option<Seq>,
    /// The Seq of the last one.
    pub(crate) last: Option<Seq>,
}

impl Core {
    /// How many events have the name, up to the last that is appended now. Where events are removed all the
    /// time, some that have gone since it began may count.
    pub(super) fn tally(self: &Arc<Core>, dimension: Dimension, name: &str) -> Tally {
        self.await_open();
        let mut tries = 0;
        loop {
            tries += 1;
            let held = self.log.first_seq();
            let dropped = self.log.dropped_count();
            let (count, end) = match dropped {
                0 => self.count(dimension, name, held),
                // What the store has counted may be gone.
                _ => self.count_each(dimension, name, held),
            };
            let ends = |tally| {
                let mut up = Postings::new(self.clone(), dimension, name, held);
                let mut down = PostingsBack::new(self.clone(), dimension, name, end);
                Tally {
                    first: up.next(),
                    last: down.next(),
                    ..tally
                }
            };
            let mut tally = Tally {
                count,
                ..Tally::default()
            };
            if count > 0 {
                tally = ends(tally);
            }
            // If retention or compaction has come in between, the count may be of events that are gone.
            let is_same = self.log.first_seq() == held && self.log.dropped_count() == dropped;
            if is_same || tries == TRIES_MAX {
                return tally;
            }
        }
    }

    /// How many events have the name at most: those that compaction has dropped count.
    pub(super) fn count_at_most(&self, dimension: Dimension, name: &str) -> u64 {
        self.await_open();
        self.count(dimension, name, self.log.first_seq()).0
    }

    /// As [`Core::count`], one by one.
    fn count_each(self: &Arc<Core>, dimension: Dimension, name: &str, first: Seq) -> (u64, Seq) {
        let end = self.log.watermark().appended();
        let seqs = Postings::new(self.clone(), dimension, name, first).upto(end);
        (seqs.count() as u64, end)
    }

    /// How many events from `first` on have the name, and the last Seq that was looked at.
    fn count(&self, dimension: Dimension, name: &str, first: Seq) -> (u64, Seq) {
        let (mut count, mut next) = (0_u64, first);
        let mut end = self.log.watermark().appended();
        if let Some(state) = self.trusted() {
            match count_stored(&state, dimension, self.hashes.hash(name), first) {
                Ok(stored) => {
                    let tail = state.tail.listed(dimension, name);
                    let tail = tail.filter(|seq| *seq >= first).count();
                    count = stored.saturating_add(tail as u64);
                    next = state.tail.next().max(first);
                    // The tail may have gone on since.
                    end = self.log.watermark().appended();
                }
                Err(reason) => self.report(reason.message()),
            }
        }
        for_each(&self.log, next, end, |event| {
            count += u64::from(dimension.of(&event) == name);
            true
        });
        (count, end)
    }
}

fn count_stored(state: &State, dimension: Dimension, hash: u64, first: Seq) -> Result<u64> {
    let runs = Runs::new(state, dimension, hash);
    let window = window_of(first);
    let start = first_of(window).max(Seq::FIRST);
    if first <= start {
        return runs.count(window);
    }
    // Retention has cut into this window.
    let mut count = runs.count(window + 1)?;
    if runs.has(window)
        && let Some(offsets) = runs.offsets(window)?
    {
        let seqs = offsets
            .iter()
            .map(|offset| first_of(window).plus((*offset).into()));
        count = count.saturating_add(seqs.filter(|seq| *seq >= first).count() as u64);
    }
    Ok(count)
}

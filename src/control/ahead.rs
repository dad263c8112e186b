//! [`Ahead`]: what a subscription has handled beyond its cursor, in bounded space.

use serde::{Deserialize, Serialize};

use crate::position::Seq;

/// All events beyond the cursor and up to `upto` are behind the subscription, but for the open ones.
///
/// It is as long as there are runs of open events, not as events that were handled: whoever writes it
/// keeps few events open at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Ahead {
    /// The last Seq that the subscription has taken up; [`Seq::ZERO`] if nothing is open.
    upto: Seq,
    /// Runs of open Seqs in order: how many handled ones lie before each, counted from the cursor or the
    /// run before, and how long it is.
    runs: Vec<(u64, u64)>,
}

impl Ahead {
    /// What lies between a cursor and `upto`, where these events are open, in order and all beyond the
    /// cursor.
    pub(crate) fn new(cursor: Seq, upto: Seq, open: impl IntoIterator<Item = Seq>) -> Self {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let mut end = cursor;
        for seq in open {
            let handled = seq.prev().since(end);
            match runs.last_mut() {
                Some((_, len)) if handled == 0 => *len += 1,
                _ => runs.push((handled, 1)),
            }
            end = seq;
        }
        let upto = if runs.is_empty() { Seq::ZERO } else { upto };
        Ahead { upto, runs }
    }

    /// Whether there is nothing beyond the cursor.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The last Seq that was taken up, given the cursor.
    pub(crate) fn upto(&self, cursor: Seq) -> Seq {
        self.upto.max(cursor)
    }

    /// The open Seqs, in order, given the cursor; at most `max`, whatever the bytes say.
    pub(crate) fn open(&self, cursor: Seq, max: usize) -> Vec<Seq> {
        let mut open = Vec::new();
        let mut end = cursor;
        for &(handled, len) in &self.runs {
            let first = end.plus(handled).next();
            let room = (max - open.len()) as u64;
            open.extend((0..len.min(room)).map(|place| first.plus(place)));
            end = first.plus(len).prev();
        }
        open
    }

    /// How many Seqs are open.
    pub(crate) fn open_count(&self) -> u64 {
        let lens = self.runs.iter().map(|(_, len)| *len);
        lens.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_comes_out_as_it_went_in() {
        for (cursor, upto, open) in [
            (0, 9, vec![1, 2, 3, 7]),
            (5, 100, vec![6, 8, 10, 99, 100]),
            (5, 9, vec![9]),
        ] {
            let open: Vec<_> = open.into_iter().map(Seq).collect();
            let ahead = Ahead::new(Seq(cursor), Seq(upto), open.iter().copied());
            assert_eq!(ahead.open(Seq(cursor), usize::MAX), open);
            assert_eq!(ahead.open(Seq(cursor), 1), open[..1]);
            assert_eq!(ahead.open_count(), open.len() as u64);
            assert_eq!(ahead.upto(Seq(cursor)), Seq(upto));
        }
        let none = Ahead::new(Seq(5), Seq(5), []);
        assert_eq!(none, Ahead::default());
        assert_eq!(none.upto(Seq(5)), Seq(5));
    }

    #[test]
    fn a_long_run_takes_as_much_space_as_a_short_one() {
        let open = (11..=1010).map(Seq);
        let ahead = Ahead::new(Seq(10), Seq(5000), open);
        assert_eq!(ahead.runs, [(0, 1000)]);
    }

    #[test]
    fn hostile_runs_do_no_harm() {
        let ahead = Ahead {
            upto: Seq::MAX,
            runs: vec![(u64::MAX, u64::MAX), (u64::MAX, 7)],
        };
        assert_eq!(ahead.open(Seq(3), 10).len(), 10);
        assert_eq!(ahead.open_count(), u64::MAX);
    }
}

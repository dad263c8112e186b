//! [`Unread`]: where the index may not know of an event, because it could not read it.
//!
//! Such an event stands in no list, and may be of any name and have any id. Who is to miss none looks at every
//! event of these windows as well.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Index;
use super::core::{Core, State};
use super::keys::{first_of, last_of, window_of};
use super::runs::Way;
use crate::position::Seq;

/// The Seqs of the windows that have events which could not be read, and of what is not indexed; one after the
/// other.
#[derive(Debug)]
pub(crate) struct Unread {
    core: Arc<Core>,
    way: Way,
    /// What was not yet come to.
    first: Seq,
    last: Seq,
    /// What is left of the window that was come to last.
    here: RangeInclusive<u64>,
}

impl Unread {
    fn new(core: Arc<Core>, (first, last): (Seq, Seq), way: Way) -> Unread {
        Unread {
            core,
            way,
            first,
            last,
            here: RangeInclusive::new(1, 0),
        }
    }

    /// Goes on to the next window; `false` at the end.
    fn go_on(&mut self) -> bool {
        self.core.await_open();
        if self.first > self.last {
            return false;
        }
        let found = match self.core.trusted() {
            Some(state) => match self.way {
                Way::Up => first_part(&state, self.first, self.last),
                Way::Down => last_part(&state, self.last),
            },
            // The index knows nothing at all.
            None => match self.way {
                Way::Up => Some((self.first, last_of(window_of(self.first)))),
                Way::Down => Some((first_of(window_of(self.last)), self.last)),
            },
        };
        let Some((from, upto)) = found else {
            return false;
        };
        let (from, upto) = (from.max(self.first), upto.min(self.last));
        self.here = from.0..=upto.0;
        match self.way {
            Way::Up => self.first = upto.next(),
            Way::Down => self.last = from.prev(),
        }
        true
    }
}

impl Iterator for Unread {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        loop {
            let next = match self.way {
                Way::Up => self.here.next(),
                Way::Down => self.here.next_back(),
            };
            if next.is_some() || !self.go_on() {
                return next.map(Seq);
            }
        }
    }
}

/// The first part of a state from `at` on, up to `last`, of which it may not know all.
fn first_part(state: &State, at: Seq, last: Seq) -> Option<(Seq, Seq)> {
    let (stored, next) = (first_of(state.catalog.next_window()), state.tail.next());
    if at < stored
        && let Some(window) = state.catalog.unread_from(window_of(at))
    {
        return Some((first_of(window), last_of(window)));
    }
    if at < next && state.tail.has_unread() {
        return Some((stored, next.prev()));
    }
    let behind = at.max(next);
    (behind <= last).then(|| (behind, last_of(window_of(behind))))
}

/// The last part of a state up to `at`.
fn last_part(state: &State, at: Seq) -> Option<(Seq, Seq)> {
    let (stored, next) = (first_of(state.catalog.next_window()), state.tail.next());
    if at >= next {
        return Some((next.max(first_of(window_of(at))), at));
    }
    if at >= stored && state.tail.has_unread() {
        return Some((stored, at));
    }
    let window = window_of(at.min(stored.prev()));
    let window = state.catalog.unread_upto(window)?;
    Some((first_of(window), last_of(window)))
}

impl Index {
    /// The Seqs from `first` to `last` of whose events the index may not know all, ascending.
    pub(crate) fn unread(&self, first: Seq, last: Seq) -> Unread {
        Unread::new(self.core.clone(), (first, last), Way::Up)
    }

    /// As [`Index::unread`], descending.
    pub(crate) fn newest_unread(&self, first: Seq, last: Seq) -> Unread {
        Unread::new(self.core.clone(), (first, last), Way::Down)
    }
}

//! [`Unread`]: where the index may not know of an event, because it could not read it.
//!
//! Such an event stands in no list, and may be of any name and have any id. Who is to miss none looks at every
//! event of these windows as well. Where nothing is indexed the lists are a scan, which passes over what cannot be
//! read, and only that.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Index;
use super::core::{Core, State};
use super::keys::{first_of, last_of, window_of};
use super::runs::Way;
use super::visit::visit_all;
use crate::log::Log;
use crate::position::Seq;

/// The Seqs of the windows that have events which could not be read, and those that cannot be read where nothing is
/// indexed; one after the other.
#[derive(Debug)]
pub(crate) struct Unread {
    core: Arc<Core>,
    way: Way,
    /// What was not yet come to.
    first: Seq,
    last: Seq,
    /// What is left of the window that was come to last.
    here: VecDeque<Seq>,
}

impl Unread {
    fn new(core: Arc<Core>, (first, last): (Seq, Seq), way: Way) -> Unread {
        Unread {
            core,
            way,
            first,
            last,
            here: VecDeque::new(),
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
                Way::Up => Some(Part::Not(self.first, last_of(window_of(self.first)))),
                Way::Down => Some(Part::Not(first_of(window_of(self.last)), self.last)),
            },
        };
        let Some(part) = found else {
            return false;
        };
        let (Part::Indexed(from, upto) | Part::Not(from, upto)) = part;
        let (from, upto) = (from.max(self.first), upto.min(self.last));
        self.here = match part {
            Part::Indexed(..) => (from.0..=upto.0).map(Seq).collect(),
            Part::Not(..) => unreadable(&self.core.log, from, upto),
        };
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
                Way::Up => self.here.pop_front(),
                Way::Down => self.here.pop_back(),
            };
            if next.is_some() || !self.go_on() {
                return next;
            }
        }
    }
}

/// A part of the log of which the index may not know all.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// It lacks some events, which may be mended by now.
    Indexed(Seq, Seq),
    Not(Seq, Seq),
}

/// The Seqs of a part whose events cannot be read.
fn unreadable(log: &Log, first: Seq, last: Seq) -> VecDeque<Seq> {
    let mut found = VecDeque::new();
    visit_all(log, first, last, |event| {
        found.extend(event.err());
        true
    });
    found
}

/// The first part of a state from `at` on, up to `last`, of which it may not know all.
fn first_part(state: &State, at: Seq, last: Seq) -> Option<Part> {
    let (stored, next) = (first_of(state.catalog.next_window()), state.tail.next());
    if at < stored
        && let Some(window) = state.catalog.unread_from(window_of(at))
    {
        return Some(Part::Indexed(first_of(window), last_of(window)));
    }
    if at < next && state.tail.has_unread() {
        return Some(Part::Indexed(stored, next.prev()));
    }
    let behind = at.max(next);
    (behind <= last).then(|| Part::Not(behind, last_of(window_of(behind))))
}

/// The last part of a state up to `at`.
fn last_part(state: &State, at: Seq) -> Option<Part> {
    let (stored, next) = (first_of(state.catalog.next_window()), state.tail.next());
    if at >= next {
        return Some(Part::Not(next.max(first_of(window_of(at))), at));
    }
    if at >= stored && state.tail.has_unread() {
        return Some(Part::Indexed(stored, at));
    }
    let window = window_of(at.min(stored.prev()));
    let window = state.catalog.unread_upto(window)?;
    Some(Part::Indexed(first_of(window), last_of(window)))
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

//! [`Window`]: the events that were taken up and are not behind the subscription yet.
//!
//! ```text
//!  Seq    1  2  3  4  5  6  7  8  9      A and B are keys
//!         ✓  A  ✓  B  A  ✓  A  ✓  │      2 failed and is due again; 5 and 7 wait behind it
//!         │                       └ taken: what comes next from the log
//!         └ low: the cursor             4 is with a thread, or put off
//! ```
//! It is plain data: who delivers tells it what has become of each event, and asks which one may go
//! next. Of each key only the first open event is delivered; the others wait behind it. It has at most
//! as many events as it was made for: then nothing is taken up until one of them is closed.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::key::mix;
use super::types::TypeNo;
use crate::clock::Timestamp;
use crate::position::Seq;

/// Earlier than all times.
const AT_ONCE: Timestamp = Timestamp(i64::MIN);
/// How many closed events are kept among the open ones at least, before they are cleared out.
const CLOSED_MAX: usize = 64;

/// The open events of one subscription.
///
/// A subscription with several threads comes by here five times for each event, so all of it is flat: the
/// events lie in the order of Seq, a Seq is most often found where it would be if none were missing, and
/// those that are closed stay where they are until they are the first, or half of all.
#[derive(Debug)]
pub(super) struct Window {
    max: usize,
    items: VecDeque<Item>,
    /// How many of them are open.
    open: usize,
    /// Which events of a key are open; the first of them has its turn.
    lines: HashMap<u64, Line, BuildHasherDefault<KeyHasher>>,
    /// In order.
    ready: VecDeque<Seq>,
    due: BTreeSet<(Timestamp, Seq)>,
    running: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    seq: Seq,
    key: u64,
    /// The next open event of the same key; [`Seq::ZERO`]: none.
    next: Seq,
    state: State,
    event_type: TypeNo,
}

/// The open events of one key: each of them knows the one behind it.
#[derive(Debug, Clone, Copy)]
struct Line {
    first: Seq,
    last: Seq,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// An earlier event of its key is open. Handled together with that one, it may have failed, and then
    /// does not come before this time.
    Behind(Timestamp),
    Ready,
    /// It is being handled, as this attempt, since this time.
    Running {
        attempt: u32,
        since: Timestamp,
    },
    /// It comes again at this time.
    Due(Timestamp),
    Closed,
}

/// Spreads keys, which may be any numbers.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }
}

impl Window {
    /// A window of at most `max` events, 1 or more.
    pub(super) fn new(max: usize) -> Self {
        Window {
            max: max.max(1),
            items: VecDeque::new(),
            open: 0,
            lines: HashMap::default(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            running: 0,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.open == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.open >= self.max
    }

    pub(super) fn len(&self) -> u64 {
        self.open as u64
    }

    /// How many are being handled.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// The oldest open Seq.
    pub(super) fn first(&self) -> Option<Seq> {
        // Closed ones are never the first.
        self.items.front().map(|item| item.seq)
    }

    /// The open Seqs, in order.
    pub(super) fn seqs(&self) -> impl Iterator<Item = Seq> + '_ {
        self.open_items().map(|item| item.seq)
    }

    /// Whether an event of this key is open.
    pub(super) fn has_key(&self, key: u64) -> bool {
        self.lines.contains_key(&key)
    }

    /// Takes up an event of this type, the newest of all: it is ready, unless others of its key are open.
    pub(super) fn open_typed(&mut self, seq: Seq, key: u64, event_type: TypeNo) {
        self.open(seq, key);
        if let Some(item) = self.items.back_mut() {
            item.event_type = event_type;
        }
    }

    /// The same for one whose type does not matter.
    pub(super) fn open(&mut self, seq: Seq, key: u64) {
        let line = Line {
            first: seq,
            last: seq,
        };
        let held = self.lines.get_mut(&key);
        let before = held.map(|line| std::mem::replace(&mut line.last, seq));
        let state = if let Some(before) = before {
            if let Some(before) = self.item_mut(before) {
                before.next = seq;
            }
            State::Behind(AT_ONCE)
        } else {
            self.lines.insert(key, line);
            self.ready.push_back(seq);
            State::Ready
        };
        self.items.push_back(Item {
            seq,
            key,
            next: Seq::ZERO,
            state,
            event_type: TypeNo::OTHER,
        });
        self.open += 1;
    }

    /// The oldest event that may be delivered now.
    pub(super) fn next_ready(&mut self, now: Timestamp) -> Option<Seq> {
        while let Some(&(at, seq)) = self.due.first()
            && at <= now
        {
            self.set(seq, State::Ready);
        }
        self.ready.front().copied()
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Makes all that is due come so much earlier: the clock went back, and nobody waits for longer
    /// than he was told to.
    pub(super) fn hasten(&mut self, by: Duration) {
        let sooner = |at: Timestamp| at.minus(by);
        self.due.clear();
        for item in &mut self.items {
            match &mut item.state {
                State::Behind(at) => *at = sooner(*at),
                State::Due(at) => {
                    *at = sooner(*at);
                    self.due.insert((*at, item.seq));
                }
                State::Ready | State::Running { .. } | State::Closed => {}
            }
        }
    }

    /// Notes that an open event is being handled.
    pub(super) fn run(&mut self, seq: Seq, attempt: u32, since: Timestamp) {
        self.set(seq, State::Running { attempt, since });
    }

    /// Notes that an open event comes again at this time; if it has its turn, which it may not have if
    /// it was handled together with an earlier one of its key.
    pub(super) fn retry_at(&mut self, seq: Seq, at: Timestamp) {
        let key = self.key(seq);
        let line = key.and_then(|key| self.lines.get(&key));
        let has_turn = line.is_some_and(|line| line.first == seq);
        let state = if has_turn {
            State::Due(at)
        } else {
            State::Behind(at)
        };
        self.set(seq, state);
    }

    /// Whether this attempt at an event is under way.
    pub(super) fn is_running(&self, seq: Seq, attempt: u32) -> bool {
        let item = self.item(seq);
        item.is_some_and(
            |item| matches!(item.state, State::Running { attempt: at, .. } if at == attempt),
        )
    }

    /// The event that is being handled for the longest time, and since when.
    pub(super) fn longest_running(&self) -> Option<(Seq, Timestamp)> {
        let since = |item: &Item| match item.state {
            State::Running { since, .. } => Some((item.seq, since)),
            _ => None,
        };
        let running = self.items.iter().filter_map(since).take(self.running);
        running.min_by_key(|(_, since)| *since)
    }

    /// The key of an open event.
    pub(super) fn key(&self, seq: Seq) -> Option<u64> {
        self.item(seq).map(|item| item.key)
    }

    /// The type of an open event.
    pub(super) fn event_type(&self, seq: Seq) -> TypeNo {
        let item = self.item(seq);
        item.map_or(TypeNo::OTHER, |item| item.event_type)
    }

    /// Closes an event: the next one of its key has its turn.
    pub(super) fn close(&mut self, seq: Seq) {
        let Some(item) = self.item(seq).copied() else {
            return;
        };
        self.set(seq, State::Closed);
        self.open -= 1;
        self.leave_line(&item);
        while let Some(first) = self.items.front()
            && first.state == State::Closed
        {
            self.items.pop_front();
        }
        self.clear_out();
    }

    /// Closes all.
    pub(super) fn clear(&mut self) {
        *self = Window::new(self.max);
    }

    /// Takes an event out of the line of its key; if it was the first, the next has its turn.
    fn leave_line(&mut self, item: &Item) {
        let Some(line) = self.lines.get(&item.key).copied() else {
            return;
        };
        if line.first != item.seq {
            return self.leave_gap(line, item);
        }
        let Some(next) = self.item(item.next).copied() else {
            self.lines.remove(&item.key);
            return;
        };
        if let Some(line) = self.lines.get_mut(&item.key) {
            line.first = next.seq;
        }
        match next.state {
            State::Behind(AT_ONCE) => self.set(next.seq, State::Ready),
            State::Behind(at) => self.set(next.seq, State::Due(at)),
            State::Ready | State::Running { .. } | State::Due(_) | State::Closed => {}
        }
    }

    /// Takes an event out of the middle or the end of a line.
    fn leave_gap(&mut self, line: Line, item: &Item) {
        let mut before = line.first;
        while let Some(held) = self.item_mut(before) {
            if held.next == item.seq {
                held.next = item.next;
                break;
            }
            before = held.next;
        }
        if line.last == item.seq
            && let Some(line) = self.lines.get_mut(&item.key)
        {
            line.last = before;
        }
    }

    /// Clears closed events out once they are more than the open ones.
    fn clear_out(&mut self) {
        if self.items.len() > 2 * self.open + CLOSED_MAX {
            self.items.retain(|item| item.state != State::Closed);
        }
    }

    fn open_items(&self) -> impl Iterator<Item = &Item> {
        let items = self.items.iter();
        items.filter(|item| item.state != State::Closed)
    }

    fn item(&self, seq: Seq) -> Option<&Item> {
        let item = self.items.get(self.place(seq)?)?;
        (item.state != State::Closed).then_some(item)
    }

    fn item_mut(&mut self, seq: Seq) -> Option<&mut Item> {
        let place = self.place(seq)?;
        let item = self.items.get_mut(place)?;
        (item.state != State::Closed).then_some(item)
    }

    /// Where the event of this Seq lies.
    fn place(&self, seq: Seq) -> Option<usize> {
        let first = self.items.front().filter(|first| first.seq <= seq)?;
        let guess = usize::try_from(seq.since(first.seq)).unwrap_or(usize::MAX);
        let item = self.items.get(guess);
        if item.is_some_and(|item| item.seq == seq) {
            return Some(guess);
        }
        self.items.binary_search_by_key(&seq, |item| item.seq).ok()
    }

    fn set(&mut self, seq: Seq, state: State) {
        let Some(item) = self.item_mut(seq) else {
            return;
        };
        match std::mem::replace(&mut item.state, state) {
            State::Behind(_) | State::Closed => {}
            State::Ready => self.unready(seq),
            State::Running { .. } => self.running = self.running.saturating_sub(1),
            State::Due(at) => drop(self.due.remove(&(at, seq))),
        }
        match state {
            State::Behind(_) | State::Closed => {}
            State::Ready => self.make_ready(seq),
            State::Running { .. } => self.running += 1,
            State::Due(at) => drop(self.due.insert((at, seq))),
        }
    }

    fn make_ready(&mut self, seq: Seq) {
        let place = self.ready.partition_point(|&one| one < seq);
        self.ready.insert(place, seq);
    }

    fn unready(&mut self, seq: Seq) {
        if self.ready.back() == Some(&seq) {
            self.ready.pop_back();
        } else if let Ok(place) = self.ready.binary_search(&seq) {
            self.ready.remove(place);
        }
    }
}

#[cfg(test)]
mod tests;

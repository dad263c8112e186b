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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::position::Seq;

/// Earlier than all times.
const AT_ONCE: Timestamp = Timestamp(i64::MIN);

/// The open events of one subscription.
#[derive(Debug)]
pub(super) struct Window {
    max: usize,
    open: BTreeMap<Seq, Item>,
    /// Which events of a key are open, in order; the first of them has its turn.
    keys: HashMap<u64, VecDeque<Seq>>,
    ready: BTreeSet<Seq>,
    due: BTreeSet<(Timestamp, Seq)>,
    running: usize,
}

#[derive(Debug)]
struct Item {
    key: u64,
    state: State,
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
}

impl Window {
    /// A window of at most `max` events, 1 or more.
    pub(super) fn new(max: usize) -> Self {
        Window {
            max: max.max(1),
            open: BTreeMap::new(),
            keys: HashMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            running: 0,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= self.max
    }

    pub(super) fn len(&self) -> u64 {
        self.open.len() as u64
    }

    /// How many are being handled.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// The oldest open Seq.
    pub(super) fn first(&self) -> Option<Seq> {
        self.open.keys().next().copied()
    }

    /// The open Seqs, in order.
    pub(super) fn seqs(&self) -> impl Iterator<Item = Seq> + '_ {
        self.open.keys().copied()
    }

    /// Whether an event of this key is open.
    pub(super) fn has_key(&self, key: u64) -> bool {
        self.keys.contains_key(&key)
    }

    /// Takes up an event, the newest of its key: it is ready, unless others of its key are open.
    pub(super) fn open(&mut self, seq: Seq, key: u64) {
        let line = self.keys.entry(key).or_default();
        line.push_back(seq);
        let state = if line.len() == 1 {
            self.ready.insert(seq);
            State::Ready
        } else {
            State::Behind(AT_ONCE)
        };
        self.open.insert(seq, Item { key, state });
    }

    /// The oldest event that may be delivered now.
    pub(super) fn next_ready(&mut self, now: Timestamp) -> Option<Seq> {
        while let Some(&(at, seq)) = self.due.first()
            && at <= now
        {
            self.set(seq, State::Ready);
        }
        self.ready.first().copied()
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Makes all that is due come so much earlier: the clock went back, and nobody waits for longer
    /// than he was told to.
    pub(super) fn hasten(&mut self, by: Duration) {
        let sooner = |at: Timestamp| Timestamp(at.0.saturating_sub(Timestamp(0).plus(by).0));
        for item in self.open.values_mut() {
            if let State::Behind(at) = &mut item.state {
                *at = sooner(*at);
            }
        }
        for (at, seq) in std::mem::take(&mut self.due) {
            let sooner = sooner(at);
            self.due.insert((sooner, seq));
            if let Some(item) = self.open.get_mut(&seq) {
                item.state = State::Due(sooner);
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
        let line = key.and_then(|key| self.keys.get(&key));
        let has_turn = line.and_then(VecDeque::front) == Some(&seq);
        let state = if has_turn {
            State::Due(at)
        } else {
            State::Behind(at)
        };
        self.set(seq, state);
    }

    /// Whether this attempt at an event is under way.
    pub(super) fn is_running(&self, seq: Seq, attempt: u32) -> bool {
        let item = self.open.get(&seq);
        item.is_some_and(
            |item| matches!(item.state, State::Running { attempt: at, .. } if at == attempt),
        )
    }

    /// The event that is being handled for the longest time, and since when.
    pub(super) fn longest_running(&self) -> Option<(Seq, Timestamp)> {
        let since = |(seq, item): (&Seq, &Item)| match item.state {
            State::Running { since, .. } => Some((*seq, since)),
            _ => None,
        };
        self.open
            .iter()
            .filter_map(since)
            .min_by_key(|(_, since)| *since)
    }

    /// The key of an open event.
    pub(super) fn key(&self, seq: Seq) -> Option<u64> {
        self.open.get(&seq).map(|item| item.key)
    }

    /// Closes an event: the next one of its key has its turn.
    pub(super) fn close(&mut self, seq: Seq) {
        self.set(seq, State::Behind(AT_ONCE));
        let Some(item) = self.open.remove(&seq) else {
            return;
        };
        let Some(line) = self.keys.get_mut(&item.key) else {
            return;
        };
        if line.front() == Some(&seq) {
            line.pop_front();
        } else {
            line.retain(|&one| one != seq);
        }
        match line.front().copied() {
            Some(next) => match self.state(next) {
                Some(State::Behind(AT_ONCE)) => self.set(next, State::Ready),
                Some(State::Behind(at)) => self.set(next, State::Due(at)),
                _ => {}
            },
            None => drop(self.keys.remove(&item.key)),
        }
    }

    /// Closes all.
    pub(super) fn clear(&mut self) {
        *self = Window::new(self.max);
    }

    fn state(&self, seq: Seq) -> Option<State> {
        self.open.get(&seq).map(|item| item.state)
    }

    fn set(&mut self, seq: Seq, state: State) {
        let Some(item) = self.open.get_mut(&seq) else {
            return;
        };
        match std::mem::replace(&mut item.state, state) {
            State::Behind(_) => {}
            State::Ready => drop(self.ready.remove(&seq)),
            State::Running { .. } => self.running = self.running.saturating_sub(1),
            State::Due(at) => drop(self.due.remove(&(at, seq))),
        }
        match state {
            State::Behind(_) => {}
            State::Ready => drop(self.ready.insert(seq)),
            State::Running { .. } => self.running += 1,
            State::Due(at) => drop(self.due.insert((at, seq))),
        }
    }
}

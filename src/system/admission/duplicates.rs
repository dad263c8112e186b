//! [`Duplicates`]: an event that is emitted twice with one id is in the log once.
//!
//! **Who knows.** Ids of what was emitted since the system was opened are in a map, up to
//! [`HELD_MAX`]; all others are looked up in the index, which finds every event that is published. An
//! id leaves the map once the index can find it, so each one is known to one of them.
//!
//! **Two at once.** An id is *claimed* while its event is being appended. Who comes with the same id
//! waits for that, which takes as long as an append, and never for a handler or a sync: places in the
//! queue are taken before, syncs are waited for after.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Ground;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventId, Spared};
use crate::position::{Gap, Seq};

/// How many ids are held in memory at most: some megabytes.
const HELD_MAX: usize = 1 << 16;

/// What becomes of an event whose id was emitted before.
///
/// Only ids count: that the rest is the same is the emitter's business. Compaction
/// ([`Builder::keep_last`](crate::Builder::keep_last)) leaves the events of the window alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DuplicatePolicy {
    /// It is another event. The default.
    #[default]
    Accept,
    /// If the first one is among the last so many events, nothing is appended and its receipt is
    /// given again.
    WithinEvents(u64),
    /// If the first one was appended no longer ago than this, by the system's clock, nothing is
    /// appended and its receipt is given again.
    Within(Duration),
}

impl DuplicatePolicy {
    /// What compaction must leave, so that the first event with an id is found.
    pub(in super::super) fn spared(self) -> Spared {
        match self {
            DuplicatePolicy::Accept => Spared::default(),
            DuplicatePolicy::WithinEvents(events) => Spared { events, age: None },
            DuplicatePolicy::Within(time) => Spared {
                events: 0,
                age: Some(time),
            },
        }
    }
}

/// What is known of ids.
#[derive(Debug)]
pub(super) struct Duplicates {
    policy: DuplicatePolicy,
    /// The Seqs that crashes have skipped, newest first: no events to be counted.
    gaps: Vec<Gap>,
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Debug)]
struct State {
    ids: HashMap<EventId, Held>,
    /// What is in `ids` and not claimed, oldest first.
    order: VecDeque<(EventId, At)>,
    /// The newest event that is known to the index alone, and when it was appended at the latest.
    left: At,
    /// The last Seq that is known to have been handed out.
    last: Seq,
}

/// Where an event is, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    seq: Seq,
    time: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Claimed,
    At(At),
}

/// What a claim came to.
pub(super) enum Claim<'d> {
    /// All events are in the log, in places of these Seqs.
    Known(Vec<Seq>),
    /// None is, and nobody else may append them.
    New(Claimed<'d>),
}

/// Ids whose events are about to be appended. Dropped, they are given up.
pub(super) struct Claimed<'d> {
    duplicates: &'d Duplicates,
    ids: Vec<EventId>,
}

impl Duplicates {
    /// Nothing is to be known if every event is accepted.
    pub(super) fn new(policy: DuplicatePolicy, ground: &Ground) -> Option<Self> {
        if policy == DuplicatePolicy::Accept {
            return None;
        }
        let last = ground.log.watermark().appended();
        let left = At {
            seq: last,
            time: ground.clock.now(),
        };
        Some(Duplicates {
            policy,
            gaps: ground.log.gaps().into_iter().rev().collect(),
            state: Mutex::new(State {
                ids: HashMap::new(),
                order: VecDeque::new(),
                left,
                last,
            }),
            settled: Condvar::new(),
        })
    }

    /// The Seqs of events that are all held in memory; `None` says nothing.
    pub(super) fn peek(&self, ids: &[EventId], ground: &Ground) -> Option<Vec<Seq>> {
        let now = ground.clock.now();
        let state = self.lock();
        ids.iter().map(|id| self.held(&state, *id, now)).collect()
    }

    /// Claims the ids of a batch, of which those that are nil belong to nobody.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if some of them are in the log and others are not, or one is
    /// there twice; any error of reading the log.
    pub(super) fn claim(&self, ids: &[EventId], ground: &Ground) -> Result<Claim<'_>> {
        check_distinct(ids)?;
        let now = ground.clock.now();
        let (mut found, claimed) = self.claim_unknown(ids, now);
        for (id, seq) in ids.iter().zip(&mut found) {
            if seq.is_none() && !id.is_nil() {
                *seq = self.look_up(*id, now, ground)?;
            }
        }
        let known = found.iter().flatten().count();
        if known == 0 {
            return Ok(Claim::New(claimed));
        }
        if known < ids.len() {
            let message = format!(
                "of the batch's {} events {known} were emitted before and the others were not: emit \
                 the same batch again, or the others by themselves. Nothing was emitted",
                ids.len()
            );
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(Claim::Known(found.into_iter().flatten().collect()))
    }

    /// Claims those of the ids that are not held, once none of them is claimed by others.
    fn claim_unknown(&self, ids: &[EventId], now: Timestamp) -> (Vec<Option<Seq>>, Claimed<'_>) {
        let mut state = self.lock();
        while ids
            .iter()
            .any(|id| state.ids.get(id) == Some(&Held::Claimed))
        {
            let woken = self.settled.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let found: Vec<_> = ids.iter().map(|id| self.held(&state, *id, now)).collect();
        let unknown = ids.iter().zip(&found);
        let unknown = unknown.filter(|(id, seq)| seq.is_none() && !id.is_nil());
        let ids: Vec<EventId> = unknown.map(|(id, _)| *id).collect();
        for id in &ids {
            state.ids.insert(*id, Held::Claimed);
        }
        let duplicates = self;
        (found, Claimed { duplicates, ids })
    }

    /// Where an id is held that counts as a duplicate.
    fn held(&self, state: &State, id: EventId, now: Timestamp) -> Option<Seq> {
        match state.ids.get(&id) {
            Some(Held::At(at)) if self.counts(*at, state.last, now) => Some(at.seq),
            _ => None,
        }
    }

    /// Whether an event at this place makes another one with its id a duplicate.
    fn counts(&self, at: At, last: Seq, now: Timestamp) -> bool {
        match self.policy {
            DuplicatePolicy::Accept => false,
            DuplicatePolicy::WithinEvents(count) => at.seq > self.back(last, count),
            DuplicatePolicy::Within(time) => now.since(at.time) <= time,
        }
    }

    /// The Seq so many events before `last`.
    fn back(&self, last: Seq, count: u64) -> Seq {
        let mut seq = last.0.saturating_sub(count);
        for gap in &self.gaps {
            if gap.to.0 > seq && gap.to <= last {
                seq = seq.saturating_sub(gap.to.next().since(gap.from));
            }
        }
        Seq(seq)
    }

    /// Asks the index, as far as the window reaches back behind what memory holds.
    fn look_up(&self, id: EventId, now: Timestamp, ground: &Ground) -> Result<Option<Seq>> {
        let (left, last) = {
            let state = self.lock();
            (state.left, state.last)
        };
        if left.seq == Seq::ZERO || !self.counts(left, last, now) {
            return Ok(None);
        }
        let from = match self.policy {
            DuplicatePolicy::WithinEvents(count) => self.back(last, count).next(),
            DuplicatePolicy::Within(time) => {
                let before = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
                let begin = Timestamp(now.0.saturating_sub(before).saturating_sub(1));
                ground.log.last_at(begin)?.next()
            }
            DuplicatePolicy::Accept => return Ok(None),
        };
        ground.index.by_id_from(id, from)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claimed<'_> {
    /// The events are in the log, at these places and under these ids: those that were claimed, and
    /// those that the log has made.
    pub(super) fn appended(mut self, placed: &[(Seq, EventId)], ground: &Ground) {
        self.ids.clear();
        let time = ground.clock.now();
        let published = ground.log.watermark().appended();
        let mut state = self.duplicates.lock();
        for &(seq, id) in placed {
            let at = At { seq, time };
            state.last = state.last.max(at.seq);
            state.ids.insert(id, Held::At(at));
            state.order.push_back((id, at));
        }
        state.shrink(published);
        drop(state);
        self.duplicates.settled.notify_all();
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let mut state = self.duplicates.lock();
        for id in &self.ids {
            state.ids.remove(id);
        }
        drop(state);
        self.duplicates.settled.notify_all();
    }
}

impl State {
    /// Leaves the oldest ids to the index, as far as it can find their events.
    fn shrink(&mut self, published: Seq) {
        while self.order.len() > HELD_MAX {
            let Some(&(id, at)) = self.order.front().filter(|(_, at)| at.seq <= published) else {
                return;
            };
            self.order.pop_front();
            // The id may have been emitted again since, outside of the window.
            if self.ids.get(&id) == Some(&Held::At(at)) {
                self.ids.remove(&id);
            }
            self.left = At {
                seq: self.left.seq.max(at.seq),
                time: self.left.time.max(at.time),
            };
        }
    }
}

fn check_distinct(ids: &[EventId]) -> Result<()> {
    if ids.len() < 2 {
        return Ok(());
    }
    let mut sorted: Vec<_> = ids.iter().filter(|id| !id.is_nil()).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => {
            let id = pair.first().map(ToString::to_string).unwrap_or_default();
            let message = format!("two events of the batch have the id {id}. Nothing was emitted");
            Err(Error::new(ErrorKind::Invalid, message))
        }
        None => Ok(()),
    }
}

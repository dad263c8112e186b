//! [`Sources`]: the last Seq of each source, under the order of appends.
//!
//! Whoever appends holds the lock of its source meanwhile, so that between the check of a position and
//! the append nobody comes in between. Sources share a few locks. What was there when the system was
//! opened is gone through once, when somebody asks for the first time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::format::record::Record;
use crate::log::Log;
use crate::position::Seq;

/// How many locks there are.
const SHARDS: usize = 32;

type Shard = HashMap<Box<str>, Seq>;

#[derive(Debug)]
pub(super) struct Sources {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// Up to where the log was when it was opened, as long as that was not gone through.
    history: Mutex<Option<Seq>>,
}

/// The locks of some sources.
pub(super) struct Locked<'s> {
    sources: &'s Sources,
    /// In the order of the shards, so that two who want several do not wait for each other.
    held: Vec<(usize, MutexGuard<'s, Shard>)>,
}

impl Sources {
    pub(super) fn new(last: Seq) -> Self {
        Sources {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            history: Mutex::new(Some(last)),
        }
    }

    /// Goes through what was there at opening, if nobody has.
    ///
    /// # Errors
    /// Any error of reading the log: then the last position of a source is not known.
    pub(super) fn learn_history(&self, log: &Log) -> Result<()> {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(upto) = *history else {
            return Ok(());
        };
        let mut found: Shard = HashMap::new();
        let mut reader = log.reader(Seq::FIRST);
        while let Some(event) = reader.next_event()?.filter(|event| event.seq() <= upto) {
            note(&mut found, event.source(), event.seq());
        }
        for (source, seq) in found {
            let mut locked = self.lock_shards(vec![self.shard_of(&source)]);
            locked.note(&source, seq);
        }
        *history = None;
        Ok(())
    }

    /// Takes the locks of all sources of a batch.
    pub(super) fn lock(&self, records: &[Record<'_>]) -> Locked<'_> {
        let shards = records.iter().map(|record| self.shard_of(record.source()));
        self.lock_shards(shards.collect())
    }

    /// The last event of a source; [`Seq::ZERO`] if it has none.
    pub(super) fn last_of(&self, source: &str) -> Seq {
        self.lock_shards(vec![self.shard_of(source)])
            .last_of(source)
    }

    fn lock_shards(&self, mut shards: Vec<usize>) -> Locked<'_> {
        shards.sort_unstable();
        shards.dedup();
        let lock = |shard: usize| {
            let held = self.shards.get(shard)?.lock();
            Some((shard, held.unwrap_or_else(PoisonError::into_inner)))
        };
        Locked {
            sources: self,
            held: shards.into_iter().filter_map(lock).collect(),
        }
    }

    fn shard_of(&self, source: &str) -> usize {
        let hash = self.hasher.hash_one(source);
        usize::try_from(hash % SHARDS as u64).unwrap_or(0)
    }
}

impl Locked<'_> {
    /// Whether a source stands where somebody expects it.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict), at the Seq where it stands.
    pub(super) fn check(&self, source: &str, expected: Seq) -> Result<()> {
        let actual = self.last_of(source);
        if actual == expected {
            return Ok(());
        }
        let message = format!(
            "the last event of source {source:?} is {actual} and not {expected}: read what has come \
             and decide again. The event is not in the log"
        );
        Err(Error::new(ErrorKind::Conflict, message).at_seq(actual))
    }

    /// Notes that a source has come to this event.
    pub(super) fn note(&mut self, source: &str, seq: Seq) {
        let shard = self.sources.shard_of(source);
        let held = self.held.iter_mut().find(|(place, _)| *place == shard);
        if let Some((_, sources)) = held {
            note(sources, source, seq);
        }
    }

    fn last_of(&self, source: &str) -> Seq {
        let shard = self.sources.shard_of(source);
        let held = self.held.iter().find(|(place, _)| *place == shard);
        let seq = held.and_then(|(_, sources)| sources.get(source));
        seq.copied().unwrap_or(Seq::ZERO)
    }
}

fn note(sources: &mut Shard, source: &str, seq: Seq) {
    match sources.get_mut(source) {
        Some(last) => *last = seq.max(*last),
        None => drop(sources.insert(source.into(), seq)),
    }
}

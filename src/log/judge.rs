//! [`Judge`]: whether a segment goes or stays, and why. It decides and explains with the same words, so
//! that what is shown is what is done.

use std::time::Duration;

use serde::Serialize;

use super::limits::{Limit, Retention, age_of};
use super::pins::Need;
use super::segment::Segment;
use crate::clock::Timestamp;
use crate::format::footer::Footer;
use crate::position::{SegmentId, Seq};

/// What is known of a segment when it is judged.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) segment: SegmentId,
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    pub(crate) events: u64,
    /// How many events compaction has dropped.
    pub(crate) dropped: u64,
    /// By how many bytes less it takes since it was rewritten.
    pub(crate) saved: u64,
    /// What the file takes on the disk.
    pub(crate) bytes: u64,
    /// How much of it holds something.
    pub(crate) used: u64,
    /// When its newest event was appended, as far as its footer tells.
    pub(crate) newest_at: Option<Timestamp>,
    pub(crate) standing: Standing,
    /// Whether its events are encrypted.
    pub(crate) is_encrypted: bool,
    /// Whether all its events have expired.
    pub(crate) is_expired: bool,
}

/// How far a segment has come in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    /// Full, and not sealed or not synced.
    Unsettled,
    Settled,
}

impl Facts {
    /// Whether it may go at all.
    pub(crate) fn is_settled(&self) -> bool {
        self.standing == Standing::Settled
    }

    /// Of an open segment, which is the `is_last` one or not.
    pub(crate) fn of(segment: &Segment, is_last: bool, is_expired: bool) -> Self {
        let standing = match segment.footer() {
            _ if is_last => Standing::Active,
            None => Standing::Unsettled,
            Some(_) => Standing::Settled,
        };
        Facts {
            segment: segment.id(),
            first_seq: segment.base_seq(),
            last_seq: segment.last_seq(),
            events: segment.count(),
            dropped: segment.footer().map_or(0, Footer::dropped),
            saved: segment.footer().map_or(0, Footer::saved),
            bytes: segment.disk_len(),
            used: segment.used_len(),
            newest_at: segment.newest_sealed_at(),
            standing,
            is_encrypted: segment.header.is_sealed(),
            is_expired,
        }
    }
}

/// Why a segment stays, or that it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// It stays: events are appended to it.
    Active,
    /// It stays until it is sealed and synced.
    NotSynced,
    /// It stays: no limit asks for it.
    WithinLimits,
    /// It stays although a limit is passed.
    Needed {
        /// Who needs it first: `subscription NAME`, `projection NAME` and others.
        by: String,
        /// From which Seq on.
        from: Seq,
        /// The limit that is passed.
        limit: Limit,
    },
    /// It goes once the older segments have gone.
    Behind {
        /// What asks for it.
        limit: Limit,
    },
    /// It goes with the next round.
    Goes {
        /// What asks for it.
        limit: Limit,
    },
}

/// What retention would remove, and keeps because somebody needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetentionWait {
    /// Who needs it first: `subscription NAME`, `projection NAME` and others.
    pub name: String,
    /// From which Seq on.
    pub from: Seq,
    /// The limit that is passed.
    pub limit: Limit,
    /// How many segments would go.
    pub segments: u64,
    /// What they take on the disk, in bytes.
    pub bytes: u64,
}

/// Judges the segments of a log, one after the other, the oldest first.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) limits: &'a Retention,
    pub(crate) now: Timestamp,
    /// How many events are held.
    pub(crate) events: u64,
    /// What is taken on the disk, with what is prepared.
    pub(crate) bytes: u64,
    /// How many bytes hold something.
    pub(crate) used: u64,
    /// Whether one has stayed: none behind it goes.
    pub(crate) has_stayed: bool,
}

impl<'a> Judge<'a> {
    /// A judge of all these segments; `ahead`: what is on the disk besides them.
    pub(crate) fn of<'f>(
        limits: &'a Retention,
        all: impl Iterator<Item = &'f Facts>,
        ahead: u64,
        now: Timestamp,
    ) -> Self {
        let mut judge = Judge {
            limits,
            now,
            events: 0,
            bytes: ahead,
            used: 0,
            has_stayed: false,
        };
        for facts in all {
            judge.events = judge.events.saturating_add(facts.events);
            judge.bytes = judge.bytes.saturating_add(facts.bytes);
            judge.used = judge.used.saturating_add(facts.used);
        }
        judge
    }

    /// What becomes of the next segment. `needed` finds who needs it first, where so many bytes are held
    /// and its newest event is so old.
    pub(crate) fn next(
        &mut self,
        facts: &Facts,
        needed: impl Fn(u64, Duration) -> Option<Need>,
    ) -> Fate {
        let fate = self.fate(facts, needed);
        if matches!(fate, Fate::Goes { .. }) {
            self.events = self.events.saturating_sub(facts.events);
            self.bytes = self.bytes.saturating_sub(facts.bytes);
            self.used = self.used.saturating_sub(facts.used);
        } else {
            self.has_stayed = true;
        }
        fate
    }

    fn fate(&self, facts: &Facts, needed: impl Fn(u64, Duration) -> Option<Need>) -> Fate {
        match facts.standing {
            Standing::Active => return Fate::Active,
            Standing::Unsettled => return Fate::NotSynced,
            Standing::Settled => {}
        }
        let age = age_of(facts.newest_at, self.now);
        let asks = self.limits.asks(self.events, self.bytes, age);
        let Some(limit) = asks.or(facts.is_expired.then_some(Limit::Expired)) else {
            return Fate::WithinLimits;
        };
        let need = needed(self.used, age).filter(|need| need.holds(facts.last_seq));
        match need {
            Some(need) => Fate::Needed {
                by: need.name,
                from: need.seq,
                limit,
            },
            None if self.has_stayed => Fate::Behind { limit },
            None => Fate::Goes { limit },
        }
    }
}

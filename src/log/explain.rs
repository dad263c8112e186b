//! [`RetentionReport`]: for each segment, why it stays or that it goes.

use std::fmt;

use serde::Serialize;

use super::judge::{Facts, Fate, Judge};
use super::ledger::Removed;
use super::limits::{Retention, WhenPinned};
use super::pins::Need;
use crate::clock::Timestamp;
use crate::position::{SegmentId, Seq};

/// What retention makes of a log at one moment; shown as a table, and serializable.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RetentionReport {
    /// The limits.
    pub limits: Retention,
    /// What happens where a limit meets somebody who still needs a segment.
    pub when_pinned: WhenPinned,
    /// The level that segments are compressed at, if they are: by who writes the log, and nobody else knows.
    /// Those with encrypted events never are, since they would not become smaller.
    pub compression: Option<i32>,
    /// When this was found, by the system's clock.
    pub at: Timestamp,
    /// How many events are held.
    pub events: u64,
    /// What the segments take on the disk, with what is prepared behind them.
    pub bytes: u64,
    /// How much of that is prepared, or soon will be.
    pub prepared_bytes: u64,
    /// How many events compaction has dropped from these segments.
    pub dropped: u64,
    /// By how many bytes less the segments take since they were rewritten.
    pub saved_bytes: u64,
    /// The segments, oldest first.
    pub segments: Vec<SegmentRetention>,
    /// What was removed before; `None` where no ledger is kept.
    pub removed: Option<Removed>,
}

/// What retention makes of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SegmentRetention {
    /// Its id.
    pub segment: SegmentId,
    /// The first Seq that it can hold.
    pub first_seq: Seq,
    /// The last Seq that it holds; the one before the first if it holds none.
    pub last_seq: Seq,
    /// How many events it holds.
    pub events: u64,
    /// How many events compaction has dropped from it; see [`Builder::keep_last`](crate::Builder::keep_last).
    pub dropped: u64,
    /// By how many bytes less it takes since it was rewritten.
    pub saved_bytes: u64,
    /// What it takes on the disk.
    pub bytes: u64,
    /// Whether its events are encrypted, and so not compressed.
    pub encrypted: bool,
    /// When its newest event was appended.
    pub newest_at: Option<Timestamp>,
    /// All who have not seen all of it: `subscription NAME`, `projection NAME` and others.
    pub needed_by: Vec<String>,
    /// Why it stays, or that it goes.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What a report is made of.
pub(crate) struct Explain<'a> {
    pub(crate) limits: Retention,
    pub(crate) when_pinned: WhenPinned,
    pub(crate) compression: Option<i32>,
    pub(crate) now: Timestamp,
    /// What is prepared behind the segments, in bytes.
    pub(crate) ahead: u64,
    pub(crate) needs: Vec<Need>,
    pub(crate) removed: Option<Removed>,
    /// Who holds a segment back by the policy, where so much is held that is so old.
    pub(crate) needed: &'a dyn Fn(u64, std::time::Duration) -> Option<Need>,
}

impl Explain<'_> {
    /// The report on these segments, oldest first.
    pub(crate) fn report(self, facts: &[Facts]) -> RetentionReport {
        let mut judge = Judge::of(&self.limits, facts.iter(), self.ahead, self.now);
        let (events, bytes) = (judge.events, judge.bytes);
        let one = |facts: &Facts| SegmentRetention {
            segment: facts.segment,
            first_seq: facts.first_seq,
            last_seq: facts.last_seq,
            events: facts.events,
            dropped: facts.dropped,
            saved_bytes: facts.saved,
            bytes: facts.bytes,
            encrypted: facts.is_encrypted,
            newest_at: facts.newest_at,
            needed_by: self.names(facts),
            fate: judge.next(facts, self.needed),
        };
        let segments = facts.iter().map(one).collect();
        let sum = |field: fn(&Facts) -> u64| facts.iter().map(field).sum();
        RetentionReport {
            limits: self.limits,
            when_pinned: self.when_pinned,
            compression: self.compression,
            at: self.now,
            events,
            bytes,
            prepared_bytes: self.ahead,
            dropped: sum(|facts| facts.dropped),
            saved_bytes: sum(|facts| facts.saved),
            segments,
            removed: self.removed,
        }
    }

    fn names(&self, facts: &Facts) -> Vec<String> {
        let holders = self.needs.iter().filter(|need| need.holds(facts.last_seq));
        holders.map(|need| need.name.clone()).collect()
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Active => f.write_str("stays: active"),
            Fate::NotSynced => f.write_str("stays: not synced yet"),
            Fate::WithinLimits => f.write_str("stays: within the limits"),
            Fate::Needed { by, from, limit } => {
                write!(f, "stays beyond {limit}: {by} needs it from {from} on")
            }
            Fate::Behind { limit } => write!(f, "goes by {limit}, after those before it"),
            Fate::Goes { limit } => write!(f, "goes by {limit}"),
        }
    }
}

impl fmt::Display for RetentionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Limits(&self.limits, self.when_pinned))?;
        writeln!(
            f,
            "{} events in {} bytes, {} of them prepared",
            self.events, self.bytes, self.prepared_bytes
        )?;
        if self.saved_bytes > 0 {
            writeln!(
                f,
                "{} bytes less than as written, {} events dropped",
                self.saved_bytes, self.dropped
            )?;
        }
        let encrypted = self.segments.iter().filter(|one| one.encrypted).count();
        if self.compression.is_some() && encrypted > 0 {
            writeln!(
                f,
                "{encrypted} segments are not compressed: encrypted events would not become smaller"
            )?;
        }
        if let Some(removed) = &self.removed {
            writeln!(f, "{removed}")?;
        }
        writeln!(
            f,
            "{:>8}  {:>12}  {:>12}  {:>12}  {:<30}  fate",
            "segment", "first", "last", "bytes", "newest"
        )?;
        for one in &self.segments {
            let newest = one.newest_at.map(|at| at.to_string()).unwrap_or_default();
            write!(
                f,
                "{:>8}  {:>12}  {:>12}  {:>12}  {newest:<30}  {}",
                one.segment, one.first_seq, one.last_seq, one.bytes, one.fate
            )?;
            if !one.needed_by.is_empty() {
                write!(f, " (needed by {})", one.needed_by.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "removed up to {}: {} events in {} segments, {} bytes",
            self.upto_seq, self.events, self.segments, self.bytes
        )?;
        match &self.last {
            Some(last) => write!(f, "; last at {} by {}", last.at, last.limit),
            None => Ok(()),
        }
    }
}

/// The limits in words.
struct Limits<'a>(&'a Retention, WhenPinned);

impl fmt::Display for Limits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits(limits, when_pinned) = self;
        if limits.is_unlimited() {
            return f.write_str("no limits");
        }
        let mut separator = "limits: ";
        let mut one = |text: Option<String>| {
            let Some(text) = text else { return Ok(()) };
            let written = write!(f, "{separator}{text}");
            separator = ", ";
            written
        };
        one(limits.max_events.map(|max| format!("max_events {max}")))?;
        one(limits.max_bytes.map(|max| format!("max_bytes {max}")))?;
        one(limits.max_age.map(|max| format!("max_age {max:?}")))?;
        let policy = match when_pinned {
            WhenPinned::Keep => "kept",
            WhenPinned::Gap => "passed by a gap",
            WhenPinned::Reject => "kept, and emits are rejected",
        };
        write!(f, "; what is needed beyond them is {policy}")
    }
}

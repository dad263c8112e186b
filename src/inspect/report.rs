//! What the inspector tells: reports of segments, damage and verification, all serializable.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

pub(super) use super::damage::Damage;
use crate::clock::Timestamp;
use crate::format::dropped::DroppedRange;
use crate::format::footer::Footer;
use crate::format::segment::SegmentHeader;
use crate::position::{Gap, SegmentId, Seq};

/// The version of the JSON reports. Fields may be added within a version, never changed.
pub const REPORT_VERSION: u32 = 1;

/// What part a segment file plays in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SegmentState {
    /// Full, with a footer.
    Sealed,
    /// Without a footer: still growing, or cut off by a crash.
    Active,
    /// Its room is there and was never used.
    Prepared,
    /// A later generation stands in its place.
    Superseded,
    /// Half built when a crash came.
    Unfinished,
    /// Not in order; [`SegmentReport::problem`] says why.
    Damaged,
}

impl fmt::Display for SegmentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SegmentState::Sealed => "sealed",
            SegmentState::Active => "active",
            SegmentState::Prepared => "prepared",
            SegmentState::Superseded => "superseded",
            SegmentState::Unfinished => "unfinished",
            SegmentState::Damaged => "damaged",
        })
    }
}

/// One segment file.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SegmentReport {
    /// The file's name.
    pub file: String,
    /// The id by its header, or else by its name; 0 if neither tells.
    pub segment: SegmentId,
    /// The generation by its header, or else by its name.
    pub generation: u32,
    /// What part it plays.
    pub state: SegmentState,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The header, if one of its copies is whole.
    pub header: Option<HeaderReport>,
    /// The footer, if there is a valid one.
    pub footer: Option<FooterReport>,
    /// What is wrong with the file as a whole.
    pub problem: Option<String>,
}

/// The fields of a segment's header.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct HeaderReport {
    /// The identity of the log, as 32 hexadecimal digits.
    pub log_id: String,
    /// Fencing number of the writer.
    pub epoch: u64,
    /// The length that the file must have, in bytes.
    pub segment_len: u64,
    /// The first Seq that the segment can hold.
    pub base_seq: Seq,
    /// The last Seq of the segment before.
    pub prev_last_seq: Seq,
    /// Where the frames of the segment before end.
    pub prev_end: u64,
    /// The chain hash over all events before, as 16 hexadecimal digits.
    pub prev_chain: String,
    /// The highest Seq known to be synced when the segment was begun.
    pub durable_upto: Seq,
    /// Seqs up to this one may have been handed out.
    pub seq_ceiling: Seq,
    /// The salt of all checksums, as 16 hexadecimal digits.
    pub salt: String,
    /// The boot of the operating system, as 32 hexadecimal digits.
    pub boot_id: String,
    /// When the segment was begun.
    pub created_at: Timestamp,
    /// Whether only one of the two copies is whole.
    pub damaged_copy: bool,
}

impl HeaderReport {
    pub(super) fn of(header: &SegmentHeader, damaged_copy: bool) -> Self {
        HeaderReport {
            log_id: format!("{:032x}", header.log_id),
            epoch: header.epoch,
            segment_len: header.segment_len,
            base_seq: header.base_seq,
            prev_last_seq: header.prev_last_seq,
            prev_end: header.prev_end,
            prev_chain: format!("{:016x}", header.prev_chain.0),
            durable_upto: header.durable_upto,
            seq_ceiling: header.seq_ceiling,
            salt: format!("{:016x}", header.salt),
            boot_id: format!("{:032x}", header.boot_id),
            created_at: header.created_at,
            damaged_copy,
        }
    }
}

/// The fields of a segment's footer.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FooterReport {
    /// The first Seq.
    pub first_seq: Seq,
    /// The last Seq; the one before the first if the segment holds no event.
    pub last_seq: Seq,
    /// How many events the segment holds.
    pub count: u64,
    /// Where the frames end, in bytes from the start of the file; without compression, if they are compressed.
    pub frames_end: u64,
    /// How many bytes the frames take in the file, if they are compressed.
    pub compressed_len: Option<u64>,
    /// How many Seqs from the first to the last hold no event, because compaction has dropped it.
    pub dropped: u64,
    /// Where the frames ended before the segment was rewritten; none if it never was.
    pub pinned_end: Option<u64>,
    /// The chain hash over all events up to the end of the segment, as 16 hexadecimal digits.
    pub chain: String,
    /// The least of the users' timestamps; none in an empty segment.
    pub timestamp_min: Option<Timestamp>,
    /// The greatest of the users' timestamps.
    pub timestamp_max: Option<Timestamp>,
    /// When the first event was appended.
    pub appended_min: Option<Timestamp>,
    /// When the last event was appended.
    pub appended_max: Option<Timestamp>,
    /// The highest Seq known to be synced when the segment was sealed.
    pub durable_upto: Seq,
}

impl FooterReport {
    pub(super) fn of(footer: &Footer) -> Self {
        let some = |time| (footer.count > 0).then_some(time);
        FooterReport {
            first_seq: footer.first_seq,
            last_seq: footer.last_seq,
            count: footer.count,
            frames_end: footer.frames_end,
            compressed_len: footer.compressed_len(),
            dropped: footer.dropped(),
            pinned_end: Some(footer.rewritten.pinned_end).filter(|&end| end > 0),
            chain: format!("{:016x}", footer.chain.0),
            timestamp_min: some(footer.times.timestamp_min),
            timestamp_max: some(footer.times.timestamp_max),
            appended_min: some(footer.times.appended_min),
            appended_max: some(footer.times.appended_max),
            durable_upto: footer.durable_upto,
        }
    }
}

/// What verifying one log has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogReport {
    /// The first Seq held; 0 if there is none.
    pub first: Seq,
    /// The last Seq held; 0 if there is none.
    pub last: Seq,
    /// How many events could be read.
    pub count: u64,
    /// How many segments were read.
    pub segments: u64,
    /// How many bytes of frames were read.
    pub bytes: u64,
    /// Whether the log was closed in order.
    pub clean: bool,
    /// Bytes of a torn tail, which the next opening sets aside.
    pub torn_bytes: u64,
    /// The Seqs between first and last that were skipped on purpose.
    pub gaps: Vec<Gap>,
    /// How many events were dropped by compaction.
    pub dropped: u64,
    /// How many events damage has taken that a repair has declared as lost.
    pub lost: u64,
    /// The Seqs of these events; the first [`DAMAGE_MAX`](Self::DAMAGE_MAX) ranges.
    pub lost_seqs: Vec<Gap>,
    /// The damaged places, in order; the first [`DAMAGE_MAX`](Self::DAMAGE_MAX) of them.
    pub damage: Vec<Damage>,
    /// How many damaged places there are.
    pub damage_count: u64,
}

impl LogReport {
    /// How many damaged places, and ranges of lost Seqs, a report lists.
    pub const DAMAGE_MAX: usize = 1000;

    pub(super) fn add(&mut self, damage: Damage) {
        self.damage_count = self.damage_count.saturating_add(1);
        if self.damage.len() < Self::DAMAGE_MAX {
            self.damage.push(damage);
        }
    }

    /// Adds what was found in the segment behind those of this report.
    pub(super) fn absorb(&mut self, next: LogReport) {
        if self.first == Seq::ZERO {
            self.first = next.first;
        }
        self.last = self.last.max(next.last);
        for (own, more) in [
            (&mut self.count, next.count),
            (&mut self.segments, next.segments),
            (&mut self.bytes, next.bytes),
            (&mut self.dropped, next.dropped),
            (&mut self.lost, next.lost),
        ] {
            *own = own.saturating_add(more);
        }
        let room = Self::DAMAGE_MAX.saturating_sub(self.lost_seqs.len());
        self.lost_seqs.extend(next.lost_seqs.into_iter().take(room));
        let unlisted = next.damage_count.saturating_sub(next.damage.len() as u64);
        next.damage.into_iter().for_each(|damage| self.add(damage));
        self.damage_count = self.damage_count.saturating_add(unlisted);
    }

    /// Notes Seqs whose events are not there, as it was declared.
    pub(super) fn add_dropped(&mut self, range: &DroppedRange) {
        let count = range.last.next().since(range.first);
        if !range.lost {
            self.dropped = self.dropped.saturating_add(count);
            return;
        }
        self.lost = self.lost.saturating_add(count);
        if self.lost_seqs.len() < Self::DAMAGE_MAX {
            self.lost_seqs.push(Gap {
                from: range.first,
                to: range.last,
            });
        }
    }
}

/// What comparing the lookup index with the log has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IndexReport {
    /// Whether every look-up would answer as a scan of the log does.
    pub ok: bool,
    /// How many entries were compared.
    pub checked: u64,
    /// What is wrong, if anything is.
    pub problem: Option<String>,
    /// Why it was not compared, though it is there; nothing is known of it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
}

impl IndexReport {
    /// Whether it agrees with the log; `None` if it was not compared.
    pub(super) fn is_ok(&self) -> Option<bool> {
        self.not_compared.is_none().then_some(self.ok)
    }
}

/// How far a named subscription has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubscriptionReport {
    /// Its name.
    pub name: String,
    /// The last Seq that is acknowledged, with all before it.
    pub cursor: Seq,
    /// How many events were set aside for it.
    pub parked: u64,
}

impl SubscriptionReport {
    pub(super) fn of((name, cursor, parked): (&str, Seq, u64)) -> Self {
        SubscriptionReport {
            name: name.to_owned(),
            cursor,
            parked,
        }
    }
}

/// What a verification amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All is in order.
    Good,
    /// Only a torn tail: what a crash leaves. The next opening sets it aside; nothing is lost.
    Torn,
    /// Something that was once durable is not there any more.
    Damaged,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Good => "good",
            Verdict::Torn => "torn tail",
            Verdict::Damaged => "damaged",
        })
    }
}

/// What verifying a directory or a segment file has found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The version of this report: [`REPORT_VERSION`].
    pub v: u32,
    /// What was verified.
    pub path: PathBuf,
    /// Whether every byte of the log was read; if not, of sealed segments only what their headers and
    /// footers say.
    pub deep: bool,
    /// What it amounts to.
    pub verdict: Verdict,
    /// The main log, or the one segment file.
    #[serde(flatten)]
    pub log: LogReport,
    /// The internal log of cursors and settings, if there is one.
    pub control: Option<LogReport>,
    /// The named subscriptions, as far as the internal log can be read.
    pub subscriptions: Vec<SubscriptionReport>,
    /// Whether the lookup index agrees with the log; `None` if there is none, or it was not compared.
    pub index_ok: Option<bool>,
    /// The comparison of the index with the log, if it was made.
    pub index: Option<IndexReport>,
    /// Who has the directory open for writing, such as `process 4711`. Beside a writer the report
    /// holds for the moment at which it was made, and a torn tail is an event on its way.
    pub in_use_by: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl VerifyReport {
    /// All damaged places, those of the main log first.
    pub fn damage(&self) -> impl Iterator<Item = &Damage> {
        let control = self.control.iter().flat_map(|control| &control.damage);
        self.log.damage.iter().chain(control)
    }

    pub(super) fn judge(&mut self) {
        let control = self.control.as_ref();
        let damaged = self.log.damage_count > 0
            || control.is_some_and(|log| log.damage_count > 0)
            || self.index_ok == Some(false);
        let torn = self.log.torn_bytes > 0 || control.is_some_and(|log| log.torn_bytes > 0);
        self.verdict = match (damaged, torn && self.in_use_by.is_none()) {
            (true, _) => Verdict::Damaged,
            (false, true) => Verdict::Torn,
            (false, false) => Verdict::Good,
        };
    }
}

//! The judge: holds the events of a log, in their order, against what was acknowledged.
//!
//! What is left must be a prefix of what each thread emitted, byte for byte, with all that was
//! acknowledged as durable in it, under the Seq and the id of its receipt; each batch as a whole; and no
//! Seq without an event that is not declared as a gap. Where a compaction is at work, what it may drop may
//! be missing, and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use blake3::Hash;
use forelog::{EventRef, Gap, Seq};

use super::acks::Acks;
use super::content::{Key, Tag, compare, digest_of, key_of};
use super::findings::{Broken, Findings};
use super::held::{Held, Row};
use super::superseded::{IsState, Superseded};

/// How many events next to each other a compaction is believed to have dropped.
const ABSENT_MAX: usize = 10_000;

/// What the judge goes by.
#[derive(Debug)]
pub(crate) struct Judge {
    seeds: BTreeSet<u64>,
    /// What was acknowledged and not met yet.
    acks: Held,
    /// The number of the next event of each seed and thread.
    next: HashMap<(u64, u16), u64>,
    /// The batch that is under way, and how many of its events are still to come.
    batch: Option<(Tag, u16)>,
    /// Seqs that were passed without an event.
    passed: Vec<Gap>,
    last: Seq,
    /// Whether the oldest events may have been removed.
    begins_anywhere: bool,
    /// What a compaction may have dropped, and the keys of what was acknowledged; `None` without one.
    compaction: Option<(Superseded, HashMap<Seq, Key>)>,
    pub(crate) tally: Tally,
    pub(crate) findings: Findings,
}

/// What the judge has counted.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Tally {
    /// How many events the log holds.
    pub(crate) events: u64,
    /// How many of them were acknowledged.
    pub(crate) acknowledged: u64,
    /// How many were acknowledged, promised no more than to survive a killed process, and are lost.
    pub(crate) lost_by_right: u64,
    /// How many a compaction has dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) dropped: u64,
    /// How many threads of a seed have written.
    pub(crate) writers: u64,
}

impl Judge {
    pub(crate) fn new(seeds: &[u64], acks: Acks) -> Judge {
        let mut findings = Findings::default();
        let (acks, reused) = acks.sorted();
        for seq in reused {
            let detail = "it was acknowledged for two different events";
            findings.add(Broken::Reused, Some(seq), detail);
        }
        Judge {
            seeds: seeds.iter().copied().collect(),
            acks,
            next: HashMap::new(),
            batch: None,
            passed: Vec::new(),
            last: Seq::ZERO,
            begins_anywhere: false,
            compaction: None,
            tally: Tally::default(),
            findings,
        }
    }

    /// The oldest events may have been removed.
    pub(crate) fn begins_anywhere(&mut self) {
        self.begins_anywhere = true;
    }

    /// Only the last event of each source counts, of these types. `keys`: of what was acknowledged.
    pub(crate) fn compacts(&mut self, is_state: IsState, keys: HashMap<Seq, Key>) {
        self.compaction = Some((Superseded::new(is_state), keys));
    }

    /// Takes in the next event of the log; returns its digest.
    pub(crate) fn take(&mut self, event: &EventRef<'_>) -> Hash {
        let seq = event.seq();
        self.tally.events += 1;
        if seq <= self.last {
            let detail = format!("it comes behind Seq {}", self.last);
            self.findings.add(Broken::Reordered, Some(seq), &detail);
        } else if seq > self.last.next() {
            let (from, to) = (self.last.next(), seq.prev());
            self.passed.push(Gap { from, to });
        }
        self.last = self.last.max(seq);
        let ack = self.acks.take(seq);
        self.tally.acknowledged += u64::from(ack.is_some());
        let tag = Tag::of(event).filter(|tag| self.seeds.contains(&tag.seed));
        let Some(tag) = tag else {
            let detail = "no seed of this check makes such an event";
            self.findings.add(Broken::Invented, Some(seq), detail);
            self.end_batch(seq);
            return digest_of(event);
        };
        if let Some((superseded, _)) = &mut self.compaction {
            let key = (event.event_type().to_owned(), event.source().to_owned());
            superseded.see(seq, key);
        }
        self.in_batch(seq, tag);
        self.in_order(seq, tag);
        let digest = digest_of(event);
        match (compare(event, &tag, &digest), ack) {
            (Err(detail), _) => self.findings.add(Broken::Altered, Some(seq), &detail),
            (Ok(()), Some(ack)) if !ack.is_of(event.event_id(), &digest) => {
                let detail = format!("event {tag} stands where another one was acknowledged");
                self.findings.add(Broken::Reused, Some(seq), &detail);
            }
            _ => {}
        }
        digest
    }

    /// The events of a thread come in the order in which it emitted them, each once, none left out.
    fn in_order(&mut self, seq: Seq, tag: Tag) {
        let first = if self.begins_anywhere { tag.index } else { 0 };
        let expected = self.next.entry((tag.seed, tag.thread)).or_insert(first);
        let next = *expected;
        *expected = next.max(tag.index + 1);
        if tag.index < next {
            let detail = format!("event {tag} comes behind event {} of its thread", next - 1);
            self.findings.add(Broken::Reordered, Some(seq), &detail);
        } else if tag.index > next {
            let detail = format!("event {tag} is here, and event {next} of its thread is not");
            self.miss(tag, next..tag.index, seq, Broken::Holed, &detail);
        }
    }

    /// Some events of the thread of this one are not here, before a Seq: that is wrong, unless a compaction
    /// may have dropped each of them.
    fn miss(&mut self, of: Tag, numbers: Range<u64>, before: Seq, broken: Broken, detail: &str) {
        let is_excused = self.compaction.as_mut().is_some_and(|(superseded, _)| {
            let mut few = numbers.clone().take(ABSENT_MAX);
            numbers.end - numbers.start <= ABSENT_MAX as u64
                && few.all(|number| {
                    let key = key_of(of.seed, of.thread, number);
                    superseded.miss(key, before, broken, detail)
                })
        });
        if !is_excused {
            self.findings.add(broken, Some(before), detail);
        }
    }

    /// A batch stands together as a whole.
    fn in_batch(&mut self, seq: Seq, tag: Tag) {
        let goes_on = self.batch.is_some_and(|(of, left)| {
            let next = of.first + u64::from(of.count - left);
            let is_next = tag.index == next || (self.compaction.is_some() && tag.index > next);
            let stands = tag.first == of.first && is_next;
            stands && (tag.seed, tag.thread) == (of.seed, of.thread)
        });
        if !goes_on {
            self.end_batch(seq);
            // What a compaction has dropped of its start is missed in the thread's order.
            if tag.index != tag.first && self.compaction.is_none() {
                let detail = format!("event {tag} is here without the start of its batch");
                self.findings.add(Broken::TornBatch, Some(seq), &detail);
                return;
            }
        }
        let place = tag.index.saturating_sub(tag.first);
        let behind = u64::from(tag.count).saturating_sub(place + 1);
        let behind = u16::try_from(behind).unwrap_or(0);
        self.batch = (behind > 0).then_some((tag, behind));
    }

    fn end_batch(&mut self, seq: Seq) {
        if let Some((of, left)) = self.batch.take() {
            let detail = format!("the batch of event {of} lacks its last {left} events here");
            let end = of.first + u64::from(of.count);
            let lacking = end - u64::from(left)..end;
            self.miss(of, lacking, seq, Broken::TornBatch, &detail);
            if self.compaction.is_some() {
                // Said once: the order of the thread goes on behind the batch.
                let next = self.next.entry((of.seed, of.thread)).or_default();
                *next = (*next).max(end);
            }
        }
    }

    /// The end of the log: what was acknowledged and has not come is lost. `gaps` are the declared ones;
    /// `may_lose` says whether the acknowledgements promised no more than to survive a killed process.
    pub(crate) fn finish(&mut self, gaps: &[Gap], may_lose: bool) {
        self.end_batch(self.last);
        self.tally.writers = self.next.len() as u64;
        for passed in std::mem::take(&mut self.passed) {
            let declared = |gap: &Gap| gap.from <= passed.from && passed.to <= gap.to;
            if !gaps.iter().any(declared) {
                let detail = format!("Seqs {passed} hold no event, and no gap is declared");
                self.findings.add(Broken::Holed, Some(passed.from), &detail);
            }
        }
        if let Some((superseded, keys)) = &mut self.compaction {
            let (absent, dropped) = superseded.finish();
            for (broken, seq, detail) in absent {
                self.findings.add(broken, Some(seq), &detail);
            }
            self.tally.dropped = dropped;
            let is_dropped = |seq: &Seq| {
                keys.get(seq)
                    .is_some_and(|key| superseded.has_later(key, *seq))
            };
            let left = self.acks.left().map(Row::seq);
            for seq in left.filter(is_dropped).collect::<Vec<_>>() {
                self.acks.take(seq);
            }
        }
        if may_lose {
            self.tally.lost_by_right = self.acks.left().count() as u64;
            return;
        }
        for lost in self.acks.left() {
            let detail = format!("event {} was acknowledged", lost.id());
            self.findings.add(Broken::Lost, Some(lost.seq()), &detail);
        }
    }
}

/// For figures that most reports lack.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;

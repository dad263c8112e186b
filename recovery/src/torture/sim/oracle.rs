//! What must be true of the log at each moment, by receipts and by what was shown.

use std::collections::{BTreeMap, HashMap};

use blake3::Hash;
use forelog::{Event, EventSystem, Gap, Level, Receipt, Seq};

use super::plan::is_state;
use crate::torture::acks::{Ack, Acks};
use crate::torture::content::{Key, digest};
use crate::torture::findings::{Broken, Findings};
use crate::torture::judge::Judge;

/// An event that is promised.
#[derive(Debug, Clone, Copy)]
struct Promised {
    ack: Ack,
    /// Whether also a power cut must leave it.
    is_synced: bool,
}

/// What is promised of one log.
#[derive(Debug, Clone, Default)]
pub(super) struct Oracle {
    promised: BTreeMap<Seq, Promised>,
    /// What anybody ever saw under a Seq.
    seen: HashMap<Seq, Hash>,
    /// Type and source of each event that anybody was shown or promised.
    keys: HashMap<Seq, Key>,
    retains: bool,
    compacts: bool,
    /// How many events a compaction has dropped so far.
    pub(super) dropped: u64,
}

/// The events that a log shows.
pub(super) type Shown = BTreeMap<Seq, Ack>;

impl Oracle {
    pub(super) fn new(retains: bool, compacts: bool) -> Oracle {
        Oracle {
            retains,
            compacts,
            ..Oracle::default()
        }
    }

    /// Takes in a receipt.
    pub(super) fn promise(&mut self, receipt: &Receipt, event: &Event, findings: &mut Findings) {
        let digest = digest(event);
        self.see(receipt.seq, digest, findings);
        let key = (event.event_type.clone(), event.source.clone());
        self.keys.insert(receipt.seq, key);
        let ack = Ack {
            id: receipt.event_id,
            digest,
        };
        let is_synced = receipt.level >= Level::Synced;
        self.promised
            .insert(receipt.seq, Promised { ack, is_synced });
    }

    /// Somebody saw this under a Seq, which from now on belongs to it.
    pub(super) fn see(&mut self, seq: Seq, digest: Hash, findings: &mut Findings) {
        if self
            .seen
            .insert(seq, digest)
            .is_some_and(|old| old != digest)
        {
            let detail = "another event was seen under it before";
            findings.add(Broken::Reused, Some(seq), detail);
        }
    }

    /// All that is promised up to this Seq has been synced.
    pub(super) fn synced_upto(&mut self, seq: Seq) {
        for (_, promised) in self.promised.range_mut(..=seq) {
            promised.is_synced = true;
        }
    }

    /// Whether a compaction may have dropped this event: a later one of its key is known.
    pub(super) fn is_superseded(&self, seq: Seq) -> bool {
        let of = self.keys.get(&seq);
        let is_later = |(later, key): (&Seq, &Key)| *later > seq && Some(key) == of;
        self.compacts && self.keys.iter().any(is_later)
    }

    /// Holds an opened log against what is promised; returns what it shows. `power_failed` says whether
    /// what was not synced may be lost.
    pub(super) fn judge(
        &mut self,
        system: &EventSystem,
        seed: u64,
        power_failed: bool,
        findings: &mut Findings,
    ) -> Shown {
        loop {
            let first = system.store().first_seq();
            let (judge, shown, keys) = self.hold_against(system, seed, power_failed, first);
            self.keys.extend(keys);
            self.dropped = self.dropped.max(judge.tally.dropped);
            // Retention, which runs beside, may have removed what was asked for.
            if self.retains && system.store().first_seq() != first {
                continue;
            }
            findings.extend(judge.findings);
            self.check_reuse(&shown, findings);
            return shown;
        }
    }

    fn hold_against(
        &self,
        system: &EventSystem,
        seed: u64,
        power_failed: bool,
        first: Seq,
    ) -> (Judge, Shown, HashMap<Seq, Key>) {
        let is_needed = |seq: Seq, promised: &Promised| {
            (promised.is_synced || !power_failed) && !(self.retains && seq < first)
        };
        let needed = self.promised.iter();
        let needed = needed.filter(|(seq, promised)| is_needed(**seq, promised));
        let mut acks = Acks::default();
        needed.for_each(|(seq, promised)| acks.take(*seq, &promised.ack));
        let mut judge = Judge::new(&[seed], acks);
        if self.retains {
            judge.begins_anywhere();
        }
        if self.compacts {
            judge.compacts(is_state, self.keys.clone());
        }
        let (mut shown, mut keys) = (Shown::new(), HashMap::new());
        let replayed = system.replay().run(|event| {
            let digest = judge.take(event);
            let id = event.event_id();
            shown.insert(event.seq(), Ack { id, digest });
            let key = (event.event_type().to_owned(), event.source().to_owned());
            keys.insert(event.seq(), key);
            Ok(())
        });
        if let Err(error) = replayed {
            judge
                .findings
                .add(Broken::Refused, error.seq(), &error.to_string());
        }
        // A hole that is not declared is an error of the replay already.
        let any = Gap {
            from: Seq::FIRST,
            to: Seq(u64::MAX),
        };
        judge.finish(&[any], false);
        (judge, shown, keys)
    }

    fn check_reuse(&self, shown: &Shown, findings: &mut Findings) {
        for (seq, ack) in shown {
            if self.seen.get(seq).is_some_and(|seen| *seen != ack.digest) {
                let detail = "another event was seen under it before";
                findings.add(Broken::Reused, Some(*seq), detail);
            }
        }
    }

    /// From now on all that was shown is promised to stay, and nothing else.
    pub(super) fn go_on_from(&mut self, shown: &Shown) {
        self.seen
            .extend(shown.iter().map(|(seq, ack)| (*seq, ack.digest)));
        let promised = |(seq, ack): (&Seq, &Ack)| {
            let promised = Promised {
                ack: *ack,
                is_synced: true,
            };
            (*seq, promised)
        };
        self.promised = shown.iter().map(promised).collect();
    }

    /// All that is promised now.
    pub(super) fn promised(&self) -> impl DoubleEndedIterator<Item = (Seq, Ack)> + '_ {
        self.promised.iter().map(|(seq, one)| (*seq, one.ack))
    }
}

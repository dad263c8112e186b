//! [`Ledgers`]: what was emitted, and what each subscription has been given and has said, as plain sets;
//! every delivery is checked against them.

use std::collections::{BTreeMap, BTreeSet};

use super::program::{Answer, Order, Setup, Team, Wants};
use crate::clock::Timestamp;
use crate::position::Gap;

/// An event, as its emitter knows it.
#[derive(Debug, Clone)]
pub(super) struct Emitted {
    pub(super) number: u64,
    pub(super) source: u8,
    pub(super) kind: u8,
    /// Whether its emitter was told that no power cut takes it.
    pub(super) is_synced: bool,
    /// Whether its emitter was told that it is in the log.
    pub(super) is_sure: bool,
    /// Whether a power cut has taken it out of the log. It may be parked all the same.
    pub(super) is_lost: bool,
    /// The first and the last Seq of its batch.
    pub(super) batch: (u64, u64),
}

impl Emitted {
    /// The header by which events may be ordered.
    pub(super) fn account(&self) -> u64 {
        self.number % 3
    }
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Ledgers {
    pub(super) events: BTreeMap<u64, Emitted>,
    pub(super) all: Vec<Ledger>,
    /// What must not be, and was: a panic in a handler would pass for a failed delivery.
    pub(super) wrong: Option<String>,
    /// Whether handlers acknowledge whatever they are given.
    pub(super) is_calm: bool,
}

/// What one subscription has been given and has said since it began or was last sought.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) setup: Setup,
    /// Whether its name has a place.
    pub(super) is_known: bool,
    /// The first Seq that it is to be given.
    pub(super) start: u64,
    /// Acknowledged at least once, or discarded.
    pub(super) handled: BTreeSet<u64>,
    /// What must not be delivered from the log any more.
    pub(super) behind: BTreeSet<u64>,
    pub(super) parked: BTreeSet<u64>,
    /// Skipped by its own rule.
    pub(super) skipped: BTreeSet<u64>,
    /// How many Seqs its handler was told that it is not given.
    pub(super) told_skipped: u64,
    /// With somebody, and not back: the attempt.
    pub(super) open: BTreeMap<u64, u32>,
    /// Parked events that were delivered again and put off: the attempt.
    pub(super) put_off: BTreeMap<u64, u32>,
    pub(super) deliveries: BTreeMap<u64, u32>,
    /// How often its registration has ended. After an unclean end an attempt is noted before it begins, and
    /// what was gathered or waited for a thread then has not begun.
    ends: u32,
    failed: BTreeMap<u64, u32>,
    due: BTreeMap<u64, Timestamp>,
    pub(super) is_paused: bool,
    /// The keys of parked events that somebody has asked for.
    pub(super) asked: BTreeSet<u64>,
    /// Counts registrations and seeks: what was handed on before one no longer counts.
    pub(super) epoch: u64,
    /// Said, and not taken in by the worker yet.
    told: Vec<Told>,
    /// What the control log knows.
    noted: BTreeSet<u64>,
    /// What a power cut leaves of that, and of what is parked.
    synced: (BTreeSet<u64>, BTreeSet<u64>),
    /// Parked or not: a crash decides.
    limbo: BTreeSet<u64>,
    /// Whether every end since it began was a clean one.
    pub(super) is_exact: bool,
    /// What was behind it at the last parking in the step that is being made, which notes that.
    noting: Option<BTreeSet<u64>>,
    /// How often something was synced in that step.
    syncs: u32,
    next_answer: usize,
}

#[derive(Debug)]
struct Told {
    seq: u64,
    attempt: u32,
    answer: Answer,
    is_redelivery: bool,
    at: Timestamp,
}

/// One delivery, as the handler sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) nth: usize,
    pub(super) seq: u64,
    pub(super) number: u64,
    pub(super) attempt: u32,
    pub(super) now: Timestamp,
}

impl Ledgers {
    pub(super) fn blame(&mut self, nth: usize, why: &str) {
        self.wrong
            .get_or_insert(format!("subscription {nth}: {why}"));
    }

    /// Notes that a subscription skips what lies in between.
    pub(super) fn skip(&mut self, nth: usize, gap: Gap) {
        let ledger = &mut self.all[nth];
        for (&seq, _) in self.events.range(gap.from.0..=gap.to.0) {
            if ledger.behind.insert(seq) {
                ledger.skipped.insert(seq);
            }
        }
    }

    /// Takes a delivery in, and says what becomes of it; `mates` come in the same call, before it.
    pub(super) fn deliver(&mut self, given: &Given, mates: &[u64]) -> Answer {
        if let Err(why) = self.check(given, mates) {
            self.blame(given.nth, &format!("{} {why}", given.seq));
        }
        let is_calm = self.is_calm;
        let ledger = &mut self.all[given.nth];
        let seq = given.seq;
        *ledger.deliveries.entry(seq).or_default() += 1;
        let is_redelivery = ledger.parked.contains(&seq);
        if !is_redelivery {
            ledger.handled.remove(&seq);
            ledger.skipped.remove(&seq);
        }
        let answer = ledger.draw(is_calm);
        let told = Told {
            seq,
            attempt: given.attempt,
            answer,
            is_redelivery,
            at: given.now,
        };
        if answer == Answer::Later {
            ledger.hand_on(&told);
        } else if !is_redelivery && matches!(ledger.setup.crew, Team::Lanes(_)) {
            ledger.hand_on(&told);
            ledger.told.push(told);
        } else {
            ledger.follow(&told);
        }
        answer
    }

    fn check(&mut self, given: &Given, mates: &[u64]) -> Result<(), String> {
        let seq = given.seq;
        let Some(event) = self.events.get(&seq) else {
            return Err("was never emitted".to_owned());
        };
        if event.number != given.number {
            return Err(format!("is {}, not {}", given.number, event.number));
        }
        let ledger = &mut self.all[given.nth];
        if ledger.parked.contains(&seq) {
            return ledger.check_redelivery(&self.events, seq);
        }
        ledger.check_state(given, event)?;
        let key = ledger.setup.key(seq, event);
        for (&other, earlier) in self.events.range(ledger.start..seq) {
            let same = ledger.setup.wants(earlier) && ledger.setup.key(other, earlier) == key;
            if !same || mates.contains(&other) {
                continue;
            }
            if ledger.parked.contains(&other) {
                if ledger.setup.key_waits {
                    return Err(format!("goes on before {other}, which is parked"));
                }
            } else if ledger.handled.contains(&other) || ledger.skipped.contains(&other) {
                // If the engine has not noted it, it has its turn before this one or never.
                ledger.behind.insert(other);
            } else if !ledger.behind.contains(&other) {
                return Err(format!("overtakes {other}"));
            }
        }
        Ok(())
    }
}

impl Ledger {
    pub(super) fn new(setup: Setup) -> Self {
        Ledger {
            setup,
            is_known: false,
            start: 0,
            handled: BTreeSet::new(),
            behind: BTreeSet::new(),
            parked: BTreeSet::new(),
            skipped: BTreeSet::new(),
            told_skipped: 0,
            open: BTreeMap::new(),
            put_off: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            ends: 0,
            failed: BTreeMap::new(),
            due: BTreeMap::new(),
            is_paused: false,
            asked: BTreeSet::new(),
            epoch: 0,
            told: Vec::new(),
            noted: BTreeSet::new(),
            synced: <(BTreeSet<u64>, BTreeSet<u64>)>::default(),
            limbo: BTreeSet::new(),
            is_exact: true,
            noting: None,
            syncs: 0,
            next_answer: 0,
        }
    }

    fn check_state(&self, given: &Given, event: &Emitted) -> Result<(), String> {
        let seq = given.seq;
        let why = if self.is_paused {
            "comes while the subscription is paused"
        } else if seq < self.start || !self.setup.wants(event) {
            "is not wanted"
        } else if self.behind.contains(&seq) {
            "comes again"
        } else if self.open.contains_key(&seq) {
            "comes again while it is being handled"
        } else if self.due.get(&seq).is_some_and(|&due| given.now < due) {
            "comes before its delay is over"
        } else {
            return self.check_attempt(given);
        };
        Err(why.to_owned())
    }

    fn check_attempt(&self, given: &Given) -> Result<(), String> {
        let count = |of: &BTreeMap<u64, u32>| of.get(&given.seq).copied().unwrap_or(0) + 1;
        let (exact, most) = (count(&self.failed), count(&self.deliveries) + self.ends);
        let fits = if self.is_exact {
            given.attempt == exact
        } else {
            (1..=most).contains(&given.attempt)
        };
        if fits {
            return Ok(());
        }
        Err(format!(
            "is attempt {}, after {} failures, and may be {most}",
            given.attempt,
            exact - 1,
        ))
    }

    fn check_redelivery(&self, events: &BTreeMap<u64, Emitted>, seq: u64) -> Result<(), String> {
        let Some(key) = self.key_of(events, seq) else {
            return Err("is parked, and no event".to_owned());
        };
        if !self.asked.contains(&key) {
            return Err("is parked, and comes unasked".to_owned());
        }
        if self.put_off.contains_key(&seq) {
            return Err("is parked, and comes again while it is being handled".to_owned());
        }
        let before = self.parked.range(..seq);
        let mut same = before.filter(|&&other| self.key_of(events, other) == Some(key));
        match same.next() {
            Some(first) if self.setup.key_waits => {
                Err(format!("is parked, and comes before {first}"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn key_of(&self, events: &BTreeMap<u64, Emitted>, seq: u64) -> Option<u64> {
        events.get(&seq).map(|event| self.setup.key(seq, event))
    }

    fn draw(&mut self, is_calm: bool) -> Answer {
        let answers = &self.setup.answers;
        let answer = answers[self.next_answer % answers.len()];
        self.next_answer += 1;
        if is_calm { Answer::Ack } else { answer }
    }

    fn hand_on(&mut self, told: &Told) {
        let to = if told.is_redelivery {
            &mut self.put_off
        } else {
            &mut self.open
        };
        to.insert(told.seq, told.attempt);
    }

    /// The outcome of a delivery that was put off.
    pub(super) fn tell(&mut self, given: &Given, answer: Answer, is_redelivery: bool) {
        self.told.push(Told {
            seq: given.seq,
            attempt: given.attempt,
            answer,
            is_redelivery,
            at: given.now,
        });
    }

    /// The worker takes in all that it was told.
    pub(super) fn take_told(&mut self) {
        for told in std::mem::take(&mut self.told) {
            let with = if told.is_redelivery {
                &mut self.put_off
            } else {
                &mut self.open
            };
            if with.get(&told.seq) == Some(&told.attempt) {
                with.remove(&told.seq);
                self.follow(&told);
            }
        }
    }

    /// What follows an outcome.
    fn follow(&mut self, told: &Told) {
        let seq = told.seq;
        if told.is_redelivery {
            self.syncs += 1;
            if told.answer == Answer::Ack {
                self.parked.remove(&seq);
                self.handled.insert(seq);
            }
            return;
        }
        let delay = match told.answer {
            Answer::Ack => {
                self.handled.insert(seq);
                self.close(seq);
                return;
            }
            Answer::Park => {
                self.park(seq);
                return;
            }
            Answer::RetryAfter(seconds) => seconds * 1_000,
            // The backoff, less the most that jitter takes off.
            Answer::Fail | Answer::Retry | Answer::Later => 900,
        };
        if told.attempt >= self.setup.attempts_max {
            self.park(seq);
            return;
        }
        self.failed.insert(seq, told.attempt);
        let delay = std::time::Duration::from_millis(delay);
        self.due.insert(seq, told.at.plus(delay));
    }

    fn park(&mut self, seq: u64) {
        if self.setup.is_named {
            self.parked.insert(seq);
            self.close(seq);
            self.noting = Some(self.behind.clone());
            self.syncs += 1;
        } else {
            self.handled.insert(seq);
            self.close(seq);
        }
    }

    fn close(&mut self, seq: u64) {
        self.behind.insert(seq);
        self.failed.remove(&seq);
        self.due.remove(&seq);
    }

    /// Begins anew at this Seq; what is parked stays.
    pub(super) fn begin(&mut self, start: u64) {
        self.is_known = true;
        self.start = start;
        self.handled.clear();
        self.behind.clear();
        self.skipped.clear();
        self.deliveries.clear();
        self.ends = 0;
        self.leave();
        self.failed.clear();
        self.noted.clear();
        self.synced.0.clear();
    }

    /// The name is given up, or a subscription without one has ended.
    pub(super) fn forget(&mut self) {
        let epoch = self.epoch + 1;
        *self = Ledger::new(self.setup.clone());
        self.epoch = epoch;
    }

    /// Nothing that was handed on counts any more. Of parked events it does.
    pub(super) fn leave(&mut self) {
        self.epoch += 1;
        self.open.clear();
        self.due.clear();
        self.told.clear();
    }

    /// A step has ended; says whether the control log was synced in it. `is_done`: what it was to note is
    /// noted.
    pub(super) fn end_step(&mut self, is_done: bool) -> bool {
        let noting = self.noting.take();
        let syncs = std::mem::take(&mut self.syncs);
        if let Some(noting) = noting.filter(|_| is_done) {
            self.noted = noting;
        }
        syncs > 0 && is_done
    }

    /// The control log knows its place.
    pub(super) fn note(&mut self) {
        self.noted.clone_from(&self.behind);
    }

    /// The control log is synced.
    pub(super) fn sync(&mut self) {
        self.synced = (self.noted.clone(), self.parked.clone());
    }

    /// The life of the system has ended without a close. `is_cut`: what was not synced may be lost;
    /// `is_unsure`: what was being done then may be done or not.
    pub(super) fn crash(&mut self, is_cut: bool, is_unsure: bool) {
        self.is_exact = false;
        self.noting = None;
        self.syncs = 0;
        self.behind = if is_cut {
            self.synced.0.clone()
        } else {
            self.noted.clone()
        };
        self.noted.clone_from(&self.behind);
        self.limbo.clear();
        if is_cut || is_unsure {
            let changed = self.parked.symmetric_difference(&self.synced.1);
            self.limbo = changed.copied().collect();
            self.parked.extend(&self.synced.1);
        }
    }

    /// The registration has ended.
    pub(super) fn detach(&mut self) {
        self.leave();
        self.ends += 1;
        self.put_off.clear();
        self.asked.clear();
    }

    /// Compares what is parked, and takes in what the engine alone can know.
    pub(super) fn reconcile(
        &mut self,
        events: &BTreeMap<u64, Emitted>,
        parked: &BTreeSet<u64>,
    ) -> Result<(), String> {
        for &seq in parked.difference(&self.parked.clone()) {
            let event = events
                .get(&seq)
                .ok_or(format!("{seq} is parked, and no event"))?;
            let key = self.setup.key(seq, event);
            let others = parked.iter().filter(|&&other| other != seq);
            let mut keys = others.map(|&other| self.key_of(events, other));
            let waits = self.setup.key_waits && keys.any(|other| other == Some(key));
            let tried = self.deliveries.get(&seq).copied().unwrap_or(0) + self.ends;
            // It may have ended the process, for all that the engine knows.
            let is_suspect = !self.is_exact && tried >= self.setup.attempts_max;
            let is_due = seq >= self.start
                && self.setup.wants(event)
                && !self.behind.contains(&seq)
                && !self.open.contains_key(&seq);
            if !is_due || !(waits || is_suspect) {
                return Err(format!("{seq} is parked, and should not be"));
            }
            self.parked.insert(seq);
            self.close(seq);
        }
        for seq in self.parked.clone() {
            if parked.contains(&seq) {
                continue;
            }
            if !self.limbo.contains(&seq) {
                return Err(format!("{seq} is parked no more"));
            }
            self.parked.remove(&seq);
        }
        self.limbo.clear();
        Ok(())
    }
}

impl Setup {
    pub(super) fn wants(&self, event: &Emitted) -> bool {
        match self.wants {
            _ if event.is_lost => false,
            Wants::All => true,
            Wants::OneType => event.kind == 0,
            Wants::OneSource => event.source == 0,
            Wants::Even => event.number.is_multiple_of(2),
        }
    }

    pub(super) fn key(&self, seq: u64, event: &Emitted) -> u64 {
        match self.order {
            Order::Source => event.source.into(),
            Order::All => 0,
            Order::EventType => event.kind.into(),
            Order::Header => event.account(),
            Order::Key => event.number % 2,
            Order::Nothing => seq,
        }
    }
}

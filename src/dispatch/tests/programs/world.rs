//! [`World`]: a system on the simulated disk, to which one thing of a program after the other is done,
//! and the ledgers that it is held against.

use std::collections::BTreeSet;

use super::super::*;
use super::handlers::{Held, Team, describe, hire, name_of};
use super::ledger::{Emitted, Given, Ledger, Ledgers};
use super::program::{Answer, Behind, End, From, Op, Program, Safety, Team as Kind};
use crate::dispatch::crew::Crew;
use crate::storage::sim::{OpKind, Times};

/// The system, and all that is known of it.
pub(super) struct World {
    pub(super) disk: SimDisk,
    pub(super) rig: Rig,
    pub(super) max_queue_size: u64,
    pub(super) workers: Vec<Option<Worker>>,
    pub(super) books: Arc<Mutex<Ledgers>>,
    tokens: Arc<Mutex<Vec<Held>>>,
    next_number: u64,
    /// The highest Seq that was ever given.
    highest: u64,
    /// How this life ends once the disk fails, if it is to.
    pub(super) end_on_trouble: Option<End>,
    /// What was being done when something failed: it may be done or not.
    pub(super) unsure: Option<Unsure>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Unsure {
    Begun(usize, u64),
    Sought(usize, u64),
    Deleted(usize),
    Paused(usize),
    Something,
}

/// What must be known of a subscription before a step, to tell what the step has skipped.
struct Before {
    taken: Seq,
    skipped: u64,
}

impl World {
    pub(super) fn new(program: &Program) -> World {
        let disk = SimDisk::new();
        let ledgers = program.setups.iter().cloned().map(Ledger::new);
        let books = Ledgers {
            all: ledgers.collect(),
            ..Ledgers::default()
        };
        let mut world = World {
            rig: Rig::open(&disk.storage(), program.max_queue_size),
            disk,
            max_queue_size: program.max_queue_size,
            workers: program.setups.iter().map(|_| None).collect(),
            books: Arc::new(Mutex::new(books)),
            tokens: Arc::default(),
            next_number: 0,
            highest: 0,
            end_on_trouble: None,
            unsure: None,
        };
        for nth in 0..world.workers.len() {
            world.attach(nth);
        }
        world
    }

    /// Does one thing, and ends this life if that failed as it was to.
    pub(super) fn perform(&mut self, op: &Op) {
        self.act(op);
        if self.unsure.is_some() || self.disk.is_stopped() {
            let end = self.end_on_trouble;
            self.end(end.expect("nothing may fail unasked"));
        }
        let wrong = self.books().wrong.take();
        assert_eq!(wrong, None, "after {op:?}, on {}", self.disk.describe());
    }

    fn act(&mut self, op: &Op) {
        match op {
            Op::Emit(events, safety) => self.emit(events, *safety),
            Op::Step(nth, count) => {
                let nth = self.nth(*nth);
                for _ in 0..*count {
                    self.step(nth);
                }
            }
            Op::Work(nth, job) => {
                let nth = self.nth(*nth);
                self.work(nth, usize::from(*job));
            }
            Op::Wait(seconds) => self.rig.clock.advance(Duration::from_secs(*seconds)),
            Op::Tell(which, answer) => self.tell(usize::from(*which), *answer),
            Op::Rest(nth) => self.rest(self.nth(*nth)),
            Op::SyncLog => {
                let flushed = self.rig.log.flush();
                self.expect(flushed, Unsure::Something);
            }
            Op::SyncControl => {
                let flushed = self.rig.control.flush();
                if self.expect(flushed, Unsure::Something) {
                    self.synced();
                }
            }
            Op::Attach(nth) => self.attach(self.nth(*nth)),
            Op::Detach(nth) => self.detach(self.nth(*nth)),
            Op::End(end) => self.end(*end),
            Op::StopLater(ops, end) => {
                self.disk.crash_at(self.disk.op_count() + u64::from(*ops));
                self.end_on_trouble = Some(*end);
            }
            Op::FailSync(nth, end) => {
                let error = std::io::ErrorKind::Other;
                self.disk
                    .fail(OpKind::Sync, u64::from(*nth), error, Times::FromThenOn);
                self.end_on_trouble = Some(*end);
            }
            asked => self.operate(asked),
        }
    }

    pub(super) fn books(&self) -> std::sync::MutexGuard<'_, Ledgers> {
        self.books.lock().unwrap()
    }

    pub(super) fn nth(&self, any: u8) -> usize {
        usize::from(any) % self.workers.len()
    }

    /// Whether it was done; a failure must be one that was asked for.
    pub(super) fn expect<T>(&mut self, done: Result<T>, otherwise: Unsure) -> bool {
        match done {
            Ok(_) => true,
            Err(error) => {
                assert!(self.end_on_trouble.is_some(), "{otherwise:?}: {error}");
                self.unsure.get_or_insert(otherwise);
                false
            }
        }
    }

    fn emit(&mut self, events: &[(u8, u8)], safety: Safety) {
        let first_number = self.next_number;
        self.next_number += events.len() as u64;
        let made: Vec<Event> = events
            .iter()
            .zip(first_number..)
            .map(|((source, kind), number)| {
                let source = source.to_string();
                let kind = format!("test.{kind}");
                let mut event = Event::new(kind, source, &number).unwrap();
                let account = (number % 3).to_string();
                event.headers.push(("account".into(), account));
                event
            })
            .collect();
        let records: Vec<_> = made
            .iter()
            .map(|event| Record::of(event).unwrap())
            .collect();
        let count = records.len() as u64;
        let reserved = match self
            .rig
            .dispatcher
            .queue()
            .reserve(count, WhenFull::Reject, &|| false)
        {
            Ok(reserved) => reserved,
            Err(full) => {
                assert_eq!(full.kind(), ErrorKind::QueueFull);
                return self.check_full(count);
            }
        };
        let durability = match safety {
            Safety::Sync => Durability::Sync,
            Safety::Interval => Durability::Interval(Duration::from_secs(1)),
            Safety::Os => Durability::Os,
        };
        let appended = match self.rig.log.append(&records, durability) {
            Ok(appended) => appended,
            Err(error) => {
                drop(reserved);
                self.expect::<()>(Err(error), Unsure::Something);
                return;
            }
        };
        reserved.appended();
        let synced = match safety {
            Safety::Sync => self.rig.log.wait_durable(appended.last),
            Safety::Interval | Safety::Os => Ok(()),
        };
        let is_synced = self.expect(synced, Unsure::Something) && safety == Safety::Sync;
        let (first, last) = (appended.first.0, appended.last.0);
        assert!(first > self.highest, "{first} is given again");
        assert_eq!(
            last - first + 1,
            count,
            "the Seqs of a batch are contiguous"
        );
        self.highest = last;
        let mut books = self.books.lock().unwrap();
        for (nth, (source, kind)) in events.iter().enumerate() {
            let event = Emitted {
                number: first_number + nth as u64,
                source: *source,
                kind: *kind,
                is_synced,
                // What is published once the disk has stopped is lost.
                is_sure: is_synced || (self.unsure.is_none() && !self.disk.is_stopped()),
                is_lost: false,
                batch: (first, last),
            };
            books.events.insert(first + nth as u64, event);
        }
    }

    /// The queue says that it is full: somebody who holds the emitters is that far behind.
    fn check_full(&self, count: u64) {
        let appended = self.rig.log.watermark().appended();
        let books = self.books();
        let is_far = |(nth, worker): (usize, &Option<Worker>)| {
            let worker = worker.as_ref();
            books.all[nth].setup.behind == Behind::Holds
                && worker.is_some_and(|worker| {
                    let position = worker.desk.seat.position.get();
                    appended.since(position) + count > self.max_queue_size
                })
        };
        let is_full = self.workers.iter().enumerate().any(is_far);
        assert!(is_full, "the queue is full, and nobody is behind");
    }

    /// Does the next thing of a worker; says what that has come to.
    pub(super) fn step(&mut self, nth: usize) -> Option<Progress> {
        let worker = self.workers[nth].as_mut()?;
        if self.unsure.is_some() || self.disk.is_stopped() {
            return None;
        }
        let before = Before {
            taken: worker.desk.taken,
            skipped: worker.desk.skipped,
        };
        if worker.desk.seat.has_news() {
            self.books.lock().unwrap().all[nth].take_told();
        }
        let worker = self.workers[nth].as_mut()?;
        let progress = worker.step();
        if progress == Progress::Stopped {
            let error = worker.desk.seat.notes().last_error.clone();
            let error = error.unwrap_or_default();
            assert!(self.end_on_trouble.is_some(), "{nth} has stopped: {error}");
            let pauses = matches!(self.books().all[nth].setup.behind, Behind::Pauses(_));
            self.unsure.get_or_insert(if pauses {
                Unsure::Paused(nth)
            } else {
                Unsure::Something
            });
            return None;
        }
        self.follow_step(nth, &before);
        Some(progress)
    }

    fn follow_step(&mut self, nth: usize, before: &Before) {
        let Some(worker) = self.workers[nth].as_ref() else {
            return;
        };
        let (taken, skipped) = (worker.desk.taken, worker.desk.skipped);
        let lag = self.rig.log.watermark().appended().since(taken);
        let is_paused = worker.desk.seat.is_paused() && !worker.desk.seat.has_news();
        let mut guard = self.books.lock().unwrap();
        let books = &mut *guard;
        let is_batch = matches!(books.all[nth].setup.crew, Kind::Batch { .. });
        // Others are told.
        if is_batch && skipped > before.skipped && taken > before.taken {
            let from = before.taken.next();
            books.skip(nth, Gap { from, to: taken });
        }
        let ledger = &mut books.all[nth];
        if is_paused && !ledger.is_paused {
            match ledger.setup.behind {
                Behind::Pauses(max) if lag > max => ledger.is_paused = true,
                _ => books.blame(nth, "is paused by nobody"),
            }
        }
        drop(guard);
        self.settle_notes(nth);
        self.check_parked(nth);
    }

    /// Takes in what the control log has come to know with what was just done.
    fn settle_notes(&self, nth: usize) {
        let mut books = self.books.lock().unwrap();
        let is_done = self.unsure.is_none() && !self.disk.is_stopped();
        if books.all[nth].end_step(is_done) {
            books.all.iter_mut().for_each(Ledger::sync);
        }
    }

    pub(super) fn synced(&self) {
        self.books().all.iter_mut().for_each(Ledger::sync);
    }

    fn check_parked(&mut self, nth: usize) {
        if self.disk.is_stopped() || self.unsure.is_some() {
            return;
        }
        let parked = self.parked(nth);
        let books = &mut *self.books.lock().unwrap();
        if let Err(why) = books.all[nth].reconcile(&books.events, &parked) {
            books.blame(nth, &why);
        }
    }

    pub(super) fn parked(&self, nth: usize) -> BTreeSet<u64> {
        let parked = self.rig.dispatcher.parked(&name_of(nth));
        parked.iter().map(|one| one.seq.0).collect()
    }

    pub(super) fn work(&mut self, nth: usize, job: usize) -> bool {
        let Some(worker) = self.workers[nth].as_mut() else {
            return false;
        };
        match &mut worker.crew {
            Crew::Lanes(lanes, _) => lanes.work_off_one(job),
            Crew::Own(_) | Crew::Batch(_) => false,
        }
    }

    pub(super) fn has_tokens(&self) -> bool {
        !self.tokens.lock().unwrap().is_empty()
    }

    /// Nobody holds a token of this life any more.
    pub(super) fn drop_tokens(&self) {
        let tokens = std::mem::take(&mut *self.tokens.lock().unwrap());
        drop(tokens);
    }

    pub(super) fn tell(&mut self, which: usize, answer: Answer) {
        let mut tokens = self.tokens.lock().unwrap();
        if tokens.is_empty() {
            return;
        }
        let at = which % tokens.len();
        let held = tokens.swap_remove(at);
        drop(tokens);
        let given = Given {
            now: self.rig.clock.now(),
            ..held.given
        };
        let mut books = self.books.lock().unwrap();
        let ledger = &mut books.all[given.nth];
        // Of a parked event it counts as long as the registration lasts.
        let counts = if held.is_redelivery {
            ledger.put_off.get(&given.seq) == Some(&given.attempt)
        } else {
            held.epoch == ledger.epoch
        };
        if counts {
            ledger.tell(&given, answer, held.is_redelivery);
        }
        drop(books);
        held.resolve(answer);
    }

    pub(super) fn rest(&mut self, nth: usize) {
        let Some(worker) = self.workers[nth].as_mut() else {
            return;
        };
        worker.rest();
        if worker.desk.seat.has_ended() {
            assert!(self.end_on_trouble.is_some(), "{nth} cannot rest");
            self.unsure.get_or_insert(Unsure::Something);
        }
        if self.unsure.is_none() && !self.disk.is_stopped() {
            self.books().all[nth].note();
        }
    }

    pub(super) fn attach(&mut self, nth: usize) {
        if self.workers[nth].is_some() {
            return;
        }
        let (setup, is_known) = {
            let books = self.books();
            let ledger = &books.all[nth];
            (ledger.setup.clone(), ledger.is_known)
        };
        let (start, first) = self.resolve(setup.from);
        let subscription = describe(&setup, nth).start(start);
        let team = Team {
            nth,
            books: self.books.clone(),
            tokens: self.tokens.clone(),
            clock: self.rig.clock.clone(),
        };
        let attached = self
            .rig
            .dispatcher
            .attach(subscription, hire(setup.crew, &team));
        match attached {
            Ok((_, worker)) => {
                if !setup.is_named {
                    // Each registration is a subscription of its own.
                    self.books().all[nth].forget();
                }
                if !is_known || !setup.is_named {
                    self.books().all[nth].begin(first);
                }
                self.books().all[nth].epoch += 1;
                self.workers[nth] = Some(worker);
            }
            Err(error) => drop(self.expect::<()>(Err(error), Unsure::Begun(nth, first))),
        }
    }

    /// A place, as the engine is told it, and the first Seq from there on.
    pub(super) fn resolve(&self, from: From) -> (Start, u64) {
        let next = self.rig.log.watermark().appended().next().0;
        match from {
            From::Beginning => (Start::Beginning, self.rig.log.first_seq().0),
            From::Now => (Start::Now, next),
            From::Back(count) => {
                let seq = (next + 1).saturating_sub(u64::from(count)).max(1);
                (Start::At(Seq(seq)), seq)
            }
        }
    }

    pub(super) fn detach(&mut self, nth: usize) {
        let Some(worker) = self.workers[nth].take() else {
            return;
        };
        let mut books = self.books.lock().unwrap();
        books.all[nth].take_told();
        drop(books);
        let seat = worker.desk.seat.clone();
        worker.finish();
        assert!(seat.has_ended());
        self.books().all[nth].detach();
        // A worker that ends notes its errors, and tells nobody.
        if self.end_on_trouble.is_some() {
            let flushed = self.rig.control.flush();
            self.expect(flushed, Unsure::Something);
        }
        self.settle_notes(nth);
        if self.unsure.is_none() && !self.disk.is_stopped() {
            self.books().all[nth].note();
        }
    }
}

//! One incarnation of a system on the simulated disk: it does its steps and writes down what it is
//! promised, until it ends one way or the other.

use std::time::Duration;

use forelog::testing::{DiskOp, TestDisk, TestSystem};
use forelog::{
    Durability, Error, ErrorKind, Event, EventRef, Level, Projection, Receipt, Result, RetryPolicy,
    Seq, Subscription,
};

use super::books::Book;
use super::oracle::{Oracle, Shown};
use super::patience;
use super::plan::{SEGMENT_LEN, Step};
use super::sum::{Sum, add};
use crate::torture::content::{Tag, digest_of, payload_max};
use crate::torture::findings::{Broken, Findings};
use crate::torture::random::Random;

/// The subscriptions: one that takes all, and one that fails and parks some.
pub(super) const NAMES: [&str; 2] = ["plain", "picky"];
/// The most events that are emitted as one batch, which decides how large they may be.
const BATCH_MAX: u16 = 8;

/// What a run knows beside the disk: it lives through all incarnations.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) seed: u64,
    pub(super) oracle: Oracle,
    pub(super) books: [Book; 2],
    pub(super) findings: Findings,
    /// Which incarnation it is: each is a writer of its own.
    pub(super) incarnation: u16,
}

pub(super) struct World<'m> {
    pub(super) system: TestSystem,
    memory: &'m mut Memory,
    projection: Option<Projection<Sum>>,
    index: u64,
    last: Option<Receipt>,
    /// Whether a fault was planned, so that errors have a reason.
    is_faulty: bool,
    /// Whether a sync has failed, so that nothing may be acknowledged any more.
    has_failed: bool,
    is_held: bool,
}

impl<'m> World<'m> {
    /// Goes on with a system that was opened and judged.
    pub(super) fn new(system: TestSystem, memory: &'m mut Memory, projects: bool) -> World<'m> {
        let mut world = World {
            system,
            memory,
            projection: None,
            index: 0,
            last: None,
            is_faulty: false,
            has_failed: false,
            is_held: false,
        };
        let begun = world.begin(projects);
        world.excuse("register", begun);
        world
    }

    fn begin(&mut self, projects: bool) -> Result<()> {
        let disk = self.system.disk().clone();
        let retry = RetryPolicy {
            attempts_max: 3,
            backoff_initial: Duration::ZERO,
            ..RetryPolicy::default()
        };
        let pairs = NAMES
            .into_iter()
            .zip(self.memory.books.iter().zip([false, true]));
        for (name, (book, picky)) in pairs {
            let subscription = Subscription::named(name).retry(retry);
            let handler = book.handler(&disk, self.memory.seed, picky);
            self.system.register_handler(subscription, handler)?;
        }
        self.system.start()?;
        if projects {
            let apply = |state: &mut Sum, event: &EventRef<'_>| {
                add(state, event);
                Ok(())
            };
            self.projection = Some(self.system.projection("sum", 1, (0, 0), apply)?);
        }
        Ok(())
    }

    pub(super) fn disk(&self) -> &TestDisk {
        self.system.disk()
    }

    /// Whether nothing more can come of it.
    pub(super) fn is_over(&self) -> bool {
        self.disk().is_stopped() || self.has_failed || !self.memory.findings.is_empty()
    }

    /// Lets an operation fail besides syncs.
    pub(super) fn fail(&mut self, op: DiskOp, nth: u64) {
        self.is_faulty = true;
        self.disk().fail(op, nth, std::io::ErrorKind::Other);
    }

    pub(super) fn take(&mut self, step: Step) {
        let done = match step {
            Step::Emit(count, durability) => self.emit(count, durability),
            Step::Async(count) => self.emit_async(count),
            Step::Flush => self.flush(),
            Step::Wait => self.wait(),
            Step::Drain => self.drain(),
            Step::Position => self.position(),
            Step::Project(saves) => self.project(saves),
            Step::Redeliver => self.redeliver(),
            Step::LookUp => self.look_up(),
            Step::FailSync(nth) => {
                self.is_faulty = true;
                self.disk()
                    .fail(DiskOp::Sync, nth, std::io::ErrorKind::Other);
                Ok(())
            }
            Step::Hold => {
                self.hold(true);
                Ok(())
            }
        };
        self.excuse(&format!("{step:?}"), done);
    }

    /// Waits until the held handlers are inside of what was emitted last.
    pub(super) fn wait_held(&mut self) {
        if self.is_held && !self.is_over() {
            self.memory.books.iter().for_each(Book::wait_held);
        }
    }

    pub(super) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
        self.memory.books.iter().for_each(|book| book.hold(is_held));
    }

    /// An error has a reason: the disk has stopped, or something on it was made to fail.
    fn excuse(&mut self, what: &str, done: Result<()>) {
        let Err(error) = done else { return };
        if matches!(error.kind(), ErrorKind::SyncFailed | ErrorKind::Poisoned) {
            self.has_failed = true;
        }
        if !self.is_faulty && !self.disk().is_stopped() {
            let detail = format!("{what}: {error}");
            self.memory
                .findings
                .add(Broken::Failed, error.seq(), &detail);
        }
    }

    fn events(&self, count: u16) -> Result<Vec<Event>> {
        let event = |place: u16| {
            let tag = Tag {
                seed: self.memory.seed,
                thread: self.memory.incarnation,
                index: self.index + u64::from(place),
                first: self.index,
                count,
                payload_max: payload_max(SEGMENT_LEN, BATCH_MAX),
            };
            tag.event()
        };
        (0..count).map(event).collect()
    }

    fn emit(&mut self, count: u16, durability: Durability) -> Result<()> {
        let events = self.events(count)?;
        let receipts = match events.as_slice() {
            [event] => vec![self.system.emit_with(event, durability)?],
            events => self.system.emit_batch_with(events, durability)?,
        };
        self.index += u64::from(count);
        for (receipt, event) in receipts.iter().zip(&events) {
            self.promised(receipt, event);
        }
        Ok(())
    }

    fn emit_async(&mut self, count: u16) -> Result<()> {
        let mut pending = Vec::new();
        for _ in 0..count {
            let events = self.events(1)?;
            for event in events {
                pending.push((self.system.emit_async(&event)?, event));
                self.index += 1;
            }
        }
        for (receipt, event) in pending {
            let receipt = receipt.wait()?;
            self.promised(&receipt, &event);
        }
        Ok(())
    }

    fn promised(&mut self, receipt: &Receipt, event: &Event) {
        let is_synced = receipt.level >= Level::Synced;
        if self.has_failed && is_synced {
            let detail = "it was acknowledged after a sync had failed";
            self.memory
                .findings
                .add(Broken::FailureForgotten, Some(receipt.seq), detail);
        }
        // Where the disk has stopped, what is only published may never have reached it.
        if is_synced || !self.disk().is_stopped() {
            let Memory {
                oracle, findings, ..
            } = &mut *self.memory;
            oracle.promise(receipt, event, findings);
            if is_synced {
                oracle.synced_upto(receipt.seq);
            }
            self.last = Some(*receipt);
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.system.flush()?;
        self.memory.oracle.synced_upto(Seq(u64::MAX));
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        if let Some(receipt) = self.last {
            self.system.wait(&receipt, Level::Synced)?;
            self.memory.oracle.synced_upto(receipt.seq);
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        self.hold(false);
        patience::drain(&self.system)
    }

    fn position(&mut self) -> Result<()> {
        for (name, book) in NAMES.into_iter().zip(&self.memory.books) {
            book.set_durable(self.system.durable_position(name)?);
        }
        Ok(())
    }

    fn project(&mut self, saves: bool) -> Result<()> {
        let Some(projection) = &mut self.projection else {
            return Ok(());
        };
        projection.catch_up()?;
        let (state, position) = (*projection.state(), projection.position());
        let mut expected = (0, 0);
        self.system.replay().to(position).run(|event| {
            add(&mut expected, event);
            Ok(())
        })?;
        if state != expected {
            let detail = format!("it is {state:?}, and each event once makes {expected:?}");
            self.memory
                .findings
                .add(Broken::WronglyApplied, Some(position), &detail);
        }
        if saves { projection.save() } else { Ok(()) }
    }

    fn redeliver(&mut self) -> Result<()> {
        self.hold(false);
        self.system.redeliver_all(NAMES[1]).map(drop)
    }

    /// Some events by their ids, and how many there are of a type.
    fn look_up(&mut self) -> Result<()> {
        let random = &mut Random::of(self.memory.seed, &[self.index, 2]);
        let held: Shown = self.memory.oracle.promised().collect();
        let first = self.system.store().first_seq();
        let few = held
            .iter()
            .filter(|(seq, _)| **seq >= first && random.one_in(8));
        for (seq, ack) in few.take(4) {
            let found = self.system.store().get_by_id(ack.id)?;
            let right = match found {
                Some(found) => digest_of(&found.event()) == ack.digest,
                None => self.memory.oracle.is_superseded(*seq),
            };
            if !right && !self.disk().is_stopped() && self.system.store().first_seq() <= *seq {
                let detail = format!("no look-up finds it by its id {}", ack.id);
                self.memory
                    .findings
                    .add(Broken::WronglyAnswered, Some(*seq), &detail);
            }
        }
        Ok(())
    }

    /// Waits for all handlers, and finds every event handled or parked.
    pub(super) fn settle(&mut self, shown: &Shown) {
        let drained = self.drain();
        self.excuse("drain", drained);
        let first = self.system.store().first_seq();
        for (name, book) in NAMES.into_iter().zip(&self.memory.books) {
            let parked: Vec<Seq> = self.system.parked(name).iter().map(|one| one.seq).collect();
            let is_missed =
                |seq: &Seq| *seq >= first && !book.has_handled(*seq) && !parked.contains(seq);
            let missed: Vec<Seq> = shown.keys().copied().filter(is_missed).collect();
            for seq in missed {
                let detail = format!("{name:?} neither handled nor parked it");
                self.memory
                    .findings
                    .add(Broken::Skipped, Some(seq), &detail);
            }
        }
        let projected = self.project(true);
        self.excuse("project", projected);
    }

    /// Closes in order; what is on the disk then is all there was.
    pub(super) fn close(mut self) -> TestDisk {
        let drained = self.drain();
        self.excuse("drain", drained);
        if !self.memory.findings.is_empty() {
            return self.system.into_disk(forelog::testing::Crash::Process);
        }
        let closed = self.system.close();
        let is_closed = closed.is_ok();
        self.excuse("close", closed);
        if is_closed && !self.disk().is_stopped() {
            self.memory.oracle.synced_upto(Seq(u64::MAX));
        }
        self.disk().crash(forelog::testing::Crash::Process)
    }

    pub(super) fn into_system(self) -> TestSystem {
        self.system
    }

    /// An error of an opening for which there is no reason.
    pub(super) fn refused(memory: &mut Memory, error: &Error, disk: &TestDisk) {
        let detail = error.to_string();
        memory.findings.add(Broken::Refused, error.seq(), &detail);
        memory.findings.history = Some(disk.history());
    }
}

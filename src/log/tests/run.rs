//! [`Run`]: a log on a simulated disk, driven step by step, with its promises written down.

use std::sync::Arc;
use std::time::Duration;

use super::promise::{Promise, Sent};
use super::{Random, keyed};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::format::record::Record;
use crate::keys::Access;
use crate::log::committer::Committer;
use crate::log::keeper::Keeper;
use crate::log::limits::Retention;
use crate::log::pins::Pins;
use crate::log::rotation::Prepare;
use crate::log::shared::Shared;
use crate::log::{Log, LogConfig, recovery};
use crate::position::Seq;
use crate::snapshot::Snapshots;
use crate::storage::sim::SimDisk;

/// What is done to a log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// A batch of this many events, each with this many bytes besides its number.
    Append(u64, usize, Durability),
    /// The same, to be synced, and nobody waits for it.
    Stage(u64, usize),
    Flush,
    /// A mark that witnesses the last sync, as an idle log writes it.
    Mark,
    Settle,
    Prepare,
    /// Removes what lies before the middle.
    Retire,
    Snapshot,
    /// Closes in order and opens again.
    Reopen,
    /// Ends without closing and opens again, in the same boot.
    Kill,
    /// Ends, in order or not, and opens again with a key, with which it is opened from then on.
    #[cfg_attr(
        not(feature = "encryption"),
        expect(dead_code, reason = "a build that cannot encrypt is given none")
    )]
    GiveKey(bool),
}

/// How a log is set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) segment_len: usize,
    pub(super) max_events: Option<u64>,
    /// Whether segments are settled and prepared only by steps, as a slow keeper would.
    pub(super) lazy: bool,
    /// Whether events are encrypted.
    pub(super) is_keyed: bool,
}

impl Setup {
    pub(super) const SMALL: Setup = Setup {
        segment_len: 8 << 10,
        max_events: None,
        lazy: false,
        is_keyed: false,
    };

    pub(super) fn open(&self, disk: &SimDisk) -> Result<Log> {
        self.open_with(disk, Seq::ZERO)
    }

    pub(super) fn open_with(&self, disk: &SimDisk, witness: Seq) -> Result<Log> {
        let config = LogConfig {
            segment_len: self.segment_len,
            retention: Retention {
                max_events: self.max_events,
                ..Retention::default()
            },
            recycle: true,
            background: self.lazy,
            access: if self.is_keyed {
                keyed()
            } else {
                Access::Plain
            },
            ..LogConfig::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_000)));
        let storage = disk.storage().folder(names::LOG)?;
        let examined = recovery::examine(storage.as_ref(), witness, None)?;
        let opened = recovery::open(&storage, &config, clock.now(), examined)?;
        let recovery = opened.recovery.clone();
        let shared = Arc::new(Shared::new(storage, config, clock, opened, Pins::default()));
        let keeper = Keeper::without_thread(shared.clone());
        Ok(Log {
            view: shared.view.clone(),
            shared,
            keeper,
            committer: Committer::default(),
            recovery,
        })
    }
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) disk: SimDisk,
    pub(super) setup: Setup,
    pub(super) log: Option<Log>,
    pub(super) promise: Promise,
    next_number: u64,
}

impl Run {
    /// A run that goes on with a log that was opened and showed what is promised.
    pub(super) fn resume(disk: SimDisk, setup: Setup, log: Log, promise: Promise) -> Run {
        let next_number = promise.events.last().map_or(0, |sent| sent.number) + 1_000;
        Run {
            disk,
            setup,
            log: Some(log),
            promise,
            next_number,
        }
    }

    /// Does the steps on a new disk that stops at its `crash_at`th operation.
    pub(super) fn of(setup: Setup, steps: &[Step], prepare: impl FnOnce(&SimDisk)) -> Run {
        let disk = SimDisk::new();
        prepare(&disk);
        let mut run = Run {
            log: None,
            promise: Promise::default(),
            next_number: 1,
            setup,
            disk,
        };
        let opened = run.open();
        run.must(opened);
        for step in steps {
            if run.disk.is_stopped() {
                break;
            }
            let done = run.step(*step);
            run.must(done);
        }
        run
    }

    /// Does the steps on a disk with planned faults, as a user would who does not give up: what fails
    /// is done again, a log that is closed or poisoned ends the run. Returns the errors met.
    pub(super) fn bravely(
        setup: Setup,
        steps: &[Step],
        prepare: impl FnOnce(&SimDisk),
    ) -> (Run, Vec<Error>) {
        let mut run = Run::of(setup, &[], |_| {});
        prepare(&run.disk);
        let mut errors = Vec::new();
        for step in steps {
            let Err(error) = run.step(*step) else {
                continue;
            };
            let is_final = error.kind() == ErrorKind::SyncFailed;
            errors.push(error);
            if is_final {
                break;
            }
            let again = if matches!(step, Step::Reopen) {
                Step::Kill
            } else {
                *step
            };
            run.step(again).expect("the fault strikes once");
        }
        (run, errors)
    }

    /// Without planned faults only the crash point makes a step fail.
    fn must(&self, done: Result<()>) {
        if let Err(error) = done {
            assert!(self.disk.is_stopped(), "{error:?}");
        }
    }

    fn open(&mut self) -> Result<()> {
        self.log = Some(self.setup.open(&self.disk)?);
        Ok(())
    }

    pub(super) fn log(&self) -> &Log {
        self.log.as_ref().expect("a log is open")
    }

    pub(super) fn step(&mut self, step: Step) -> Result<()> {
        let done = self.take(step);
        if let Some(log) = self.log.as_ref().filter(|_| !self.disk.is_stopped()) {
            let published = log.watermark().appended().min(self.promise.last());
            self.promise.published = published;
            self.promise.seen = self.promise.seen.max(published);
        }
        // The oldest segment may be on its way out when the crash comes.
        if self.setup.max_events.is_some() || matches!(step, Step::Retire) {
            let segments = self
                .log
                .as_ref()
                .map(|log| log.segments())
                .unwrap_or_default();
            if let Some(next) = segments.get(1).or(segments.first()) {
                self.promise.needed_from = next.base_seq();
            }
        }
        done
    }

    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Append(count, len, durability) => {
                let last = self.append(count, len, durability)?;
                if durability == Durability::Sync && !self.disk.is_stopped() {
                    self.log().wait_durable(last)?;
                    self.promise.synced = last;
                }
                Ok(())
            }
            Step::Stage(count, len) => self.append(count, len, Durability::Sync).map(drop),
            Step::Flush => self.flush(),
            Step::Mark => self.log().shared.mark_if_idle().map(drop),
            Step::Settle => self.log().shared.settle(0),
            Step::Prepare => self.log().shared.prepare_next(Prepare::Allocate),
            Step::Retire => {
                let middle = Seq(self.log().watermark().appended().0 / 2);
                self.log().retire_before(middle)
            }
            Step::Snapshot => self.snapshot(),
            Step::Reopen => {
                self.log().close()?;
                self.promise.synced = self.promise.last();
                self.log = None;
                self.reopen(true)
            }
            Step::Kill => {
                self.log = None;
                self.reopen(false)
            }
            Step::GiveKey(is_closed) => {
                self.setup.is_keyed = true;
                self.take(if is_closed { Step::Reopen } else { Step::Kill })
            }
        }
    }

    fn append(&mut self, count: u64, len: usize, durability: Durability) -> Result<Seq> {
        let numbers: Vec<u64> = (self.next_number..)
            .take(usize::try_from(count).unwrap())
            .collect();
        self.next_number += count;
        let data: Vec<Vec<u8>> = numbers
            .iter()
            .map(|number| Sent::data(*number, len))
            .collect();
        let records: Result<Vec<Record<'_>>> = data
            .iter()
            .map(|data| Record::new("test.number", "unit", Timestamp(1), data))
            .collect();
        let last = self.log().append(&records?, durability)?.last;
        if self.disk.is_stopped() {
            return Ok(last);
        }
        let first = Seq(last.0 + 1 - count);
        assert!(first > self.promise.seen, "{first} was handed out before");
        for (seq, number) in (first.0..).zip(numbers) {
            self.promise.events.push(Sent {
                seq: Seq(seq),
                number,
                len,
                batch_end: last,
            });
        }
        Ok(last)
    }

    fn flush(&mut self) -> Result<()> {
        self.log().flush()?;
        self.promise.synced = self.promise.last();
        Ok(())
    }

    fn reopen(&mut self, is_clean: bool) -> Result<()> {
        self.open()?;
        assert!(!is_clean || self.log().recovery().clean);
        let found = self
            .promise
            .check(self.log(), crate::storage::sim::CrashKind::Process);
        if !self.disk.is_stopped() {
            let found = found.unwrap_or_else(|wrong| panic!("{wrong}"));
            self.promise = self.promise.after(&found);
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<()> {
        self.flush()?;
        let position = self.promise.last();
        let state = self.promise.state_at(position);
        snapshots(&self.disk, self.log())?.save("sums", 1, position, &state, 3)?;
        self.promise.snapshot = position;
        Ok(())
    }
}

pub(super) fn snapshots(disk: &SimDisk, log: &Log) -> Result<Snapshots> {
    let folder = disk.storage().folder(names::SNAPSHOTS)?;
    Ok(Snapshots::new(folder, log.log_id()).with_key(log.key().cloned()))
}

/// Steps by chance, so mixed that a segment of 8 KiB holds a dozen of events or two.
pub(super) fn steps(seed: u64, count: usize, lazy: bool) -> Vec<Step> {
    let mut random = Random(seed);
    let durabilities = [
        Durability::Sync,
        Durability::Os,
        Durability::Interval(Duration::from_secs(1)),
    ];
    let mut step = |_| match random.below(if lazy { 29 } else { 25 }) {
        0..=11 => {
            let len = random.pick(&[10, 200, 450, 900]);
            Step::Append(1, len, random.pick(&durabilities))
        }
        12..=15 => {
            let durability = random.pick(&durabilities);
            Step::Append(2 + random.below(3), 300, durability)
        }
        16 => Step::Flush,
        17 => Step::Mark,
        18 => Step::Snapshot,
        19 => Step::Retire,
        20 => Step::Reopen,
        21 => Step::Kill,
        22..=24 => Step::Stage(1 + random.below(2), random.pick(&[10, 450])),
        25 | 26 => Step::Settle,
        _ => Step::Prepare,
    };
    (0..count).map(&mut step).collect()
}

//! `torture --sim`: seeds of a workload on the simulated disk, which crashes at any storage operation.
//!
//! Each seed is a life of several incarnations: it emits, handles, projects and looks up, and ends in
//! order, in a crash at whatever moment, at an operation of the disk, or after a failed sync. Of each
//! crash several of the disks are opened that it may leave (all of them, where these are few), and the
//! life goes on from one of them, perhaps after another crash inside of its recovery.

mod books;
mod oracle;
mod patience;
mod plan;
mod sum;
mod world;

use forelog::testing::{Crash, DiskOp, TestDisk, TestSystem};

use super::findings::{Broken, Findings};
use super::random::Random;
use books::Book;
use oracle::{Oracle, Shown};
use plan::{End, Settings};
use world::{Memory, World};

/// An operation of the disk that fails, and which one of its kind.
type Fault = (DiskOp, u64);

/// How many of the disks that a power cut may leave are opened, where these are many.
const SAMPLES: u64 = 4;
/// Up to how many crashes in a row strike inside of a recovery.
const NESTED_MAX: u64 = 2;

/// What came of one seed.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// How many crash states were opened.
    pub(crate) states: u64,
    /// How many events a compaction has dropped.
    pub(crate) dropped: u64,
    pub(crate) findings: Findings,
}

/// Lives a seed. On a disk that ignores syncs, the control, something must be found before long.
pub(crate) fn live(seed: u64, ignores_syncs: bool) -> Life {
    let settings = Settings::of(seed, ignores_syncs);
    let mut run = Run::new(seed, settings);
    let _lived = run.run();
    run.into_life()
}

/// Lives a seed of which the first incarnation meets a fault of the disk, the `nth` operation of its kind;
/// the next one shares its boot, and then the power fails.
pub(crate) fn live_with(seed: u64, op: DiskOp, nth: u64) -> Life {
    let settings = Settings::of(seed, false);
    let mut run = Run::new(seed, settings);
    let _lived = run.run_with((op, nth));
    run.into_life()
}

struct Run {
    settings: Settings,
    random: Random,
    states: u64,
    memory: Memory,
}

impl Run {
    fn new(seed: u64, settings: Settings) -> Run {
        Run {
            settings,
            random: Random::of(seed, &[0]),
            states: 0,
            memory: Memory {
                seed,
                oracle: Oracle::new(settings.retains, settings.compacts),
                books: [Book::default(), Book::default()],
                findings: Findings::default(),
                incarnation: 0,
            },
        }
    }

    fn into_life(self) -> Life {
        Life {
            states: self.states,
            dropped: self.memory.oracle.dropped,
            findings: self.memory.findings,
        }
    }

    /// Lives to the end, or until a promise is broken.
    fn run(&mut self) -> Option<()> {
        let mut disk = TestDisk::new();
        let mut power_failed = false;
        for _ in 0..2 + self.random.below(3) {
            let end = plan::end(&mut self.random);
            let fault = plan::other_fault(&mut self.random);
            (disk, power_failed) = self.incarnate(&disk, power_failed, end, fault)?;
        }
        self.finish(&disk, power_failed)
    }

    fn run_with(&mut self, fault: Fault) -> Option<()> {
        let mut disk = TestDisk::new();
        let mut power_failed = false;
        for (fault, crash) in [(Some(fault), Crash::Process), (None, Crash::PowerCut)] {
            let end = End::Crash(crash);
            (disk, power_failed) = self.incarnate(&disk, power_failed, end, fault)?;
        }
        self.finish(&disk, power_failed)
    }

    /// The last incarnation has no fault: everything is handled, and the log is closed and opened again.
    fn finish(&mut self, disk: &TestDisk, power_failed: bool) -> Option<()> {
        let (system, shown) = self.open(disk, power_failed)?;
        let mut world = World::new(system, &mut self.memory, self.settings.projects());
        world.settle(&shown);
        let disk = world.close();
        let (system, _) = self.open(&disk, false)?;
        if !system.recovery().clean {
            let detail = "a log that was closed in order does not open as one";
            self.memory.findings.add(Broken::Failed, None, detail);
        }
        system.into_disk(Crash::Process);
        Some(())
    }

    fn is_broken(&self) -> bool {
        !self.memory.findings.is_empty()
    }

    /// Opens a disk that a crash has left, and judges it; `None` if a promise is broken.
    fn open(&mut self, disk: &TestDisk, power_failed: bool) -> Option<(TestSystem, Shown)> {
        self.states += 1;
        disk.ignore_syncs(self.settings.ignores_syncs);
        match disk.open(self.settings.builder()) {
            Ok(system) => {
                let shown = self.judge(&system, power_failed);
                if self.is_broken() {
                    self.memory.findings.history = Some(disk.history());
                    return None;
                }
                self.memory.oracle.go_on_from(&shown);
                Some((system, shown))
            }
            Err(error) => {
                World::refused(&mut self.memory, &error, disk);
                None
            }
        }
    }

    fn judge(&mut self, system: &TestSystem, power_failed: bool) -> Shown {
        let Memory {
            seed,
            oracle,
            books,
            findings,
            ..
        } = &mut self.memory;
        for (book, name) in books.iter().zip(world::NAMES) {
            let (seen, again) = book.turn();
            for (seq, digest) in seen {
                oracle.see(seq, digest, findings);
            }
            // Parked events may come again: the picky one has them.
            for seq in again.into_iter().filter(|_| name == world::NAMES[0]) {
                let detail = "it came again although the subscription was behind it for good";
                findings.add(Broken::DeliveredAgain, Some(seq), detail);
            }
        }
        oracle.judge(system, *seed, power_failed, findings)
    }

    /// One incarnation: opens the disk, does its steps, ends. Returns the disk that is left.
    fn incarnate(
        &mut self,
        disk: &TestDisk,
        power_failed: bool,
        end: End,
        fault: Option<Fault>,
    ) -> Option<(TestDisk, bool)> {
        self.memory.incarnation += 1;
        let (system, _) = self.open(disk, power_failed)?;
        let begun = disk.op_count();
        if let End::StopAt(nth, _) = end {
            disk.stop_at(begun + nth);
        }
        let steps = plan::steps(&mut self.random);
        let mut world = World::new(system, &mut self.memory, self.settings.projects());
        if let Some((op, nth)) = fault {
            world.fail(op, nth);
        }
        for step in steps {
            if world.is_over() {
                break;
            }
            world.take(step);
        }
        if let End::Close = end {
            let left = world.close();
            return (!self.is_broken()).then_some((left, false));
        }
        world.wait_held();
        let disk = world.disk().clone();
        let system = world.into_system();
        let left = self.crash(system, &disk, end);
        (!self.is_broken()).then_some(left)
    }

    /// Ends a system in a crash, opens several of the disks that may be left of it, and returns one to go
    /// on from, and whether what was not synced may be lost with it.
    fn crash(&mut self, system: TestSystem, disk: &TestDisk, end: End) -> (TestDisk, bool) {
        let (End::Crash(crash) | End::StopAt(_, crash)) = end else {
            return (system.into_disk(Crash::Process), false);
        };
        let chosen = system.into_disk(crash);
        for book in &self.memory.books {
            book.hold(false);
        }
        let seed = self.random.next();
        // Stopped by now, the disk may be looked at as often as one likes.
        for left in disk.power_cuts(SAMPLES, seed) {
            self.probe(&left, true);
        }
        self.probe(&disk.crash(Crash::Process), false);
        let power_failed = crash != Crash::Process;
        self.crash_recovery(chosen, power_failed)
    }

    /// Opens one of the disks that a crash may leave, and goes no further with it.
    fn probe(&mut self, left: &TestDisk, power_failed: bool) {
        if self.is_broken() {
            return;
        }
        self.states += 1;
        match left.open(self.settings.builder()) {
            Ok(system) => {
                let Memory {
                    seed,
                    oracle,
                    findings,
                    ..
                } = &mut self.memory;
                // What it shows need not stay.
                let mut oracle = oracle.clone();
                let _shown = oracle.judge(&system, *seed, power_failed, findings);
                system.into_disk(Crash::Process);
                if self.is_broken() {
                    self.memory.findings.history = Some(left.history());
                }
            }
            Err(error) => World::refused(&mut self.memory, &error, left),
        }
    }

    /// Perhaps crashes the recovery, and the recovery after that.
    fn crash_recovery(&mut self, mut disk: TestDisk, mut power_failed: bool) -> (TestDisk, bool) {
        // Mostly none.
        let spread = NESTED_MAX + 1;
        let nested = self.random.below(2 * spread).saturating_sub(spread);
        for _ in 0..nested {
            disk.stop_at(1 + self.random.below(24));
            let opened = disk.open(self.settings.builder());
            let crash = plan::crash(&mut self.random);
            let left = match opened {
                Ok(system) => system.into_disk(crash),
                Err(error) if !disk.is_stopped() => {
                    World::refused(&mut self.memory, &error, &disk);
                    return (disk, power_failed);
                }
                Err(_) => disk.crash(crash),
            };
            disk = left;
            power_failed |= crash != Crash::Process;
        }
        (disk, power_failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compactions_are_at_work_in_some_seeds_and_drop_nothing_else() {
        let mut seeds = (0..400).filter(|seed| Settings::of(*seed, false).compacts);
        let dropped = seeds.find(|seed| {
            let life = live(*seed, false);
            assert!(life.findings.is_empty(), "{seed}: {:?}", life.findings);
            life.dropped > 0
        });
        assert!(dropped.is_some(), "no event is dropped in any seed");
    }
}

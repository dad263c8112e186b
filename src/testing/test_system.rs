//! [`TestSystem`]: a system on a simulated disk, to be crashed.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::{ManualClock, Timestamp};
use crate::error::Result;
use crate::storage::sim::{Choice, CrashKind, SimDisk};
use crate::system::{Builder, EventSystem};

/// Where the clock of a new system stands: 2026-01-01T00:00:00Z.
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000_000_000);
/// The segment size unless told otherwise: tests have few events and many systems.
const SEGMENT_SIZE: usize = 256 << 10;

/// How a system ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crash {
    /// The process is killed: everything that was published is still there.
    Process,
    /// The power fails: what no sync has covered is gone.
    PowerCut,
    /// The power fails, and of what no sync has covered any part is there, in any order, as a disk may
    /// leave it; the same part for the same number. Try many.
    PowerCutBy(u64),
}

/// An [`EventSystem`] on a simulated disk in memory, with a clock that stands still until it is moved.
/// It is used like the system that it is; see [`testing`](crate::testing).
#[derive(Debug)]
pub struct TestSystem {
    settings: Builder,
    clock: Arc<ManualClock>,
    disk: SimDisk,
    system: EventSystem,
}

impl TestSystem {
    /// A system with the default settings and small segments.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn new() -> Result<Self> {
        TestSystem::with(EventSystem::builder().segment_size(SEGMENT_SIZE))
    }

    /// A system with these settings, but for path and clock. Small segments make it fast.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn with(settings: Builder) -> Result<Self> {
        let clock = Arc::new(ManualClock::new(BEGINNING));
        let settings = settings.clock(clock.clone());
        let disk = SimDisk::new();
        let system = EventSystem::open_in(settings.clone(), disk.storage())?;
        Ok(TestSystem {
            settings,
            clock,
            disk,
            system,
        })
    }

    /// The clock that the system takes its time from. Delays between attempts are real time.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Ends the system in the middle of whatever it does, and opens what is left of it. Handlers,
    /// projections and clones of the old system are of no more use: register and open them anew, as a
    /// program does that starts again. It waits for a handler that is running.
    ///
    /// # Errors
    /// As [`Builder::open`]: a crash must never lead to one.
    pub fn crash(&mut self, crash: Crash) -> Result<()> {
        // From here on nothing reaches the disk, and so nobody hears that something did.
        self.disk.crash_at(self.disk.op_count().saturating_add(1));
        let (kind, choice) = match crash {
            Crash::Process => (CrashKind::Process, Choice::AllKept),
            Crash::PowerCut => (CrashKind::System, Choice::AllLost),
            Crash::PowerCutBy(number) => (CrashKind::System, Choice::Seed(number)),
        };
        let left = self.disk.crash(kind, choice);
        self.system.abandon();
        self.disk = left;
        self.reopen()
    }

    /// Closes the system in order and opens it again.
    ///
    /// # Errors
    /// As [`EventSystem::close`] and [`Builder::open`].
    pub fn restart(&mut self) -> Result<()> {
        self.system.close()?;
        // A copy of the disk, since regions of the old system may still be mapped from it.
        self.disk = self.disk.crash(CrashKind::Process, Choice::AllKept);
        self.reopen()
    }

    /// Waits until every handler has dealt with all that is emitted by now.
    ///
    /// # Errors
    /// As [`EventSystem::drain`], if that takes longer than this.
    pub fn drain_within(&self, time: Duration) -> Result<()> {
        self.system.drain(Instant::now().checked_add(time))
    }

    fn reopen(&mut self) -> Result<()> {
        self.system = EventSystem::open_in(self.settings.clone(), self.disk.storage())?;
        Ok(())
    }
}

impl Deref for TestSystem {
    type Target = EventSystem;

    fn deref(&self) -> &EventSystem {
        &self.system
    }
}

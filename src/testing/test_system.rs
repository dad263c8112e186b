//! [`TestSystem`]: a system on a simulated disk, to be crashed.

use std::ops::Deref;
use std::time::{Duration, Instant};

use super::crash::Crash;
use super::test_disk::TestDisk;
use crate::clock::ManualClock;
use crate::error::Result;
use crate::system::{Builder, EventSystem};

/// The segment size unless told otherwise: tests have few events and many systems.
const SEGMENT_SIZE: usize = 256 << 10;

/// An [`EventSystem`] on a simulated disk in memory, with a clock that stands still until it is moved.
/// It is used like the system that it is; see [`testing`](crate::testing).
#[derive(Debug)]
pub struct TestSystem {
    settings: Builder,
    disk: TestDisk,
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
        TestDisk::new().open(settings)
    }

    /// The clock that the system takes its time from. Delays between attempts and the linger of a batch go
    /// by it as well: they are over once it is moved. A handler notices that within 50 ms of real time.
    pub fn clock(&self) -> &ManualClock {
        self.disk.clock()
    }

    /// The disk that the system is on.
    pub fn disk(&self) -> &TestDisk {
        &self.disk
    }

    /// Ends the system in the middle of whatever it does, and opens what is left of it. Handlers,
    /// projections and clones of the old system are of no more use: register and open them anew, as a
    /// program does that starts again. It waits for a handler that is running.
    ///
    /// # Errors
    /// As [`Builder::open`]: a crash must never lead to one.
    pub fn crash(&mut self, crash: Crash) -> Result<()> {
        let left = self.end(crash);
        self.reopen(left)
    }

    /// Ends the system as [`TestSystem::crash`] does, and opens nothing: for what comes next may be another
    /// crash.
    pub fn into_disk(self, crash: Crash) -> TestDisk {
        self.end(crash)
    }

    /// Closes the system in order and opens it again.
    ///
    /// # Errors
    /// As [`EventSystem::close`] and [`Builder::open`].
    pub fn restart(&mut self) -> Result<()> {
        self.system.close()?;
        // A copy of the disk, since regions of the old system may still be mapped from it.
        let left = self.disk.crash(Crash::Process);
        self.reopen(left)
    }

    /// Waits until every handler has dealt with all that is emitted by now.
    ///
    /// # Errors
    /// As [`EventSystem::drain`], if that takes longer than this.
    pub fn drain_within(&self, time: Duration) -> Result<()> {
        self.system.drain(Instant::now().checked_add(time))
    }

    fn end(&self, crash: Crash) -> TestDisk {
        // From here on nothing reaches the disk, and so nobody hears that something did.
        self.disk.stop_at(self.disk.op_count().saturating_add(1));
        let left = self.disk.crash(crash);
        self.disk.halt();
        self.system.abandon();
        left
    }

    fn reopen(&mut self, left: TestDisk) -> Result<()> {
        self.system = EventSystem::open_in(self.settings.clone(), left.storage())?;
        self.disk = left;
        Ok(())
    }
}

impl TestDisk {
    /// Opens the system on this disk, or makes one, with these settings but for path and clock.
    ///
    /// # Errors
    /// As [`Builder::open`]; without a planned fault or stop a crash must never lead to one.
    pub fn open(&self, settings: Builder) -> Result<TestSystem> {
        let settings = settings.clock(self.clock().clone());
        let system = EventSystem::open_in(settings.clone(), self.storage())?;
        Ok(TestSystem {
            settings,
            disk: self.clone(),
            system,
        })
    }
}

impl Deref for TestSystem {
    type Target = EventSystem;

    fn deref(&self) -> &EventSystem {
        &self.system
    }
}

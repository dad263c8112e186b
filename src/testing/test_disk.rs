//! [`TestDisk`]: a simulated disk, with crash points and faults.

use std::io;
use std::sync::Arc;

use super::crash::Crash;
use crate::clock::{ManualClock, Timestamp};
use crate::error::Result;
use crate::storage::Storage;
use crate::storage::sim::{Choice, CrashKind, OpKind, SimDisk, Times};

/// Where the clock of a new disk stands: 2026-01-01T00:00:00Z.
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000_000_000);
/// Up to how many things of which each is kept or lost all combinations are made.
const EXHAUSTIVE_BITS: u32 = 6;

/// What a system asks of its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DiskOp {
    /// A file is made and its blocks are allocated.
    Create,
    /// A small file is written.
    Write,
    /// A file gets another name.
    Rename,
    /// A name is removed.
    Remove,
    /// The bytes of a file are made durable.
    Sync,
    /// The names in a folder are made durable.
    SyncFolder,
    /// A file is mapped into memory.
    Map,
    /// Names or bytes are read.
    Read,
}

impl DiskOp {
    fn kind(self) -> OpKind {
        match self {
            DiskOp::Create => OpKind::Create,
            DiskOp::Write => OpKind::Write,
            DiskOp::Rename => OpKind::Rename,
            DiskOp::Remove => OpKind::Remove,
            DiskOp::Sync => OpKind::Sync,
            DiskOp::SyncFolder => OpKind::SyncDir,
            DiskOp::Map => OpKind::Open,
            DiskOp::Read => OpKind::Read,
        }
    }
}

/// A disk in memory that keeps what is durable apart from what a running system sees. It counts the
/// operations that change it, stops at any of them, and lets any of them fail. A clone is another handle
/// to the same disk; a crash makes a new one. The machine's clock goes with it.
///
/// ```
/// use forelog::testing::{Crash, TestDisk};
/// use forelog::{Durability, Event, EventSystem};
/// # fn main() -> forelog::Result<()> {
/// let settings = EventSystem::builder().segment_size(64 << 10);
/// let order = |number: u64| Event::new("order.placed", "web", &number);
///
/// // The power fails at the tenth operation, wherever that comes, and again inside the recovery.
/// let disk = TestDisk::new();
/// disk.stop_at(10);
/// let mut acknowledged = 0;
/// if let Ok(system) = disk.open(settings.clone()) {
///     while system.emit(order(acknowledged)?).is_ok() {
///         acknowledged += 1;
///     }
///     system.into_disk(Crash::Process);
/// }
/// let disk = disk.crash(Crash::PowerCutBy(7));
/// disk.stop_at(3);
/// assert!(disk.open(settings.clone()).is_err());
///
/// for disk in disk.power_cuts(16, 1) {
///     assert!(disk.open(settings.clone())?.store().len() >= acknowledged, "{}", disk.history());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct TestDisk {
    disk: SimDisk,
    clock: Arc<ManualClock>,
}

impl Default for TestDisk {
    fn default() -> Self {
        TestDisk::new()
    }
}

impl TestDisk {
    /// An empty disk.
    pub fn new() -> Self {
        TestDisk {
            disk: SimDisk::new(),
            clock: Arc::new(ManualClock::new(BEGINNING)),
        }
    }

    /// How many operations were begun that change the disk. The threads of a system are not in step, so it
    /// may differ a little from run to run.
    pub fn op_count(&self) -> u64 {
        self.disk.op_count()
    }

    /// Stops the disk when its `nth` operation begins, counted from when it was made: that one and all later
    /// ones fail and change nothing, as if the power had failed there. What was acknowledged before is what
    /// counts: an event that needs no sync may still be emitted afterwards, and is lost. Let the disk
    /// [`crash`](TestDisk::crash), then.
    pub fn stop_at(&self, nth: u64) {
        self.disk.crash_at(nth);
    }

    /// Whether it has come to that operation.
    pub fn is_stopped(&self) -> bool {
        self.disk.is_stopped()
    }

    /// Lets the `nth` operation of this kind from now on (1 is the next) fail once.
    ///
    /// A sync that fails forgets what it had to write: the next one says Ok, and the bytes are not there
    /// after a power cut, as Linux has it.
    pub fn fail(&self, op: DiskOp, nth: u64, error: io::ErrorKind) {
        self.disk.fail(op.kind(), nth, error, Times::Once);
    }

    /// Lets the `nth` operation of this kind from now on, and all after it, fail.
    pub fn fail_from(&self, op: DiskOp, nth: u64, error: io::ErrorKind) {
        self.disk.fail(op.kind(), nth, error, Times::FromThenOn);
    }

    /// Lets syncs say Ok and do nothing: the control, which a test of crashes must find.
    pub fn ignore_syncs(&self, ignored: bool) {
        self.disk.ignore_syncs(ignored);
    }

    /// Limits the disk to so many bytes of files.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk.set_capacity(bytes);
    }

    /// The disk as a crash at this moment leaves it, or at the operation where it has stopped. The system on
    /// this one goes on undisturbed; [`TestSystem::into_disk`](super::TestSystem::into_disk) ends it.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> TestDisk {
        let (kind, choice) = match crash {
            Crash::Process => (CrashKind::Process, Choice::AllKept),
            Crash::PowerCut => (CrashKind::System, Choice::AllLost),
            Crash::PowerCutBy(number) => (CrashKind::System, Choice::Seed(number)),
        };
        self.over(self.disk.crash(kind, choice))
    }

    /// The disks that a power cut at this moment may leave: every combination of what no sync has covered,
    /// where these are few, and otherwise as many as `samples`, chosen by `seed`, with all lost and all kept
    /// among them.
    pub fn power_cuts(&self, samples: u64, seed: u64) -> impl Iterator<Item = TestDisk> + use<'_> {
        let images = self
            .disk
            .images(CrashKind::System, EXHAUSTIVE_BITS, samples, seed);
        images.map(|disk| self.over(disk))
    }

    /// The crashes that led to this disk, and what each has kept and lost.
    pub fn history(&self) -> String {
        self.disk.describe()
    }

    /// Changes bytes of a file, such as `log/000000000001-000.seg`, as damage would; bytes beyond its end are
    /// left out. No system may be open on the disk.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such file.
    pub fn damage(&self, path: &str, offset: usize, change: impl FnOnce(&mut u8)) -> Result<()> {
        let change = |bytes: &mut [u8]| bytes.first_mut().map_or((), change);
        let range = offset..offset.saturating_add(1);
        self.disk.corrupt(path, range, change)
    }

    /// The bytes of a file, as a running system sees them.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.disk.read_file(path)
    }

    /// All files with their lengths, by path.
    pub fn files(&self) -> Vec<(String, usize)> {
        let files = self.disk.files().into_iter();
        files.map(|(path, bytes)| (path, bytes.len())).collect()
    }

    pub(super) fn storage(&self) -> Arc<dyn Storage> {
        self.disk.storage()
    }

    pub(super) fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    /// Stops the disk now.
    pub(super) fn halt(&self) {
        self.stop_at(self.op_count().saturating_add(1));
        // The operation that it stops at: it fails and changes nothing.
        let _stopped = self.storage().sync_dir();
    }

    fn over(&self, disk: SimDisk) -> TestDisk {
        TestDisk {
            disk,
            clock: self.clock.clone(),
        }
    }
}

//! walrus-rust. Durable: `SyncEach` opens its files with `O_SYNC` and calls fsync besides; one lock a
//! topic, so threads do not share a sync. Buffered: pwrite, and a sync every 200 ms in the background, its default. The checksum
//! (FNV-1a, 64 bit) covers a record's payload; reads check it. Reading consumes: there is no read by
//! position, and each replay needs a fresh opening.

use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

use crate::engine::{Engine, Facts, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

pub(super) const FACTS: Facts = Facts {
    name: "walrus-rust",
    origin: Origin::Package("walrus-rust"),
    weaker: &[],
    remarks: &[],
    open,
};

const TOPIC: &str = "bench";
const SYNC_INTERVAL_MS: u64 = 200;
const READ_BYTES: usize = 512 << 10;
const DATA_DIR: &str = "WALRUS_DATA_DIR";

/// The number of the next opening: its namespace.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The folder of this process's namespaces, removed with this value. A child of ours uses its parent's,
/// and may be killed.
#[derive(Debug)]
pub struct Namespaces(Option<PathBuf>);

impl Drop for Namespaces {
    fn drop(&mut self) {
        // It is not there unless walrus ran.
        let _ = self.0.take().map(std::fs::remove_dir_all);
    }
}

/// Tells walrus where its namespaces are and to print nothing; it takes both from the environment only.
/// To be called first in `main`.
#[expect(unsafe_code, reason = "walrus has no other way to set its directory")]
#[must_use = "the folder goes with this value"]
pub fn prepare_process() -> Namespaces {
    if std::env::var_os(DATA_DIR).is_some() {
        return Namespaces(None);
    }
    let root = std::env::temp_dir().join(format!("forelog-compare-links-{}", std::process::id()));
    // SAFETY: called before any other thread runs, so nobody reads the environment meanwhile.
    unsafe {
        std::env::set_var(DATA_DIR, &root);
        std::env::set_var("WALRUS_QUIET", "1");
    }
    Namespaces(Some(root))
}

struct Log {
    walrus: Walrus,
    link: PathBuf,
}

/// A namespace is a folder below one root for the whole process: a link leads it to `dir`.
fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let root = PathBuf::from(std::env::var_os(DATA_DIR).unwrap_or_default());
    std::fs::create_dir_all(&root)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let key = format!("{}-{number}", std::process::id());
    let link = root.join(&key);
    symlink(dir, &link)?;
    let schedule = match mode {
        Mode::Buffered => FsyncSchedule::Milliseconds(SYNC_INTERVAL_MS),
        Mode::Durable => FsyncSchedule::SyncEach,
    };
    let consistency = ReadConsistency::AtLeastOnce {
        persist_every: u32::MAX,
    };
    let walrus = Walrus::with_consistency_and_schedule_for_key(&key, consistency, schedule)?;
    Ok(Some(Box::new(Log { walrus, link })))
}

impl Engine for Log {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        self.walrus.append_for_topic(TOPIC, record.bytes)?;
        Ok(Some(Place(0, 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        self.append(record)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let records: Vec<&[u8]> = batch.bytes.iter().map(Vec::as_slice).collect();
        self.walrus.batch_append_for_topic(TOPIC, &records)?;
        places.extend(records.iter().map(|_| Place(0, 0)));
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        loop {
            let entries = self.walrus.batch_read_for_topic(TOPIC, READ_BYTES, true)?;
            if entries.is_empty() {
                return Ok(Some(()));
            }
            for entry in entries {
                if visit(&entry.data) == ControlFlow::Break(()) {
                    return Ok(Some(()));
                }
            }
        }
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        drop(self.walrus);
        Ok(std::fs::remove_file(&self.link)?)
    }
}

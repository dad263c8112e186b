//! sled 0.34 as a log: keys are numbers. Its `flush` ends in `sync_file_range`, which waits for neither
//! the device's cache nor the file's metadata, so nothing of it is durable. Buffered: records wait in
//! the process until its flush thread writes them, every 500 ms. The checksum (CRC-32) covers a page or
//! a message when it is read from the file; values in its cache are not checked again.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ::sled::{Batch as SledBatch, Db};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

const NO_SYNC: &str = "its flush is sync_file_range: a power cut loses it";
const IN_PROCESS: &str = "held in the process for up to 500 ms: a kill loses it";
const CACHED: &str = "values in its cache are not checked";

pub(super) const FACTS: Facts = Facts {
    name: "sled",
    origin: Origin::Package("sled"),
    weaker: &[
        (Group::Durable, NO_SYNC),
        (Group::Buffered, IN_PROCESS),
        (Group::Read, CACHED),
    ],
    remarks: &[],
    open,
};

struct Sled {
    db: Db,
    next: AtomicU64,
    mode: Mode,
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let db = ::sled::open(dir)?;
    let last = db.last()?.map(|(key, _)| number(&key));
    let next = AtomicU64::new(last.map_or(0, |last| last + 1));
    Ok(Some(Box::new(Sled { db, next, mode })))
}

impl Engine for Sled {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.db.insert(id.to_be_bytes(), record.bytes)?;
        Ok(Some(Place(id, 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let place = self.append(record)?;
        self.db.flush()?;
        Ok(place)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let first = self.next.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let mut writes = SledBatch::default();
        for (id, record) in (first..).zip(batch.bytes) {
            writes.insert(&id.to_be_bytes(), record.as_slice());
            places.push(Place(id, 0));
        }
        self.db.apply_batch(writes)?;
        if self.mode == Mode::Durable {
            self.db.flush()?;
        }
        Ok(Some(()))
    }

    fn flush(&self) -> anyhow::Result<()> {
        self.db.flush()?;
        Ok(())
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        for entry in &*self.db {
            if visit(&entry?.1) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        if let Some(value) = self.db.get(place.0.to_be_bytes())? {
            visit(&value);
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        self.flush()
    }
}

fn number(key: &[u8]) -> u64 {
    key.try_into().map_or(0, u64::from_be_bytes)
}

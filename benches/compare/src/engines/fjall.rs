//! fjall as a log: keys are numbers. Durable: a batch with `PersistMode::SyncData`, an fdatasync of the
//! journal under its lock, so threads do not share one. Buffered: its default, written to the journal
//! file. The checksum (XXH3) covers a block of a table and a batch of the journal; what lies in its
//! memtable or block cache is not checked again.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

const CACHED: &str = "values in its memtable and cache are not checked";

pub(super) const FACTS: Facts = Facts {
    name: "fjall",
    origin: Origin::Package("fjall"),
    weaker: &[(Group::Read, CACHED)],
    remarks: &[],
    open,
};

struct Fjall {
    db: Database,
    log: Keyspace,
    next: AtomicU64,
    mode: Mode,
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let db = Database::builder(dir).open()?;
    let log = db.keyspace("log", KeyspaceCreateOptions::default)?;
    let last = log.last_key_value().map(::fjall::Guard::key).transpose()?;
    let last = last.and_then(|key| key.as_ref().try_into().ok());
    let next = AtomicU64::new(last.map_or(0, |key| u64::from_be_bytes(key) + 1));
    Ok(Some(Box::new(Fjall {
        db,
        log,
        next,
        mode,
    })))
}

impl Fjall {
    fn insert<'a>(
        &self,
        records: impl ExactSizeIterator<Item = &'a [u8]>,
        mode: PersistMode,
    ) -> anyhow::Result<u64> {
        let first = self.next.fetch_add(records.len() as u64, Ordering::Relaxed);
        let mut batch = self.db.batch().durability(Some(mode));
        for (id, record) in (first..).zip(records) {
            batch.insert(&self.log, id.to_be_bytes(), record);
        }
        batch.commit()?;
        Ok(first)
    }
}

impl Engine for Fjall {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.log.insert(id.to_be_bytes(), record.bytes)?;
        Ok(Some(Place(id, 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let id = self.insert(std::iter::once(record.bytes), PersistMode::SyncData)?;
        Ok(Some(Place(id, 0)))
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let mode = match self.mode {
            Mode::Buffered => PersistMode::Buffer,
            Mode::Durable => PersistMode::SyncData,
        };
        let first = self.insert(batch.bytes.iter().map(Vec::as_slice), mode)?;
        places.extend((first..).map(|id| Place(id, 0)).take(batch.len()));
        Ok(Some(()))
    }

    fn flush(&self) -> anyhow::Result<()> {
        Ok(self.db.persist(PersistMode::Buffer)?)
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        for entry in self.log.iter() {
            if visit(&entry.value()?) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        if let Some(value) = self.log.get(place.0.to_be_bytes())? {
            visit(&value);
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

//! redb as a log: keys are numbers, a transaction each append. Durable: `Durability::Immediate`, one
//! writer at a time. Buffered: `Durability::None`, which keeps the commit in the process until a later
//! durable one. The checksum (XXH3) covers a page, is checked when a file is repaired, not at a read.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ::redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const IN_PROCESS: &str = "held in the process until a durable commit: a kill loses it";
const NOT_CHECKED: &str = "checksums are checked at a repair, not at a read";

pub(super) const FACTS: Facts = Facts {
    name: "redb",
    origin: Origin::Package("redb"),
    weaker: &[(Group::Buffered, IN_PROCESS), (Group::Read, NOT_CHECKED)],
    remarks: &[],
    open,
};

struct Redb {
    db: Database,
    next: AtomicU64,
    mode: Mode,
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let db = Database::create(dir.join("log.redb"))?;
    let write = db.begin_write()?;
    let last = write.open_table(TABLE)?.last()?.map(|(key, _)| key.value());
    write.commit()?;
    let next = AtomicU64::new(last.map_or(0, |last| last + 1));
    Ok(Some(Box::new(Redb { db, next, mode })))
}

impl Redb {
    fn insert<'a>(
        &self,
        records: impl Iterator<Item = &'a [u8]>,
        durability: Durability,
    ) -> anyhow::Result<u64> {
        let mut write = self.db.begin_write()?;
        write.set_durability(durability)?;
        let first = self.next.load(Ordering::Relaxed);
        let mut table = write.open_table(TABLE)?;
        for (id, record) in (first..).zip(records) {
            table.insert(id, record)?;
            self.next.store(id + 1, Ordering::Relaxed);
        }
        drop(table);
        write.commit()?;
        Ok(first)
    }
}

impl Engine for Redb {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let id = self.insert(std::iter::once(record.bytes), Durability::None)?;
        Ok(Some(Place(id, 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let id = self.insert(std::iter::once(record.bytes), Durability::Immediate)?;
        Ok(Some(Place(id, 0)))
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let durability = match self.mode {
            Mode::Buffered => Durability::None,
            Mode::Durable => Durability::Immediate,
        };
        let first = self.insert(batch.bytes.iter().map(Vec::as_slice), durability)?;
        places.extend((first..).map(|id| Place(id, 0)).take(batch.len()));
        Ok(Some(()))
    }

    fn flush(&self) -> anyhow::Result<()> {
        self.insert(std::iter::empty(), Durability::Immediate)
            .map(drop)
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let read = self.db.begin_read()?;
        for entry in read.open_table(TABLE)?.iter()? {
            if visit(entry?.1.value()) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        let read = self.db.begin_read()?;
        if let Some(value) = read.open_table(TABLE)?.get(place.0)? {
            visit(value.value());
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        self.flush()
    }
}

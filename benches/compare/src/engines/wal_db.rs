//! wal-db. Durable: `append_and_sync`, whose callers share an fdatasync. Buffered: `append`, a pwrite a
//! record, without a lock. The checksum (CRC-32C) covers length and payload of each record; a replay
//! and a read check it. A batch is appends and one sync: not atomic.

use std::ops::ControlFlow;
use std::path::Path;

use ::wal_db::{Lsn, Wal};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

pub(super) const FACTS: Facts = Facts {
    name: "wal-db",
    origin: Origin::Package("wal-db"),
    weaker: &[],
    remarks: &[(Group::Durable, NOT_ATOMIC)],
    open,
};

const NOT_ATOMIC: &str = "a batch is appends and one sync, not atomic";

struct WalDb {
    wal: Wal,
    mode: Mode,
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let wal = Wal::open(dir.join("log.wal"))?;
    Ok(Some(Box::new(WalDb { wal, mode })))
}

impl Engine for WalDb {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        Ok(Some(Place(self.wal.append(record.bytes)?.get(), 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let lsn = self.wal.append_and_sync(record.bytes)?;
        Ok(Some(Place(lsn.get(), 0)))
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        for record in batch.bytes {
            places.push(Place(self.wal.append(record)?.get(), 0));
        }
        if self.mode == Mode::Durable {
            self.wal.sync()?;
        }
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        for record in self.wal.iter()? {
            if visit(record?.data()) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        if let Some(record) = self.wal.iter_from(Lsn::new(place.0))?.next() {
            visit(record?.data());
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.wal.sync()?)
    }
}

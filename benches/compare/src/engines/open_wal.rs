//! open-wal. Durable: `append` and `commit`, a write and an fdatasync. It is for one writer; here a lock
//! lets in one at a time, so threads do not share a sync. What is not committed waits in the process:
//! it has no buffered append. The checksum (CRC-32C) covers each record; a replay checks it. A read by
//! number scans from the start, so random reads are left out.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::open_wal::{Lsn, Wal, WalConfig};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

pub(super) const FACTS: Facts = Facts {
    name: "open-wal",
    origin: Origin::Package("open-wal"),
    weaker: &[],
    remarks: &[(Group::Durable, ONE_WRITER)],
    open,
};

const ONE_WRITER: &str = "it is for one writer, threads take turns behind a lock";

struct OpenWal(Mutex<Wal>);

fn open(dir: &Path, _mode: Mode) -> Offer<Box<dyn Engine>> {
    let (wal, _) = Wal::open(dir, WalConfig::default())?;
    Ok(Some(Box::new(OpenWal(Mutex::new(wal)))))
}

impl OpenWal {
    fn wal(&self) -> MutexGuard<'_, Wal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for OpenWal {
    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let mut wal = self.wal();
        let lsn = wal.append(record.bytes)?;
        wal.commit()?;
        Ok(Some(Place(lsn.0, 0)))
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let mut wal = self.wal();
        for record in batch.bytes {
            places.push(Place(wal.append(record)?.0, 0));
        }
        wal.commit()?;
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let wal = self.wal();
        let mut reader = wal.reader_from(Lsn(0))?;
        while let Some(record) = reader.next() {
            if visit(record?.1) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        self.wal().commit()?;
        Ok(())
    }
}

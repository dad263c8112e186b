//! rewal. Durable: `SyncMode::Batch`, an fsync after each write of its writer thread; `flush` waits for that,
//! and threads share a write. Buffered: `append` only queues in the process. The checksum (CRC-32C)
//! covers each batch; a replay checks it. A read by number scans the file from its start, so random
//! reads are left out.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use ::rewal::{Batch as RewalBatch, SyncMode, Wal};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

const IN_PROCESS: &str = "only queued in the process: a kill loses it";

pub(super) const FACTS: Facts = Facts {
    name: "rewal",
    origin: Origin::Package("rewal"),
    weaker: &[(Group::Buffered, IN_PROCESS)],
    remarks: &[],
    open,
};

const CLOSE_TIMEOUT: Duration = Duration::from_mins(1);

struct Rewal {
    wal: Wal,
    mode: Mode,
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let sync = match mode {
        Mode::Buffered => SyncMode::Never,
        Mode::Durable => SyncMode::Batch,
    };
    let wal = Wal::open(dir.join("log.rewal")).sync_mode(sync).build()?;
    Ok(Some(Box::new(Rewal { wal, mode })))
}

impl Engine for Rewal {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        Ok(Some(Place(self.wal.append(record.bytes)?, 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let place = self.append(record)?;
        self.wal.flush()?;
        Ok(place)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let mut events = RewalBatch::with_capacity(batch.len());
        for record in batch.bytes {
            events.add(record.as_slice());
        }
        let end = self.wal.append_batch(events)? + 1;
        if self.mode == Mode::Durable {
            self.wal.flush()?;
        }
        let first = end - batch.len() as u64;
        places.extend((first..end).map(|lsn| Place(lsn, 0)));
        Ok(Some(()))
    }

    fn flush(&self) -> anyhow::Result<()> {
        Ok(self.wal.flush()?)
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let mut events = self.wal.iterator(0)?;
        while let Some(event) = events.next_borrowed()? {
            if visit(event.payload) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.wal.shutdown(CLOSE_TIMEOUT)?)
    }
}

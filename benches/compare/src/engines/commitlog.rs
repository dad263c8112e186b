//! commitlog. It offers no sync: its flush is one of `std::io::Write` on a file, which does nothing, so
//! nothing is durable. Buffered: a write(2) a record. The checksum (CRC-32C) covers a message's payload;
//! reads check it. It is for one thread; here a lock lets in one at a time.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::commitlog::message::{MessageBuf, MessageSet};
use ::commitlog::{CommitLog, LogOptions, ReadLimit};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

pub(super) const FACTS: Facts = Facts {
    name: "commitlog",
    origin: Origin::Package("commitlog"),
    weaker: &[(Group::Reopen, UNCHECKED)],
    remarks: &[],
    open,
};

const UNCHECKED: &str = "nothing of the log is checked";

/// Room for one record and its header, and for many.
const ONE: usize = 512;
const MANY: usize = 900_000;

struct Commitlog(Mutex<CommitLog>);

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    if mode == Mode::Durable {
        return Ok(None);
    }
    let log = CommitLog::new(LogOptions::new(dir))?;
    Ok(Some(Box::new(Commitlog(Mutex::new(log)))))
}

impl Commitlog {
    fn log(&self) -> MutexGuard<'_, CommitLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Commitlog {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let offset = self.log().append_msg(record.bytes)?;
        Ok(Some(Place(offset, 0)))
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let mut messages = batch.bytes.iter().collect::<MessageBuf>();
        let range = self.log().append(&mut messages)?;
        places.extend(range.iter().map(|offset| Place(offset, 0)));
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let log = self.log();
        let mut next = 0;
        while next < log.next_offset() {
            let messages = log.read(next, ReadLimit::max_bytes(MANY))?;
            for message in messages.iter() {
                next = message.offset() + 1;
                if visit(message.payload()) == ControlFlow::Break(()) {
                    return Ok(Some(()));
                }
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        let messages = self.log().read(place.0, ReadLimit::max_bytes(ONE))?;
        if let Some(message) = messages.iter().next() {
            visit(message.payload());
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.log().flush()?)
    }
}

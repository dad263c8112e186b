//! writeahead. Durable: a write returns after the fdatasync of the round that its writer thread made of
//! all waiting ones. There is no write without a sync. The checksum (Murmur3, 128 bit) covers each
//! record's payload; a replay and a read check it. Its futures are driven by blocking on each.

use std::ops::ControlFlow;
use std::path::Path;

use ::writeahead::{RecordID, SimpleFile, WriteAhead, WriteAheadOptions, WriteHandle};
use futures::StreamExt;
use futures::executor::block_on;

use crate::engine::{Engine, Facts, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

pub(super) const FACTS: Facts = Facts {
    name: "writeahead",
    origin: Origin::Package("writeahead"),
    weaker: &[],
    remarks: &[],
    open,
};

struct Log {
    log: WriteAhead<SimpleFile>,
    writer: WriteHandle,
}

fn open(dir: &Path, _mode: Mode) -> Offer<Box<dyn Engine>> {
    let mut log = WriteAhead::with_options(WriteAheadOptions {
        log_dir: dir.to_path_buf(),
        ..WriteAheadOptions::default()
    });
    log.start()?;
    let writer = log.writer()?;
    Ok(Some(Box::new(Log { log, writer })))
}

impl Engine for Log {
    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let id = block_on(self.writer.write(record.bytes.to_vec()))?;
        Ok(Some(place(&id)))
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let ids = block_on(self.writer.write_batch(batch.bytes.to_vec()))?;
        places.extend(ids.iter().map(place));
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let mut records = self.log.create_stream()?;
        while let Some(record) = block_on(records.next()) {
            if visit(&record?.1) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        visit(&self.log.read(place.0, place.1)?);
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}

fn place(id: &RecordID) -> Place {
    Place(id.file_id, id.file_offset)
}

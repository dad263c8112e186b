//! okaywal. Durable: a commit returns after the fdatasync that covers it; threads share one. There is
//! no commit without a sync. The checksum covers each chunk; it is compared where the reader asks, as
//! here. A checkpoint gives its segments back, which is how it is meant: appends are measured at its
//! defaults, so it recycles files of 1 MiB and keeps no history, and once more with checkpoints out of reach
//! (`okaywal-kept`), so that it keeps what it is given, as a log of events has to; what is read back was
//! loaded in that way. It reads all records only while it opens, so a replay is an opening, and
//! each opening has to read them: a manager that skips them makes it lose all but the first (0.3.1).

use std::fmt;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ::okaywal::{
    Configuration, Entry, LogManager, LogPosition, ReadChunkResult, Recovery, SegmentReader,
    WriteAheadLog,
};
use anyhow::ensure;

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

pub(super) const FACTS: Facts = Facts {
    name: "okaywal",
    origin: Origin::Package("okaywal"),
    weaker: &[],
    remarks: &[(Group::Durable, RECYCLES)],
    open,
};

/// The same, told to keep all that it is given.
pub(super) const KEPT: Facts = Facts {
    name: "okaywal-kept",
    remarks: &[(Group::Durable, KEEPS)],
    open: open_kept,
    ..FACTS
};

const KEEPS: &str = "okaywal with checkpoints out of reach, which it is not meant for, so that it keeps the events as the others do";
const RECYCLES: &str = "at its defaults it recycles files of 1 MiB and keeps no history";
const CHECKPOINT_NEVER: u64 = 1 << 40;

struct Okaywal {
    log: WriteAheadLog,
    dir: PathBuf,
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    match mode {
        Mode::Buffered => keep(dir),
        Mode::Durable => start(dir, Configuration::default_for(dir)),
    }
}

/// What is loaded is kept by either; only what is written durably differs.
fn open_kept(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    match mode {
        Mode::Buffered => Ok(None),
        Mode::Durable => keep(dir),
    }
}

fn keep(dir: &Path) -> Offer<Box<dyn Engine>> {
    let config = Configuration::default_for(dir);
    start(dir, config.checkpoint_after_bytes(CHECKPOINT_NEVER))
}

fn start(dir: &Path, config: Configuration) -> Offer<Box<dyn Engine>> {
    let log = config.open(Keep { read: None })?;
    let dir = dir.to_path_buf();
    Ok(Some(Box::new(Okaywal { log, dir })))
}

impl Engine for Okaywal {
    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        let mut entry = self.log.begin_entry()?;
        let chunk = entry.write_chunk(record.bytes)?;
        entry.commit()?;
        place(chunk.position).map(Some)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let mut entry = self.log.begin_entry()?;
        for record in batch.bytes {
            places.push(place(entry.write_chunk(record)?.position)?);
        }
        entry.commit()?;
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let read = Arc::new(Mutex::new(Vec::new()));
        let config = Configuration::default_for(&self.dir).checkpoint_after_bytes(CHECKPOINT_NEVER);
        let manager = Keep {
            read: Some(Arc::clone(&read)),
        };
        config.open(manager)?.shutdown()?;
        let records = read.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records.iter() {
            if visit(record) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        let bytes = [place.0.to_le_bytes(), place.1.to_le_bytes()].concat();
        let position = LogPosition::deserialize_from(&bytes[..])?;
        let mut reader = self.log.read_at(position)?;
        let mut record = Vec::with_capacity(crate::record::RECORD_LEN);
        reader.read_to_end(&mut record)?;
        ensure!(reader.crc_is_valid()?, "the CRC does not match");
        visit(&record);
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.log.shutdown()?)
    }
}

fn place(position: LogPosition) -> anyhow::Result<Place> {
    let mut bytes = [0; 16];
    position.serialize_to(&mut bytes[..])?;
    let (file, offset) = bytes.split_at(8);
    Ok(Place(
        u64::from_le_bytes(file.try_into()?),
        u64::from_le_bytes(offset.try_into()?),
    ))
}

/// Recovers every segment; keeps the records where somebody wants them.
struct Keep {
    read: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep")
    }
}

impl LogManager for Keep {
    fn should_recover_segment(
        &mut self,
        _segment: &::okaywal::RecoveredSegment,
    ) -> io::Result<Recovery> {
        Ok(Recovery::Recover)
    }

    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            let record = chunk.read_all()?;
            if !chunk.check_crc()? {
                return Err(io::Error::other("the CRC does not match"));
            }
            if let Some(read) = &self.read {
                let mut records = read.lock().unwrap_or_else(PoisonError::into_inner);
                records.push(record);
            }
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: ::okaywal::EntryId,
        _entries: &mut SegmentReader,
        _log: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

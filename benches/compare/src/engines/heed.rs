//! LMDB (heed) as a log: keys are numbers, appended in order, a transaction each. Durable: its default,
//! an fdatasync a commit, one writer at a time. Buffered: `NO_SYNC`, which a killed process survives,
//! but after a power cut the file may be beyond repair. It has no checksums.

use std::ops::ControlFlow;
use std::path::Path;

use ::heed::byteorder::BigEndian;
use ::heed::types::{Bytes, U64};
use ::heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RwTxn};

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

const NO_CHECKSUM: &str = "no checksums";
const UNCHECKED: &str = "nothing is checked";

pub(super) const FACTS: Facts = Facts {
    name: "lmdb",
    origin: Origin::Package("heed"),
    weaker: &[(Group::Read, NO_CHECKSUM), (Group::Reopen, UNCHECKED)],
    remarks: &[],
    open,
};

/// Far above what any workload writes; the file takes only what is used.
const MAP_SIZE: usize = 32 << 30;

type Log = Database<'static, U64<BigEndian>, Bytes>;

struct Lmdb {
    env: Env,
    log: Log,
}

#[expect(unsafe_code, reason = "LMDB maps a file")]
fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_SIZE);
    if mode == Mode::Buffered {
        // SAFETY: NO_SYNC gives up durability, not the soundness of the map.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: the directory is this run's own; nobody else changes the file while it is mapped.
    let env = unsafe { options.open(dir)? };
    let write = env.write_txn()?;
    let log: Log = env
        .create_databases_and_commit(write, |opener, write| {
            let log = opener.create_database::<U64<BigEndian>, Bytes>(write, None)?;
            Ok::<_, ::heed::Error>(CommitOrAbort::<_, ()>::Commit(log))
        })?
        .unwrap_commit();
    Ok(Some(Box::new(Lmdb { env, log })))
}

impl Lmdb {
    /// The transaction is the only writer, so the last key is the last append.
    fn next(&self, write: &RwTxn<'_>) -> anyhow::Result<u64> {
        Ok(self.log.last(write)?.map_or(0, |(last, _)| last + 1))
    }

    fn insert<'a>(&self, records: impl Iterator<Item = &'a [u8]>) -> anyhow::Result<u64> {
        let mut write = self.env.write_txn()?;
        let first = self.next(&write)?;
        for (id, record) in (first..).zip(records) {
            self.log
                .put_with_flags(&mut write, PutFlags::APPEND, &id, record)?;
        }
        write.commit()?;
        Ok(first)
    }
}

impl Engine for Lmdb {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        let id = self.insert(std::iter::once(record.bytes))?;
        Ok(Some(Place(id, 0)))
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        self.append(record)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let first = self.insert(batch.bytes.iter().map(Vec::as_slice))?;
        places.extend((first..).map(|id| Place(id, 0)).take(batch.len()));
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let read = self.env.read_txn()?;
        for entry in self.log.iter(&read)? {
            if visit(entry?.1) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        let read = self.env.read_txn()?;
        if let Some(value) = self.log.get(&read, &place.0)? {
            visit(value);
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        self.env.force_sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

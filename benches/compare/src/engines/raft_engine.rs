//! raft-engine. Durable: `write` with sync, answered after the fdatasync of the group it was written in.
//! Buffered: the same without sync, a write(2) a group. The checksum (CRC-32) covers the entries of each
//! log batch; a read checks it. Its order is per Raft group, and each thread writes to one of its own.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ::raft_engine::{Config, Engine as Raft, LogBatch, MessageExt};
use anyhow::Context;
use protobuf::descriptor::UninterpretedOption;

use crate::engine::{Engine, Facts, Group, Mode, Offer, Origin, Place, Visit};
use crate::record::{Batch, Record};

pub(super) const FACTS: Facts = Facts {
    name: "raft-engine",
    origin: Origin::Package("raft-engine"),
    weaker: &[],
    remarks: &[(Group::Durable, PER_GROUP), (Group::Buffered, PER_GROUP)],
    open,
};

const PER_GROUP: &str = "each thread writes to a Raft group of its own, there is no order across";
const REPLAY_STEP: u64 = 1024;

/// Entries are protobuf messages: one that comes with protobuf and has a number and bytes.
struct Numbered;

impl MessageExt for Numbered {
    type Entry = UninterpretedOption;
    fn index(entry: &Self::Entry) -> u64 {
        entry.get_positive_int_value()
    }
}

struct RaftEngine {
    raft: Raft,
    /// Tells this opening from others that the same thread writes to.
    opening: u64,
    mode: Mode,
    next_group: AtomicU64,
}

thread_local! {
    /// Where a thread writes: to which opening, which group, and the next index there.
    static LANE: Cell<(u64, u64, u64)> = const { Cell::new((0, 0, 0)) };
}

fn open(dir: &Path, mode: Mode) -> Offer<Box<dyn Engine>> {
    static OPENINGS: AtomicU64 = AtomicU64::new(1);
    let dir = dir.to_str().context("a path that is not UTF-8")?;
    let raft = Raft::open(Config {
        dir: dir.to_owned(),
        ..Config::default()
    })?;
    let groups = raft.raft_groups().into_iter().max().unwrap_or(0);
    Ok(Some(Box::new(RaftEngine {
        raft,
        opening: OPENINGS.fetch_add(1, Ordering::Relaxed),
        mode,
        next_group: AtomicU64::new(groups + 1),
    })))
}

impl RaftEngine {
    fn write<'a>(
        &self,
        records: impl ExactSizeIterator<Item = &'a [u8]>,
        sync: bool,
    ) -> anyhow::Result<Place> {
        let (group, first) = self.lane(records.len() as u64);
        let entries: Vec<UninterpretedOption> = records
            .zip(first..)
            .map(|(record, index)| {
                let mut entry = UninterpretedOption::new();
                entry.set_positive_int_value(index);
                entry.set_string_value(record.to_vec());
                entry
            })
            .collect();
        let mut batch = LogBatch::with_capacity(1);
        batch.add_entries::<Numbered>(group, &entries)?;
        self.raft.write(&mut batch, sync)?;
        Ok(Place(group, first))
    }

    /// The calling thread's group and the first of `len` indexes there.
    fn lane(&self, len: u64) -> (u64, u64) {
        let (opening, mut group, mut next) = LANE.get();
        if opening != self.opening {
            group = self.next_group.fetch_add(1, Ordering::Relaxed);
            next = 1;
        }
        LANE.set((self.opening, group, next + len));
        (group, next)
    }
}

impl Engine for RaftEngine {
    fn append(&self, record: Record<'_>) -> Offer<Place> {
        self.write(std::iter::once(record.bytes), false).map(Some)
    }

    fn append_durable(&self, record: Record<'_>) -> Offer<Place> {
        self.write(std::iter::once(record.bytes), true).map(Some)
    }

    fn append_batch(&self, batch: Batch<'_>, places: &mut Vec<Place>) -> Offer<()> {
        let sync = self.mode == Mode::Durable;
        let Place(group, first) = self.write(batch.bytes.iter().map(Vec::as_slice), sync)?;
        places.extend((first..).map(|index| Place(group, index)).take(batch.len()));
        Ok(Some(()))
    }

    fn replay(&self, visit: Visit<'_>) -> Offer<()> {
        let mut entries = Vec::new();
        let raft = &self.raft;
        let mut groups = raft.raft_groups();
        groups.sort_unstable();
        for group in groups {
            let end = raft.last_index(group).map_or(0, |last| last + 1);
            let mut from = raft.first_index(group).unwrap_or(end);
            while from < end {
                let to = end.min(from + REPLAY_STEP);
                raft.fetch_entries_to::<Numbered>(group, from, to, None, &mut entries)?;
                for entry in entries.drain(..) {
                    if visit(entry.get_string_value()) == ControlFlow::Break(()) {
                        return Ok(Some(()));
                    }
                }
                from = to;
            }
        }
        Ok(Some(()))
    }

    fn read(&self, place: Place, visit: &mut dyn FnMut(&[u8])) -> Offer<()> {
        if let Some(entry) = self.raft.get_entry::<Numbered>(place.0, place.1)? {
            visit(entry.get_string_value());
        }
        Ok(Some(()))
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.raft.sync()?)
    }
}

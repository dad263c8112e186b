//! [`IdRun`]: the ids of many windows, looked up in one read. [`RunWriter`] makes it.
//!
//! ```text
//! header  one block's length: what the run is, as its note says
//! blocks  one for 53 entries; an entry stands in the block that its hash points to, or behind it
//! ```
//! Entries ascend over all of the file, and the last block is not full. A header that is not what the
//! position notes, a block that does not pass its check and one that is not there are all damage.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::catalog::broken;
use super::super::keys::{first_of, mix};
use super::super::values::RunNote;
use super::block::{self, BLOCK_LEN, Block, ENTRIES_MAX};
use crate::error::Result;
use crate::format::crc::crc32;
use crate::format::names;
use crate::position::Seq;
use crate::storage::plain::{PlainFile, PlainWriter};

/// How many blocks a cursor reads at once.
const AHEAD: usize = 64;

#[derive(Debug)]
enum Bytes {
    File(PlainFile),
    Memory(Vec<u8>),
}

/// A run that is complete.
#[derive(Debug)]
pub(crate) struct IdRun {
    note: RunNote,
    owner: u32,
    /// How many blocks hashes are spread over; one or a few more may follow.
    homes: u64,
    blocks: u64,
    bytes: Bytes,
    is_synced: AtomicBool,
}

impl IdRun {
    /// Opens a run in a folder.
    ///
    /// # Errors
    /// If it is not there, another one, or cut, also where what was cut off held nothing.
    pub(in super::super) fn open(folder: &Path, note: RunNote, salt: u64) -> Result<IdRun> {
        let name = names::index_ids(note.first, note.end);
        let file = PlainFile::open(&folder.join(name))?;
        let mut head = [0; BLOCK_LEN];
        file.read_at(0, &mut head)?;
        if head != header(note, salt) {
            return Err(broken("a run of ids is another one"));
        }
        let run = IdRun::of(note, salt, Bytes::File(file))?;
        let last = run.blocks.max(1) - 1;
        if run.blocks < run.homes || run.block(last)?.is_full() {
            return Err(broken("a run of ids is cut"));
        }
        Ok(run)
    }

    fn of(note: RunNote, salt: u64, bytes: Bytes) -> Result<IdRun> {
        let len = match &bytes {
            Bytes::File(file) => file.len()?,
            Bytes::Memory(bytes) => bytes.len() as u64,
        };
        Ok(IdRun {
            note,
            owner: owner_of(note, salt),
            homes: block::blocks_for(note.count),
            blocks: (len / BLOCK_LEN as u64).saturating_sub(1),
            bytes,
            is_synced: AtomicBool::new(false),
        })
    }

    pub(crate) fn note(&self) -> RunNote {
        self.note
    }

    /// How long it is in bytes.
    pub(super) fn len(&self) -> u64 {
        self.blocks
            .saturating_add(1)
            .saturating_mul(BLOCK_LEN as u64)
    }

    /// Makes it durable, unless it was before.
    pub(super) fn sync(&self) -> Result<()> {
        if let Bytes::File(file) = &self.bytes
            && !self.is_synced.load(Ordering::Relaxed)
        {
            file.sync()?;
            self.is_synced.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn remove(&self) -> Result<()> {
        match &self.bytes {
            Bytes::File(file) => file.remove(),
            Bytes::Memory(_) => Ok(()),
        }
    }

    /// The first event from `from` on whose id has this hash.
    pub(in super::super) fn find(&self, hash: u64, from: Seq) -> Result<Option<Seq>> {
        let wanted = block::entry(hash, from.since(first_of(self.note.first)));
        let found = self.block_of(wanted)?;
        let entries = found.entries();
        let at = entries.partition_point(|entry| *entry < wanted);
        let found = entries.get(at).map(|entry| block::parse(*entry));
        let found = found.filter(|(held, _)| *held == hash);
        Ok(found.map(|(_, offset)| first_of(self.note.first).plus(offset)))
    }

    /// The block that has an entry, if there is such an entry, or the first one behind it of its hash. Where
    /// one id fills many blocks, a few of them are looked at.
    fn block_of(&self, wanted: u64) -> Result<Block> {
        let home = block::home(wanted, self.homes);
        let found = self.block(home)?;
        if !found.passes_on(wanted) {
            return Ok(found);
        }
        let last = self.blocks.saturating_sub(1);
        let (mut low, mut step) = (home, 1_u64);
        let mut high = loop {
            let at = low.saturating_add(step).min(last);
            if !self.block(at)?.passes_on(wanted) {
                break at;
            }
            if at == last {
                // The last block is not full: this one is not the last that was written.
                return Err(broken("a run of ids is cut"));
            }
            low = at;
            step = step.saturating_mul(2);
        };
        while high.saturating_sub(low) > 1 {
            let middle = u64::midpoint(low, high);
            if self.block(middle)?.passes_on(wanted) {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.block(high)
    }

    fn block(&self, number: u64) -> Result<Block> {
        let mut bytes = [0; BLOCK_LEN];
        self.read_at(number, &mut bytes)?;
        let read = Block::read(&bytes, self.owner, number);
        read.ok_or_else(|| broken("ids do not pass their check"))
    }

    fn read_at(&self, number: u64, out: &mut [u8]) -> Result<()> {
        let at = number.saturating_add(1).saturating_mul(BLOCK_LEN as u64);
        match &self.bytes {
            Bytes::File(file) => file.read_at(at, out),
            Bytes::Memory(bytes) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                let held = bytes.get(at..).and_then(|rest| rest.get(..out.len()));
                let held = held.ok_or_else(|| broken("a run of ids is cut"))?;
                out.copy_from_slice(held);
                Ok(())
            }
        }
    }
}

/// Reads all entries of a run in order.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    run: &'a IdRun,
    next: u64,
    entries: Vec<u64>,
    taken: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn over(run: &'a IdRun) -> Cursor<'a> {
        Cursor {
            run,
            next: 0,
            entries: Vec::new(),
            taken: 0,
        }
    }

    /// Hands all entries below `end` that were not yet taken to `take`.
    pub(super) fn take_below(&mut self, end: u64, mut take: impl FnMut(u64)) -> Result<()> {
        loop {
            let left = self.entries.get(self.taken..).unwrap_or_default();
            let count = left.partition_point(|entry| *entry < end);
            left.iter().take(count).for_each(|entry| take(*entry));
            self.taken += count;
            if count < left.len() || !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Reads the next blocks; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        let left = self.run.blocks.saturating_sub(self.next);
        let count = usize::try_from(left).unwrap_or(AHEAD).min(AHEAD);
        if count == 0 {
            return Ok(false);
        }
        let mut bytes = vec![0; count * BLOCK_LEN];
        self.run.read_at(self.next, &mut bytes)?;
        self.entries.clear();
        self.taken = 0;
        for bytes in bytes.as_chunks().0 {
            let block = Block::read(bytes, self.run.owner, self.next);
            let block = block.ok_or_else(|| broken("ids do not pass their check"))?;
            self.entries.extend_from_slice(block.entries());
            self.next += 1;
        }
        Ok(true)
    }
}

/// What an entry of a run adds to the sum in its note.
pub(in super::super) fn digest(hash: u64, seq: Seq) -> u64 {
    mix(hash ^ mix(seq.0))
}

/// A hash over what a run is, which its blocks' checks begin with.
fn owner_of(note: RunNote, salt: u64) -> u32 {
    crc32(&fields(note, salt))
}

fn fields(note: RunNote, salt: u64) -> Vec<u8> {
    let RunNote {
        first,
        end,
        count,
        sum,
    } = note;
    let all = [salt, first, end, count, sum].into_iter();
    all.flat_map(u64::to_le_bytes).collect()
}

fn header(note: RunNote, salt: u64) -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    let fields = fields(note, salt);
    let check = crc32(&fields).to_le_bytes();
    for (byte, field) in block.iter_mut().zip(fields.iter().chain(&check)) {
        *byte = *field;
    }
    block
}

enum Sink {
    File(PlainWriter),
    Memory(Vec<u8>),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Sink::File(file) => file.write(bytes),
            Sink::Memory(held) => {
                held.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

/// Writes a run of which is known what it will be; entries ascend.
pub(in super::super) struct RunWriter {
    note: RunNote,
    salt: u64,
    owner: u32,
    homes: u64,
    number: u64,
    entries: Vec<u64>,
    sink: Sink,
}

impl RunWriter {
    /// Begins a run in a folder, or in memory.
    pub(in super::super) fn begin(
        folder: Option<&Path>,
        note: RunNote,
        salt: u64,
    ) -> Result<RunWriter> {
        let mut sink = match folder {
            Some(folder) => {
                let name = names::index_ids(note.first, note.end);
                Sink::File(PlainWriter::begin(folder, &name)?)
            }
            None => Sink::Memory(Vec::new()),
        };
        sink.write(&header(note, salt))?;
        Ok(RunWriter {
            note,
            salt,
            owner: owner_of(note, salt),
            homes: block::blocks_for(note.count),
            number: 0,
            entries: Vec::with_capacity(ENTRIES_MAX),
            sink,
        })
    }

    pub(in super::super) fn push(&mut self, entry: u64) -> Result<()> {
        let home = block::home(entry, self.homes);
        while home > self.number || self.entries.len() == ENTRIES_MAX {
            self.end_block()?;
        }
        self.entries.push(entry);
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let bytes = block::bytes_of(&self.entries, self.owner, self.number);
        self.entries.clear();
        self.number += 1;
        self.sink.write(&bytes)
    }

    pub(in super::super) fn finish(mut self) -> Result<IdRun> {
        while self.number < self.homes || !self.entries.is_empty() {
            let was_full = self.entries.len() == ENTRIES_MAX;
            self.end_block()?;
            if was_full && self.number >= self.homes {
                self.end_block()?;
            }
        }
        let bytes = match self.sink {
            Sink::File(file) => Bytes::File(file.finish()?),
            Sink::Memory(held) => Bytes::Memory(held),
        };
        IdRun::of(self.note, self.salt, bytes)
    }
}

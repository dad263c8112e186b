//! Making a run out of the runs below it.

use super::batch;
use super::catalog::broken;
use super::keys::Run;
use super::pieces::{Branch, Piece, PieceWriter, count_offsets};
use super::store::{Pair, Store, first_in};
use crate::error::Result;

/// How many pieces are put in one batch.
const BATCH_LEN: usize = 64;

/// Writes a run from those `below` it, ascending, which the store has.
pub(super) fn write(store: &dyn Store, run: Run, below: &[Run]) -> Result<()> {
    let (from, to) = run.keys();
    // What a crash may have left of another attempt.
    batch::remove(store, &from, &to)?;
    merge(store, run, below, &mut |pieces| store.apply(pieces, &[]))
}

/// Hands the pieces of a run, made from those `below` it, to `take`.
pub(super) fn merge(
    store: &dyn Store,
    run: Run,
    below: &[Run],
    take: &mut dyn FnMut(&[Pair]) -> Result<()>,
) -> Result<()> {
    let open = |child: &Run| Lower::open(store, *child);
    let mut lower = below.iter().map(open).collect::<Result<Vec<Lower>>>()?;
    let mut writer = PieceWriter::new(run);
    while let Some(hash) = lower.iter().filter_map(Lower::hash).min() {
        let mut branch = Branch::default();
        for child in &mut lower {
            if let Some(count) = child.take(store, hash)? {
                branch.count = branch.count.saturating_add(count);
                branch.children |= 1 << child.run.place();
            }
        }
        writer.push(hash, &branch.encode());
        if writer.ready() == BATCH_LEN {
            take(&writer.take())?;
        }
    }
    take(&writer.finish())
}

/// A run below, read a piece at a time.
struct Lower {
    run: Run,
    /// The entries of the piece that were not yet taken, the next one last: hash and count.
    entries: Vec<(u64, u64)>,
    /// The first hash behind the piece.
    next: Option<u64>,
}

impl Lower {
    fn open(store: &dyn Store, run: Run) -> Result<Lower> {
        let mut lower = Lower {
            run,
            entries: Vec::new(),
            next: Some(0),
        };
        lower.fill(store)?;
        Ok(lower)
    }

    fn hash(&self) -> Option<u64> {
        self.entries.last().map(|(hash, _)| *hash)
    }

    /// The count of this name, if it is the next one.
    fn take(&mut self, store: &dyn Store, hash: u64) -> Result<Option<u64>> {
        if self.hash() != Some(hash) {
            return Ok(None);
        }
        let taken = self.entries.pop();
        self.fill(store)?;
        Ok(taken.map(|(_, count)| count))
    }

    /// Reads on once the piece is used up.
    fn fill(&mut self, store: &dyn Store) -> Result<()> {
        while self.entries.is_empty()
            && let Some(next) = self.next
        {
            let (_, end) = self.run.keys();
            let found = first_in(store, &self.run.key(next), &end)?;
            let read = found.and_then(|(key, value)| self.read(next, &key, &value));
            read.ok_or_else(|| broken("names to be merged do not pass their check"))?;
        }
        Ok(())
    }

    fn read(&mut self, first: u64, key: &[u8], value: &[u8]) -> Option<()> {
        let mut piece = Piece::read(key, value)?;
        piece.covers(first).then_some(())?;
        while let Some((hash, rest)) = piece.next_entry().ok()? {
            let count = match self.run.level {
                0 => count_offsets(rest),
                _ => Branch::decode(rest)?.count,
            };
            self.entries.push((hash, count));
        }
        self.entries.reverse();
        self.next = piece.last.checked_add(1);
        Some(())
    }
}

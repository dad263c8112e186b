//! Making one run of several.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::catalog::broken;
use super::super::keys::{WINDOW_LEN, first_of};
use super::super::values::RunNote;
use super::block::{self, HASH_END};
use super::run::{Cursor, IdRun, RunWriter};
use super::sort::sort;
use crate::error::Result;
use crate::position::Seq;

/// About how many entries are sorted at once.
const SLICE_LEN: u64 = 32_768;

/// Makes the run of the windows from `first` up to before `end` out of `parts`;
/// `None` if it was told to stop.
pub(super) fn merge(
    folder: Option<&Path>,
    (first, end): (u64, u64),
    parts: &[Arc<IdRun>],
    salt: u64,
    stopping: &AtomicBool,
) -> Result<Option<IdRun>> {
    let notes = parts.iter().map(|part| part.note());
    let note = RunNote {
        first,
        end,
        count: notes.clone().map(|note| note.count).sum(),
        sum: notes.map(|note| note.sum).fold(0, u64::wrapping_add),
    };
    let mut writer = RunWriter::begin(folder, note, salt)?;
    let mut cursors: Vec<Cursor<'_>> = parts.iter().map(|part| Cursor::over(part)).collect();
    let slices = note.count.div_ceil(SLICE_LEN).max(1);
    let (mut entries, mut spare) = (Vec::new(), Vec::new());
    let mut merged = 0;
    for slice in 1..=slices {
        if stopping.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let hash = u128::from(HASH_END) * u128::from(slice) / u128::from(slices);
        let below = block::entry(u64::try_from(hash).unwrap_or(HASH_END), 0);
        entries.clear();
        for (cursor, part) in cursors.iter_mut().zip(parts) {
            // How far the part begins behind the whole.
            let ahead = part
                .note()
                .first
                .saturating_sub(first)
                .saturating_mul(WINDOW_LEN);
            cursor.take_below(below, |entry| entries.push(entry.saturating_add(ahead)))?;
        }
        sort(&mut entries, &mut spare);
        for entry in &entries {
            writer.push(*entry)?;
        }
        merged += entries.len() as u64;
    }
    if merged != note.count {
        return Err(broken("a run of ids is cut"));
    }
    let run = writer.finish()?;
    // Here, so that the next flush need not wait for it.
    run.sync()?;
    Ok(Some(run))
}

/// Visits the hash and the Seq of all entries of a run.
pub(in super::super) fn visit(run: &IdRun, mut take: impl FnMut(u64, Seq)) -> Result<()> {
    let first = first_of(run.note().first);
    Cursor::over(run).take_below(u64::MAX, |entry| {
        let (hash, offset) = block::parse(entry);
        take(hash, first.plus(offset));
    })
}

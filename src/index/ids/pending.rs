//! [`Pending`]: the ids of a window that is in no run yet.

use std::path::Path;
use std::sync::Arc;

use super::super::keys::{WINDOW_LEN, first_of};
use super::super::values::RunNote;
use super::block::{entry, parse};
use super::run::{IdRun, RunWriter, digest};
use super::sort::sort;
use crate::error::Result;
use crate::position::Seq;

/// The ids of one window: entries with offsets in it, ascending.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) window: u64,
    pub(super) entries: Vec<u64>,
}

impl Pending {
    /// The first event from `from` on whose id has this hash.
    pub(super) fn find(&self, hash: u64, from: Seq) -> Option<Seq> {
        let base = first_of(self.window);
        let wanted = entry(hash, from.since(base));
        let at = self.entries.partition_point(|entry| *entry < wanted);
        let (held, offset) = parse(*self.entries.get(at)?);
        (held == hash).then(|| base.plus(offset))
    }

    fn sum(&self) -> u64 {
        let base = first_of(self.window);
        let digests = self.entries.iter().map(|entry| {
            let (hash, offset) = parse(*entry);
            digest(hash, base.plus(offset))
        });
        digests.fold(0, u64::wrapping_add)
    }
}

/// Makes the run of the windows from `first` up to before `end`.
pub(super) fn write(
    folder: Option<&Path>,
    (first, end): (u64, u64),
    windows: &[Arc<Pending>],
    salt: u64,
) -> Result<IdRun> {
    let count = windows.iter().map(|held| held.entries.len()).sum();
    let mut entries = Vec::with_capacity(count);
    let mut sum = 0_u64;
    for held in windows {
        let ahead = held.window.saturating_sub(first).saturating_mul(WINDOW_LEN);
        entries.extend(held.entries.iter().map(|entry| entry + ahead));
        sum = sum.wrapping_add(held.sum());
    }
    sort(&mut entries, &mut Vec::new());
    let note = RunNote {
        first,
        end,
        count: entries.len() as u64,
        sum,
    };
    let mut writer = RunWriter::begin(folder, note, salt)?;
    entries.iter().try_for_each(|entry| writer.push(*entry))?;
    writer.finish()
}

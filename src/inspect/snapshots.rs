//! The snapshots of projections in a directory, without the code that made them.

use std::fmt;

use serde::Serialize;

use super::file::is_environment;
use super::layout::Layout;
use super::place::Place;
use crate::error::{ErrorKind, Result};
use crate::format::names;
use crate::format::snapshot::{HEADER_LEN, Snapshot};
use crate::position::Seq;
use crate::storage::file::FileStorage;
use crate::storage::plain::PlainFile;
use crate::storage::{Entry, Storage};

/// What a snapshot file is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SnapshotState {
    /// It passes its check and is of this log.
    Good,
    /// It does not pass its check.
    Damaged,
    /// It is of another log.
    Foreign,
    /// It was set aside.
    Aside,
    /// The disk cannot read it.
    Unreadable,
}

impl fmt::Display for SnapshotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SnapshotState::Good => "good",
            SnapshotState::Damaged => "damaged",
            SnapshotState::Foreign => "of another log",
            SnapshotState::Aside => "set aside",
            SnapshotState::Unreadable => "unreadable",
        })
    }
}

/// One snapshot of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// The file's name.
    pub file: String,
    /// The projection's name.
    pub projection: String,
    /// Its version, as its author counts.
    pub version: u64,
    /// The last event that the state has taken in.
    pub position: Seq,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// What it is worth.
    pub state: SnapshotState,
}

/// All snapshots of the directory, by name.
pub(super) fn survey(place: &Place) -> Result<Vec<SnapshotReport>> {
    let Some(folder) = place.snapshots()? else {
        return Ok(Vec::new());
    };
    let layout = Layout::take(place)?;
    let log_id = layout.pieces.last().map(|piece| piece.at.header.log_id);
    let mut found = Vec::new();
    for entry in folder.list()? {
        let set_aside = names::parse_damaged(&entry.name);
        let name = set_aside.unwrap_or(&entry.name);
        let Some((projection, version, position)) = names::parse_any_snapshot(name) else {
            continue;
        };
        let state = if set_aside.is_some() {
            SnapshotState::Aside
        } else {
            match bytes_of(&folder, &entry) {
                Ok(bytes) => judge(&bytes, (version, position), log_id),
                // Its projection has removed it meanwhile, having saved a newer one.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) if is_environment(&error) => return Err(error),
                Err(_) => SnapshotState::Unreadable,
            }
        };
        found.push(SnapshotReport {
            file: entry.name,
            projection,
            version,
            position,
            bytes: entry.len,
            state,
        });
    }
    Ok(found)
}

/// The bytes of a snapshot; none where it does not have the length that it says, however long it is.
fn bytes_of(folder: &FileStorage, entry: &Entry) -> Result<Vec<u8>> {
    let file = PlainFile::open(&folder.path(&entry.name))?;
    let len = file.len()?;
    let mut bytes = vec![0; HEADER_LEN];
    if len < HEADER_LEN as u64 {
        return Ok(Vec::new());
    }
    file.read_at(0, &mut bytes)?;
    if Snapshot::claimed_len(&bytes) != Some(len) {
        return Ok(Vec::new());
    }
    bytes.resize(usize::try_from(len).unwrap_or(HEADER_LEN), 0);
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

fn judge(bytes: &[u8], named: (u64, Seq), log_id: Option<u128>) -> SnapshotState {
    match Snapshot::decode(bytes) {
        Some(held) if (held.version, held.position) != named => SnapshotState::Damaged,
        Some(held) if log_id.is_some_and(|log_id| log_id != held.log_id) => SnapshotState::Foreign,
        Some(_) => SnapshotState::Good,
        None => SnapshotState::Damaged,
    }
}

//! Which log the segments of a folder belong to.

use crate::error::Result;
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, HeaderState, SegmentHeader};
use crate::storage::Storage;

/// The identity of the log in a folder, by the newest of its headers that can be read; `None` if none can.
///
/// # Errors
/// If the files cannot be read.
pub(crate) fn log_identity(storage: &dyn Storage) -> Result<Option<u128>> {
    let mut names: Vec<_> = storage
        .list()?
        .into_iter()
        .filter(|entry| entry.len >= BLOCK_LEN as u64)
        .filter_map(|entry| Some((names::parse_segment(&entry.name)?, entry.name)))
        .collect();
    names.sort();
    for (_, name) in names.iter().rev() {
        let mut block = vec![0; BLOCK_LEN];
        storage.open_read_only(name)?.read_at(0, &mut block)?;
        if let HeaderState::Valid { header, .. } = SegmentHeader::decode(&block) {
            return Ok(Some(header.log_id));
        }
    }
    Ok(None)
}

//! Plain events of an encrypted log: where there can be any, and what is done where there cannot.
//!
//! A log that was given a key later holds plain events, up to the Seq that its key slots
//! [name](crate::format::key_slot). Whoever has the key takes none from there on. A segment that is plain as a
//! whole is refused when the log is opened, so that reading one costs nothing; where frames of both kinds may
//! stand, each is looked at when it is read.

use std::path::PathBuf;
use std::sync::Arc;

use super::segment::Segment;
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment::SegmentHeader;
use crate::keys::data::DataKey;
use crate::position::Seq;

/// What is said of a plain event, its checksum right, where there can only be encrypted ones.
pub(crate) const PLAIN: &str =
    "a plain event stands where only an encrypted one can: somebody without the key put it there";

/// Holds the segments of a log that are plain as a whole against its key, if there is one: by their own word,
/// which readers go by.
///
/// # Errors
/// As [`check_plain_segment`].
pub(super) fn check_plain(key: Option<&Arc<DataKey>>, segments: &[Arc<Segment>]) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    segments.iter().try_for_each(|one| {
        let path = || one.region.path().to_path_buf();
        check_plain_segment(key, &one.header, one.last_seq(), path)
    })
}

/// Holds a segment that is plain as a whole, up to this Seq, against the key of its log. Whoever reads it needs
/// to check no event of it any more.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) if it reaches where all is encrypted.
pub(super) fn check_plain_segment(
    key: &DataKey,
    header: &SegmentHeader,
    last: Seq,
    path: impl FnOnce() -> PathBuf,
) -> Result<()> {
    if header.may_be_sealed() || key.allows_plain(last) {
        return Ok(());
    }
    let first = header.base_seq.max(key.sealed_from());
    let message = format!(
        "a plain segment stands where all events are encrypted, which is from Seq {} on: somebody without the \
         key put it there. Restore it from a backup, and run forelog-recovery verify --key-file to see \
         whether more was changed",
        key.sealed_from().max(Seq::FIRST)
    );
    Err(Error::new(ErrorKind::Corrupt, message)
        .at_path(path())
        .at_segment(header.segment_id)
        .at_offset(0)
        .at_seq(first))
}

//! Compression: sealed segments are written anew with their frames in packs.
//!
//! **Which:** each but the last two, and those whose frames recovery may have to read, whoever still needs it: what
//! is compressed is read like any other. One that compression does not make smaller by an eighth, by some
//! places of it, stays as it is, and is not tried again before the log is opened anew. What is encrypted does
//! not become smaller, and is left alone. Where there are rules for a compaction, a pass of it comes first. On a
//! disk that is nearly full nothing is compressed.
//!
//! **How:** as [`rewriting`](super::rewriting) says; nothing is dropped.

use std::sync::Arc;

use super::compaction::LEAVE_MIN;
use super::drops::Drops;
use super::packing::is_worth;
use super::packs::not_built;
use super::segment::Segment;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};

/// The levels of Zstandard.
const LEVELS: std::ops::RangeInclusive<i32> = -7..=22;

/// Whether this build can compress at this level.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid).
pub(crate) fn check(level: Option<i32>) -> Result<()> {
    match level {
        None => Ok(()),
        Some(_) if !cfg!(feature = "compression") => Err(not_built()),
        Some(level) if LEVELS.contains(&level) => Ok(()),
        Some(level) => {
            let message = format!("the level of compression is {level}; choose one from -7 to 22");
            Err(Error::new(ErrorKind::Invalid, message))
        }
    }
}

impl Shared {
    /// Whether there is a segment to compress.
    pub(super) fn wants_compression(&self) -> bool {
        let next = self.next_to_compress();
        next.is_some_and(|(segment, _)| self.has_room_for(&segment))
    }

    /// Compresses all segments that may be.
    ///
    /// # Errors
    /// What kept one of them from being compressed; it is not tried again.
    pub(super) fn compress(&self) -> Result<()> {
        let mut failed = None;
        while let Some((segment, level)) = self.next_to_compress() {
            if self.rewriting.is_stopping() || !self.has_room_for(&segment) {
                break;
            }
            let done = self.compress_one(&segment, level);
            if !matches!(done, Ok(true)) {
                // It is damaged, the disk is full, or it would not be smaller.
                self.rewriting.left_plain().insert(segment.id());
            }
            if let Err(error) = done {
                self.check_alive()?;
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn compress_one(&self, segment: &Arc<Segment>, level: i32) -> Result<bool> {
        if !is_worth(segment, level)? || !self.rewrite(segment, &Drops::keeping_all(segment))? {
            return Ok(false);
        }
        tracing::debug!(target: "forelog::log", segment = %segment.id(), "a segment was compressed");
        Ok(true)
    }

    /// Whether the disk can take both files that are made of a segment, and what is appended meanwhile:
    /// nobody shall find it full because something is being made smaller.
    fn has_room_for(&self, segment: &Segment) -> bool {
        let made = segment.used_len().saturating_mul(2);
        let appended = (self.config.segment_len as u64).saturating_mul(2);
        let space = self.storage.space();
        space.is_none_or(|space| space.free_bytes >= made.saturating_add(appended))
    }

    /// The oldest that is plain, and the level to compress it with.
    fn next_to_compress(&self) -> Option<(Arc<Segment>, i32)> {
        let level = self.config.compression?;
        let left_plain = self.rewriting.left_plain();
        let is_due = |one: &&Arc<Segment>| {
            let is_sealed = one.footer().is_some_and(|footer| footer.count > 0);
            is_sealed && one.header.lies_open() && !left_plain.contains(&one.id())
        };
        let is_compacted = !self.config.keep_last.is_empty();
        let due = self.segments.with(|held| {
            let old = held.len().saturating_sub(LEAVE_MIN);
            // What a compaction will write anew is compressed by it.
            let upto = is_compacted.then(|| self.compacted_upto(held));
            let is_passed = |one: &&Arc<Segment>| upto.is_none_or(|upto| Some(one.id()) <= upto);
            let mut old = held.iter().take(old).take_while(is_passed);
            old.find(is_due).cloned()
        });
        due.map(|segment| (segment, level))
    }
}

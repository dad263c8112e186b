//! [`Damage`]: one place that does not hold what it must.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::format::names;
use crate::position::{SegmentId, Seq};
use crate::storage::lenient::Unread;

/// A place where bytes that were once durable do not hold what they must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// The segment.
    pub segment: SegmentId,
    /// The first bad byte, from the start of the file.
    pub offset: u64,
    /// The first Seq that is lost or in doubt; 0 if it cannot be told.
    pub seq: Seq,
    /// What is wrong.
    pub reason: String,
}

impl Damage {
    pub(super) fn of(file: &str, segment: SegmentId, error: &Error) -> Self {
        Damage {
            file: file.to_owned(),
            segment: error.segment().unwrap_or(segment),
            offset: error.offset().unwrap_or(0),
            seq: error.seq().unwrap_or(Seq::ZERO),
            reason: error.message().to_owned(),
        }
    }

    /// A range of a segment file that the disk cannot give.
    pub(super) fn of_unread(unread: &Unread) -> Self {
        let named = names::parse_segment(&unread.name);
        Damage {
            file: unread.name.clone(),
            segment: named.map(|(id, _)| id).unwrap_or_default(),
            offset: unread.range.start,
            seq: Seq::ZERO,
            reason: unread.to_string(),
        }
    }

    /// As an error; what is not known is left out.
    pub(super) fn to_error(&self, folder: &Path) -> Error {
        let mut error = Error::new(ErrorKind::Corrupt, self.reason.clone()).at_offset(self.offset);
        if !self.file.is_empty() {
            error = error.at_path(folder.join(&self.file));
        }
        if self.segment != SegmentId::default() {
            error = error.at_segment(self.segment);
        }
        if self.seq != Seq::ZERO {
            error = error.at_seq(self.seq);
        }
        error
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segment != SegmentId::default() {
            write!(f, "segment {} ", self.segment)?;
        }
        write!(f, "offset {}", self.offset)?;
        if self.seq != Seq::ZERO {
            write!(f, " seq {}", self.seq)?;
        }
        write!(f, ": {}", self.reason)?;
        if self.file.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.file)
    }
}

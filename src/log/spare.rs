//! [`Spare`]: the file of a segment that has gone, kept to become the next one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::segment::Segment;
use crate::sync::Mutex;

/// The one file that is kept, if there is one.
#[derive(Debug, Default)]
pub(super) struct Spares {
    pub(super) kept: Mutex<Option<Spare>>,
    /// How many files have become another segment's.
    pub(super) recycled: AtomicU64,
}

/// A file that has lost the name of its segment, and the segment as it was.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) segment: Arc<Segment>,
    /// The name that the file has meanwhile.
    pub(super) name: String,
}

impl Spare {
    /// The name of the file, as an error if somebody in this process still reads it.
    ///
    /// The segment has left the list, so nobody can come to it again, and whoever still stands in it
    /// shares it. Both handles taken apart, of the segment and of its region, are the proof that no byte of
    /// it is borrowed; the map goes with them.
    pub(super) fn into_free(self) -> Result<String, String> {
        let segment = Arc::into_inner(self.segment);
        match segment.and_then(|segment| Arc::into_inner(segment.region)) {
            Some(_) => Ok(self.name),
            None => Err(self.name),
        }
    }
}

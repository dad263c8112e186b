//! [`Current`]: the segment that a follower reads, as it grows.

use std::sync::Arc;

use super::place::Place;
use super::walk::Walk;
use crate::error::Result;
use crate::format::footer::TRAILER_LEN;
use crate::format::segment::SegmentHeader;
use crate::keys::data::DataKey;
use crate::keys::unlock::unlock_to_read;
use crate::log::survey::read_footer;
use crate::storage::Region;

/// The segment that is read.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) header: SegmentHeader,
    pub(super) name: String,
    pub(super) walk: Walk,
    pub(super) key: Option<Arc<DataKey>>,
    /// Whether its last bytes were read after the next segment had begun.
    pub(super) settled: bool,
    /// Whether it was told that something here cannot be read.
    pub(super) is_told: bool,
}

impl Current {
    /// A segment that is to be read, with the key that is known of its log, or else the one that it holds.
    pub(super) fn new(
        place: &Place,
        known: Option<&Arc<DataKey>>,
        header: SegmentHeader,
        name: String,
        region: Region,
    ) -> Result<Self> {
        let key = match known {
            Some(key) => Some(key.clone()),
            None => unlock_to_read([&header].into_iter(), &place.access, &place.path)?,
        };
        let room = region.len().saturating_sub(TRAILER_LEN);
        // The others are read as they grow, and may be sealed meanwhile.
        let footer = if header.is_rewritten() {
            read_footer(&region, &header)?
        } else {
            None
        };
        let end = footer.and_then(|footer| usize::try_from(footer.frames_end).ok());
        Ok(Current {
            walk: Walk::new(
                Arc::new(region),
                &header,
                footer.as_ref(),
                end.unwrap_or(room),
            )?
            .with_key(key.as_ref()),
            key,
            header,
            name,
            settled: false,
            is_told: false,
        })
    }
}

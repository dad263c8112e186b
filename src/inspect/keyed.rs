//! The key of a log that is looked into, if its events are encrypted.

use std::sync::Arc;

use super::layout::Layout;
use super::place::Place;
use crate::error::Result;
use crate::format::segment::SegmentHeader;
use crate::keys::Access;
use crate::keys::data::DataKey;
use crate::keys::unlock::unlock_to_read;

impl Layout {
    /// Whether some of the segments are encrypted.
    pub(super) fn is_sealed(&self) -> bool {
        self.headers().any(SegmentHeader::is_sealed)
    }

    /// What opens encrypted events; `None` if there are none.
    ///
    /// # Errors
    /// [`Key`](crate::ErrorKind::Key) without the key, or with another one.
    pub(super) fn key(&self, place: &Place) -> Result<Option<Arc<DataKey>>> {
        unlock_to_read(self.headers(), &place.access, &place.path)
    }

    /// As [`Layout::key`], for whoever gets along without.
    pub(super) fn key_to_check(&self, place: &Place) -> Result<Option<Arc<DataKey>>> {
        match place.access {
            Access::Plain | Access::Moving => Ok(None),
            Access::Key(_) => self.key(place),
        }
    }

    fn headers(&self) -> impl DoubleEndedIterator<Item = &SegmentHeader> + Clone {
        self.pieces.iter().map(|piece| &piece.at.header)
    }
}

//! [`Segments`]: the segments of a log in order of Seq, shared by the appender and all readers.

use std::sync::{Arc, PoisonError};

use super::segment::Segment;
use crate::position::Seq;
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The open segments, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Segments(RwLock<Vec<Arc<Segment>>>);

impl Segments {
    pub(super) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Segments(RwLock::new(segments))
    }

    /// The segment that holds `seq`, or else the first one behind it.
    pub(super) fn at_or_after(&self, seq: Seq) -> Option<Arc<Segment>> {
        let segments = self.read();
        let at = segments.partition_point(|segment| segment.last_seq() < seq);
        segments.get(at).cloned()
    }

    /// The first Seq that is held; `None` if there is none.
    pub(crate) fn first_seq(&self) -> Option<Seq> {
        self.read()
            .iter()
            .find(|segment| segment.count() > 0)
            .map(|segment| segment.base_seq())
    }

    /// How many events are held.
    pub(crate) fn count(&self) -> u64 {
        self.read().iter().map(|segment| segment.count()).sum()
    }

    /// All segments, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.read().clone()
    }

    pub(super) fn push(&self, segment: Arc<Segment>) {
        self.write().push(segment);
    }

    /// Puts a segment in the place of the one with its id.
    pub(super) fn replace(&self, segment: Arc<Segment>) {
        let mut segments = self.write();
        if let Some(place) = segments.iter_mut().find(|old| old.id() == segment.id()) {
            *place = segment;
        }
    }

    /// The oldest segment, if it is not the only one.
    pub(super) fn oldest(&self) -> Option<Arc<Segment>> {
        let segments = self.read();
        segments.first().filter(|_| segments.len() > 1).cloned()
    }

    /// Drops the oldest segment from the list; readers that have it open keep it.
    pub(super) fn drop_oldest(&self) {
        self.write().remove(0);
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Segment>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Arc<Segment>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

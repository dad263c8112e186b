//! [`Segments`]: the segments of a log in order of Seq, shared by the appender and all readers.

use std::sync::{Arc, PoisonError};

use super::segment::Segment;
use crate::position::Seq;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The open segments.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    held: RwLock<Held>,
    /// How often the list has changed.
    changes: AtomicU64,
}

/// The segments, oldest first, with their base Seqs side by side: a look-up among hundreds of segments
/// goes to one of them and not to eight.
#[derive(Debug, Default)]
struct Held {
    segments: Vec<Arc<Segment>>,
    bases: Vec<Seq>,
}

impl Held {
    fn of(segments: Vec<Arc<Segment>>) -> Self {
        let bases = segments.iter().map(|segment| segment.base_seq()).collect();
        Held { segments, bases }
    }
}

impl Segments {
    pub(super) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Segments {
            held: RwLock::new(Held::of(segments)),
            changes: AtomicU64::new(0),
        }
    }

    /// A number that is another one once the list has changed.
    #[inline]
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The segment that holds `seq`, or else the first one behind it.
    #[inline]
    pub(super) fn at_or_after(&self, seq: Seq) -> Option<Arc<Segment>> {
        let held = self.read();
        let next = held.bases.partition_point(|&base| base <= seq);
        let before = held.segments.get(next.wrapping_sub(1));
        let found = before.filter(|segment| segment.last_seq() >= seq);
        found.or_else(|| held.segments.get(next)).cloned()
    }

    /// The first Seq that is held; `None` if there is none.
    pub(crate) fn first_seq(&self) -> Option<Seq> {
        self.read()
            .segments
            .iter()
            .find(|segment| segment.count() > 0)
            .map(|segment| segment.first_held())
    }

    /// What `look` makes of the segments, in order.
    pub(super) fn with<T>(&self, look: impl FnOnce(&[Arc<Segment>]) -> T) -> T {
        look(&self.read().segments)
    }

    /// What `look` finds in the segment that holds `seq`, or else in the first behind it that has something.
    pub(super) fn first_from<T>(
        &self,
        seq: Seq,
        look: impl Fn(&Segment) -> Option<T>,
    ) -> Option<T> {
        let held = self.read();
        let next = held.bases.partition_point(|&base| base <= seq);
        let segments = held.segments.iter().skip(next.saturating_sub(1));
        let mut behind = segments.filter(|segment| segment.last_seq() >= seq);
        behind.find_map(|segment| look(segment))
    }

    /// What `look` finds in the segment that holds `seq`, or else in the last before it that has something.
    pub(super) fn last_upto<T>(&self, seq: Seq, look: impl Fn(&Segment) -> Option<T>) -> Option<T> {
        let held = self.read();
        let next = held.bases.partition_point(|&base| base <= seq);
        let mut before = held.segments.iter().take(next).rev();
        before.find_map(|segment| look(segment))
    }

    /// Parts the segments in two: of those for which `is_past` holds, which come first, the last; of the
    /// others the first. One of which it tells nothing goes with the one behind it, and the last of all
    /// with the others.
    pub(super) fn part(
        &self,
        is_past: impl Fn(&Segment) -> Option<bool>,
    ) -> (Option<Arc<Segment>>, Option<Arc<Segment>>) {
        let held = self.read();
        let (mut low, mut high) = (0, held.segments.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let rest = held
                .segments
                .iter()
                .enumerate()
                .skip(middle)
                .take(high - middle);
            let told = rest.map(|(place, segment)| (place, is_past(segment)));
            match told.into_iter().find(|(_, told)| told.is_some()) {
                Some((place, Some(true))) => low = place + 1,
                _ => high = middle,
            }
        }
        let before = held.segments.get(low.wrapping_sub(1));
        (before.cloned(), held.segments.get(low).cloned())
    }

    /// How many events are held.
    pub(crate) fn count(&self) -> u64 {
        {
            let held = self.read();
            held.segments.iter().map(|segment| segment.count()).sum()
        }
    }

    /// The last one.
    pub(super) fn newest(&self) -> Option<Arc<Segment>> {
        self.read().segments.last().cloned()
    }

    /// All segments, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.read().segments.clone()
    }

    /// Puts other segments in the place of all.
    pub(super) fn set(&self, segments: Vec<Arc<Segment>>) {
        *self.write() = Held::of(segments);
    }

    pub(super) fn push(&self, segment: Arc<Segment>) {
        let mut held = self.write();
        held.bases.push(segment.base_seq());
        held.segments.push(segment);
    }

    /// Puts a segment in the place of the one with its id.
    pub(super) fn replace(&self, segment: Arc<Segment>) {
        let mut held = self.write();
        if let Some(place) = held
            .segments
            .iter_mut()
            .find(|old| old.id() == segment.id())
        {
            *place = segment;
        }
    }

    /// Puts a segment in the place of this very one; says whether it was there.
    pub(super) fn swap(&self, old: &Arc<Segment>, new: Arc<Segment>) -> bool {
        let mut held = self.write();
        let mut places = held.segments.iter_mut();
        let place = places.find(|segment| Arc::ptr_eq(segment, old));
        place.map(|place| *place = new).is_some()
    }

    /// Drops the oldest segment from the list; readers that have it open keep it.
    pub(super) fn drop_oldest(&self) {
        let mut held = self.write();
        held.segments.remove(0);
        held.bases.remove(0);
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        let held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever finds the number as it was has looked before the list changed. Nobody who sees the new
        // number sees the old list: it is locked until it has changed.
        self.changes.fetch_add(1, Ordering::Release);
        held
    }
}

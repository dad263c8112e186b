//! The last segments of a log that is laid out: whether a repair sees to them, or recovery does.

use super::lay::Laid;
use crate::format::segment::{OPEN_MAX, SegmentHeader};
use crate::inspect::Slot;

impl Laid {
    /// The segments behind this one.
    fn behind(&self, index: usize) -> impl Iterator<Item = (usize, &Slot)> {
        let each = self.slots.each.iter().enumerate();
        each.skip(index.saturating_add(1))
    }

    /// Whether this is one of the last segments, which a crash may have cut off: it is not where one behind it
    /// is settled or was rewritten, unless a failed sync has made all of them doubtful.
    fn is_open(&self, index: usize) -> bool {
        let is_whole = |(index, slot): (usize, &Slot)| {
            self.is_settled(index, slot) || slot.header().is_some_and(SegmentHeader::is_rewritten)
        };
        index >= self.slots.each.len().saturating_sub(OPEN_MAX)
            && (self.slots.is_poisoned || !self.behind(index).any(is_whole))
    }

    /// Whether all of a segment is certain to be on the disk, sealed.
    fn is_settled(&self, index: usize, slot: &Slot) -> bool {
        slot.is_settled_before(self.next_header(index), self.slots.witness)
    }

    /// Whether recovery would refuse the last segments: it ends before what is witnessed, or it looks at one
    /// that is damaged although it is settled, which it does after a failed sync.
    fn is_end_broken(&self) -> bool {
        let mut each = self.slots.each.iter().enumerate();
        let is_damaged = |(index, slot): (usize, &Slot)| {
            self.is_open(index) && !slot.damage.is_empty() && self.is_settled(index, slot)
        };
        self.slots.is_cut || (self.slots.is_poisoned && each.any(is_damaged))
    }

    /// Whether a segment is left to recovery, which knows best what a crash has done to it. One that is
    /// settled recovery takes as it is.
    pub(super) fn is_recoverys(&self, index: usize, slot: &Slot) -> bool {
        // What stands before one that is written anew recovery would take for sealed.
        let mut from = self.behind(index).map(|(_, slot)| slot).chain([slot]);
        let is_refused = from.any(|slot| slot.is_refused);
        let is_recovered = !self.slots.is_clean && !self.is_end_broken() && !is_refused;
        let is_read = self.slots.is_poisoned || !self.is_settled(index, slot);
        self.is_open(index) && is_recovered && is_read
    }

    /// Whether a segment behind this one is written anew.
    fn is_before_replaced(&self, index: usize) -> bool {
        self.behind(index).any(|(index, slot)| {
            slot.is_refused || (!slot.damage.is_empty() && !self.is_recoverys(index, slot))
        })
    }

    /// Whether a segment that is in order cannot stay for what becomes of the last ones: after a failed sync
    /// nothing of them is taken on trust once one of them is replaced, and those before one that is have to
    /// be sealed.
    pub(super) fn is_doubtful(&self, index: usize, is_sealed: bool) -> bool {
        let mut open = self.slots.each.iter().rev().take(OPEN_MAX);
        let is_replaced = self.is_end_broken() || open.any(|slot| slot.is_refused);
        let is_poisoned = self.slots.is_poisoned && is_replaced;
        let is_unsealed = !is_sealed && self.is_before_replaced(index);
        self.is_open(index) && (is_poisoned || is_unsealed)
    }
}

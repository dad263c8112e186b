//! The last segments of a log that is laid out: whether a repair sees to them, or recovery does.

use super::lay::Laid;
use crate::inspect::Slot;

/// How many of the last segments a crash may have cut off: those recovery looks after.
const OPEN_MAX: usize = 2;

impl Laid {
    /// Whether this is one of the last segments, which a crash may have cut off.
    fn is_open(&self, index: usize) -> bool {
        index >= self.slots.each.len().saturating_sub(OPEN_MAX)
    }

    /// Whether opening refuses the last segment, so that recovery never comes to look at the end.
    fn is_end_refused(&self) -> bool {
        self.slots.each.last().is_some_and(|slot| slot.is_refused)
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
        let is_refused = slot.is_refused || self.is_end_refused();
        let is_recovered = !self.slots.is_clean && !self.is_end_broken() && !is_refused;
        let is_read = self.slots.is_poisoned || !self.is_settled(index, slot);
        self.is_open(index) && is_recovered && is_read
    }

    /// Whether the last segment is written anew, so that the log goes on in another one behind it.
    fn is_last_replaced(&self) -> bool {
        let last = self.slots.each.last();
        last.is_some_and(|slot| {
            let index = self.slots.each.len().saturating_sub(1);
            slot.is_refused || (!slot.damage.is_empty() && !self.is_recoverys(index, slot))
        })
    }

    /// Whether a segment that is in order cannot stay for what becomes of the last two: after a failed sync
    /// nothing of them is taken on trust once one of them is replaced, and where the last one is, the one
    /// before has to be sealed.
    pub(super) fn is_doubtful(&self, index: usize, is_sealed: bool) -> bool {
        let mut open = self.slots.each.iter().rev().take(OPEN_MAX);
        let is_replaced = self.is_end_broken() || open.any(|slot| slot.is_refused);
        let is_poisoned = self.slots.is_poisoned && is_replaced;
        let is_last = index.saturating_add(1) == self.slots.each.len();
        let is_unsealed = self.is_last_replaced() && !is_last && !is_sealed;
        self.is_open(index) && (is_poisoned || is_unsealed)
    }
}

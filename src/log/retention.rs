//! Which sealed segments may go: whole ones, oldest first, never one that a pin still needs.

use std::sync::PoisonError;

use super::shared::Shared;
use crate::error::Result;
use crate::position::Seq;

impl Shared {
    /// Removes the oldest segments while more than `max_events` events are held.
    pub(super) fn retain(&self) -> Result<()> {
        let Some(max_events) = self.config.max_events else {
            return Ok(());
        };
        while self.segments.count() > max_events {
            if !self.remove_oldest(Seq::MAX)? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn retire_before(&self, seq: Seq) -> Result<()> {
        while self.remove_oldest(seq)? {}
        Ok(())
    }

    /// Removes the oldest segment if it is sealed, lies wholly before `seq` and nobody needs it.
    ///
    /// Its removal is durable before the next one's begins, and one that fails is tried again before
    /// any other: a crash may bring a prefix of the log back, but never leave a hole in it.
    fn remove_oldest(&self, seq: Seq) -> Result<bool> {
        let _one_at_a_time = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = self.segments.oldest().filter(|_| !self.tail().closed) else {
            return Ok(false);
        };
        let held = self.segments.all();
        let bytes = held.iter().map(|segment| segment.used_len()).sum();
        let last = oldest.event(oldest.last_seq()).ok().flatten();
        let age = last.map(|event| self.clock.now().since(event.appended_at()));
        let needed = self.pins.lowest(bytes, age.unwrap_or_default());
        let pinned = needed
            .as_ref()
            .is_some_and(|(_, pin)| *pin <= oldest.last_seq());
        if oldest.footer().is_none() || oldest.last_seq() >= seq {
            return Ok(false);
        }
        if let (true, Some((name, pin))) = (pinned, needed) {
            tracing::debug!(
                target: "forelog::log", %name, %pin, segment = %oldest.id(),
                "retention waits: a subscription still needs the oldest segment"
            );
            return Ok(false);
        }
        // Or else nothing might be left by which to tell a log.
        self.begin_durably()?;
        self.storage.remove(&oldest.name)?;
        self.sync_names()?;
        self.segments.drop_oldest();
        Ok(true)
    }
}

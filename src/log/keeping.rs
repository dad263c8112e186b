//! What is kept of the past and why, and what of it is still worth showing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::aging::At;
use super::explain::Explain;
use super::judge::Facts;
use super::limits::{Retention, WhenPinned};
use super::mirror::Mirror;
use super::segment::Segment;
use super::{Log, RetentionReport, RetentionWait, StoredEvent, View};
use crate::error::Result;
use crate::format::record::EventRef;
use crate::position::Seq;

impl Log {
    /// How many files of removed segments have become those of later ones.
    pub(crate) fn recycled(&self) -> u64 {
        self.shared.spares.recycled.load(Ordering::Relaxed)
    }

    /// What retention keeps for somebody although a limit asks for it, by its last round.
    pub(crate) fn retention_wait(&self) -> Option<RetentionWait> {
        self.shared.retention_wait()
    }

    /// Why each segment stays, or that it goes.
    pub(crate) fn explain_retention(&self) -> RetentionReport {
        self.shared.explain_retention()
    }

    /// Returns once the removal has ended that is under way: what it removes is gone, and the next one sees
    /// the pins as they are now.
    pub(crate) fn await_removal(&self) {
        self.shared.await_removal();
    }

    /// Removes sealed segments all of whose events lie before `seq`, but none that a pin needs.
    pub(crate) fn retire_before(&self, seq: Seq) -> Result<()> {
        self.shared.retire_before(seq)
    }
}

impl View {
    /// As [`View::get`], for whoever looks events up: `None` as well if it has expired.
    #[inline]
    pub(crate) fn get_unexpired(&self, seq: Seq) -> Result<Option<StoredEvent>> {
        self.unexpired(self.get(seq))
    }

    /// What was found, unless it has expired.
    #[inline]
    pub(super) fn unexpired(
        &self,
        found: Result<Option<StoredEvent>>,
    ) -> Result<Option<StoredEvent>> {
        if !self.has_expiry() {
            return found;
        }
        Ok(found?.filter(|stored| !self.is_expired(&stored.event())))
    }

    /// When the event of this Seq expires, in the segment that holds it; `None` if a compaction has dropped it.
    pub(super) fn expires_at(&self, segment: &Arc<Segment>, seq: Seq) -> Result<Option<At>> {
        let found = self.get_in(segment.clone(), seq)?;
        Ok(found.map(|stored| {
            let event = stored.event();
            let at = self
                .expiry
                .expires_at(event.event_type(), event.appended_at());
            at.map_or(At::Never, At::Time)
        }))
    }

    /// Whether events of some types expire.
    #[inline]
    pub(crate) fn has_expiry(&self) -> bool {
        !self.expiry.is_empty()
    }

    /// Whether an event has expired: it is held, perhaps, and no longer shown. To be asked by whoever looks
    /// events up, or delivers old ones; a state that is made of events takes them all.
    #[inline]
    pub(crate) fn is_expired(&self, event: &EventRef<'_>) -> bool {
        self.has_expiry() && self.has_expired_by_now(event)
    }

    #[cold]
    fn has_expired_by_now(&self, event: &EventRef<'_>) -> bool {
        let now = self.clock.now();
        self.expiry
            .is_expired(event.event_type(), event.appended_at(), now)
    }
}

impl Mirror {
    /// The segments as retention without a limit sees them: those of the writer are not known here.
    pub(crate) fn explain_retention(&self) -> RetentionReport {
        let segments = self.view.segments();
        let last = segments.len().saturating_sub(1);
        let each = segments.iter().enumerate();
        let facts: Vec<Facts> = each
            .map(|(at, segment)| Facts::of(segment, at == last, false))
            .collect();
        let explain = Explain {
            limits: Retention::default(),
            when_pinned: WhenPinned::Keep,
            compression: None,
            now: self.view.clock.now(),
            ahead: 0,
            needs: Vec::new(),
            removed: None,
            needed: &|_, _| None,
        };
        explain.report(&facts)
    }
}

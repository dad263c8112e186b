//! [`Finder`]: look-ups of one reader, one after the other.
//!
//! Events that are wanted together mostly lie in one segment. A finder holds on to the segment of the look-up
//! before, and looks at the list again only once that has changed: what retention has removed is not found,
//! by a finder no more than by a look-up of its own.

use std::sync::Arc;

use super::segment::Segment;
use super::view::View;
use super::{Lying, StoredEvent};
use crate::error::Result;
use crate::format::record::EventRef;
use crate::position::Seq;

/// Looks events up in a view.
#[derive(Debug)]
pub(crate) struct Finder {
    view: Arc<View>,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    /// How often the list had changed by then.
    changes: u64,
    first_seq: Seq,
    segment: Option<Arc<Segment>>,
}

/// An event that was found, and not yet kept.
#[derive(Debug)]
pub(crate) struct Peeked<'a> {
    segment: &'a Arc<Segment>,
    offset: usize,
    pub(crate) event: EventRef<'a>,
}

impl Peeked<'_> {
    /// The event, and its segment with it.
    #[inline]
    pub(crate) fn keep(self) -> StoredEvent {
        StoredEvent(Lying::InSegment {
            segment: self.segment.clone(),
            offset: self.offset,
            len: self.event.frame().len(),
        })
    }
}

impl Finder {
    pub(crate) fn new(view: Arc<View>) -> Finder {
        Finder { view, held: None }
    }

    /// The first Seq held; that of the next event if none is.
    #[inline]
    pub(crate) fn first_seq(&mut self) -> Seq {
        if let Some(held) = &self.held
            && held.segment.is_some()
            && held.changes == self.view.segments.changes()
        {
            return held.first_seq;
        }
        self.look_again(None)
    }

    /// The event of this Seq; `None` if the log does not hold it, or it has expired.
    #[inline]
    pub(crate) fn get_unexpired(&mut self, seq: Seq) -> Result<Option<StoredEvent>> {
        if !self.holds(seq) {
            self.look_again(Some(seq));
        }
        let held = self.held.as_ref();
        let Some(segment) = held.and_then(|held| held.segment.as_ref()) else {
            return Ok(None);
        };
        let found = self.view.get_in(segment.clone(), seq);
        self.view.unexpired(found)
    }

    /// The event of this Seq where it lies, for whoever may not want it: nothing is counted or moved about for that.
    /// `None` says nothing: [`Finder::get_unexpired`] has the last word.
    #[inline]
    pub(crate) fn peek(&mut self, seq: Seq) -> Option<Peeked<'_>> {
        if !self.holds(seq) {
            self.look_again(Some(seq));
        }
        let segment = self.held.as_ref()?.segment.as_ref()?;
        if seq > self.view.watermark.appended() {
            return None;
        }
        let (offset, event) = segment.find_event(seq)?;
        (!self.view.is_expired(&event)).then_some(Peeked {
            segment,
            offset,
            event,
        })
    }

    /// Whether the segment that is held has this Seq, and the list is as it was.
    #[inline]
    fn holds(&self, seq: Seq) -> bool {
        self.held.as_ref().is_some_and(|held| {
            held.changes == self.view.segments.changes()
                && held
                    .segment
                    .as_ref()
                    .is_some_and(|segment| segment.base_seq() <= seq && seq <= segment.last_seq())
        })
    }

    /// Looks at the list; returns the first Seq.
    fn look_again(&mut self, seq: Option<Seq>) -> Seq {
        // Before the list is looked at: a change that comes between shows the next time.
        let changes = self.view.segments.changes();
        let first_seq = self.view.first_seq();
        let segment = self.view.segments.at_or_after(seq.unwrap_or(first_seq));
        self.held = Some(Held {
            changes,
            first_seq,
            segment,
        });
        first_seq
    }
}

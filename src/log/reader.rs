//! [`Reader`]: events in Seq order, borrowed from the map, up to the watermark.

use std::sync::Arc;

use super::Shared;
use super::segment::Segment;
use crate::error::Result;
use crate::format::record::EventRef;
use crate::position::{Gap, Seq};

/// A place in the log from which events are read in order.
///
/// It holds the segment it reads open, so retention never pulls bytes away under it.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    next: Seq,
    segment: Option<Arc<Segment>>,
    /// Whether events that were emitted to be synced first are held back until they are.
    await_sync: bool,
}

/// One step of a reader.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// The next event.
    Event(EventRef<'a>),
    /// Seqs that hold no event: skipped when the log went on after a crash, or removed by retention
    /// before they were read.
    Gap(Gap),
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, from: Seq, await_sync: bool) -> Self {
        Reader {
            shared,
            next: from.max(Seq::FIRST),
            segment: None,
            await_sync,
        }
    }

    /// The Seq that the next step starts with.
    pub(crate) fn position(&self) -> Seq {
        self.next
    }

    /// Goes on at this Seq.
    pub(crate) fn seek(&mut self, seq: Seq) {
        self.next = seq.max(Seq::FIRST);
    }

    /// The next event; gaps are passed over. `None` at the watermark: more may come.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the event cannot be read; the reader stays there.
    pub(crate) fn next_event(&mut self) -> Result<Option<EventRef<'_>>> {
        // Two looks, because a borrow that is returned from a loop lives as long as the loop.
        while let Some(gap) = self.gap_here()? {
            self.next = gap.to.next();
        }
        self.event_here()
    }

    /// The next event or gap; `None` at the watermark: more may come.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the event cannot be read; the reader stays there.
    pub(crate) fn step(&mut self) -> Result<Option<Step<'_>>> {
        if let Some(gap) = self.gap_here()? {
            self.next = gap.to.next();
            return Ok(Some(Step::Gap(gap)));
        }
        Ok(self.event_here()?.map(Step::Event))
    }

    /// The next event, in the segment that [`Reader::gap_here`] has moved to.
    fn event_here(&mut self) -> Result<Option<EventRef<'_>>> {
        let seq = self.next;
        if seq > self.shared.watermark.appended() {
            return Ok(None);
        }
        let Some(segment) = &self.segment else {
            return Ok(None);
        };
        let Some(event) = segment.event(seq)? else {
            return Ok(None);
        };
        if self.await_sync && event.awaits_sync() && seq > self.shared.watermark.durable() {
            return Ok(None);
        }
        self.next = seq.next();
        Ok(Some(event))
    }

    /// Moves to the segment of the next Seq; the gap that stands there instead, if one does.
    fn gap_here(&mut self) -> Result<Option<Gap>> {
        let seq = self.next;
        if seq > self.shared.watermark.appended() {
            return Ok(None);
        }
        if let Some(segment) = &self.segment
            && seq >= segment.base_seq()
            && seq <= segment.last_seq()
        {
            return dropped(segment, seq);
        }
        let found = self.shared.segments.at_or_after(seq);
        let Some(segment) = found else {
            return Ok(None);
        };
        segment.region.check_len()?;
        let base = segment.base_seq();
        let gap = if seq < base {
            let to = base.prev();
            Some(Gap { from: seq, to })
        } else {
            dropped(&segment, seq)?
        };
        self.segment = Some(segment);
        Ok(gap)
    }
}

/// The gap that a Seq is which compaction has dropped from its segment.
fn dropped(segment: &Segment, seq: Seq) -> Result<Option<Gap>> {
    if segment.is_full() || segment.event(seq)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Gap { from: seq, to: seq }))
}

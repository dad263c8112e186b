//! [`Reader`]: events in Seq order, borrowed from the map, up to the watermark.

use std::sync::Arc;

use super::frames::Frames;
use super::packs::Unpacked;
use super::prefault::PagesAhead;
use super::segment::Segment;
use super::view::View;
use crate::error::Result;
use crate::format::frame::padded;
use crate::format::record::EventRef;
use crate::format::sealed::Opened;
use crate::position::{Gap, Seq};
use crate::storage::{Readable, TO_READ};

/// How far ahead of the reader bytes are fetched: the processor's own fetching ahead ends with each page.
const AHEAD: usize = 2048;

/// A place in the log from which events are read in order.
///
/// It holds the segment it reads open, so retention never pulls bytes away under it.
#[derive(Debug)]
pub(crate) struct Reader {
    view: Arc<View>,
    next: Seq,
    held: Option<Held>,
    /// Every Seq from `next` up to here is published, and held by the segment.
    run_end: Seq,
    /// Where the frame of `next` starts, if nothing stands between it and the one before; 0 if that is
    /// not known.
    next_at: usize,
    pages_ahead: PagesAhead,
    /// What was unpacked last of a compressed segment; there `next_at` is not used.
    unpacked: Option<Arc<Unpacked>>,
    /// The event that was decrypted last; where there are such, `next_at` is not used either.
    opened: Opened,
    /// Whether events that were emitted to be synced first are held back until they are.
    await_sync: bool,
}

/// The segment that a reader is in, and what it knows to be published of it.
#[derive(Debug)]
struct Held {
    segment: Arc<Segment>,
    readable: Readable,
}

impl Held {
    fn new(segment: Arc<Segment>) -> Self {
        let readable = Readable::of(&segment.region);
        Held { segment, readable }
    }

    fn holds(&self, seq: Seq) -> bool {
        seq >= self.segment.base_seq() && seq <= self.segment.last_seq()
    }

    /// The event of this Seq, checked, if its frame starts at this offset; for whoever has read the one
    /// before, which ends there.
    #[inline]
    fn event_at(&self, seq: Seq, offset: usize) -> Option<EventRef<'_>> {
        let bytes = self.readable.bytes();
        Frames::new(bytes, 0, self.segment.header.salt).event_at(seq, offset)
    }
}

/// One step of a reader.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// The next event.
    Event(EventRef<'a>),
    /// Seqs that hold no event: skipped when the log went on after a crash, removed by retention
    /// before they were read, or dropped by compaction.
    Gap(Gap),
}

impl View {
    /// A reader that starts at `from` and sees all that is published.
    pub(crate) fn reader(self: &Arc<Self>, from: Seq) -> Reader {
        Reader::new(self.clone(), from, false)
    }

    /// A reader that starts at `from` and sees an event once its own durability is reached.
    pub(crate) fn durable_reader(self: &Arc<Self>, from: Seq) -> Reader {
        Reader::new(self.clone(), from, true)
    }
}

impl Reader {
    fn new(view: Arc<View>, from: Seq, await_sync: bool) -> Self {
        Reader {
            view,
            next: from.max(Seq::FIRST),
            held: None,
            run_end: Seq::ZERO,
            next_at: 0,
            pages_ahead: PagesAhead::default(),
            unpacked: None,
            opened: Opened::default(),
            await_sync,
        }
    }

    /// Where it asks for pages next.
    #[cfg(test)]
    pub(super) fn pages_due_at(&self) -> usize {
        self.pages_ahead.due_at
    }

    /// The Seq that the next step starts with.
    pub(crate) fn position(&self) -> Seq {
        self.next
    }

    /// A Seq up to which events are known to be there; [`Seq::ZERO`] if none is.
    #[inline]
    pub(crate) fn seen_upto(&self) -> Seq {
        self.run_end
    }

    /// Goes on at this Seq.
    pub(crate) fn seek(&mut self, seq: Seq) {
        self.next = seq.max(Seq::FIRST);
        self.run_end = Seq::ZERO;
        self.next_at = 0;
        self.pages_ahead = PagesAhead::default();
    }

    /// The next event; gaps are passed over. `None` at the watermark: more may come.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the event cannot be read; the reader stays there.
    pub(crate) fn next_event(&mut self) -> Result<Option<EventRef<'_>>> {
        // Two looks, because a borrow that is returned from a loop lives as long as the loop.
        while self.next > self.run_end {
            match self.gap_here()? {
                Some(gap) => self.next = gap.to.next(),
                None => break,
            }
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

    /// The next event, if it stands right behind the one before: for a follower that goes through millions,
    /// inlined so that the event is not moved about. `None` says nothing: [`Reader::step`] has the last word.
    #[expect(clippy::inline_always, reason = "its result is not copied then")]
    #[inline(always)]
    pub(crate) fn step_on(&mut self) -> Option<EventRef<'_>> {
        let seq = self.next;
        let held = self.held.as_ref().filter(|_| seq <= self.run_end)?;
        let event = held.event_at(seq, self.next_at)?;
        if self.await_sync && event.awaits_sync() && seq > self.view.watermark.durable() {
            return None;
        }
        let len = padded(event.frame().len());
        self.next = seq.next();
        self.next_at = self.next_at.saturating_add(len);
        if self.pages_ahead.are_due(self.next_at) {
            let prefault = &self.view.prefault;
            self.pages_ahead.ask(prefault, &held.segment, self.next_at);
        }
        held.segment
            .region
            .prefetch::<TO_READ>(self.next_at.saturating_add(AHEAD), len.min(AHEAD));
        Some(event)
    }

    /// The next event, in the run that [`Reader::gap_here`] has found.
    #[inline]
    fn event_here(&mut self) -> Result<Option<EventRef<'_>>> {
        let seq = self.next;
        let held = self.held.as_ref().filter(|_| seq <= self.run_end);
        if held.is_some_and(|held| !held.segment.header.lies_open()) {
            return self.closed_event_here();
        }
        let Some(held) = self.held.as_ref().filter(|_| seq <= self.run_end) else {
            return Ok(None);
        };
        let event = match held.event_at(seq, self.next_at) {
            Some(event) => event,
            // A mark stands between, or something is wrong: the table says where it should be.
            None => match held.segment.locate(seq)? {
                Some((offset, event)) => {
                    self.next_at = offset;
                    event
                }
                None => return Ok(None),
            },
        };
        if self.await_sync && event.awaits_sync() && seq > self.view.watermark.durable() {
            return Ok(None);
        }
        let len = padded(event.frame().len());
        self.next = seq.next();
        self.next_at = self.next_at.saturating_add(len);
        if self.pages_ahead.are_due(self.next_at) {
            let prefault = &self.view.prefault;
            self.pages_ahead.ask(prefault, &held.segment, self.next_at);
        }
        held.segment
            .region
            .prefetch::<TO_READ>(self.next_at.saturating_add(AHEAD), len.min(AHEAD));
        Ok(Some(event))
    }

    /// The same in a segment whose frames are compressed or encrypted.
    #[cold]
    fn closed_event_here(&mut self) -> Result<Option<EventRef<'_>>> {
        let is_packed = |held: &Held| held.segment.header.is_packed();
        if self.held.as_ref().is_some_and(is_packed) {
            self.unpacked_event_here()
        } else {
            self.sealed_event_here()
        }
    }

    /// The same in a segment with sealed frames. Those of before there was a key lie open.
    fn sealed_event_here(&mut self) -> Result<Option<EventRef<'_>>> {
        let seq = self.next;
        let Some(segment) = self.held.as_ref().map(|held| &held.segment) else {
            return Ok(None);
        };
        let Some(offset) = segment.offset_of(seq)? else {
            return Ok(None);
        };
        let event = if let Some(event) = self.view.plain_at(segment, seq, offset)? {
            event
        } else {
            self.view.open(segment, seq, offset, &mut self.opened)?;
            self.opened.event()
        };
        if self.await_sync && event.awaits_sync() && seq > self.view.watermark.durable() {
            return Ok(None);
        }
        self.next = seq.next();
        Ok(Some(event))
    }

    /// The same in a compressed segment, all of which is synced.
    fn unpacked_event_here(&mut self) -> Result<Option<EventRef<'_>>> {
        let seq = self.next;
        let Some(segment) = self.held.as_ref().map(|held| &held.segment) else {
            return Ok(None);
        };
        let Some(offset) = segment.offset_of(seq)? else {
            return Ok(None);
        };
        let held = self.unpacked.take().filter(|held| held.holds(offset));
        let unpacked = match held {
            Some(held) => held,
            None => self.view.packs.unpacked(segment, seq, offset)?,
        };
        let frames = self.unpacked.insert(unpacked).frames();
        let event = segment.checked(frames, seq, offset)?;
        self.next = seq.next();
        Ok(Some(event))
    }

    /// Finds the run that the next Seq begins or goes on with; the gap that stands there instead, if
    /// one does. Within a run there is nothing to find.
    fn gap_here(&mut self) -> Result<Option<Gap>> {
        let seq = self.next;
        if seq <= self.run_end {
            return Ok(None);
        }
        let appended = self.view.watermark.appended();
        if seq > appended {
            return Ok(None);
        }
        let held = match self.held.take().filter(|held| held.holds(seq)) {
            Some(mut held) => {
                held.readable.refresh();
                held
            }
            None => match self.enter(seq)? {
                Some(segment) => Held::new(segment),
                None => return Ok(None),
            },
        };
        let segment = &held.segment;
        let base = segment.base_seq();
        let dropped = segment.dropped().at_or_after(seq.max(base));
        let dropped_here = dropped.filter(|range| range.first <= seq);
        let gap_to = if seq < base {
            Some(base.prev())
        } else {
            dropped_here.map(|range| range.last)
        };
        let gap = gap_to.map(|to| Gap { from: seq, to });
        let held_upto = dropped.map_or(segment.last_seq(), |range| range.first.prev());
        self.run_end = match gap {
            Some(_) => Seq::ZERO,
            None => appended.min(held_upto),
        };
        self.held = Some(held);
        Ok(gap)
    }

    /// The segment that holds `seq`, or else the first one behind it.
    fn enter(&mut self, seq: Seq) -> Result<Option<Arc<Segment>>> {
        self.next_at = 0;
        self.unpacked = None;
        self.pages_ahead.begin_segment();
        let Some(segment) = self.view.segments.at_or_after(seq) else {
            return Ok(None);
        };
        segment.region.check_len()?;
        Ok(Some(segment))
    }
}

//! [`Newest`]: the events of a log from the newest to the oldest, a segment in memory at a time.

use std::collections::VecDeque;

use super::layout::Layout;
use super::logged::LoggedEvent;
use super::place::Place;
use super::records::Records;
use super::selector::Selector;
use crate::error::{Error, Result};
use crate::position::{SegmentId, Seq};

/// The events of a log that a [`Selector`] lets pass, the newest first, as they are at this moment.
///
/// Errors are those of [`Records`]: each stands where its damaged place does.
#[derive(Debug)]
pub struct Newest {
    place: Place,
    selector: Selector,
    /// The segments that are still to be read, oldest first: id and first Seq.
    segments: Vec<(SegmentId, Seq)>,
    /// The last Seq of the segment to read next; [`Seq::MAX`] where the log ends.
    last: Seq,
    /// What the segment read last has, oldest first; taken from behind.
    ready: VecDeque<Result<LoggedEvent>>,
    left: u64,
    torn_bytes: u64,
}

impl Newest {
    pub(super) fn new(place: Place, selector: Selector) -> Result<Self> {
        selector.check()?;
        let layout = Layout::take(&place)?;
        // Without the key no segment can be read: that is told at once.
        layout.key(&place)?;
        let headers = layout.pieces.iter().map(|piece| &piece.at.header);
        let mut newest = Newest {
            segments: headers
                .map(|header| (header.segment_id, header.base_seq))
                .collect(),
            left: selector.count_max(),
            place,
            selector,
            last: Seq::MAX,
            ready: VecDeque::new(),
            torn_bytes: 0,
        };
        if newest.segments.is_empty() {
            // Only errors can stand there.
            newest.read(SegmentId::default(), Seq::FIRST)?;
        }
        Ok(newest)
    }

    /// The bytes of a torn tail behind the newest event; 0 before the first event is given.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Reads the segment that comes before those that were read; `false` if there is none.
    fn fill(&mut self) -> bool {
        let Some((_, first)) = self.segments.pop() else {
            return false;
        };
        if self.selector.ends_before(first) {
            self.last = first.prev();
            return true;
        }
        if self.selector.begins_behind(self.last) {
            return false;
        }
        let before = self.segments.last().map_or(SegmentId::default(), |at| at.0);
        if let Err(error) = self.read(before, first) {
            self.ready.push_back(Err(error));
        }
        true
    }

    /// Reads the events from `first` on, up to the last that is still to be read.
    fn read(&mut self, before: SegmentId, first: Seq) -> Result<()> {
        let selector = self.selector.within(first, self.last);
        let is_end = self.last == Seq::MAX;
        let mut records = Records::new(self.place.clone(), selector)?;
        // What is wrong with other segments is told with those.
        let is_here = |error: &Error| error.segment().map_or(is_end, |segment| segment > before);
        for record in &mut records {
            if record.as_ref().err().is_none_or(is_here) {
                self.ready.push_back(record);
            }
        }
        if is_end {
            self.torn_bytes = records.torn_bytes();
        }
        self.last = first.prev();
        Ok(())
    }
}

impl Iterator for Newest {
    type Item = Result<LoggedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            if let Some(record) = self.ready.pop_back() {
                self.left = self.left.saturating_sub(u64::from(record.is_ok()));
                return Some(record);
            }
            if !self.fill() {
                return None;
            }
        }
        None
    }
}

//! [`Records`]: the events of a log in order, with an error for each place that cannot be read.

use std::collections::VecDeque;
use std::sync::Arc;

use super::end::End;
use super::file::is_environment;
use super::layout::Layout;
use super::logged::LoggedEvent;
use super::piece::{Judgement, OPEN_MAX, Piece};
use super::place::Place;
use super::selector::Selector;
use super::walk::{Lent, Seen, Walk};
use crate::control::Reading;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::data::DataKey;
use crate::log::survey::Surveyed;
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;

/// How often the control log is read again that a writer's removals have overtaken.
const CONTROL_TRIES: u32 = 10;

/// The events of a log that a [`Selector`] lets pass, in order, as they are at this moment.
///
/// An error item names a damaged place (path, segment, offset, the first Seq lost); the iteration
/// goes on behind it. A torn tail, events beyond the end that the next segment pins, and earlier
/// generations of a segment are no part of the log and left out without an error.
#[derive(Debug)]
pub struct Records {
    place: Place,
    selector: Selector,
    left: u64,
    layout: Layout,
    /// What the control log knows to be durable, read before the files were listed: beside a live
    /// writer it holds of them then. Taken where the tail begins.
    witness: Option<Result<Seq>>,
    pub(super) key: Option<Arc<DataKey>>,
    end: Option<End>,
    at: usize,
    walk: Option<Walk>,
    errors: VecDeque<Error>,
    last: Seq,
    /// Where the frames that were read last end.
    ended_at: usize,
    /// Whether nothing was lost or removed in the segment that was read last.
    intact: bool,
    done: bool,
}

impl Records {
    pub(super) fn new(place: Place, selector: Selector) -> Result<Self> {
        selector.check()?;
        // The control log comes first: what it knows to be durable was so before.
        let control = control_of(&place);
        let layout = Layout::take(&place)?;
        let witness = control.map(|control| control.of(layout.log_id()).witness());
        Ok(Records {
            key: layout.key(&place)?,
            left: selector.count_max(),
            place,
            selector,
            layout,
            witness: Some(witness),
            end: None,
            at: 0,
            walk: None,
            errors: VecDeque::new(),
            last: Seq::ZERO,
            ended_at: 0,
            intact: true,
            done: false,
        })
    }

    /// The bytes of a torn tail behind the last event, which the next opening sets aside. Known once
    /// the iteration has come to the end of the log; 0 before.
    pub fn torn_bytes(&self) -> u64 {
        self.end.as_ref().map_or(0, |end| end.torn_bytes)
    }

    /// The last Seq that was read, whether it passed the selector or not.
    pub(super) fn last_read(&self) -> Seq {
        self.last
    }

    /// The segment that the log ends in.
    pub(super) fn last_piece(&self) -> Option<&Piece> {
        self.layout.pieces.last()
    }

    /// How many events may still be given.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    fn step(&mut self) -> Result<Option<LoggedEvent>> {
        let Some(walk) = &mut self.walk else {
            self.enter()?;
            return Ok(None);
        };
        match walk.next()? {
            Seen::Event { offset, header } => {
                self.last = header.seq;
                if self.selector.ends_before(header.seq) {
                    self.done = true;
                    return Ok(None);
                }
                let event = match walk.event() {
                    Lent::Event(event) => event,
                    Lent::Locked => return Err(self.locked(header.seq)),
                    Lent::Bad(reason) => return Err(self.damaged(offset, header.seq, reason)),
                };
                let passes = self.selector.passes(&event);
                Ok(passes.then(|| LoggedEvent::copy_of(&event, header.len)))
            }
            Seen::Mark => Ok(None),
            Seen::End => {
                self.ended_at = walk.offset();
                self.leave();
                Ok(None)
            }
            Seen::Broken {
                offset,
                seq,
                reason,
                blank,
            } => self.judge(offset, seq, reason, blank),
        }
    }

    fn judge(
        &mut self,
        offset: usize,
        seq: Seq,
        reason: &str,
        blank: bool,
    ) -> Result<Option<LoggedEvent>> {
        let witness = self.end.as_ref().map_or(Seq::ZERO, |end| end.witness);
        let piece = self.layout.pieces.get(self.at);
        match piece.map(|piece| piece.judge(seq, blank, witness)) {
            Some(Judgement::Damage) => {
                self.intact = false;
                Err(self.damaged(offset, seq, reason))
            }
            Some(Judgement::SegmentEnds) => {
                self.leave();
                Ok(None)
            }
            Some(Judgement::LogEnds) | None => {
                self.done = true;
                Ok(None)
            }
        }
    }

    fn locked(&self, seq: Seq) -> Error {
        let message = "the event is encrypted with a key that was not given";
        Error::new(ErrorKind::Key, message)
            .at_path(&self.place.path)
            .at_seq(seq)
    }

    fn damaged(&self, offset: usize, seq: Seq, reason: &str) -> Error {
        let message = format!("{reason}: what was once durable cannot be read here");
        let error = Error::new(ErrorKind::Corrupt, message)
            .at_offset(offset as u64)
            .at_seq(seq);
        match (self.layout.pieces.get(self.at), self.place.storage()) {
            (Some(piece), Some(storage)) => error
                .at_path(storage.path(&piece.at.name))
                .at_segment(piece.at.header.segment_id),
            _ => error,
        }
    }

    fn leave(&mut self) {
        self.walk = None;
        self.at = self.at.saturating_add(1);
    }

    /// Begins the next segment that may hold what is selected.
    fn enter(&mut self) -> Result<()> {
        let tail = self.layout.pieces.len().saturating_sub(OPEN_MAX);
        if self.end.is_none() && self.at >= tail {
            self.settle()?;
        }
        let storage = self.layout.folder.clone();
        let piece = self.layout.pieces.get(self.at);
        let (Some(storage), Some(piece)) = (storage, piece) else {
            self.conclude();
            return Ok(());
        };
        let (id, base) = (piece.at.header.segment_id, piece.at.header.base_seq);
        if self.selector.ends_before(base) {
            self.done = true;
            return Ok(());
        }
        let skipped = piece
            .at
            .footer
            .is_some_and(|footer| !self.selector.may_pass(footer.last_seq, &footer.times));
        if skipped {
            self.last = piece.at.footer.map_or(self.last, |footer| footer.last_seq);
            self.ended_at = piece.limit;
            self.leave();
            return Ok(());
        }
        let (at, limit) = (piece.at.clone(), piece.limit);
        self.report_upto(id);
        self.intact = true;
        match storage.open_read_only(&at.name) {
            Ok(region) => {
                let walk = Walk::new(Arc::new(region), &at.header, at.footer.as_ref(), limit);
                match walk {
                    Ok(walk) => self.walk = Some(walk.with_key(self.key.as_ref())),
                    Err(error) => {
                        self.intact = false;
                        self.leave();
                        return Err(error.at_segment(id));
                    }
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound && self.take_rewritten(&at)? => {
                Ok(())
            }
            // Retention has removed it since: it is no part of the log any more.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.intact = false;
                self.leave();
                Ok(())
            }
            Err(error) => Err(error.at_segment(id)),
        }
    }

    /// Takes the file that has been put in the place of a segment since; says whether there is one.
    fn take_rewritten(&mut self, old: &Surveyed) -> Result<bool> {
        let found = self.place.rewritten(old)?;
        let (Some(at), Some(piece)) = (found, self.layout.pieces.get_mut(self.at)) else {
            return Ok(false);
        };
        let end = at.footer.map_or(0, |footer| footer.frames_end);
        piece.limit = usize::try_from(end).unwrap_or(usize::MAX);
        piece.at = at;
        Ok(true)
    }

    /// Finds out where the log ends. Without that the rest cannot be judged, so an error ends the
    /// iteration.
    fn settle(&mut self) -> Result<()> {
        self.done = true;
        let witness = self.witness.take().unwrap_or(Ok(Seq::ZERO))?;
        self.end = Some(match self.layout.folder.clone() {
            Some(storage) => self.layout.examine(&storage, witness)?,
            None => End::without_segments(witness),
        });
        self.done = false;
        Ok(())
    }

    /// Tells of what is still to be told behind the last segment.
    fn conclude(&mut self) {
        self.done = true;
        self.report_upto(SegmentId(u64::MAX));
        let Some(end) = &self.end else { return };
        let cut = match self.layout.pieces.last() {
            None => end.all_missing(),
            Some(piece) if self.intact => piece.cut_short(self.ended_at, self.last, end.witness),
            Some(_) => None,
        };
        self.errors
            .extend(cut.map(|damage| self.place.error(&damage)));
    }

    /// Queues what is wrong with files up to this segment.
    fn report_upto(&mut self, id: SegmentId) {
        let count = self
            .layout
            .findings
            .partition_point(|damage| damage.segment <= id);
        let findings = self.layout.findings.drain(..count);
        self.errors
            .extend(findings.map(|damage| self.place.error(&damage)));
    }
}

impl Iterator for Records {
    type Item = Result<LoggedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Some(Err(error));
            }
            if self.done || self.left == 0 {
                return None;
            }
            match self.step() {
                Ok(Some(event)) => {
                    self.left = self.left.saturating_sub(1);
                    return Some(Ok(event));
                }
                Ok(None) => {}
                Err(error) => {
                    // A file that cannot be read is given up; broken bytes are walked over.
                    if error.kind() != ErrorKind::Corrupt {
                        self.intact = false;
                        self.leave();
                    }
                    return Some(Err(error));
                }
            }
        }
    }
}

/// What the control log of a directory amounts to, as far as it can be read; nothing if there is none.
///
/// # Errors
/// If it is there and may not be read.
pub(super) fn control_of(place: &Place) -> Result<Reading> {
    let mut tries = CONTROL_TRIES;
    loop {
        match read_control(place) {
            // A writer has removed a file since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound && tries > 0 => {
                tries = tries.saturating_sub(1);
            }
            other => return other,
        }
    }
}

fn read_control(place: &Place) -> Result<Reading> {
    let mut reading = Reading::default();
    let Some(control) = place.control()? else {
        return Ok(reading);
    };
    for record in Records::new(control, Selector::all())? {
        match record {
            Ok(record) => {
                // What makes no sense is verification's to report; here the rest counts.
                if reading.take(&record.view()?).is_err() {
                    reading.note_hole();
                }
            }
            Err(error) if is_environment(&error) => return Err(error),
            Err(_) => reading.note_hole(),
        }
    }
    Ok(reading)
}

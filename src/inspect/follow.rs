//! [`Follow`]: the events of a log, and then those that a live writer adds, also one in another
//! process.
//!
//! Bytes are copied with `pread` and then checked, so a frame that is still being written is seen as
//! "not yet", never as an error. Whole batches only. When the next segment begins, all that belongs
//! to this one stands; what still fails its check then is damage.

use std::collections::VecDeque;
use std::sync::Arc;

use super::current::Current;
use super::file::header_of;
use super::logged::LoggedEvent;
use super::place::Place;
use super::records::Records;
use super::selector::Selector;
use super::walk::{Lent, Seen};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::keys::data::DataKey;
use crate::log::survey::read_footer;
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;

/// A place in a log from which events are read as they come.
#[derive(Debug)]
pub struct Follow {
    place: Place,
    selector: Selector,
    /// What the log had when following began.
    backlog: Option<Records>,
    current: Option<Current>,
    /// What opens its events, once some are encrypted: from then on it says of a plain one whether it may be.
    key: Option<Arc<DataKey>>,
    /// Events that passed, of whole batches.
    ready: VecDeque<LoggedEvent>,
    /// Events that passed, of the batch under way.
    held: Vec<LoggedEvent>,
    last: Seq,
    left: u64,
}

/// What a look at the end of the readable bytes has found.
enum Ahead {
    /// Nothing: more may come.
    Wait,
    /// The segment's end is known and lies further: look once more.
    Again,
    /// The segment's end is known, lies further, and cannot be read up to.
    Broken,
    /// The segment that follows.
    Next(Box<Current>),
}

impl Follow {
    pub(super) fn new(place: Place, selector: Selector) -> Result<Self> {
        let backlog = Records::new(place.clone(), selector.clone())?;
        Ok(Follow {
            place,
            left: backlog.left(),
            key: backlog.key.clone(),
            selector,
            backlog: Some(backlog),
            current: None,
            ready: VecDeque::new(),
            held: Vec::new(),
            last: Seq::ZERO,
        })
    }

    /// The next event; `None` if there is none yet. Ask again later.
    ///
    /// # Errors
    /// A damaged place: the next call goes on behind it. Or something that cannot be read, such as a directory
    /// that was moved away: the next call tries it again, and whoever calls should wait between, and not for ever.
    pub fn poll(&mut self) -> Result<Option<LoggedEvent>> {
        if let Some(backlog) = &mut self.backlog {
            if let Some(item) = backlog.next() {
                return item.map(Some);
            }
            self.end_backlog()?;
        }
        loop {
            if self.is_done() {
                return Ok(None);
            }
            if let Some(event) = self.ready.pop_front() {
                self.left = self.left.saturating_sub(1);
                return Ok(Some(event));
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// The next event. While there is none, `wait` is called; once it returns `false`, following
    /// ends with `None`.
    ///
    /// # Errors
    /// As [`Follow::poll`].
    pub fn next_or(&mut self, mut wait: impl FnMut() -> bool) -> Result<Option<LoggedEvent>> {
        loop {
            if let Some(event) = self.poll()? {
                return Ok(Some(event));
            }
            if self.is_done() || !wait() {
                return Ok(None);
            }
        }
    }

    /// Whether the selector lets no later event pass: its limit or its last Seq is reached.
    pub fn is_done(&self) -> bool {
        self.backlog.is_none()
            && (self.left == 0
                || (self.selector.ends_before(self.last.next()) && self.ready.is_empty()))
    }

    /// Goes over from what was there to what comes.
    fn end_backlog(&mut self) -> Result<()> {
        let Some(backlog) = &self.backlog else {
            return Ok(());
        };
        if let (Some(piece), Some(storage)) = (backlog.last_piece(), self.place.storage()) {
            let (header, name) = (piece.at.header, piece.at.name.clone());
            self.current = match storage.open_read_only(&name) {
                Ok(region) => Some(Current::new(
                    &self.place,
                    self.key.as_ref(),
                    header,
                    name,
                    region,
                )?),
                // Removed or rewritten since: the first segment that is there now says more.
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        self.last = backlog.last_read();
        self.left = backlog.left();
        self.backlog = None;
        Ok(())
    }

    /// One step; `false` if there is nothing more for now.
    fn advance(&mut self) -> Result<bool> {
        let Some(current) = &mut self.current else {
            self.reopen_place()?;
            let Some(first) = self.successor(None)? else {
                return Ok(false);
            };
            self.enter(first);
            return Ok(true);
        };
        match current.walk.next()? {
            Seen::Event { offset, header } => {
                let mut refused = None;
                if header.seq > self.last {
                    match current.walk.event() {
                        Lent::Event(event) if self.selector.passes(&event) => {
                            self.held.push(LoggedEvent::copy_of(&event, header.len));
                        }
                        Lent::Event(_) => {}
                        Lent::Locked => refused = Some((ErrorKind::Key, "no key was given")),
                        Lent::Bad(reason) => refused = Some((ErrorKind::Corrupt, reason)),
                    }
                }
                if current.walk.is_whole() {
                    self.last = self.last.max(header.seq);
                    self.ready.extend(self.held.drain(..));
                }
                let Some((kind, reason)) = refused else {
                    return Ok(true);
                };
                let message = format!("{reason}: the event cannot be read");
                Err(Error::new(kind, message)
                    .at_path(current.walk.region().path())
                    .at_segment(current.header.segment_id)
                    .at_offset(offset as u64)
                    .at_seq(header.seq))
            }
            Seen::Mark => Ok(true),
            // Reported with the backlog: on to what comes behind it.
            Seen::Broken { .. } if current.walk.last() < self.last => Ok(true),
            Seen::Broken {
                offset,
                seq,
                reason,
                ..
            } => self.look_ahead(offset, seq, reason),
            Seen::End => {
                let (offset, seq) = (current.walk.offset(), current.walk.last().next());
                self.look_ahead(offset, seq, "the segment ends before its last event")
            }
        }
    }

    fn look_ahead(&mut self, offset: usize, seq: Seq, reason: &str) -> Result<bool> {
        let ahead = self.ahead(offset);
        if ahead.is_err() {
            // What follows is not known now: the next look is at the same place, not behind it.
            let settled = self.current.as_ref().is_some_and(|at| at.settled);
            self.look_again(settled);
        }
        match ahead? {
            Ahead::Wait => {
                self.look_again(false);
                Ok(false)
            }
            Ahead::Again => {
                self.look_again(true);
                Ok(true)
            }
            Ahead::Next(next) => {
                // A batch that was never finished is no part of the log.
                self.held.clear();
                self.enter(*next);
                Ok(true)
            }
            Ahead::Broken => {
                self.ready.extend(self.held.drain(..));
                if let Some(current) = &mut self.current {
                    current.is_told = true;
                }
                let message = format!("{reason}: what was once durable cannot be read here");
                let error = Error::new(ErrorKind::Corrupt, message)
                    .at_offset(offset as u64)
                    .at_seq(seq);
                Err(match &self.current {
                    Some(current) => error
                        .at_path(current.walk.region().path())
                        .at_segment(current.header.segment_id),
                    None => error,
                })
            }
        }
    }

    fn look_again(&mut self, settled: bool) {
        if let Some(current) = &mut self.current {
            current.settled = settled;
            current.walk.look_again();
        }
    }

    /// Looks for what comes behind the bytes that can be read.
    fn ahead(&self, offset: usize) -> Result<Ahead> {
        let Some(current) = &self.current else {
            return Ok(Ahead::Wait);
        };
        let Some(next) = self.successor(Some(current))? else {
            return Ok(Ahead::Wait);
        };
        let id = current.header.segment_id;
        let footer = read_footer(current.walk.region(), &current.header)?;
        let own_end = footer.map_or(0, |footer| footer.frames_end);
        let end = if next.header.segment_id == id {
            // Written anew: what this file still holds stands there as well.
            0
        } else if current.header.is_rewritten() {
            // It had its footer before it had its name: without it, all that it holds is in doubt, once.
            footer.map_or(if current.is_told { 0 } else { u64::MAX }, |footer| {
                footer.frames_end
            })
        } else if next.header.segment_id == id.next() {
            next.header.prev_end
        } else {
            // Those between were removed; then this one is complete, if it says so.
            own_end
        };
        Ok(if offset as u64 >= end {
            Ahead::Next(Box::new(next))
        } else if current.settled {
            Ahead::Broken
        } else {
            Ahead::Again
        })
    }

    /// The segment in use that follows this one (or the first): a later generation of it, or the
    /// next id that is there.
    fn successor(&self, after: Option<&Current>) -> Result<Option<Current>> {
        let Some(storage) = self.place.storage() else {
            return Ok(None);
        };
        if self.place.is_one_file() && after.is_some() {
            return Ok(None);
        }
        let behind = after.map(|at| (at.header.segment_id, at.header.generation));
        let mut ids: Vec<(SegmentId, std::cmp::Reverse<u32>)> = Vec::new();
        for entry in self.place.list()? {
            let named = names::parse_segment(&entry.name);
            if let Some((id, generation)) = named.filter(|named| Some(*named) > behind) {
                ids.push((id, std::cmp::Reverse(generation)));
            }
        }
        ids.sort_unstable();
        for (id, std::cmp::Reverse(generation)) in ids {
            let name = names::segment(id, generation);
            if after.is_some_and(|at| at.name == name) {
                continue;
            }
            let region = match storage.open_read_only(&name) {
                Ok(region) => region,
                // Gone since, or without a byte yet.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Truncated) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(header) = header_of(&region)? {
                return Current::new(&self.place, self.key.as_ref(), header, name, region)
                    .map(Some);
            }
        }
        Ok(None)
    }

    fn enter(&mut self, next: Current) {
        self.key = self.key.take().or_else(|| next.key.clone());
        self.current = Some(next);
    }

    /// A directory that had no log when following began may have one now.
    fn reopen_place(&mut self) -> Result<()> {
        if self.place.storage().is_none() {
            let access = self.place.access.clone();
            self.place = Place::open(&self.place.path)?;
            self.place.access = access;
        }
        Ok(())
    }
}

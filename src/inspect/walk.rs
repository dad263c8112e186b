//! [`Walk`]: the frames of one segment in order, and a name for everything that is none.
//!
//! What the scanner finds is held against the log's rules: each Seq follows the one before, batches
//! are whole, marks repeat the last Seq. Behind a broken place the walk goes on at the next true
//! frame of a later Seq, if it is asked to.

use std::sync::Arc;

use crate::error::Result;
use crate::format::checked::Checked;
use crate::format::dropped::DroppedRange;
use crate::format::footer::Footer;
use crate::format::frame::{FrameHeader, HEADER_LEN, Invalid, Kind, claimed_len};
use crate::format::record::EventRef;
use crate::format::sealed::{Opened, Sealed};
use crate::format::segment::{SegmentHeader, frames_max};
use crate::keys::data::DataKey;
use crate::log::contents::Contents;
use crate::log::opened::open_with;
use crate::log::plain::PLAIN;
use crate::log::point::Batch;
use crate::log::scan::{Found, Scanner};
use crate::position::Seq;
use crate::storage::Region;

/// Why bytes are no frame that the disk cannot give.
const UNREAD: &str = "cannot be read: Input/output error";

/// What stands at the walk's place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    /// An event; [`Walk::event`] lends it.
    Event { offset: usize, header: FrameHeader },
    /// A mark.
    Mark,
    /// Not what must stand here. The next step looks for what can still be read behind it.
    Broken {
        offset: usize,
        /// The Seq that should stand here.
        seq: Seq,
        reason: &'static str,
        /// Whether the bytes begin with zeros, as room that was never written does.
        blank: bool,
    },
    /// The end of the segment's frames.
    End,
}

/// How the next step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// At a frame that follows the one before.
    Follow,
    /// At whatever true frame is next.
    Search,
    /// At a true frame that does not follow, but is to be taken.
    Resume,
}

/// A walk over one segment; see the module.
#[derive(Debug)]
pub(super) struct Walk {
    scanner: Scanner<Contents>,
    /// Whether it was rewritten: then parts of batches may have been dropped.
    is_rewritten: bool,
    /// Whether its frames are compressed: then they do not stand where they are said to.
    is_packed: bool,
    seq_max: Seq,
    last: Seq,
    batch: Batch,
    next: Next,
    at: usize,
    header: Option<FrameHeader>,
    /// What opens sealed frames, and the last event of one.
    key: Option<Arc<DataKey>>,
    opened: Opened,
}

/// The event of a frame, as far as it can be read.
#[derive(Debug)]
pub(super) enum Lent<'a> {
    Event(EventRef<'a>),
    /// It is sealed, and there is no key. All that a checksum covers is in order.
    Locked,
    /// Why there is none, though the checksum is right.
    Bad(&'static str),
}

impl Walk {
    /// A walk over the frames before `limit` of a segment with this footer, if it has one.
    ///
    /// # Errors
    /// If what the footer names cannot be read.
    pub(super) fn new(
        region: Arc<Region>,
        header: &SegmentHeader,
        footer: Option<&Footer>,
        limit: usize,
    ) -> Result<Self> {
        let room = header
            .base_seq
            .plus(frames_max(header.len_in(region.len())));
        let seq_max = footer.map_or(room, |footer| footer.last_seq.max(room));
        let contents = Contents::of(region, footer)?;
        let scanner = Scanner::new(contents, header.salt, limit);
        Ok(Walk {
            at: scanner.offset(),
            is_rewritten: header.is_rewritten(),
            is_packed: header.is_packed(),
            scanner,
            seq_max,
            last: header.base_seq.prev(),
            batch: Batch::default(),
            next: Next::Follow,
            header: None,
            key: None,
            opened: Opened::default(),
        })
    }

    /// The same walk, by somebody who has the log's key, if there is one.
    pub(super) fn with_key(mut self, key: Option<&Arc<DataKey>>) -> Self {
        self.key = key.cloned();
        self
    }

    /// The dropped Seqs that begin with this one.
    pub(super) fn dropped_from(&self, seq: Seq) -> Option<DroppedRange> {
        self.scanner.source().dropped_from(seq).copied()
    }

    /// All ranges of dropped Seqs.
    pub(super) fn dropped(&self) -> &[DroppedRange] {
        self.scanner.source().dropped()
    }

    /// Passes the Seqs that were dropped behind the last event.
    fn pass_dropped(&mut self) -> bool {
        let before = self.last;
        while let Some(range) = self.dropped_from(self.last.next()) {
            self.last = range.last;
        }
        self.last > before
    }

    /// The last Seq that was seen, or the one before the segment's base.
    pub(super) fn last(&self) -> Seq {
        self.last
    }

    /// Where the next frame would start.
    pub(super) fn offset(&self) -> usize {
        self.scanner.offset()
    }

    /// Whether no batch is under way.
    pub(super) fn is_whole(&self) -> bool {
        self.is_rewritten || self.batch.is_whole()
    }

    /// The file.
    pub(super) fn region(&self) -> &Arc<Region> {
        self.scanner.source().region()
    }

    /// The event that the last step has seen.
    pub(super) fn event(&mut self) -> Lent<'_> {
        let len = self.header.map_or(0, |header| header.len);
        let len = usize::try_from(len).unwrap_or(0);
        let bytes = self.scanner.window_bytes(self.at, len);
        let Some(sealed) = Sealed::of(bytes) else {
            let seq = self.header.map_or(Seq::ZERO, |header| header.seq);
            if self.key.as_ref().is_some_and(|key| !key.allows_plain(seq)) {
                return Lent::Bad(PLAIN);
            }
            let event = Checked::of_plain(bytes).and_then(EventRef::new);
            return event.map_or(Lent::Bad("type or source is no UTF-8"), Lent::Event);
        };
        let Some(key) = &self.key else {
            return Lent::Locked;
        };
        match open_with(key, sealed, &mut self.opened) {
            Ok(()) => Lent::Event(self.opened.event()),
            Err(reason) => Lent::Bad(reason),
        }
    }

    /// The bytes of the frame that the last step has seen.
    pub(super) fn bytes(&self) -> &[u8] {
        let len = self.header.map_or(0, |header| header.len);
        let len = usize::try_from(len).unwrap_or(0);
        self.scanner.window_bytes(self.at, len)
    }

    /// Makes the next step look again at what was broken, instead of behind it; bytes are read anew.
    pub(super) fn look_again(&mut self) {
        self.scanner.forget();
        self.next = Next::Follow;
    }

    /// The next thing.
    ///
    /// # Errors
    /// Only where the file cannot be read.
    pub(super) fn next(&mut self) -> Result<Seen> {
        self.header = None;
        if self.next == Next::Search {
            let (last, seq_max) = (self.last, self.seq_max);
            let plausible = |header: &FrameHeader| match header.kind {
                Kind::Event => header.seq > last && header.seq <= seq_max,
                Kind::Mark => header.seq >= last && header.seq <= seq_max,
            };
            if !self.scanner.resync(&plausible)? {
                return Ok(Seen::End);
            }
            self.next = Next::Resume;
        }
        let found = match self.scanner.next()? {
            Found::End => {
                self.pass_dropped();
                return Ok(Seen::End);
            }
            Found::Frame { offset, frame, .. } => Ok((offset, frame.header)),
            Found::Invalid { offset, why } => Err((offset, why)),
        };
        match found {
            Ok((offset, header)) => Ok(self.take(offset, header)),
            Err((offset, why)) => {
                let blank = why == Invalid::Empty;
                let is_unread = self.is_unread(offset);
                let reason = if is_unread { UNREAD } else { why.reason() };
                Ok(self.broken(offset, reason, blank))
            }
        }
    }

    /// Whether the frame that should stand here has bytes that the disk cannot give.
    fn is_unread(&self, offset: usize) -> bool {
        let head = self.scanner.window_bytes(offset, HEADER_LEN);
        let len = claimed_len(head).unwrap_or(HEADER_LEN);
        let frame = offset..offset.saturating_add(len);
        !self.is_packed && self.region().is_unread(&frame)
    }

    fn take(&mut self, offset: usize, header: FrameHeader) -> Seen {
        if self.next == Next::Resume {
            self.batch = Batch::resumed_at(&header);
            self.last = match header.kind {
                Kind::Event => header.seq.prev(),
                Kind::Mark => header.seq,
            };
            self.next = Next::Follow;
        }
        if header.seq > self.last.next() && self.pass_dropped() {
            self.batch = Batch::resumed_at(&header);
        }
        if let Some(reason) = self.batch.refuses(&header, self.last) {
            let later = header.seq > self.last;
            self.scanner.seek(offset);
            let seen = self.broken(offset, reason, false);
            if later {
                self.next = Next::Resume;
            }
            return seen;
        }
        self.at = offset;
        self.last = header.seq;
        self.header = Some(header);
        match header.kind {
            Kind::Event => Seen::Event { offset, header },
            Kind::Mark => Seen::Mark,
        }
    }

    fn broken(&mut self, offset: usize, reason: &'static str, blank: bool) -> Seen {
        self.at = offset;
        self.next = Next::Search;
        self.pass_dropped();
        Seen::Broken {
            offset,
            seq: self.last.next(),
            reason,
            blank,
        }
    }
}

//! [`Copied`]: a segment that another process may still write, as a copy in memory that grows with it.
//!
//! Bytes are read from the file, never through a map, and checked before they are published: a frame that
//! is half written is "not yet", and so is a batch of which a part is there. So what readers borrow is
//! private to this process, and what the writer, or a recovery after it, does to the file changes none of
//! it. The copy takes as much memory as the segment has bytes of frames.

use std::sync::Arc;

use super::opening::begin_segment;
use super::point::{Batch, Point};
use super::scan::{Found, Scanner};
use super::segment::Segment;
use super::survey::Surveyed;
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{Footer, TRAILER_LEN};
use crate::format::frame::{FrameHeader, Kind};
use crate::format::segment::SegmentHeader;
use crate::position::Seq;
use crate::storage::memory::private_region;
use crate::storage::{Region, Storage, Writer};

const ENDS: &str = "the log ends here";

/// How many bytes are published at once, if that many are there.
const PIECE: usize = 256 << 10;

/// A copy of a segment, and the file that it is taken from.
#[derive(Debug)]
pub(super) struct Copied {
    file: Arc<Region>,
    segment: Arc<Segment>,
    writer: Writer<Segment>,
    /// Up to where it is copied.
    point: Point,
    /// The highest Seq that a frame witnesses to be durable.
    witness: Seq,
    /// Why it goes no further.
    stop: &'static str,
}

/// Frames that were read and are not yet published.
#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    /// The events among them, and where they lie in the segment.
    events: Vec<(Seq, usize)>,
    /// The last place behind a whole batch, with how many bytes and events lie before it.
    whole: (Point, usize, usize),
}

impl Copied {
    /// A copy of which nothing is there but the header.
    pub(super) fn begin(storage: &dyn Storage, at: &Surveyed) -> Result<Self> {
        let file = Arc::new(storage.open_read_only(&at.name)?);
        let len = at.header.len_in(file.len());
        let mut region = private_region(len, file.path().to_path_buf())?;
        begin_segment(&mut region, &at.header);
        let segment = Arc::new(Segment::live(at.header, at.name.clone(), region));
        Ok(Copied {
            writer: segment.writer()?,
            segment,
            file,
            point: Point::before(&at.header),
            witness: at.header.durable_upto,
            stop: ENDS,
        })
    }

    pub(super) fn segment(&self) -> Arc<Segment> {
        self.segment.clone()
    }

    /// The highest Seq that is known to be durable.
    pub(super) fn witness(&self) -> Seq {
        self.witness
    }

    /// Whether this is a copy of the segment with this header, and not of more than the next one leaves
    /// of it.
    pub(super) fn is_of(&self, own: &SegmentHeader, next: Option<&SegmentHeader>) -> bool {
        let is_within = |next: &SegmentHeader| self.point.frames_end as u64 <= next.prev_end;
        self.segment.header.salt == own.salt && next.is_none_or(is_within)
    }

    /// Whether it ends where the next segment goes on.
    pub(super) fn reaches(&self, next: &SegmentHeader) -> bool {
        self.point.reaches(&self.segment.header, next)
    }

    /// Copies what has come since: whole batches, each frame checked.
    ///
    /// # Errors
    /// Only where the file cannot be read.
    pub(super) fn advance(
        &mut self,
        footer: Option<&Footer>,
        next: Option<&SegmentHeader>,
    ) -> Result<()> {
        let sealed_at = footer.map(|footer| footer.frames_end);
        let end = next.map(|next| next.prev_end).or(sealed_at);
        let end = end.and_then(|end| usize::try_from(end).ok());
        let room = self.segment.region.len().saturating_sub(TRAILER_LEN);
        self.copy_upto(end.unwrap_or(room).min(room))
    }

    fn copy_upto(&mut self, limit: usize) -> Result<()> {
        let mut scanner = Scanner::new(self.file.clone(), self.segment.header.salt, limit);
        scanner.seek(self.point.frames_end);
        let mut batch = Batch::default();
        let mut point = self.point;
        let mut pending = Pending::behind(point);
        self.stop = loop {
            let (offset, header, bytes) = match scanner.next()? {
                Found::Frame {
                    offset,
                    frame,
                    bytes,
                } => (offset, frame.header, bytes),
                Found::Invalid { why, .. } => break why.reason(),
                Found::End => break ENDS,
            };
            if let Some(why) = batch.refuses(&header, point.last_seq) {
                break why;
            }
            point.take(&header, offset);
            self.witness = self.witness.max(header.durable_upto);
            pending.push(&header, offset, bytes);
            if batch.is_whole() {
                pending.note_whole(point);
                if pending.bytes.len() >= PIECE {
                    self.publish(&pending)?;
                    pending = Pending::behind(point);
                }
            }
        };
        self.publish(&pending)
    }

    /// Lets readers see the whole batches of what was read.
    fn publish(&mut self, pending: &Pending) -> Result<()> {
        let (point, len, count) = pending.whole;
        let bytes = pending.bytes.get(..len).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        let claim = self.writer.claim(len);
        let mut claim = claim.ok_or_else(|| self.segment.already_sealed())?;
        claim.bytes_mut().copy_from_slice(bytes);
        let published = claim.publish(|_, _| {});
        published.map_err(|_| self.segment.already_sealed())?;
        for &(seq, offset) in pending.events.iter().take(count) {
            self.segment.note(seq, offset);
        }
        self.point = point;
        Ok(())
    }

    /// The error that this ends here, although all up to `witness` is known to have been durable.
    pub(super) fn damage(&self, witness: Seq) -> Error {
        let message = format!(
            "{}, but events up to {witness} are known to have been durable: this is damage, not a crash. \
             Run forelog-recovery doctor to see what is readable",
            self.stop
        );
        Error::new(ErrorKind::Corrupt, message)
            .at_path(self.file.path())
            .at_segment(self.segment.id())
            .at_offset(self.point.frames_end as u64)
            .at_seq(self.point.last_seq.next())
    }
}

impl Pending {
    fn behind(point: Point) -> Self {
        Pending {
            bytes: Vec::new(),
            events: Vec::new(),
            whole: (point, 0, 0),
        }
    }

    fn push(&mut self, header: &FrameHeader, offset: usize, bytes: &[u8]) {
        let end = self.bytes.len().saturating_add(header.padded_len());
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(end, 0);
        if header.kind == Kind::Event {
            self.events.push((header.seq, offset));
        }
    }

    fn note_whole(&mut self, point: Point) {
        self.whole = (point, self.bytes.len(), self.events.len());
    }
}

//! [`RawItems`]: every frame of every segment file, marks and bytes that are no frame included.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::file::File;
use super::layout::Layout;
use super::place::Place;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::EventId;
use crate::format::footer::TRAILER_LEN;
use crate::format::frame::{FrameHeader, Kind};
use crate::log::contents::Contents;
use crate::log::scan::{Found, Scanner};
use crate::position::{SegmentId, Seq};
use crate::storage::{Region, Storage};

/// How many bytes of a range that is no frame are shown.
const SHOWN_MAX: usize = 64 << 10;

/// What a range of bytes is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RawKind {
    /// A frame with an event that passes its check.
    Event(RawFrame),
    /// A mark that passes its check.
    Mark(RawFrame),
    /// Bytes that are no frame.
    Invalid {
        /// Why not.
        reason: String,
    },
}

/// The header of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RawFrame {
    /// The frame's Seq; a mark repeats that of the last event.
    pub seq: Seq,
    /// The event's identity; in a mark the boot of the operating system.
    pub event_id: EventId,
    /// The user's time.
    pub timestamp: Timestamp,
    /// When the log took it.
    pub appended_at: Timestamp,
    /// The highest Seq known to be synced when the frame was written.
    pub durable_upto: Seq,
    /// The flag bits.
    pub flags: u16,
    /// How many events of the same batch stand before this one.
    pub batch_place: u16,
    /// How many events the batch has; 0 for a mark.
    pub batch_count: u16,
}

impl RawFrame {
    fn of(header: &FrameHeader) -> Self {
        RawFrame {
            seq: header.seq,
            event_id: header.event_id,
            timestamp: header.timestamp,
            appended_at: header.appended_at,
            durable_upto: header.durable_upto,
            flags: header.flags,
            batch_place: header.batch_place,
            batch_count: header.batch_count,
        }
    }
}

/// A frame, or a range of bytes that is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RawItem {
    /// The file's name.
    pub file: String,
    /// The segment; 0 if the file does not say.
    pub segment: SegmentId,
    /// The first byte, from the start of the file; in a compressed segment, as if it were not compressed.
    pub offset: u64,
    /// The length in bytes, without padding.
    pub len: u64,
    /// What it is.
    #[serde(flatten)]
    pub kind: RawKind,
    /// The bytes; of a long range that is no frame only the first 64 KiB.
    #[serde(rename = "hex", serialize_with = "as_hex")]
    pub bytes: Vec<u8>,
}

fn as_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    serializer.serialize_str(&digits.collect::<String>())
}

/// Every frame of every segment file, in order of the files' names.
///
/// Nothing is left out but room that was never written: also earlier generations of a segment,
/// events beyond the end of the log, and bytes that are no frame. An error means that a file cannot
/// be read; the iteration goes on with the next one.
#[derive(Debug)]
pub struct RawItems {
    place: Place,
    files: std::vec::IntoIter<File>,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    region: Arc<Region>,
    scanner: Scanner<Contents>,
    is_packed: bool,
    limit: usize,
}

impl RawItems {
    pub(super) fn new(place: Place) -> Result<Self> {
        let files = Layout::take(&place)?.files;
        Ok(RawItems {
            place,
            files: files.into_iter(),
            current: None,
        })
    }

    /// The next item; `None` where this step has found none.
    fn step(&mut self, file: Option<File>) -> Result<Option<RawItem>> {
        if let Some(file) = file {
            return self.begin(file);
        }
        let Some(current) = &mut self.current else {
            return Ok(None);
        };
        let item = current.step();
        if !matches!(item, Ok(Some(_))) {
            self.current = None;
        }
        item
    }

    fn begin(&mut self, file: File) -> Result<Option<RawItem>> {
        let Some(storage) = self.place.storage().filter(|_| file.entry.len > 0) else {
            return Ok(None);
        };
        let region = Arc::new(storage.open_read_only(&file.entry.name)?);
        let Some(at) = &file.segment else {
            let reason = match &file.problem {
                Some(problem) => problem.message().to_owned(),
                None => "no header".to_owned(),
            };
            return range(&region, &file, 0, region.len().min(bare_max()), reason);
        };
        let room = at.header.len_in(region.len()).saturating_sub(TRAILER_LEN);
        let end = at
            .footer
            .and_then(|footer| usize::try_from(footer.frames_end).ok());
        let is_packed = at.header.is_packed();
        let limit = if is_packed {
            end.unwrap_or(0)
        } else {
            end.unwrap_or(room).min(region.len())
        };
        let contents = Contents::of(region.clone(), at.footer.as_ref())?;
        self.current = Some(Current {
            scanner: Scanner::new(contents, at.header.salt, limit),
            is_packed,
            region,
            file,
            limit,
        });
        Ok(None)
    }
}

impl Current {
    fn step(&mut self) -> Result<Option<RawItem>> {
        let (offset, why) = match self.scanner.next()? {
            Found::End => return Ok(None),
            Found::Frame {
                offset,
                frame,
                bytes,
            } => {
                let header = RawFrame::of(&frame.header);
                let kind = match frame.header.kind {
                    Kind::Event => RawKind::Event(header),
                    Kind::Mark => RawKind::Mark(header),
                };
                return Ok(Some(RawItem {
                    file: self.file.entry.name.clone(),
                    segment: segment_of(&self.file),
                    offset: offset as u64,
                    len: bytes.len() as u64,
                    kind,
                    bytes: bytes.to_vec(),
                }));
            }
            Found::Invalid { offset, why } => (offset, why),
        };
        self.scanner.resync(&|_| true)?;
        let end = self.scanner.offset().min(self.limit);
        if self.is_packed {
            // What bytes there are is not known: they were not to be unpacked.
            return Ok(Some(self.unreadable(offset, end, why.reason())));
        }
        let found = range(
            &self.region,
            &self.file,
            offset,
            end,
            why.reason().to_owned(),
        )?;
        match found {
            // Zeros between frames are worth a line; zeros behind the last one are not.
            None if end < self.limit => Ok(Some(self.unreadable(offset, end, why.reason()))),
            found => Ok(found),
        }
    }

    /// A range of which no bytes are shown.
    fn unreadable(&self, offset: usize, end: usize, reason: &str) -> RawItem {
        RawItem {
            file: self.file.entry.name.clone(),
            segment: segment_of(&self.file),
            offset: offset as u64,
            len: end.saturating_sub(offset) as u64,
            kind: RawKind::Invalid {
                reason: reason.to_owned(),
            },
            bytes: Vec::new(),
        }
    }
}

/// How much of a file without a header is looked at: a hole may be far longer than any segment.
fn bare_max() -> usize {
    usize::try_from(4_u64 << 30).unwrap_or(usize::MAX)
}

fn segment_of(file: &File) -> SegmentId {
    let by_header = file.segment.as_ref().map(|at| at.header.segment_id);
    by_header
        .or(file.named.map(|(id, _)| id))
        .unwrap_or_default()
}

/// The bytes from `start` up to the last before `end` that is not zero; `None` if all are.
fn range(
    region: &Region,
    file: &File,
    start: usize,
    end: usize,
    reason: String,
) -> Result<Option<RawItem>> {
    let mut shown = vec![0; end.saturating_sub(start).min(SHOWN_MAX)];
    region.read_at(start, &mut shown)?;
    let len = crate::log::examine::written_len(region, start, end)?;
    shown.truncate(len);
    if len == 0 {
        return Ok(None);
    }
    Ok(Some(RawItem {
        file: file.entry.name.clone(),
        segment: segment_of(file),
        offset: start as u64,
        len: len as u64,
        kind: RawKind::Invalid { reason },
        bytes: shown,
    }))
}

impl Iterator for RawItems {
    type Item = Result<RawItem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let file = match &self.current {
                Some(_) => None,
                None => Some(self.files.next()?),
            };
            match self.step(file) {
                Ok(None) => {}
                Ok(Some(item)) => return Some(Ok(item)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

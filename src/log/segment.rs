//! [`Segment`]: one segment file as the log has it open: header, region, and where each Seq lies.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::frames::Frames;
use super::guesses::Guesses;
use super::live_table::LiveTable;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{Footer, Part, Rewritten, TRAILER_LEN, TimeRanges, table_entry};
use crate::format::frame::{Chain, Place};
use crate::format::record::EventRef;
use crate::format::segment::{BLOCK_LEN, SegmentHeader, frames_max};
use crate::keys::data::Sealer;
use crate::position::{SegmentId, Seq};
use crate::storage::{Region, TO_READ, Writer};

/// Room is given back if there is more of it than one in so many bytes of the file.
const HOLE_OF: usize = 64;

/// What stands in place of a length on the disk that will be shorter soon.
const UNRELEASED: u64 = u64::MAX;

/// One segment, shared by the appender and the readers.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) name: String,
    pub(crate) region: Arc<Region>,
    offsets: Offsets,
    /// What the file takes on the disk, once it was looked up; 0 before, and [`UNRELEASED`].
    disk_len: AtomicU64,
    /// Whether the ranges of dropped Seqs pass their check, once they were looked at.
    pub(super) has_whole_ranges: OnceLock<bool>,
    /// Whether the list of packs passes its check, likewise.
    pub(super) has_whole_packs: OnceLock<bool>,
    /// What encrypts the frames that are appended, in a segment that has sealed ones.
    pub(super) sealer: OnceLock<Arc<Sealer>>,
}

#[derive(Debug)]
enum Offsets {
    /// Still growing: the table is in memory.
    Live(LiveTable),
    /// Sealed: the table is in the file.
    Sealed(Footer, Guesses),
}

impl Segment {
    /// A segment that grows, from a region with its header published.
    pub(crate) fn live(header: SegmentHeader, name: String, region: Region) -> Self {
        let table = LiveTable::new(header.base_seq, frames_max(region.len()));
        Segment::with(header, name, Arc::new(region), Offsets::Live(table))
    }

    /// A segment that is sealed with this footer, all its bytes published.
    pub(crate) fn sealed(
        header: SegmentHeader,
        name: String,
        region: Arc<Region>,
        footer: Footer,
    ) -> Self {
        let offsets = Offsets::Sealed(footer, Guesses::default());
        Segment::with(header, name, region, offsets)
    }

    fn with(header: SegmentHeader, name: String, region: Arc<Region>, offsets: Offsets) -> Self {
        Segment {
            header,
            name,
            region,
            offsets,
            disk_len: AtomicU64::new(0),
            has_whole_ranges: OnceLock::new(),
            has_whole_packs: OnceLock::new(),
            sealer: OnceLock::new(),
        }
    }

    /// The writer of the segment's frames.
    ///
    /// # Errors
    /// If it has one already.
    pub(super) fn writer(self: &Arc<Self>) -> Result<Writer<Segment>> {
        let writer = self.region.writer(self.clone());
        writer.ok_or_else(|| self.already_sealed())
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.header.segment_id
    }

    pub(crate) fn base_seq(&self) -> Seq {
        self.header.base_seq
    }

    /// The last Seq here; `base_seq - 1` if there is none.
    pub(crate) fn last_seq(&self) -> Seq {
        match &self.offsets {
            Offsets::Live(table) => table.last(),
            Offsets::Sealed(footer, _) => footer.last_seq,
        }
    }

    /// How many events are here.
    pub(crate) fn count(&self) -> u64 {
        match &self.offsets {
            Offsets::Live(table) => table.last().next().since(self.header.base_seq),
            Offsets::Sealed(footer, _) => footer.count,
        }
    }

    /// Whether every Seq from the first to the last is here.
    pub(crate) fn is_full(&self) -> bool {
        self.footer().is_none_or(Footer::is_full)
    }

    /// The footer of a sealed segment.
    pub(crate) fn footer(&self) -> Option<&Footer> {
        match &self.offsets {
            Offsets::Live(_) => None,
            Offsets::Sealed(footer, _) => Some(footer),
        }
    }

    /// Notes where the next Seq lies; for the appender, in order.
    pub(crate) fn note(&self, seq: Seq, offset: usize) {
        if let Offsets::Live(table) = &self.offsets {
            table.push(seq, offset);
        }
    }

    /// Notes where all Seqs from the first one on lie.
    pub(crate) fn note_all(&self, offsets: &[usize]) {
        for (seq, &offset) in (self.header.base_seq.0..).zip(offsets) {
            self.note(Seq(seq), offset);
        }
    }

    /// What the checksum of a frame at this offset is bound to.
    pub(crate) fn place(&self, offset: usize) -> Place {
        Place {
            salt: self.header.salt,
            offset,
        }
    }

    /// Where the frame of this Seq starts and how long it is, if its event is here and passes the check;
    /// where not, [`Segment::locate`] tells why. Finds nothing where frames are compressed or encrypted.
    #[inline]
    pub(crate) fn find(&self, seq: Seq) -> Option<(usize, usize)> {
        let (offset, event) = self.find_event(seq)?;
        Some((offset, event.frame().len()))
    }

    /// As [`Segment::find`], with the event itself.
    #[inline]
    pub(super) fn find_event(&self, seq: Seq) -> Option<(usize, EventRef<'_>)> {
        if !self.header.lies_open() {
            return None;
        }
        let offset = self.offset_of(seq).ok()??;
        Some((offset, self.event_at(seq, offset)?))
    }

    /// The event of this Seq, checked, and where its frame starts; `None` if it was dropped. For segments
    /// that are neither compressed nor encrypted.
    pub(super) fn locate(&self, seq: Seq) -> Result<Option<(usize, EventRef<'_>)>> {
        let Some(offset) = self.offset_of(seq)? else {
            return Ok(None);
        };
        let event = self.checked(self.frames(), seq, offset)?;
        Ok(Some((offset, event)))
    }

    /// The event of this Seq in frames of this segment, at this offset.
    pub(super) fn checked<'a>(
        &self,
        frames: Frames<'a>,
        seq: Seq,
        offset: usize,
    ) -> Result<EventRef<'a>> {
        let found = frames.look(seq, offset);
        found.map_err(|reason| self.corrupt(seq, offset, reason))
    }

    /// The event of this Seq, checked, if its frame starts at this offset. The Seq must be held here, and its
    /// bytes be published.
    #[inline]
    pub(crate) fn event_at(&self, seq: Seq, offset: usize) -> Option<EventRef<'_>> {
        self.frames().event_at(seq, offset)
    }

    /// The event of `len` bytes at an offset, which [`Segment::locate`] has found there.
    #[inline]
    pub(crate) fn located(&self, offset: usize, len: usize) -> EventRef<'_> {
        self.frames().located(offset, len)
    }

    /// The frames as they stand in the file.
    #[inline]
    pub(super) fn frames(&self) -> Frames<'_> {
        Frames::new(self.region.bytes(), 0, self.header.salt)
    }

    /// The offset of a Seq's frame, which is being fetched by then.
    #[inline]
    pub(super) fn offset_of(&self, seq: Seq) -> Result<Option<usize>> {
        let index = seq.since(self.header.base_seq);
        if seq < self.base_seq() || seq > self.last_seq() {
            return Ok(None);
        }
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        match &self.offsets {
            Offsets::Live(table) => {
                self.fetch(table.guess(at));
                Ok(table.get(index))
            }
            Offsets::Sealed(footer, guesses) => {
                let guess = guesses.range(at);
                let is_known = guess.is_some();
                self.fetch(guess);
                let start = footer.table_at();
                let table = self.region.bytes().get(start..).unwrap_or_default();
                let offset = table_entry(table, at);
                if !is_known {
                    guesses.learn(at, table, footer);
                }
                if offset.is_none() && !self.is_dropped(seq) {
                    let reason = "its place in the offset table is empty";
                    return Err(self.corrupt(seq, start, reason));
                }
                Ok(offset)
            }
        }
    }

    /// Has the bytes fetched where a frame probably lies.
    #[inline]
    fn fetch(&self, guess: Option<Range<usize>>) {
        if let Some(guess) = guess {
            self.region.prefetch::<TO_READ>(guess.start, guess.len());
        }
    }

    #[cold]
    pub(super) fn corrupt(&self, seq: Seq, offset: usize, reason: &str) -> Error {
        let message = format!(
            "{reason}: the event was once durable and cannot be read; run forelog-recovery doctor \
             on the directory"
        );
        Error::new(ErrorKind::Corrupt, message)
            .at_path(self.region.path())
            .at_segment(self.id())
            .at_offset(offset as u64)
            .at_seq(seq)
    }

    /// The bytes of a part that the footer names, not yet checked; none where the file does not have them.
    pub(super) fn part(&self, part: &Part) -> &[u8] {
        let place = usize::try_from(part.at)
            .ok()
            .zip(usize::try_from(part.len).ok());
        let bytes = place.and_then(|(at, len)| {
            let end = at.checked_add(len)?;
            self.region.bytes().get(at..end)
        });
        bytes.unwrap_or_default()
    }

    /// How many bytes of the file hold something.
    pub(crate) fn used_len(&self) -> u64 {
        let Some(footer) = self.footer() else {
            return self.frames_end() as u64;
        };
        let end = footer.parts_end().unwrap_or(0);
        end.saturating_add(TRAILER_LEN) as u64
    }

    /// How many bytes the file takes on the disk. What has yet to be sealed takes all of its length.
    pub(crate) fn disk_len(&self) -> u64 {
        if self.footer().is_none() {
            return self.region.len() as u64;
        }
        match self.disk_len.load(Ordering::Relaxed) {
            UNRELEASED => self.region.len() as u64,
            0 => {
                let len = self.region.allocated();
                self.disk_len.store(len, Ordering::Relaxed);
                len
            }
            known => known,
        }
    }

    /// When the newest event of a sealed segment was appended; `None` if it holds none.
    pub(crate) fn newest_sealed_at(&self) -> Option<Timestamp> {
        let footer = self.footer().filter(|footer| footer.count > 0);
        footer.map(|footer| footer.times.appended_max)
    }

    /// Where the frames end; in a compressed segment, without compression.
    pub(crate) fn frames_end(&self) -> usize {
        match &self.offsets {
            Offsets::Live(_) => self.region.published(),
            Offsets::Sealed(footer, _) => usize::try_from(footer.frames_end).unwrap_or(usize::MAX),
        }
    }

    /// Writes offset table and trailer behind the frames, and returns the sealed segment. Nothing is
    /// synced. For the one thread that seals.
    pub(crate) fn seal(&self, seal: Seal) -> Result<Segment> {
        let frames_end = self.region.published();
        let table: Vec<u8> = match &self.offsets {
            Offsets::Live(live) => live.bytes(),
            Offsets::Sealed(..) => return Err(self.already_sealed()),
        };
        let footer = Footer {
            segment_id: self.id(),
            generation: self.header.generation,
            salt: self.header.salt,
            first_seq: self.base_seq(),
            last_seq: self.last_seq(),
            count: self.count(),
            frames_end: frames_end as u64,
            table_checksum: crate::format::crc::crc32(&table),
            chain: seal.chain,
            times: seal.times,
            durable_upto: seal.durable_upto,
            rewritten: Rewritten::default(),
        };
        let rest = self.region.len().saturating_sub(frames_end);
        let mut writer = self.region.writer(Arc::new(()));
        let writer = writer
            .as_mut()
            .filter(|_| rest >= table.len() + TRAILER_LEN);
        let claim = writer.and_then(|writer| writer.claim(rest));
        let mut claim = claim.ok_or_else(|| self.already_sealed())?;
        let bytes = claim.bytes_mut();
        bytes[..table.len()].copy_from_slice(&table);
        bytes[rest - TRAILER_LEN..].copy_from_slice(&footer.encode());
        claim
            .publish(|(), _| {})
            .map_err(|_| self.already_sealed())?;
        let (name, region) = (self.name.clone(), self.region.clone());
        let sealed = Segment::sealed(self.header, name, region, footer);
        sealed.disk_len.store(UNRELEASED, Ordering::Relaxed);
        Ok(sealed)
    }

    /// Gives back the room between the offset table and the trailer of a sealed segment, and the file's
    /// descriptor: nothing is written to it any more. Where that fails the room is kept.
    pub(crate) fn release_room(&self) {
        let Some(footer) = self.footer() else {
            return;
        };
        let Some(parts_end) = footer.parts_end() else {
            return;
        };
        let start = parts_end.next_multiple_of(BLOCK_LEN);
        let end = self.region.len().saturating_sub(TRAILER_LEN) / BLOCK_LEN * BLOCK_LEN;
        // A little is left alone: the file can be used again then.
        let is_worth = end.saturating_sub(start) > self.region.len() / HOLE_OF;
        if is_worth && let Err(error) = self.region.punch_hole(start, end - start) {
            tracing::debug!(target: "forelog::log", %error, "room of a sealed segment is kept");
        }
        self.disk_len.store(0, Ordering::Relaxed);
        self.region.let_go_of_file();
    }

    pub(super) fn already_sealed(&self) -> Error {
        Error::new(ErrorKind::Closed, "the segment is sealed already").at_segment(self.id())
    }
}

/// What only the log knows when it seals a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal {
    pub(crate) chain: Chain,
    pub(crate) times: TimeRanges,
    pub(crate) durable_upto: Seq,
}

//! [`Frames`]: frames of one segment that lie in memory, looked up by their offsets.

use crate::format::checked::{self, Checked};
use crate::format::frame::{self, FrameHeader, Invalid, Kind, Place};
use crate::format::record::EventRef;
use crate::format::sealed::Sealed;
use crate::position::Seq;

/// Frames from an offset on; see the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    /// The offset of the first byte.
    start: usize,
    /// What checksums are bound to besides.
    salt: u64,
}

impl<'a> Frames<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8], start: usize, salt: u64) -> Self {
        Frames { bytes, start, salt }
    }

    #[inline]
    fn from(self, offset: usize) -> Option<&'a [u8]> {
        self.bytes.get(offset.checked_sub(self.start)?..)
    }

    #[inline]
    fn place(self, offset: usize) -> Place {
        Place {
            salt: self.salt,
            offset,
        }
    }

    /// The event of this Seq, checked, if its frame starts at this offset; for whoever has read the one
    /// before, which ends there. The Seq must be held here, and its bytes be published.
    #[expect(clippy::inline_always, reason = "its result is not copied then")]
    #[inline(always)]
    pub(super) fn event_at(self, seq: Seq, offset: usize) -> Option<EventRef<'a>> {
        let bytes = self.from(offset)?;
        // Before anything else: what is no frame may give any length, and a checksum goes through all of it.
        if !checked::is_of(bytes, seq) {
            return None;
        }
        let frame = checked::check(bytes, self.place(offset))?;
        if frame.is_event() {
            EventRef::new(frame)
        } else {
            None
        }
    }

    /// As [`Frames::event_at`], but with the reason if there is none.
    pub(super) fn look(self, seq: Seq, offset: usize) -> Result<EventRef<'a>, &'static str> {
        let bytes = self.from(offset).unwrap_or_default();
        let frame = checked::check(bytes, self.place(offset));
        let frame = frame.ok_or_else(|| self.why_invalid(offset))?;
        if frame.seq() != seq || !frame.is_event() {
            return Err("another Seq's frame stands at its place");
        }
        EventRef::new(frame).ok_or("type or source is no UTF-8")
    }

    /// The header of this Seq's frame at this offset, whether it is sealed or not.
    pub(super) fn header_at(self, seq: Seq, offset: usize) -> Option<FrameHeader> {
        let frame = frame::decode(self.from(offset)?, self.place(offset)).ok()?;
        (frame.header.seq == seq && frame.header.kind == Kind::Event).then_some(frame.header)
    }

    /// The sealed frame of this Seq at this offset, checked.
    pub(super) fn sealed_at(self, seq: Seq, offset: usize) -> Result<Sealed<'a>, &'static str> {
        let bytes = self.from(offset).unwrap_or_default();
        let decoded = frame::decode(bytes, self.place(offset));
        let found = decoded.map_err(Invalid::reason)?;
        if found.header.seq != seq || found.header.kind != Kind::Event {
            return Err("another Seq's frame stands at its place");
        }
        Sealed::of(found.bytes).ok_or("type or source is no UTF-8")
    }

    /// The event of `len` bytes at an offset, which was found there.
    #[inline]
    pub(super) fn located(self, offset: usize, len: usize) -> EventRef<'a> {
        let frame = self.from(offset).and_then(|bytes| bytes.get(..len));
        EventRef::of_checked(frame.and_then(Checked::of).unwrap_or(Checked::NOTHING))
    }

    /// Why no frame is at this offset.
    #[cold]
    fn why_invalid(self, offset: usize) -> &'static str {
        let bytes = self.from(offset).unwrap_or_default();
        let decoded = frame::decode(bytes, self.place(offset));
        decoded.err().unwrap_or(Invalid::Checksum).reason()
    }
}

//! [`Checked`]: a frame as readers go through it.

use super::bytes::{u8_at, u16_at, u32_at, u64_at, u128_at};
use super::crc::crc32;
use super::frame::{
    APPENDED_AT, BATCH_COUNT, BATCH_PLACE, CHECKSUM, DURABLE_LAG, EVENT_ID, FLAGS, FLAGS_PLAIN,
    HEADER_LEN, HEADERS_LEN, KIND, Kind, LAG_UNKNOWN, LEN, Place, SEQ, SOURCE_LEN, TIMESTAMP,
    TYPE_LEN,
};
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::position::Seq;

/// The bytes of a frame that has passed its check, its fields left where they are: a reader goes through
/// millions of frames and looks at few fields of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked<'a> {
    head: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

/// Checks the frame at the start of `bytes`, and decodes no more of it than that takes; `None` where
/// [`decode`](super::frame::decode) has a reason to refuse it, and where it is [sealed](super::sealed). This is the
/// path of readers: results with a reason in them are moved about in pieces, which takes longer than all the rest.
#[inline]
pub(crate) fn check(bytes: &[u8], place: Place) -> Option<Checked<'_>> {
    let len = usize::try_from(u32_at(bytes, LEN)?).ok()?;
    let bytes = bytes.get(..len)?;
    let checked = Checked::of(bytes)?;
    let content_crc = crc32(bytes.get(LEN..)?);
    let is_whole = u32_at(bytes, CHECKSUM) == Some(content_crc ^ place.mask());
    (is_whole && checked.is_in_range()).then_some(checked)
}

/// Whether the bytes say that they are a frame of this Seq; if it is one, its checksum tells.
#[inline]
pub(crate) fn is_of(bytes: &[u8], seq: Seq) -> bool {
    u64_at(bytes, SEQ) == Some(seq.0)
}

impl<'a> Checked<'a> {
    /// A frame of zeros, to stand in where there cannot be none.
    pub(crate) const NOTHING: Checked<'static> = Checked {
        head: &[0; HEADER_LEN],
        payload: &[],
    };

    /// A frame that was checked before, by its bytes without padding.
    #[inline]
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (head, payload) = bytes.split_first_chunk()?;
        Some(Checked { head, payload })
    }

    /// As [`Checked::of`]; `None` if its payload cannot be read as it lies, for it is sealed.
    pub(crate) fn of_plain(bytes: &'a [u8]) -> Option<Self> {
        Checked::of(bytes).filter(|frame| frame.flags() & !FLAGS_PLAIN == 0)
    }

    /// A copy of the header in which the frame has no Seq.
    pub(crate) fn head_without_seq(self) -> [u8; HEADER_LEN] {
        let mut head = *self.head;
        if let Some(seq) = head.get_mut(SEQ..APPENDED_AT) {
            seq.fill(0);
        }
        head
    }

    /// The same payload under another header.
    pub(crate) fn with_head<'b>(self, head: &'b [u8; HEADER_LEN]) -> Checked<'b>
    where
        'a: 'b,
    {
        Checked {
            head,
            payload: self.payload,
        }
    }

    /// The frame's bytes, without padding.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        [self.head.as_slice(), self.payload].concat()
    }

    /// The payload region.
    #[inline]
    pub(crate) fn payload(self) -> &'a [u8] {
        self.payload
    }

    /// The length in bytes without the padding.
    #[inline]
    pub(crate) fn len(self) -> usize {
        HEADER_LEN.saturating_add(self.payload.len())
    }

    #[inline]
    pub(crate) fn is_event(self) -> bool {
        u8_at(self.head, KIND) == Some(Kind::Event as u8)
    }

    #[inline]
    pub(crate) fn seq(self) -> Seq {
        Seq(self.u64(SEQ))
    }

    #[inline]
    pub(crate) fn event_id(self) -> EventId {
        EventId(u128_at(self.head, EVENT_ID).unwrap_or_default())
    }

    #[inline]
    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp(self.u64(TIMESTAMP).cast_signed())
    }

    #[inline]
    pub(crate) fn appended_at(self) -> Timestamp {
        Timestamp(self.u64(APPENDED_AT).cast_signed())
    }

    #[inline]
    pub(crate) fn flags(self) -> u16 {
        self.u16(FLAGS)
    }

    #[inline]
    pub(crate) fn type_len(self) -> usize {
        u8_at(self.head, TYPE_LEN).unwrap_or_default().into()
    }

    #[inline]
    pub(crate) fn source_len(self) -> usize {
        self.u16(SOURCE_LEN).into()
    }

    #[inline]
    pub(crate) fn headers_len(self) -> usize {
        self.u16(HEADERS_LEN).into()
    }

    #[inline]
    pub(crate) fn batch_place(self) -> u16 {
        self.u16(BATCH_PLACE)
    }

    #[inline]
    pub(crate) fn batch_count(self) -> u16 {
        self.u16(BATCH_COUNT)
    }

    // All places lie inside of the fixed header, so that none of these is ever missing.

    #[inline]
    fn u16(self, at: usize) -> u16 {
        u16_at(self.head, at).unwrap_or_default()
    }

    #[inline]
    fn u64(self, at: usize) -> u64 {
        u64_at(self.head, at).unwrap_or_default()
    }

    /// Whether [`decode`](super::frame::decode) would take it: it is what says why.
    #[inline]
    fn is_in_range(self) -> bool {
        let lag = u32_at(self.head, DURABLE_LAG).unwrap_or(LAG_UNKNOWN);
        let parts = self.type_len().saturating_add(self.source_len());
        let batch_fits = match u8_at(self.head, KIND) {
            Some(1) => self.batch_place() < self.batch_count(),
            Some(2) => self.batch_count() == 0,
            _ => false,
        };
        batch_fits
            && self.flags() & !FLAGS_PLAIN == 0
            && (lag == LAG_UNKNOWN || u64::from(lag) <= self.u64(SEQ))
            && parts.saturating_add(self.headers_len()) <= self.payload.len()
    }
}

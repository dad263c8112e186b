//! Frames: how one event lies in a segment.
//!
//! A frame is a plain header of 64 bytes, a payload region (type, source, headers, data), and zero
//! bytes up to the next multiple of 8. All integers are little-endian.
//!
//! **Checksum.** The stored value is `crc32(bytes 4..len) ^ mask(salt, offset)`. The CRC is CRC-32
//! (IEEE 802.3, as zlib has it). The mask is a one-to-one function of the frame's own offset for a
//! given salt, so a copy of a frame at any other place is certain to fail; with another salt (stale
//! bytes of a recycled file) it fails but for one chance in 2³². Removing the mask gives the checksum
//! of the content alone, from which the [`Chain`] is built: it survives a move to another segment.

use super::bytes::{i64_at, put, u8_at, u16_at, u32_at, u64_at, u128_at};
use super::crc::crc32;
use super::payload::Record;
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::mutant::{self, Mutant};
use crate::position::Seq;

/// Frames start at multiples of this.
pub(crate) const ALIGN: usize = 8;

pub(super) const CHECKSUM: usize = 0;
pub(super) const LEN: usize = CHECKSUM + 4;
pub(super) const SEQ: usize = LEN + 4;
pub(super) const APPENDED_AT: usize = SEQ + 8;
pub(super) const TIMESTAMP: usize = APPENDED_AT + 8;
pub(super) const EVENT_ID: usize = TIMESTAMP + 8;
pub(super) const DURABLE_LAG: usize = EVENT_ID + 16;
pub(super) const FLAGS: usize = DURABLE_LAG + 4;
pub(super) const KIND: usize = FLAGS + 2;
pub(super) const TYPE_LEN: usize = KIND + 1;
pub(super) const SOURCE_LEN: usize = TYPE_LEN + 1;
pub(super) const HEADERS_LEN: usize = SOURCE_LEN + 2;
pub(super) const BATCH_PLACE: usize = HEADERS_LEN + 2;
pub(super) const BATCH_COUNT: usize = BATCH_PLACE + 2;
/// The length of a frame's fixed header in bytes.
pub(crate) const HEADER_LEN: usize = BATCH_COUNT + 2;
const _: () = assert!(HEADER_LEN == 64 && HEADER_LEN.is_multiple_of(ALIGN));

/// Name, place and length of each header field, for the manual's byte map.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("checksum", CHECKSUM, 4),
    ("len", LEN, 4),
    ("seq", SEQ, 8),
    ("appended_at", APPENDED_AT, 8),
    ("timestamp", TIMESTAMP, 8),
    ("event_id", EVENT_ID, 16),
    ("durable_lag", DURABLE_LAG, 4),
    ("flags", FLAGS, 2),
    ("kind", KIND, 1),
    ("type_len", TYPE_LEN, 1),
    ("source_len", SOURCE_LEN, 2),
    ("headers_len", HEADERS_LEN, 2),
    ("batch_place", BATCH_PLACE, 2),
    ("batch_count", BATCH_COUNT, 2),
];

/// The frame asks to be delivered only once it is synced.
pub(crate) const FLAG_SYNC: u16 = 1 << 0;
/// A mark that closes the log cleanly: all before it is synced, and nothing was under way.
pub(crate) const FLAG_CLEAN: u16 = 1 << 1;
/// The payload region is encrypted, as [`sealed`](super::sealed) says.
pub(crate) const FLAG_SEALED: u16 = 1 << 2;
/// How much of a sealed payload is not the payload itself: salt and tag.
pub(super) const SEALED_EXTRA: u64 = 32;
// Reserved: 1 << 3, the payload region is compressed. A frame with it is of a newer version.
pub(super) const FLAGS_KNOWN: u16 = FLAGS_PLAIN | FLAG_SEALED;
/// Those of frames whose payload can be read as it lies.
pub(super) const FLAGS_PLAIN: u16 = FLAG_SYNC | FLAG_CLEAN;

/// A lag that stands for "not known".
pub(super) const LAG_UNKNOWN: u32 = u32::MAX;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An event; it has a Seq of its own.
    Event = 1,
    /// A witness of `durable_upto`; it repeats the Seq of the last event.
    Mark = 2,
}

/// The header of a frame, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: Kind,
    pub(crate) flags: u16,
    pub(crate) seq: Seq,
    pub(crate) appended_at: Timestamp,
    pub(crate) timestamp: Timestamp,
    pub(crate) event_id: EventId,
    /// The highest Seq known to be synced when this frame was written.
    pub(crate) durable_upto: Seq,
    pub(crate) type_len: u8,
    pub(crate) source_len: u16,
    pub(crate) headers_len: u16,
    /// How many events of the same batch stand before this one.
    pub(crate) batch_place: u16,
    /// How many events the batch has; 1 for a single event, 0 for a mark.
    pub(crate) batch_count: u16,
    /// The length in bytes without the padding.
    pub(crate) len: u32,
    /// The checksum of the content, without salt and offset.
    pub(crate) content_crc: u32,
}

/// What the log adds to a record when it takes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) kind: Kind,
    pub(crate) flags: u16,
    pub(crate) seq: Seq,
    /// The record's own id, or the one that the log made for it.
    pub(crate) event_id: EventId,
    pub(crate) appended_at: Timestamp,
    pub(crate) durable_upto: Seq,
    pub(crate) batch_place: u16,
    pub(crate) batch_count: u16,
}

/// Where a frame stands: what its checksum is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) salt: u64,
    pub(crate) offset: usize,
}

impl Place {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a hash keeps the low bits on purpose"
    )]
    pub(super) fn mask(self) -> u32 {
        // Knuth's multiplicative constant is odd, so that the product is one-to-one modulo 2³².
        let salt = (self.salt ^ (self.salt >> 32)) as u32;
        salt ^ (self.offset as u32).wrapping_mul(2_654_435_761)
    }
}

/// A frame that has passed its check, its header decoded; it borrows its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    /// Its bytes, without the padding.
    pub(crate) bytes: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// The first bytes are zero: nothing was written here.
    Empty,
    /// The length is below a header's or beyond the bytes at hand.
    Length,
    /// The checksum does not match.
    Checksum,
    /// The checksum matches but a field is out of range: written by a newer version.
    Field,
}

impl Invalid {
    /// The reason in words.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Invalid::Empty => "zeros where a frame should start",
            Invalid::Length => "frame length out of range",
            Invalid::Checksum => "frame checksum mismatch",
            Invalid::Field => "frame field out of range",
        }
    }
}

/// The room that a frame of `len` bytes takes, padding included.
pub(crate) const fn padded(len: usize) -> usize {
    len.saturating_add(ALIGN - 1) & !(ALIGN - 1)
}

impl Record<'_> {
    /// The length of the record's frame in bytes, without padding.
    #[inline]
    pub(crate) fn frame_len(&self) -> usize {
        HEADER_LEN.wrapping_add(self.payload_len())
    }
}

/// Writes a frame to the start of `out`, which must have the room of [`padded`]`(record.frame_len())`
/// bytes; returns the checksum of its content.
#[inline]
pub(crate) fn encode(out: &mut [u8], record: &Record<'_>, stamp: Stamp, place: Place) -> u32 {
    let len = record.frame_len();
    put_padding(out, len);
    // Built apart and copied, as one piece where the compiler leaves it at that.
    put(out, 0, &header_bytes(record, stamp, len));
    record.write_payload(out.get_mut(HEADER_LEN..).unwrap_or_default());
    finish(out, len, place)
}

/// Zeroes the last word of a frame of `len` bytes, before anything of it is written: what is left of it then
/// is the padding.
#[inline]
pub(super) fn put_padding(out: &mut [u8], len: usize) {
    put(out, padded(len).saturating_sub(ALIGN), &[0; ALIGN]);
}

/// Gives a frame of `len` bytes its checksum; returns that of its content.
#[inline]
pub(super) fn finish(out: &mut [u8], len: usize, place: Place) -> u32 {
    let content_crc = crc32(out.get(LEN..len).unwrap_or_default());
    put(out, CHECKSUM, &(content_crc ^ place.mask()).to_le_bytes());
    content_crc
}

/// The fixed header, without its checksum.
#[inline]
pub(super) fn header_bytes(record: &Record<'_>, stamp: Stamp, len: usize) -> [u8; HEADER_LEN] {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let lag = u32::try_from(stamp.seq.since(stamp.durable_upto)).unwrap_or(LAG_UNKNOWN);
    let mut header = [0; HEADER_LEN];
    let out = &mut header;
    put(out, LEN, &len.to_le_bytes());
    put(out, SEQ, &stamp.seq.0.to_le_bytes());
    put(out, APPENDED_AT, &stamp.appended_at.0.to_le_bytes());
    put(out, TIMESTAMP, &record.timestamp.0.to_le_bytes());
    put(out, EVENT_ID, &stamp.event_id.0.to_le_bytes());
    put(out, DURABLE_LAG, &lag.to_le_bytes());
    put(out, FLAGS, &stamp.flags.to_le_bytes());
    put(out, KIND, &[stamp.kind as u8]);
    put(out, TYPE_LEN, &[record.type_len()]);
    put(out, SOURCE_LEN, &record.source_len().to_le_bytes());
    put(out, HEADERS_LEN, &record.headers_len().to_le_bytes());
    put(out, BATCH_PLACE, &stamp.batch_place.to_le_bytes());
    put(out, BATCH_COUNT, &stamp.batch_count.to_le_bytes());
    header
}

/// What is to be kept of a frame that was just encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gist {
    pub(crate) is_event: bool,
    pub(crate) seq: Seq,
    pub(crate) flags: u16,
    pub(crate) len: u32,
    pub(crate) content_crc: u32,
    pub(crate) timestamp: Timestamp,
    pub(crate) appended_at: Timestamp,
}

impl Gist {
    /// The gist of an event that was just encoded.
    #[inline]
    pub(crate) fn of(record: &Record<'_>, stamp: &Stamp, content_crc: u32) -> Self {
        Gist {
            is_event: true,
            seq: stamp.seq,
            flags: stamp.flags,
            len: u32::try_from(record.frame_len()).unwrap_or(u32::MAX),
            content_crc,
            timestamp: record.timestamp,
            appended_at: stamp.appended_at,
        }
    }

    /// The room that the frame takes, padding included.
    pub(crate) fn padded_len(self) -> usize {
        padded(usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

/// The gist of the frame at the start of `bytes`, which was encoded for this place by this process
/// and is not checked; `None` at the end of the bytes.
#[inline]
pub(crate) fn gist(bytes: &[u8], place: Place) -> Option<Gist> {
    Some(Gist {
        is_event: u8_at(bytes, KIND)? == Kind::Event as u8,
        seq: Seq(u64_at(bytes, SEQ)?),
        flags: u16_at(bytes, FLAGS)?,
        len: u32_at(bytes, LEN)?,
        content_crc: u32_at(bytes, CHECKSUM)? ^ place.mask(),
        timestamp: Timestamp(i64_at(bytes, TIMESTAMP)?),
        appended_at: Timestamp(i64_at(bytes, APPENDED_AT)?),
    })
}

/// Copies a checked frame to another place: the same content under another salt and offset.
pub(crate) fn relocate(out: &mut [u8], frame_bytes: &[u8], content_crc: u32, place: Place) {
    put(out, CHECKSUM, &(content_crc ^ place.mask()).to_le_bytes());
    put(out, LEN, frame_bytes.get(LEN..).unwrap_or_default());
}

/// The length that the header at the start of `bytes` claims, unchecked but for being in range: what
/// a reader must have at hand before it can [`decode`].
pub(crate) fn claimed_len(bytes: &[u8]) -> Result<usize, Invalid> {
    match u64_at(bytes, CHECKSUM) {
        None => return Err(Invalid::Length),
        Some(0) => return Err(Invalid::Empty),
        Some(_) => {}
    }
    let len = u32_at(bytes, LEN).and_then(|len| usize::try_from(len).ok());
    len.filter(|&len| len >= HEADER_LEN).ok_or(Invalid::Length)
}

/// Checks and decodes the frame at the start of `bytes`.
pub(crate) fn decode(bytes: &[u8], place: Place) -> Result<Frame<'_>, Invalid> {
    let len = claimed_len(bytes)?;
    let bytes = bytes.get(..len).ok_or(Invalid::Length)?;
    let content_crc = crc32(bytes.get(LEN..).unwrap_or_default());
    let is_right = u32_at(bytes, CHECKSUM) == Some(content_crc ^ place.mask());
    if !is_right && !mutant::is(Mutant::IgnoreChecksum) {
        return Err(Invalid::Checksum);
    }
    let head = bytes.first_chunk().ok_or(Invalid::Length)?;
    let header = read_header(head, content_crc).ok_or(Invalid::Field)?;
    Ok(Frame { header, bytes })
}

/// The header that `bytes` claim to start with, its checksum not looked at; `None` if a field is
/// out of range.
pub(crate) fn peek(bytes: &[u8]) -> Option<FrameHeader> {
    read_header(bytes.first_chunk()?, 0)
}

/// A salt under which the bytes at this offset are a frame, as far as checksums depend on it; `None` if their
/// length is none. For bytes that are no frame it is any number.
pub(crate) fn salt_told(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(..claimed_len(bytes).ok()?)?;
    let content_crc = crc32(bytes.get(LEN..)?);
    let unsalted = Place { salt: 0, offset };
    Some(u64::from(
        u32_at(bytes, CHECKSUM)? ^ content_crc ^ unsalted.mask(),
    ))
}

fn read_header(head: &[u8; HEADER_LEN], content_crc: u32) -> Option<FrameHeader> {
    let bytes = head.as_slice();
    let seq = Seq(u64_at(bytes, SEQ)?);
    let durable_upto = match u32_at(bytes, DURABLE_LAG)? {
        LAG_UNKNOWN => Seq::ZERO,
        lag => Seq(seq.0.checked_sub(u64::from(lag))?),
    };
    let header = FrameHeader {
        kind: match u8_at(bytes, KIND)? {
            1 => Kind::Event,
            2 => Kind::Mark,
            _ => return None,
        },
        flags: u16_at(bytes, FLAGS).filter(|flags| flags & !FLAGS_KNOWN == 0)?,
        seq,
        appended_at: Timestamp(i64_at(bytes, APPENDED_AT)?),
        timestamp: Timestamp(i64_at(bytes, TIMESTAMP)?),
        event_id: EventId(u128_at(bytes, EVENT_ID)?),
        durable_upto,
        type_len: u8_at(bytes, TYPE_LEN)?,
        source_len: u16_at(bytes, SOURCE_LEN)?,
        headers_len: u16_at(bytes, HEADERS_LEN)?,
        batch_place: u16_at(bytes, BATCH_PLACE)?,
        batch_count: u16_at(bytes, BATCH_COUNT)?,
        len: u32_at(bytes, LEN)?,
        content_crc,
    };
    header.is_consistent().then_some(header)
}

impl FrameHeader {
    /// The room that the frame takes, padding included.
    pub(crate) fn padded_len(&self) -> usize {
        padded(usize::try_from(self.len).unwrap_or(usize::MAX))
    }

    /// Whether the parts fit the whole, and the batch fields each other.
    fn is_consistent(&self) -> bool {
        let parts = u64::from(self.type_len)
            .saturating_add(u64::from(self.source_len))
            .saturating_add(u64::from(self.headers_len))
            .saturating_add(HEADER_LEN as u64);
        let is_sealed = self.flags & FLAG_SEALED != 0;
        let parts = parts.saturating_add(if is_sealed { SEALED_EXTRA } else { 0 });
        let in_batch = match self.kind {
            Kind::Event => self.batch_place < self.batch_count,
            Kind::Mark => self.batch_count == 0 && !is_sealed,
        };
        parts <= u64::from(self.len) && in_batch
    }
}

/// A running hash over the contents of all events of a log, in order, without salts and offsets; so
/// that a move, a recompression or a replica keeps it. Marks are not part of it.
///
/// Each step mixes length and content checksum into 64 bits with the finalizer of `MurmurHash3`. It
/// finds accidents, not an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Chain(pub(crate) u64);

impl Chain {
    /// The chain after one more frame.
    pub(crate) fn extend(self, len: u32, content_crc: u32) -> Chain {
        let mut h = self.0.wrapping_add(1) ^ (u64::from(len) << 32 | u64::from(content_crc));
        h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Chain(h ^ (h >> 33))
    }

    /// The chain before this last frame of it: each step of [`Chain::extend`] can be undone.
    pub(crate) fn retract(self, len: u32, content_crc: u32) -> Chain {
        // The inverses, modulo 2⁶⁴, of the two factors above.
        let mut h = self.0 ^ (self.0 >> 33);
        h = h.wrapping_mul(0x9cb4_b2f8_1293_37db);
        h = (h ^ (h >> 33)).wrapping_mul(0x4f74_430c_22a5_4005);
        h = (h ^ (h >> 33)) ^ (u64::from(len) << 32 | u64::from(content_crc));
        Chain(h.wrapping_sub(1))
    }
}

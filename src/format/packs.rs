//! The list of packs of a compressed segment, as it stands behind its ranges of dropped Seqs.
//!
//! A pack is some whole frames, compressed by themselves, so that an event is read by unpacking few bytes.
//! Frames keep the offsets that they have without compression; the list says which of them a pack has, and
//! where in the file it is.

use super::bytes::{put, u32_at, u64_at};

const FRAMES_AT: usize = 0;
const FILE_AT: usize = FRAMES_AT + 8;
const LEN: usize = FILE_AT + 8;
const CHECKSUM: usize = LEN + 4;
/// The length of an entry in bytes.
pub(crate) const PACK_LEN: usize = CHECKSUM + 4;

/// Name, place and length of each field, for the manual's byte map.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("frames_at", FRAMES_AT, 8),
    ("file_at", FILE_AT, 8),
    ("len", LEN, 4),
    ("checksum", CHECKSUM, 4),
];

/// Frames that are compressed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pack {
    /// The offset that its first frame has without compression.
    pub(crate) frames_at: usize,
    /// Where its bytes start in the file.
    pub(crate) file_at: usize,
    /// How many bytes it takes in the file: as many as its frames if they stand plain.
    pub(crate) len: usize,
    /// `crc32` of these bytes.
    pub(crate) checksum: u32,
}

impl Pack {
    /// The entry's bytes.
    pub(crate) fn encode(&self) -> [u8; PACK_LEN] {
        let mut out = [0; PACK_LEN];
        put(&mut out, FRAMES_AT, &(self.frames_at as u64).to_le_bytes());
        put(&mut out, FILE_AT, &(self.file_at as u64).to_le_bytes());
        let len = u32::try_from(self.len).unwrap_or(u32::MAX);
        put(&mut out, LEN, &len.to_le_bytes());
        put(&mut out, CHECKSUM, &self.checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Pack> {
        Some(Pack {
            frames_at: usize::try_from(u64_at(bytes, FRAMES_AT)?).ok()?,
            file_at: usize::try_from(u64_at(bytes, FILE_AT)?).ok()?,
            len: usize::try_from(u32_at(bytes, LEN)?).ok()?,
            checksum: u32_at(bytes, CHECKSUM)?,
        })
    }
}

/// The packs of a segment, ascending; borrowed from where they were read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Packs<'a>(&'a [u8]);

impl<'a> Packs<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Packs(bytes)
    }

    /// The pack that holds the frame at this offset, and where its frames end if another one follows.
    pub(crate) fn at(self, offset: usize) -> Option<(Pack, Option<usize>)> {
        let (mut low, mut high) = (0, self.0.len() / PACK_LEN);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self
                .nth(middle)
                .is_some_and(|pack| pack.frames_at <= offset)
            {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let pack = self.nth(low.checked_sub(1)?)?;
        Some((pack, self.nth(low).map(|next| next.frames_at)))
    }

    fn nth(self, place: usize) -> Option<Pack> {
        let start = place.checked_mul(PACK_LEN)?;
        self.0.get(start..).and_then(Pack::decode)
    }
}

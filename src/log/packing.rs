//! [`Packer`]: compresses checked frames, pack by pack, into a region that nobody else has.

use super::copier::Sink;
use super::packs::PACKED_TOGETHER;
#[cfg(not(feature = "compression"))]
use super::packs::not_built;
use super::scan::Source;
use super::segment::Segment;
use crate::error::{Error, ErrorKind, Result};
use crate::format::crc::crc32;
use crate::format::frame::{self, Place};
use crate::format::packs::Pack;
use crate::format::segment::BLOCK_LEN;
use crate::storage::Region;

/// How many places of a segment are tried before it is compressed.
const TRIED: usize = 8;
/// Compressed is what is smaller by one in so many bytes.
const GAIN: usize = 8;

/// What compresses.
struct Codec {
    #[cfg(feature = "compression")]
    zstd: zstd::bulk::Compressor<'static>,
}

impl Codec {
    #[cfg(feature = "compression")]
    fn new(level: i32) -> Result<Codec> {
        let zstd = zstd::bulk::Compressor::new(level);
        let zstd = zstd.map_err(|e| Error::new(ErrorKind::Io, format!("zstd: {e}")))?;
        Ok(Codec { zstd })
    }

    #[cfg(not(feature = "compression"))]
    fn new(_: i32) -> Result<Codec> {
        Err(not_built())
    }

    /// The bytes compressed; as they are if that is not shorter.
    fn pack(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let packed = self.compress(bytes)?;
        // A pack as long as its frames stands for plain ones.
        Ok(if packed.len() < bytes.len() {
            packed
        } else {
            bytes.to_vec()
        })
    }

    #[cfg(feature = "compression")]
    fn compress(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let packed = self.zstd.compress(bytes);
        packed.map_err(|e| Error::new(ErrorKind::Io, format!("zstd: {e}")))
    }

    #[cfg(not(feature = "compression"))]
    #[expect(clippy::unused_self, reason = "there is none in this build")]
    fn compress(&mut self, _: &[u8]) -> Result<Vec<u8>> {
        Err(not_built())
    }
}

/// Frames on their way from one segment into the packs of another.
pub(super) struct Packer<'a> {
    codec: Codec,
    /// Takes the packs, one behind the other from its start.
    scratch: &'a mut Region,
    salt: u64,
    /// The frames of the pack under way, and the offset of the first.
    frames: Vec<u8>,
    start: usize,
    list: Vec<u8>,
}

impl<'a> Packer<'a> {
    /// Packs into an empty region, for a segment with this salt.
    pub(super) fn new(scratch: &'a mut Region, salt: u64, level: i32) -> Result<Self> {
        Ok(Packer {
            codec: Codec::new(level)?,
            scratch,
            salt,
            frames: Vec::with_capacity(2 * PACKED_TOGETHER),
            start: BLOCK_LEN,
            list: Vec::new(),
        })
    }

    /// Writes what is left; returns where the frames end, and the list of packs, which stand behind each
    /// other in the file from the end of the header block on.
    pub(super) fn finish(mut self) -> Result<(usize, Vec<u8>)> {
        self.write()?;
        Ok((self.start, self.list))
    }

    fn write(&mut self) -> Result<()> {
        if self.frames.is_empty() {
            return Ok(());
        }
        let packed = self.codec.pack(&self.frames)?;
        let pack = Pack {
            frames_at: self.start,
            file_at: BLOCK_LEN.saturating_add(self.scratch.published()),
            len: packed.len(),
            checksum: crc32(&packed),
        };
        if !self.scratch.append(&packed)? {
            let message = "the room for compressed frames is full";
            return Err(Error::new(ErrorKind::Io, message).at_path(self.scratch.path()));
        }
        self.list.extend(pack.encode());
        self.start = self.start.saturating_add(self.frames.len());
        self.frames.clear();
        Ok(())
    }
}

impl Sink for Packer<'_> {
    fn copy(&mut self, bytes: &[u8], content_crc: u32) -> Result<usize> {
        let (held, len) = (self.frames.len(), frame::padded(bytes.len()));
        if held > 0 && held.saturating_add(len) > PACKED_TOGETHER {
            self.write()?;
        }
        let at = self.frames.len();
        let offset = self.start.saturating_add(at);
        self.frames.resize(at.saturating_add(len), 0);
        let place = Place {
            salt: self.salt,
            offset,
        };
        let room = self.frames.get_mut(at..).unwrap_or_default();
        frame::relocate(room, bytes, content_crc, place);
        Ok(offset)
    }
}

/// Whether a segment would take less room if it were compressed, by some places of it.
///
/// # Errors
/// If it cannot be read.
pub(super) fn is_worth(segment: &Segment, level: i32) -> Result<bool> {
    let mut codec = Codec::new(level)?;
    let len = segment.frames_end().saturating_sub(BLOCK_LEN);
    let stride = (len / TRIED).max(PACKED_TOGETHER);
    let (mut plain, mut packed) = (0_usize, 0_usize);
    for start in (0..len).step_by(stride) {
        let mut bytes = vec![0; PACKED_TOGETHER.min(len.saturating_sub(start))];
        segment.read_at(BLOCK_LEN.saturating_add(start), &mut bytes)?;
        plain = plain.saturating_add(bytes.len());
        packed = packed.saturating_add(codec.pack(&bytes)?.len());
    }
    Ok(plain.saturating_sub(packed) >= plain / GAIN && plain > 0)
}

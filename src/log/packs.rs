//! Compressed segments: how their frames are found, unpacked and packed.
//!
//! Frames keep the offsets that they would have without compression, so all else that knows of offsets, the
//! table, the checksums, is as in other segments. To read one its *pack* is unpacked, some 32 KiB.

use std::sync::Arc;

use super::frames::Frames;
use super::segment::Segment;
use crate::error::{Error, ErrorKind, Result};
use crate::format::crc::crc32;
use crate::format::packs::{Pack, Packs};
use crate::position::{SegmentId, Seq};
use crate::storage::Region;

/// How many bytes of frames are packed together, if the frame that comes last reaches no further.
pub(super) const PACKED_TOGETHER: usize = 32 << 10;
/// Zeros become some ten thousand times smaller; what says more than this is no pack.
#[cfg(feature = "compression")]
const RATIO_MAX: usize = 1 << 16;
/// How many bytes of unpacked frames are kept, so that they need not be unpacked again.
#[cfg(feature = "compression")]
const KEPT_MAX: u64 = 16 << 20;

/// Frames that were unpacked.
#[derive(Debug)]
pub(crate) struct Unpacked {
    bytes: Vec<u8>,
    /// The offset of the first.
    start: usize,
    salt: u64,
}

impl Unpacked {
    /// The frames.
    pub(super) fn frames(&self) -> Frames<'_> {
        Frames::new(&self.bytes, self.start, self.salt)
    }

    /// Whether a frame may start at this offset.
    pub(super) fn holds(&self, offset: usize) -> bool {
        let at = offset.checked_sub(self.start);
        at.is_some_and(|at| at < self.bytes.len())
    }
}

/// Which pack of which file, by its salt.
type Key = (SegmentId, u64, usize);

#[cfg(feature = "compression")]
#[derive(Debug, Clone)]
struct ByBytes;

#[cfg(feature = "compression")]
impl quick_cache::Weighter<Key, Arc<Unpacked>> for ByBytes {
    fn weight(&self, _: &Key, unpacked: &Arc<Unpacked>) -> u64 {
        unpacked.bytes.len() as u64
    }
}

/// The packs of a log that were unpacked of late.
#[derive(Debug)]
#[cfg_attr(not(feature = "compression"), derive(Default))]
pub(crate) struct PackCache {
    #[cfg(feature = "compression")]
    kept: quick_cache::sync::Cache<Key, Arc<Unpacked>, ByBytes>,
}

#[cfg(feature = "compression")]
impl Default for PackCache {
    fn default() -> Self {
        PackCache {
            kept: quick_cache::sync::Cache::with_weighter(
                usize::try_from(KEPT_MAX).unwrap_or(0) / PACKED_TOGETHER,
                KEPT_MAX,
                ByBytes,
            ),
        }
    }
}

impl PackCache {
    /// The frames that are packed together with the one of this Seq, at this offset.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if they cannot be unpacked.
    pub(super) fn unpacked(
        &self,
        segment: &Segment,
        seq: Seq,
        offset: usize,
    ) -> Result<Arc<Unpacked>> {
        let damaged = |at: usize| {
            let reason = "the compressed frames around it do not pass their check";
            segment.corrupt(seq, at, reason)
        };
        let list = segment.packs();
        let Some((pack, end)) = list.at(offset) else {
            return Err(segment.corrupt(seq, offset, "the list of compressed frames is damaged"));
        };
        let end = end.unwrap_or_else(|| segment.frames_end());
        let unpack = || {
            let file_end = pack.file_at.saturating_add(pack.len);
            let bytes = segment.region.bytes().get(pack.file_at..file_end);
            let bytes = bytes.and_then(|bytes| unpack(&pack, bytes, end));
            let bytes = bytes.ok_or_else(|| damaged(pack.file_at))?;
            Ok(Arc::new(Unpacked {
                bytes,
                start: pack.frames_at,
                salt: segment.header.salt,
            }))
        };
        let key: Key = (segment.id(), segment.header.salt, pack.frames_at);
        self.keep(&key, unpack)
    }

    #[cfg(feature = "compression")]
    fn keep(
        &self,
        key: &Key,
        unpack: impl FnOnce() -> Result<Arc<Unpacked>>,
    ) -> Result<Arc<Unpacked>> {
        self.kept.get_or_insert_with(key, unpack)
    }

    #[cfg(not(feature = "compression"))]
    #[expect(
        clippy::unused_self,
        reason = "nothing is kept where nothing can be unpacked"
    )]
    fn keep(
        &self,
        _: &Key,
        unpack: impl FnOnce() -> Result<Arc<Unpacked>>,
    ) -> Result<Arc<Unpacked>> {
        unpack()
    }
}

impl Segment {
    /// The packs of a compressed segment; none where their list does not pass its check.
    pub(super) fn packs(&self) -> Packs<'_> {
        let packed = self.footer().and_then(|footer| footer.rewritten.packed);
        let Some(part) = packed.map(|packed| packed.list) else {
            return Packs::default();
        };
        let bytes = self.part(&part);
        let check = || crc32(bytes) == part.checksum;
        if *self.has_whole_packs.get_or_init(check) {
            Packs::of(bytes)
        } else {
            Packs::default()
        }
    }
}

/// Reads frames that are compressed as if they stood plain: `out.len()` bytes at an offset. What cannot be
/// unpacked is read as zeros, which are no frame. `read` gives the bytes of a pack, if the file has them.
///
/// # Errors
/// Only where the file cannot be read.
pub(super) fn read_frames(
    packs: Packs<'_>,
    frames_end: usize,
    read: &dyn Fn(&Pack) -> Result<Option<Vec<u8>>>,
    offset: usize,
    out: &mut [u8],
) -> Result<()> {
    out.fill(0);
    let mut done = 0;
    while done < out.len() {
        let at = offset.saturating_add(done);
        let Some((pack, end)) = packs.at(at) else {
            break;
        };
        let end = end.unwrap_or(frames_end);
        if end <= at {
            break;
        }
        let frames = read(&pack)?.and_then(|bytes| unpack(&pack, &bytes, end));
        let frames = frames.unwrap_or_default();
        let from = frames.get(at.saturating_sub(pack.frames_at)..);
        let room = out.get_mut(done..).unwrap_or_default().iter_mut();
        for (out, byte) in room.zip(from.unwrap_or_default()) {
            *out = *byte;
        }
        done = done.saturating_add(end.saturating_sub(at));
    }
    Ok(())
}

/// The bytes of a pack, if they lie in the file.
pub(super) fn read_pack(region: &Region, pack: &Pack) -> Result<Option<Vec<u8>>> {
    let end = pack.file_at.checked_add(pack.len);
    if end.is_none_or(|end| end > region.len()) {
        return Ok(None);
    }
    let mut bytes = vec![0; pack.len];
    region.read_at(pack.file_at, &mut bytes)?;
    Ok(Some(bytes))
}

/// The frames of a pack, which reach to the offset `end`; `None` if they do not pass their check.
fn unpack(pack: &Pack, bytes: &[u8], end: usize) -> Option<Vec<u8>> {
    let len = end.checked_sub(pack.frames_at)?;
    if crc32(bytes) != pack.checksum {
        return None;
    }
    if bytes.len() == len {
        return Some(bytes.to_vec());
    }
    decompress(bytes, len)
}

#[cfg(feature = "compression")]
fn decompress(bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    // Before room is made for what a file says.
    let told = zstd::zstd_safe::get_frame_content_size(bytes).ok()??;
    if told != len as u64 || len / RATIO_MAX > bytes.len() {
        return None;
    }
    let unpacked = UNPACKER.with_borrow_mut(|held| {
        let unpacker = match held {
            Some(unpacker) => unpacker,
            None => held.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        unpacker.decompress(bytes, len).ok()
    })?;
    (unpacked.len() == len).then_some(unpacked)
}

#[cfg(feature = "compression")]
thread_local! {
    /// What unpacks for this thread: some 100 KiB, which would be mapped anew and faulted in for each pack.
    static UNPACKER: std::cell::RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { std::cell::RefCell::new(None) };
}

#[cfg(not(feature = "compression"))]
fn decompress(_: &[u8], _: usize) -> Option<Vec<u8>> {
    None
}

/// What a build without the feature says that is asked to compress.
pub(super) fn not_built() -> Error {
    let message = "this build of Forelog cannot compress: build it with the feature `compression`, or \
                   leave the setting out";
    Error::new(ErrorKind::Invalid, message)
}

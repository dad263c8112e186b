//! Events of encrypted segments: sealed when they are appended, and opened when they are read.
//!
//! **Writing.** A frame is encrypted in private memory and only then copied to where others see it, whatever
//! way it goes: no plain byte of an event ever stands in a map or a file.
//!
//! **No nonce twice.** A frame's key comes of a salt, its nonce is its Seq. A segment gets a fresh random salt
//! when it becomes the one that is appended to, at an opening or a rotation; and within it a Seq is handed out
//! once, its frame laid out once: what fails behind that ends the log's life, and what a crash leaves is moved
//! as it is. So the same Seq may come again after a crash, or in a copy of the directory; never under the same
//! salt.
//!
//! **Reading.** An event is opened into memory of its own, laid out as a plain frame.

use std::cell::RefCell;
use std::sync::Arc;

use super::plain::PLAIN;
use super::segment::Segment;
use super::tail::Batch;
use super::view::View;
use super::{Lying, StoredEvent};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{Place, padded};
use crate::format::record::{EventRef, Record};
use crate::format::sealed::{self, Opened, Sealed};
use crate::keys::data::{DataKey, Sealer};
use crate::position::Seq;

/// The largest memory that a thread keeps to encrypt in, in bytes.
const SCRATCH_MAX: usize = 1 << 20;

thread_local! {
    /// Where frames are encrypted.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is said of a frame whose checksum is right and whose tag is not.
pub(crate) const ALTERED: &str =
    "the event was altered by somebody without the key, or is of another log";

impl Segment {
    /// Has what is appended from now on encrypted with this key, under a fresh salt, if the segment is one for
    /// sealed frames.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub(super) fn seal_with(&self, key: Option<&DataKey>) -> Result<()> {
        if let Some(key) = key.filter(|_| self.header.is_sealed()) {
            // A segment becomes the active one once in an opening.
            let _first = self.sealer.set(Arc::new(key.sealer()?));
        }
        Ok(())
    }

    /// When the event of this Seq was appended, if it is here and passes the check. For segments that are
    /// not compressed.
    pub(super) fn appended_at(&self, seq: Seq) -> Option<Timestamp> {
        let offset = self.offset_of(seq).ok()??;
        let header = self.frames().header_at(seq, offset)?;
        Some(header.appended_at)
    }

    /// What encrypts the frames that are appended here, if they are encrypted.
    ///
    /// # Errors
    /// [`Key`](ErrorKind::Key) if they are, and the log was opened without the key.
    #[inline]
    pub(super) fn sealer(&self) -> Result<Option<&Arc<Sealer>>> {
        if self.header.lies_open() {
            return Ok(None);
        }
        self.sealer.get().map(Some).ok_or_else(no_key)
    }
}

/// Lays out the sealed frames of a batch, which go to `place`.
#[cold]
pub(super) fn write_sealed(
    out: &mut [u8],
    mut place: Place,
    records: &[Record<'_>],
    batch: &Batch,
    sealer: &Sealer,
) {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.resize(out.len(), 0);
        let mut rest = scratch.as_mut_slice();
        for (place_in_batch, record) in records.iter().enumerate() {
            // More than 65,535 are refused.
            let batch_place = u16::try_from(place_in_batch).unwrap_or(u16::MAX);
            let (room, behind) = rest.split_at_mut(padded(record.sealed_len()).min(rest.len()));
            let stamp = batch.stamp(record, batch_place);
            sealed::encode(room, record, stamp, place, sealer);
            place.offset += room.len();
            rest = behind;
        }
        out.copy_from_slice(scratch);
        if scratch.capacity() > SCRATCH_MAX {
            *scratch = Vec::new();
        }
    });
}

impl View {
    /// The key that its events are encrypted with, if they are and it is known.
    pub(crate) fn key(&self) -> Option<&Arc<DataKey>> {
        self.key.get()
    }

    /// The event of this Seq in a segment with sealed frames.
    #[cold]
    pub(super) fn get_sealed(
        &self,
        segment: &Arc<Segment>,
        seq: Seq,
    ) -> Result<Option<StoredEvent>> {
        let Some(offset) = segment.offset_of(seq)? else {
            return Ok(None);
        };
        if let Some(event) = self.plain_at(segment, seq, offset)? {
            return Ok(Some(StoredEvent(Lying::InSegment {
                len: event.frame().len(),
                segment: segment.clone(),
                offset,
            })));
        }
        let mut opened = Opened::default();
        self.open(segment, seq, offset, &mut opened)?;
        Ok(Some(StoredEvent(Lying::Opened(Arc::new(opened)))))
    }

    /// The event of this Seq at an offset of a segment with sealed frames, if it lies open: it was appended
    /// before there was a key, and moved here by a recovery.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if there was a key by then.
    pub(super) fn plain_at<'a>(
        &self,
        segment: &'a Segment,
        seq: Seq,
        offset: usize,
    ) -> Result<Option<EventRef<'a>>> {
        let found = segment.event_at(seq, offset);
        if found.is_some() && self.key().is_some_and(|key| !key.allows_plain(seq)) {
            return Err(segment.corrupt(seq, offset, PLAIN));
        }
        Ok(found)
    }

    /// Opens the sealed frame of this Seq at an offset.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if there is none, or it was altered; [`Key`](ErrorKind::Key) without
    /// the key.
    pub(super) fn open(
        &self,
        segment: &Segment,
        seq: Seq,
        offset: usize,
        out: &mut Opened,
    ) -> Result<()> {
        let found = segment.frames().sealed_at(seq, offset);
        let sealed = found.map_err(|reason| segment.corrupt(seq, offset, reason))?;
        let Some(key) = self.key() else {
            return Err(no_key().at_path(segment.region.path()).at_seq(seq));
        };
        open_with(key, sealed, out).map_err(|reason| segment.corrupt(seq, offset, reason))
    }
}

/// Opens a sealed frame; what is wrong with it, if it cannot be opened.
pub(crate) fn open_with(
    key: &DataKey,
    sealed: Sealed<'_>,
    out: &mut Opened,
) -> Result<(), &'static str> {
    if !key.open(sealed, out) {
        return Err(ALTERED);
    }
    out.checked().map(drop).ok_or("type or source is no UTF-8")
}

fn no_key() -> Error {
    let message =
        "the events are encrypted, and this was opened without the key; open it with the key";
    Error::new(ErrorKind::Key, message)
}

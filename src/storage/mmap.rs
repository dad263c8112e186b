//! [`Region`]: a mapped, fixed-size run of bytes that many threads share. The only unsafe code.
//!
//! ```text
//! 0            published          reserved                len
//! ├── readable ────┼── claims ────────┼── free ─────────────┤
//! ```
//!
//! A region owns the reservation and the publication of its bytes. its one [`Writer`] takes the
//! next free bytes; the [`Claim`] is the only way to write them, and only until it is published. Readers
//! are lent what lies below `published`, which no claim reaches. So writers and readers never touch
//! the same byte at the same time, whatever the log above does.
//!
//! Claims are written in parallel and published in the order in which they were taken; see
//! [`Turns`]. A claim that is dropped unpublished (its thread panicked) is a hole: nothing behind it
//! is ever published, and whoever waits for a turn behind it is told so.

#![allow(unsafe_code, reason = "the crate's one file with unsafe code")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::slice;
use std::sync::{Arc, PoisonError};

use crossbeam::utils::CachePadded;
use memmap2::MmapRaw;

use super::backing::Backing;
use super::turns::{Abandoned, Turns, WAITING_MAX};
use crate::error::Result;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes that are fetched ahead will be read (x86: `PREFETCHT0`).
pub(crate) const TO_READ: i32 = 3;
/// They will be written (x86: `PREFETCHW`).
const TO_WRITE: i32 = 7;

/// A mapped file (or anonymous memory) of fixed size.
pub(crate) struct Region {
    shared: Arc<Shared>,
    reserved: CachePadded<AtomicUsize>,
    turns: Turns,
    has_writer: AtomicBool,
    pub(super) backing: Box<dyn Backing>,
    pub(super) path: PathBuf,
    /// Up to where blocks of the file were written; beyond its end if there is nothing to do about it.
    pub(super) filled_upto: AtomicUsize,
}

/// What a region shares with its views.
#[derive(Debug)]
struct Shared {
    map: MmapRaw,
    /// Stored with each append: on a line of its own, so that the map is found without a look at it.
    published: CachePadded<AtomicUsize>,
    /// How often the region was adopted; held while `published` may fall and while a view reads.
    adoptions: Mutex<u64>,
}

impl Region {
    /// A region over a map that nothing else in this process has. All its bytes are free.
    pub(super) fn new(map: MmapRaw, backing: Box<dyn Backing>, path: PathBuf) -> Self {
        let shared = Shared {
            map,
            published: CachePadded::default(),
            adoptions: Mutex::new(0),
        };
        Region {
            shared: Arc::new(shared),
            reserved: CachePadded::default(),
            turns: Turns::from(0),
            has_writer: AtomicBool::new(false),
            backing,
            path,
            filled_upto: AtomicUsize::new(usize::MAX),
        }
    }

    /// The region with another backing, made of its own.
    pub(super) fn behind(self, wrap: impl FnOnce(Box<dyn Backing>) -> Box<dyn Backing>) -> Self {
        Region {
            backing: wrap(self.backing),
            ..self
        }
    }

    /// A look at the published bytes for what stands behind the region.
    pub(super) fn view(&self) -> View {
        View(Arc::clone(&self.shared))
    }

    /// The path of the file, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that the file has another name now.
    pub(crate) fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.shared.map.len()
    }

    /// Declares the first `end` bytes, which the file had when it was opened, to be published.
    ///
    /// # Errors
    /// [`Truncated`](ErrorKind::Truncated) if the file has become shorter than the region.
    pub(crate) fn adopt(&mut self, end: usize) -> Result<()> {
        self.check_len()?;
        let end = end.min(self.len());
        let adoptions = self.shared.adoptions.lock();
        *adoptions.unwrap_or_else(PoisonError::into_inner) += 1;
        self.shared.published.store(end, Ordering::Release);
        *self.reserved.get_mut() = end;
        self.turns = Turns::from(end);
        *self.has_writer.get_mut() = false;
        Ok(())
    }

    pub(super) fn map(&self) -> &MmapRaw {
        &self.shared.map
    }

    /// Where the readable bytes end.
    pub(crate) fn published(&self) -> usize {
        self.shared.published.load(Ordering::Acquire)
    }

    /// The readable bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let published = self.published();
        // SAFETY: the map is valid for `len` bytes as long as `self` lives, and `published <= len`.
        // Bytes below `published` are never written again: claims start at or above it, because
        // `reserved >= published` when they are made and both only grow (`adopt` takes the region
        // exclusively, so no claim and no borrow of these bytes lives then). The Acquire load pairs
        // with the Release store in `Claim::publish`, so the writes of the claims below are visible. Other processes do not write the file: the
        // directory's lock keeps them out; that nobody truncates it is the documented assumption of
        // every mapped file, and `check_len` finds the common case.
        unsafe { slice::from_raw_parts(self.shared.map.as_ptr(), published) }
    }

    /// Where the bytes end that are published or claimed.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    /// Waits until every claim that was taken before is published.
    ///
    /// # Errors
    /// [`Abandoned`] if one of them never will be.
    pub(crate) fn await_published(&self) -> Result<(), Abandoned> {
        self.turns.wait_for(self.reserved())
    }

    /// The writer of this region; `None` while there is one already, and for good once one of its
    /// claims was abandoned.
    ///
    /// `owner` is kept for the claims, who have it at hand at no cost.
    pub(crate) fn writer<T>(self: &Arc<Self>, owner: Arc<T>) -> Option<Writer<T>> {
        let is_free = !self.has_writer.swap(true, Ordering::AcqRel);
        is_free.then(|| Writer {
            region: self.clone(),
            owner,
            claimed: 0,
            ends: vec![0; WAITING_MAX],
        })
    }

    /// Writes and publishes the next `len` free bytes of a region that nobody else has yet; returns
    /// their offset, or `None` if there are not as many.
    pub(crate) fn write_with(
        &mut self,
        len: usize,
        write: impl FnOnce(usize, &mut [u8]),
    ) -> Option<usize> {
        let start = *self.reserved.get_mut();
        let end = start.checked_add(len).filter(|&end| end <= self.len())?;
        // SAFETY: `start..end` lies in the map. The region is borrowed exclusively, so there is no
        // writer, no claim and no reader; and nothing below `start` is touched.
        let bytes =
            unsafe { slice::from_raw_parts_mut(self.shared.map.as_mut_ptr().add(start), len) };
        write(start, bytes);
        *self.reserved.get_mut() = end;
        self.turns.skip_to(end);
        self.shared.published.store(end, Ordering::Release);
        Some(start)
    }

    /// Takes the pages of published bytes out of the process's page tables, to be found again when they
    /// are touched. A sync has to protect each mapped page that was written, one by one, and to tell
    /// every other processor that is at work in this process; this tells them once for many.
    pub(crate) fn unmap_pages(&self) {
        #[cfg(target_os = "linux")]
        if self.backing.is_file_map() {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the map is a shared one of a file, whose bytes, those stored through the map
            // included, lie in the page cache: each later access finds them there. (In a private or
            // anonymous map they would be lost.)
            let done = unsafe { self.shared.map.unchecked_advise(advice) };
            if let Err(error) = done {
                tracing::debug!(target: "forelog::storage", %error, "pages stay mapped");
            }
        }
    }

    /// Begins to fetch the cache lines of a range, [`TO_READ`] or [`TO_WRITE`], where the processor can
    /// be asked to.
    #[inline]
    pub(crate) fn prefetch<const HINT: i32>(&self, start: usize, len: usize) {
        let end = start.saturating_add(len).min(usize::MAX - 64);
        let mut line = start & !63;
        while line < end {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a prefetch is no access, and may be of any address: also of one behind the map.
            unsafe {
                let at = self.shared.map.as_ptr().wrapping_add(line);
                std::arch::x86_64::_mm_prefetch::<HINT>(at.cast());
            }
            line += 64;
        }
    }
}

/// The bytes of a region that were published when it was asked last.
///
/// Whoever reads many events asks once for all of them: a look at the end of the published bytes takes its
/// cache line away from the thread that appends, and each append has to get it back.
#[derive(Debug)]
pub(crate) struct Readable {
    region: Arc<Region>,
    upto: usize,
}

impl Readable {
    /// What is published of a region now.
    pub(crate) fn of(region: &Arc<Region>) -> Self {
        Readable {
            region: region.clone(),
            upto: region.published(),
        }
    }

    /// Asks again.
    pub(crate) fn refresh(&mut self) {
        self.upto = self.region.published();
    }

    /// The bytes, from the region's first on.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: as in `Region::bytes`: `upto` was loaded from `published`, and does not fall while
        // this holds the region, since `adopt` takes it exclusively.
        unsafe { slice::from_raw_parts(self.region.shared.map.as_ptr(), self.upto) }
    }
}

/// The published bytes of a region, apart from its owner; keeps the map alive.
#[derive(Debug)]
pub(super) struct View(Arc<Shared>);

impl View {
    /// Lends the published bytes, with the number of times that the region was adopted: while it
    /// stays the same, bytes that were lent before have not changed.
    pub(super) fn read<T>(&self, reader: impl FnOnce(&[u8], u64) -> T) -> T {
        let lock = self.0.adoptions.lock();
        let adoptions = lock.unwrap_or_else(PoisonError::into_inner);
        let published = self.0.published.load(Ordering::Acquire);
        // SAFETY: as in `Region::bytes`; only `adopt` lets `published` fall, and so lets bytes below
        // it be claimed again, and it waits for the lock that is held until the reader returns.
        let bytes = unsafe { slice::from_raw_parts(self.0.map.as_ptr(), published) };
        reader(bytes, *adoptions)
    }
}

/// How far ahead of a claim cache lines are fetched to be written, in bytes.
const PREFETCH_AHEAD: usize = 2048;

/// Takes the claims of a region: there is one writer at a time.
///
/// A claim points to the region and to the owner without counting a reference, for two counted
/// references would cost an append as much as its checksum. What makes that sound: a claim lives only
/// until its turn has passed on, and a writer that is dropped before the turn has passed all its
/// claims (one of them was forgotten or abandoned, or is still under way) leaks both.
#[derive(Debug)]
pub(crate) struct Writer<T> {
    region: Arc<Region>,
    owner: Arc<T>,
    /// How many claims were taken.
    claimed: usize,
    /// The ends of the last claims, each at its number modulo [`WAITING_MAX`].
    ends: Vec<usize>,
}

impl<T> Writer<T> {
    /// What was given for the claims to have at hand.
    pub(crate) fn owner(&self) -> &Arc<T> {
        &self.owner
    }

    /// Takes the next `len` free bytes to write; `None` if there are not as many, or for no bytes.
    #[inline]
    pub(crate) fn claim(&mut self, len: usize) -> Option<Claim<T>> {
        // Plain loads and stores: nobody else reserves while there is a writer.
        let start = self.region.reserved.load(Ordering::Relaxed);
        let end = start.checked_add(len)?;
        if len == 0 || end > self.region.len() {
            return None;
        }
        let (region, number) = (&self.region, self.claimed);
        let before = &mut self.ends[number % WAITING_MAX];
        // Its place among the waiting must be free again.
        region.turns.wait_for(*before).ok()?;
        *before = end;
        self.claimed = number.wrapping_add(1);
        region.reserved.store(end, Ordering::Relaxed);
        region.prefetch::<TO_WRITE>(end + PREFETCH_AHEAD, len.min(PREFETCH_AHEAD));
        Some(Claim {
            region: arc_pointer(region),
            owner: NonNull::from(self.owner.as_ref()),
            number,
            start,
            len,
            is_published: false,
        })
    }
}

impl<T> Writer<T> {
    /// Writes the blocks of the next `most` free bytes, unless those of the next `least` are written:
    /// a sync need not note then that they are. Where map and file are not one, it does nothing.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn fill_ahead(&mut self, least: usize, most: usize) -> Result<()> {
        let (region, free) = (&self.region, self.region.reserved());
        let filled = region.filled_upto.load(Ordering::Relaxed);
        if filled < region.len().min(free.saturating_add(least)) {
            region.fill_free(filled.max(free)..free.saturating_add(most))?;
        }
        Ok(())
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        if self.region.turns.turn() == self.region.reserved() {
            self.region.has_writer.store(false, Ordering::Release);
        } else {
            // A claim may still point there.
            std::mem::forget((self.region.clone(), self.owner.clone()));
        }
    }
}

/// Bytes of a region that only its holder may write, until they are published.
///
/// Dropped unpublished it leaves a hole: nothing behind it is ever published.
#[derive(Debug)]
pub(crate) struct Claim<T> {
    region: NonNull<Region>,
    owner: NonNull<T>,
    number: usize,
    start: usize,
    len: usize,
    is_published: bool,
}

impl<T> Claim<T> {
    /// The offset of the first byte in the region.
    pub(crate) fn offset(&self) -> usize {
        self.start
    }

    /// What the writer was given.
    pub(crate) fn owner(&self) -> &T {
        // SAFETY: as in `region`.
        unsafe { self.owner.as_ref() }
    }

    fn region(&self) -> &Region {
        // SAFETY: the writer holds a reference while it lives, and as long as this claim exists its
        // turn has not passed on (`len > 0`, so `turn` is below `reserved`): a writer that is dropped
        // now leaks the reference. Both are only ever shared, so no exclusive borrow can exist.
        unsafe { self.region.as_ref() }
    }

    /// The bytes, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `start + len <= map.len()` was checked when the claim was made. The range belongs
        // to this claim alone: `reserved` only grows, so no other claim overlaps it, and readers are
        // lent only bytes below `published`, which passes `start` no earlier than in `publish`,
        // which consumes the claim. The borrow of `self` keeps the slice from outliving it.
        unsafe {
            slice::from_raw_parts_mut(
                self.region().shared.map.as_mut_ptr().add(self.start),
                self.len,
            )
        }
    }

    /// Writes `bytes` to its start in the way that leaves a sync the least to do.
    ///
    /// # Errors
    /// If the file cannot be written; the claim is then of no use.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let bytes = bytes.get(..self.len).unwrap_or(bytes);
        if !self.region().write_through(self.start, bytes)? {
            self.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Lets readers see the bytes, once all claims before this one are published.
    ///
    /// `note` is called for each claim that this thread publishes, its own or one right behind it,
    /// with the claim's range: in order, by one thread at a time, once readers may see the bytes and
    /// before this returns for any claim behind.
    ///
    /// # Errors
    /// [`Abandoned`] if a claim before this one never will be published.
    pub(crate) fn publish(
        mut self,
        mut note: impl FnMut(&T, Range<usize>),
    ) -> Result<(), Abandoned> {
        let range = self.start..self.start + self.len;
        if self.region().turns.turn() != self.start {
            // What another thread publishes may be gone before this one looks again.
            let region = self.shared_region();
            if region.turns.is_published_by_another(self.number, &range)? {
                self.is_published = true;
                return Ok(());
            }
        }
        let (region, owner) = (self.region(), self.owner());
        let next = self.number.wrapping_add(1);
        let end = region.turns.publish_from(range, next, |range| {
            region.shared.published.store(range.end, Ordering::Release);
            note(owner, range);
        });
        self.is_published = true;
        // The last touch: region and owner may be gone right after it, so no call that borrows
        // either of them may still be under way.
        self.region().turns.turn.store(end, Ordering::Release);
        Ok(())
    }

    /// A counted reference to the region.
    fn shared_region(&self) -> Arc<Region> {
        // SAFETY: the pointer is that of an `Arc` (see `arc_pointer`), whose region is alive as long
        // as this claim is not published, as in `region`. The count that is added here is the one
        // that the returned `Arc` gives back.
        unsafe {
            Arc::increment_strong_count(self.region.as_ptr());
            Arc::from_raw(self.region.as_ptr())
        }
    }
}

/// The pointer from which an `Arc` can be made again.
fn arc_pointer(region: &Arc<Region>) -> NonNull<Region> {
    // SAFETY: an `Arc` never points to null.
    unsafe { NonNull::new_unchecked(Arc::as_ptr(region).cast_mut()) }
}

impl<T> Drop for Claim<T> {
    fn drop(&mut self) {
        // The region of a published claim may be gone.
        if !self.is_published {
            self.region().turns.abandon(self.start);
        }
    }
}

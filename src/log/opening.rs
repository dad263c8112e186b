//! What all ways of opening a log share: mapping its segments, beginning new ones.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use super::point::Point;
use super::segment::{Seal, Segment};
use super::stage::Stage;
use super::sums::Sums;
use super::survey::{Survey, Surveyed};
use super::tail::Tail;
use super::{LogConfig, Recovery};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::IdSource;
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, SegmentHeader, frames_max};
use crate::keys::data::DataKey;
use crate::keys::unlock::Unlocked;
use crate::position::{Gap, SegmentId, Seq};
use crate::storage::{Region, Storage};

/// A log that is open, before threads share it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) log_id: u128,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) tail: Tail,
    pub(super) key: Option<Arc<DataKey>>,
    pub(super) sums: Sums,
    pub(super) recovery: Recovery,
    pub(super) chores: Chores,
}

/// What an opening leaves undone, since nothing depends on it and it takes long: it is done when this
/// is dropped, by the housekeeping thread where there is one.
#[derive(Debug, Default)]
pub(super) struct Chores {
    /// Segments that were sealed short of their end.
    sealed: Vec<Arc<Segment>>,
    /// Files that were read and then replaced: the last handle gives their blocks back.
    replaced: Vec<Region>,
}

impl Drop for Chores {
    fn drop(&mut self) {
        for segment in &self.sealed {
            segment.release_room();
        }
    }
}

/// The length of segments whose room is given back at once: it takes no time, and may be wanted by what
/// is opened next.
const LITTLE: usize = 4 << 20;

/// What all ways of opening need.
pub(super) struct Opening<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) config: &'a LogConfig,
    pub(super) now: Timestamp,
    pub(super) unlocked: Unlocked,
    chores: RefCell<Chores>,
    /// Whether room has to be given back at once, for the disk has none to spare.
    is_tight: Cell<bool>,
}

impl<'a> Opening<'a> {
    pub(super) fn new(
        storage: &'a dyn Storage,
        config: &'a LogConfig,
        now: Timestamp,
        unlocked: Unlocked,
    ) -> Self {
        Opening {
            unlocked,
            storage,
            config,
            now,
            chores: RefCell::default(),
            is_tight: Cell::new(config.segment_len <= LITTLE),
        }
    }

    /// What is left to be done, with files that were read and replaced.
    pub(super) fn into_chores(self, replaced: Vec<Region>) -> Chores {
        let mut chores = self.chores.into_inner();
        if !self.is_tight.get() {
            chores.replaced = replaced;
        }
        chores
    }

    /// Gives room back from now on as soon as there is any; says whether there was some by now.
    fn make_room(&self) -> bool {
        self.is_tight.set(true);
        !self.chores.take().sealed.is_empty()
    }

    /// Removes what the ledger says is removed, as retention would have: see [`ledger`](super::ledger).
    pub(super) fn finish_removal(&self, survey: &Survey) -> Result<()> {
        if survey.removed.is_empty() {
            return Ok(());
        }
        // What a crash of the process left gone need not be durably so.
        self.storage.sync_dir()?;
        for name in &survey.removed {
            self.storage.remove(name)?;
            self.storage.sync_dir()?;
        }
        let segments = survey.removed.len();
        tracing::info!(target: "forelog::log", segments, "a removal that a crash cut off is finished");
        Ok(())
    }

    /// Removes what earlier crashes left half built, from the newest on, so that no removal that is
    /// lost leaves a hole.
    pub(super) fn clear(&self, survey: &Survey) -> Result<()> {
        let unused = survey.unused.iter().rev().map(|entry| &entry.name);
        let mut any = false;
        for name in unused.chain(&survey.leftovers) {
            self.storage.remove(name)?;
            any = true;
        }
        if any { self.storage.sync_dir() } else { Ok(()) }
    }

    /// The segments that are sealed, mapped; `open` are those of them that are open already.
    pub(super) fn open_sealed(
        &self,
        sealed: &[Surveyed],
        open: &[Arc<Segment>],
    ) -> Result<Vec<Arc<Segment>>> {
        let mut segments = Vec::with_capacity(sealed.len());
        for at in sealed {
            if let Some(segment) = open.iter().find(|segment| segment.name == at.name) {
                segments.push(segment.clone());
                continue;
            }
            let mut region = self.storage.open(&at.name)?;
            region.adopt(region.len())?;
            let Some(footer) = at.footer else {
                let message = "the segment has no footer; run forelog-recovery doctor";
                let error = Error::new(ErrorKind::Corrupt, message).at_path(region.path());
                return Err(error
                    .at_segment(at.header.segment_id)
                    .at_offset(at.trailer_at()));
            };
            region.let_go_of_file();
            let region = Arc::new(region);
            segments.push(Arc::new(Segment::sealed(
                at.header,
                at.name.clone(),
                region,
                footer,
            )));
        }
        Ok(segments)
    }

    /// A segment that ends at this point, its events at these offsets, to be sealed or gone on with.
    pub(super) fn open_live(
        &self,
        at: &Surveyed,
        end: &Point,
        offsets: &[usize],
    ) -> Result<Segment> {
        self.storage.reserve(&at.name)?;
        let mut region = self.storage.open(&at.name)?;
        region.adopt(end.frames_end)?;
        let segment = Segment::live(at.header, at.name.clone(), region);
        segment.note_all(offsets);
        Ok(segment)
    }

    /// Whether a file has, or now gets, blocks behind all its bytes: without them a disk that is full would end
    /// the process at a store through the map. `false` if the disk has none to give.
    pub(super) fn has_blocks(&self, name: &str) -> Result<bool> {
        match self.storage.reserve(name) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NoSpace => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A header with everything that does not depend on the log's contents.
    pub(super) fn blank_header(&self, segment_id: SegmentId) -> SegmentHeader {
        self.unlocked.mark(SegmentHeader {
            segment_len: self.config.segment_len as u64,
            boot_id: self.storage.boot_id(),
            created_at: self.now,
            ..SegmentHeader::blank(segment_id, random())
        })
    }

    /// Begins an empty segment; durable on return, under its final name.
    pub(super) fn begin(&self, header: SegmentHeader) -> Result<Segment> {
        let (header, region) = self.build(header)?;
        self.finish(header, region)
    }

    /// A file under a temporary name with this header in it, its ceiling raised to cover the segment;
    /// nothing is synced.
    pub(super) fn build(&self, header: SegmentHeader) -> Result<(SegmentHeader, Region)> {
        let tmp = names::tmp(&names::segment(header.segment_id, header.generation));
        let len = usize::try_from(header.segment_len).unwrap_or(usize::MAX);
        let region = self.storage.create(&tmp, len)?;
        Ok(begin_under_ceiling(header, region))
    }

    /// As [`Opening::build`], in a file of zeros that has its temporary name already.
    pub(super) fn build_in(
        &self,
        tmp: &str,
        header: SegmentHeader,
    ) -> Result<(SegmentHeader, Region)> {
        Ok(begin_under_ceiling(header, self.storage.open(tmp)?))
    }

    /// As [`Opening::build`], in a segment of the usual length; where the disk is too full for that, in
    /// one with just the room for `needed` bytes: a full disk can be opened and read, and emits fail
    /// until there is room for the next segment.
    pub(super) fn build_with_room(
        &self,
        header: SegmentHeader,
        needed: usize,
    ) -> Result<(SegmentHeader, Region)> {
        let build = |len: usize| {
            let segment_len = len as u64;
            self.build(SegmentHeader {
                segment_len,
                ..header
            })
        };
        let needed = needed.next_multiple_of(BLOCK_LEN);
        let usual = needed.max(self.config.segment_len);
        let is_full = |error: &Error| error.kind() == ErrorKind::NoSpace;
        let first = match build(usual) {
            Err(error) if is_full(&error) && self.make_room() => build(usual),
            first => first,
        };
        match first {
            Err(error) if is_full(&error) && needed < usual => build(needed),
            first => first,
        }
    }

    /// Commits a built file, and returns the segment in it.
    pub(super) fn finish(&self, header: SegmentHeader, mut region: Region) -> Result<Segment> {
        self.commit(&header, &region)?;
        let name = names::segment(header.segment_id, header.generation);
        region.set_path(self.storage.path(&name));
        Ok(Segment::live(header, name, region))
    }

    /// Syncs a built file and gives it its name: the commit point of whatever it holds.
    pub(super) fn commit(&self, header: &SegmentHeader, region: &Region) -> Result<()> {
        let name = names::segment(header.segment_id, header.generation);
        region.sync()?;
        self.storage.rename(&names::tmp(&name), &name)?;
        self.storage.sync_dir()
    }

    /// Seals a segment in place, makes its footer durable and gives back the room that is left, now or
    /// as a chore.
    pub(super) fn seal(&self, segment: &Segment, seal: Seal) -> Result<Arc<Segment>> {
        let sealed = segment.seal(seal)?;
        // The footer is in the page cache now, sync or no sync, and the next opening in this boot
        // would take it for settled.
        let synced = sealed.region.sync();
        synced.inspect_err(|_| note_failed_sync(self.storage))?;
        let sealed = Arc::new(sealed);
        if self.is_tight.get() {
            sealed.release_room();
        } else {
            self.chores.borrow_mut().sealed.push(sealed.clone());
        }
        Ok(sealed)
    }
}

/// Leaves word that a sync failed, for the next opening in this boot, whose page cache shows bytes
/// that the disk may lack. It need not be durable: after a power cut there is no such cache.
pub(super) fn note_failed_sync(storage: &dyn Storage) {
    if let Err(error) = storage.touch(names::POISONED) {
        tracing::error!(target: "forelog::log", %error, "cannot note the failed sync");
    }
}

/// The tail of a log that goes on in `active`.
///
/// # Errors
/// If the segment has a writer already, or there is no randomness for a salt.
pub(super) fn tail_of(
    active: &Arc<Segment>,
    last_appended_at: Timestamp,
    unlocked: &Unlocked,
) -> Result<Tail> {
    active.seal_with(unlocked.key.as_deref())?;
    Ok(Tail {
        last_seq: active.last_seq(),
        last_sync: Seq::ZERO,
        writer: active.writer()?,
        last_appended_at,
        ids: IdSource::above(random(), last_appended_at),
        forerunners: VecDeque::new(),
        prepared: None,
        is_next_wanted: false,
        is_begun: true,
        marked: Seq::ZERO,
        closed: false,
        stage: Stage::default(),
        buffered_len: 0,
        mapped_upto: 0,
        asks_at: 0,
    })
}

/// The first Seq that some segment holds, or the one after `last`.
pub(super) fn first_of(segments: &[Arc<Segment>], last: Seq) -> Seq {
    let held = segments.iter().find(|segment| segment.count() > 0);
    held.map_or(last.next(), |segment| segment.first_held())
}

/// Begins a segment whose header's ceiling is raised to cover it.
fn begin_under_ceiling(mut header: SegmentHeader, mut region: Region) -> (SegmentHeader, Region) {
    let ceiling = ceiling_from(header.base_seq, region.len());
    header.seq_ceiling = header.seq_ceiling.max(ceiling);
    begin_segment(&mut region, &header);
    (header, region)
}

/// Writes a segment's header block.
pub(super) fn begin_segment(region: &mut Region, header: &SegmentHeader) {
    region.write_with(BLOCK_LEN, |_, bytes| {
        bytes.copy_from_slice(&header.encode());
    });
}

/// The highest Seq that may be handed out before another segment's header is durable: all that this
/// segment and the next one can hold.
pub(super) fn ceiling_from(base_seq: Seq, segment_len: usize) -> Seq {
    base_seq.plus(frames_max(segment_len).saturating_mul(2))
}

/// What lies between the last Seq and the first one of a segment that goes on above it.
pub(super) fn gap_between(last: Seq, base: Seq) -> Option<Gap> {
    (last.next() < base).then(|| Gap {
        from: last.next(),
        to: base.prev(),
    })
}

/// 64 random bits from the operating system.
///
/// Where it has none to give, the time and an address stand in: salts must differ, not be secret.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        let here = 0_u8;
        let address = std::ptr::from_ref(&here).addr() as u64;
        Timestamp::now()
            .0
            .cast_unsigned()
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ address
    })
}

//! Opening a log: making a new one, going on after a clean end, or recovering.
//!
//! **What recovery does**, where K is the last event of the prefix and W the highest witness:
//! 1. Torn tails are copied aside.
//! 2. The events W+1..=K are written into a new segment with a fresh salt, built as a `.tmp` file and
//!    synced; for a page cache after a failed sync or a kill may show what the disk has not. Its
//!    header pins the end of the segment before at W. **The rename is the commit point.**
//! 3. The segment before gets its footer at W (again, if it had another); earlier generations go.
//! 4. If Seqs above K may have been seen and lost (another boot, or a failed sync), the new segment
//!    is sealed, and one more is begun above the highest `seq_ceiling`: the gap stands in its header.
//!
//! **Crashes inside it.** Before 2's rename nothing has changed but for files that no one reads. After
//! it, the next opening finds the new segment as the last one, its header witnessing K, so that there
//! is nothing to rewrite; it finishes 3 by the header's pin and 4 by its boot id, which stays 0 until
//! the gap is declared. So any number of crashes ends in the same log.
//!
//! Nothing is ever appended to a segment that was not closed in order.

use std::sync::Arc;

use super::examine::{Examination, Point};
use super::segment::{Seal, Segment};
use super::survey::{Survey, Surveyed};
use super::tail::Tail;
use super::{LogConfig, Recovery};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::TimeRanges;
use crate::format::frame::Chain;
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, SegmentHeader, frames_max};
use crate::position::{Gap, SegmentId, Seq};
use crate::storage::{Entry, Prepare, Region, Storage};

/// A log that is open, before threads share it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) log_id: u128,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) tail: Tail,
    pub(super) recovery: Recovery,
}

/// Opens the log in a folder; see [`super::Log::open`].
pub(super) fn open(
    storage: &Arc<dyn Storage>,
    config: &LogConfig,
    now: Timestamp,
    witness: Seq,
) -> Result<Opened> {
    let survey = Survey::take(storage.as_ref())?;
    let opening = Opening {
        storage: storage.as_ref(),
        config,
        now,
    };
    let Some(last) = survey.segments.last() else {
        if witness > Seq::ZERO {
            return Err(all_missing(storage.as_ref(), witness));
        }
        return opening.make_new(&survey);
    };
    let examination = Examination::of(storage.as_ref(), &survey, witness)?;
    if examination.clean && !survey.poisoned {
        opening.go_on(&survey, examination)
    } else {
        super::rewrite::recover(&opening, &survey, last, &examination)
    }
}

fn all_missing(storage: &dyn Storage, witness: Seq) -> Error {
    let message = format!(
        "no segment is there, but events up to {witness} are known to have been durable; restore \
         the folder from a backup"
    );
    let first = storage.path(&names::segment(SegmentId::FIRST, 0));
    Error::new(ErrorKind::MissingSegment, message)
        .at_path(first)
        .at_seq(witness)
}

/// What all ways of opening need.
pub(super) struct Opening<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) config: &'a LogConfig,
    pub(super) now: Timestamp,
}

impl Opening<'_> {
    /// Begins a log that has no segment yet.
    fn make_new(&self, survey: &Survey) -> Result<Opened> {
        self.clear(survey)?;
        let log_id = u128::from(random()) << 64 | u128::from(random());
        let header = SegmentHeader {
            log_id,
            base_seq: Seq::FIRST,
            prev_last_seq: Seq::ZERO,
            durable_upto: Seq::ZERO,
            ..self.blank_header(SegmentId::FIRST)
        };
        let active = Arc::new(self.begin(header)?);
        let tail = tail_of(active.clone(), Chain::default(), Timestamp(i64::MIN));
        let recovery = Recovery {
            clean: true,
            first: Seq::FIRST,
            ..Recovery::default()
        };
        Ok(Opened {
            log_id,
            segments: vec![active],
            tail,
            recovery,
        })
    }

    /// Goes on in the last segment of a log that was closed in order.
    fn go_on(&self, survey: &Survey, examination: Examination) -> Result<Opened> {
        let Some((last, sealed)) = survey.segments.split_last() else {
            return self.make_new(survey);
        };
        let end = examination.end;
        let mut segments = self.open_sealed(sealed)?;
        drop(examination.open);
        let active = Arc::new(self.open_live(last, &end)?);
        segments.push(active.clone());
        let mut tail = tail_of(active, end.chain, end.last_appended_at);
        tail.last_seq = last.header.base_seq.prev().max(end.last_seq);
        tail.times = end.times;
        tail.prepared = self.take_prepared(survey, last.header.segment_id.next())?;
        // Until this mark is durable the end would look clean, whatever is appended and lost; and a
        // segment without the room for it takes nothing either.
        tail.write_mark(end.last_seq, self.storage.boot_id(), false);
        tail.active.region.sync()?;
        let recovery = Recovery {
            clean: true,
            first: first_of(&segments, tail.last_seq),
            last: tail.last_seq,
            ..Recovery::default()
        };
        Ok(Opened {
            log_id: last.header.log_id,
            segments,
            tail,
            recovery,
        })
    }

    /// The file that was prepared for the next segment before a clean end, if there is one; what
    /// else lies unused is removed.
    fn take_prepared(&self, survey: &Survey, id: SegmentId) -> Result<Option<Region>> {
        let wanted = names::segment(id, 0);
        let fits =
            |entry: &Entry| entry.name == wanted && entry.len == self.config.segment_len as u64;
        match survey.unused.as_slice() {
            [entry] if survey.leftovers.is_empty() && fits(entry) => {
                self.storage.open(&wanted).map(Some)
            }
            _ => self.clear(survey).map(|()| None),
        }
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

    /// The segments that are sealed, mapped.
    pub(super) fn open_sealed(&self, sealed: &[Surveyed]) -> Result<Vec<Arc<Segment>>> {
        let mut segments = Vec::with_capacity(sealed.len());
        for at in sealed {
            let mut region = self.storage.open(&at.name)?;
            region.adopt(region.len())?;
            let Some(footer) = at.footer else {
                let message = "the segment has no footer; run forelog-recovery verify";
                let error = Error::new(ErrorKind::Corrupt, message).at_path(region.path());
                return Err(error.at_segment(at.header.segment_id));
            };
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

    /// A segment that ends at this point, to be sealed or gone on with.
    pub(super) fn open_live(&self, at: &Surveyed, end: &Point) -> Result<Segment> {
        let mut region = self.storage.open(&at.name)?;
        region.adopt(end.frames_end)?;
        let segment = Segment::live(at.header, at.name.clone(), region);
        let mut seq = at.header.base_seq;
        for &offset in &end.offsets {
            segment.note(seq, offset);
            seq = seq.next();
        }
        Ok(segment)
    }

    /// A header with everything that does not depend on the log's contents.
    pub(super) fn blank_header(&self, segment_id: SegmentId) -> SegmentHeader {
        SegmentHeader {
            log_id: 0,
            segment_id,
            generation: 0,
            epoch: 0,
            segment_len: self.config.segment_len as u64,
            base_seq: Seq::FIRST,
            prev_last_seq: Seq::ZERO,
            prev_end: 0,
            prev_chain: Chain::default(),
            durable_upto: Seq::ZERO,
            seq_ceiling: Seq::ZERO,
            salt: random(),
            boot_id: self.storage.boot_id(),
            created_at: self.now,
        }
    }

    /// Begins an empty segment; durable on return, under its final name.
    pub(super) fn begin(&self, header: SegmentHeader) -> Result<Segment> {
        let region = self.build(header)?;
        self.finish(header, region)
    }

    /// A file under a temporary name with this header in it; nothing is synced.
    pub(super) fn build(&self, header: SegmentHeader) -> Result<Region> {
        let name = names::segment(header.segment_id, header.generation);
        let len = usize::try_from(header.segment_len).unwrap_or(usize::MAX);
        let mut region = self
            .storage
            .create(&names::tmp(&name), len, Prepare::Allocate)?;
        let seq_ceiling = header.seq_ceiling.max(ceiling_from(header.base_seq, len));
        begin_segment(
            &mut region,
            &SegmentHeader {
                seq_ceiling,
                ..header
            },
        );
        Ok(region)
    }

    /// Syncs a built file and gives it its name: the commit point of whatever it holds.
    pub(super) fn finish(&self, header: SegmentHeader, mut region: Region) -> Result<Segment> {
        let name = names::segment(header.segment_id, header.generation);
        region.sync()?;
        self.storage.rename(&names::tmp(&name), &name)?;
        self.storage.sync_dir()?;
        region.set_path(self.storage.path(&name));
        let seq_ceiling = header
            .seq_ceiling
            .max(ceiling_from(header.base_seq, region.len()));
        Ok(Segment::live(
            SegmentHeader {
                seq_ceiling,
                ..header
            },
            name,
            region,
        ))
    }
}

/// The tail of a log that goes on in `active`.
pub(super) fn tail_of(active: Arc<Segment>, chain: Chain, last_appended_at: Timestamp) -> Tail {
    Tail {
        last_seq: active.last_seq(),
        active,
        last_appended_at,
        chain,
        times: TimeRanges::EMPTY,
        forerunner: None,
        prepared: None,
        marked: Seq::ZERO,
        closed: false,
    }
}

/// The first Seq that some segment holds, or the one after `last`.
pub(super) fn first_of(segments: &[Arc<Segment>], last: Seq) -> Seq {
    let held = segments.iter().find(|segment| segment.count() > 0);
    held.map_or(last.next(), |segment| segment.base_seq())
}

/// Seals a segment and makes the footer durable.
pub(super) fn seal_and_sync(segment: &Segment, seal: Seal) -> Result<Segment> {
    let sealed = segment.seal(seal)?;
    sealed.region.sync()?;
    Ok(sealed)
}

/// Writes a segment's header block.
pub(super) fn begin_segment(region: &mut Region, header: &SegmentHeader) {
    if let Some(mut claim) = region.claim(BLOCK_LEN) {
        claim.bytes_mut().copy_from_slice(&header.encode());
        claim.publish();
    }
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

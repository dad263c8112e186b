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

use super::examine::Examination;
use super::opening::{Opened, Opening, first_of, random, tail_of};
use super::survey::Survey;
use super::{LogConfig, Recovery};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::Chain;
use crate::format::names;
use crate::format::segment::SegmentHeader;
use crate::position::{SegmentId, Seq};
use crate::storage::{Entry, Region, Storage};

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

/// Finds what [`open`] would refuse, and changes nothing.
pub(super) fn check(storage: &dyn Storage, witness: Seq) -> Result<()> {
    let survey = Survey::take(storage)?;
    if survey.segments.is_empty() {
        return if witness > Seq::ZERO {
            Err(all_missing(storage, witness))
        } else {
            Ok(())
        };
    }
    Examination::of(storage, &survey, witness).map(drop)
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
}

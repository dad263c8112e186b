//! Opening a log: making a new one, going on after a clean end, or recovering.
//!
//! **What recovery does**, where K is the last event of the prefix and W the highest witness:
//! 1. The folder is synced: names that a killed process left need not be durable yet.
//! 2. Torn tails are copied aside.
//! 3. Forerunners that stay whole are sealed, or synced if they are sealed already: from 4 on more segments
//!    stand behind them, and only the last [`OPEN_MAX`](crate::format::segment::OPEN_MAX) are ever read. One
//!    of which no witness proves all is written into a file of its own, of a later generation, frame by frame
//!    at the same places: the rename is a commit of that segment alone, and changes nothing that is read.
//! 4. What 3 leaves of the events W+1..=K is written into a new segment with a fresh salt, built as a `.tmp` file (the
//!    one that was prepared for the next segment, renamed before 1, if it was made in this boot) and
//!    synced; for a page cache after a failed sync or a kill may show what the disk has not. Its
//!    header pins the end of the segment before at W. **The rename is the commit point.**
//! 5. Where that pins another end than the segment before had, that is sealed there: not earlier, for
//!    until the commit what is cut off belongs to the log. What was replaced goes.
//! 6. If Seqs above K may have been seen and lost (another boot, or a failed sync), the new segment
//!    is sealed, and one more is begun above the highest `seq_ceiling`: the gap stands in its header.
//!    With nothing to rewrite it stands in the header of 4 at once.
//!
//! **Where the log ends early**, in a forerunner, what lies behind the next segment goes first: see
//! [`shorten`](super::shorten).
//!
//! **After a failed sync** nothing of the last segments is taken from the page cache on trust: the last one
//! is replaced as a whole, and all forerunners are sealed in files of their own. The note of the failed sync
//! goes last.
//!
//! **Crashes inside it.** Before the rename nothing has changed but for files that no one reads, for
//! footers that say what the next header has said already, and for copies that hold what the segments held.
//! After it, the next opening finds the new segment as the last one, its header witnessing K, so that there is
//! nothing to rewrite; it finishes 5 by the header's pin and 6 by its boot id, which stays 0 until the gap is declared. So
//! any number of crashes ends in the same log.
//!
//! Nothing is ever appended to a segment that was not closed in order.

use std::sync::Arc;

use super::examine::Examination;
use super::opening::{Chores, Opened, Opening, first_of, random, tail_of};
use super::plain::{check_plain, check_plain_segment};
use super::plan::Plan;
use super::point::Point;
use super::room::fits;
use super::sums::Sums;
use super::survey::{Survey, Surveyed};
use super::{LogConfig, Recovery};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::TimeRanges;
use crate::format::frame::{Chain, HEADER_LEN as MARK_LEN};
use crate::format::names;
use crate::format::segment::SegmentHeader;
use crate::keys::Access;
use crate::keys::data::DataKey;
use crate::keys::unlock::{Unlocked, unlock};
use crate::position::{SegmentId, Seq};
use crate::storage::{Entry, Region, Storage};

/// A folder that was looked through and found to hold a log that can be opened, or nothing.
#[derive(Debug)]
pub(crate) struct Examined {
    survey: Survey,
    /// `None` if there is no segment yet.
    examination: Option<Examination>,
    unlocked: Option<Unlocked>,
}

/// Looks through a folder and changes nothing.
///
/// # Errors
/// Whatever makes [`open`] refuse it.
pub(super) fn examine(
    storage: &dyn Storage,
    witness: Seq,
    removed_upto: Option<SegmentId>,
) -> Result<Examined> {
    let survey = Survey::take(storage, removed_upto)?;
    let examination = if survey.segments.is_empty() {
        check_empty(storage, witness)?;
        None
    } else {
        Some(Examination::of(storage, &survey, witness)?)
    };
    Ok(Examined {
        survey,
        examination,
        unlocked: None,
    })
}

impl Examined {
    /// Finds the key of the log, as far as whoever opens it needs it; `None` if there is none. What is opened
    /// afterwards has the same key.
    ///
    /// # Errors
    /// As [`unlock`], and [`Corrupt`](ErrorKind::Corrupt) if a plain segment stands where everything is
    /// encrypted.
    pub(crate) fn unlock(
        &mut self,
        storage: &dyn Storage,
        access: &Access,
    ) -> Result<Option<Arc<DataKey>>> {
        let unlocked = if let Some(unlocked) = self.unlocked.take() {
            unlocked
        } else {
            let headers = self.survey.segments.iter().map(|at| &at.header);
            let next = self.next_encrypted(storage.boot_id());
            let unlocked = unlock(headers, access, &storage.path(""), next)?;
            self.check_plain(storage, unlocked.key.as_deref())?;
            unlocked
        };
        Ok(self.unlocked.insert(unlocked).key.clone())
    }

    /// The first Seq that can be encrypted if the log is given its first key now, by whoever opens it in this
    /// boot: the one that the log goes on with. A log that is begun with a key has nothing plain at all.
    ///
    /// This goes into the first key slot, authenticated, and from then on a plain event of such a Seq is
    /// refused. So no plain event of the log may ever have one, whenever the opening is cut off:
    /// 1. *Before the new segment's rename* there is no slot. The log is plain still, may go on as such with
    ///    these very Seqs, and the next opening with a key reckons anew and draws another data key.
    /// 2. *From the rename on* the log ends where this examination found its end, for the new header pins
    ///    that, and it is not opened without the key any more but by who appends nothing. The plain events that
    ///    were rewritten lie at or before that end. What a crash left behind it was lost by then, and is never
    ///    taken for the log's again.
    /// 3. *A rename that a power cut takes back* had no event behind it: the folder is synced first.
    ///
    /// Where Seqs may have been handed out and lost, the log goes on above all of them, and so nothing that was
    /// made of those, such as the copy of a parked event, has a Seq that is refused.
    fn next_encrypted(&self, boot_id: u128) -> Seq {
        let Some(examination) = &self.examination else {
            return Seq::ZERO;
        };
        let end = examination.end.point.last_seq;
        let lost_upto = Plan::lost_upto(&self.survey, examination, boot_id);
        lost_upto.unwrap_or(end).next()
    }

    /// Whether the segments that are plain as a whole lie where there can be such, by the word of the headers.
    fn check_plain(&self, storage: &dyn Storage, key: Option<&DataKey>) -> Result<()> {
        let segments = &self.survey.segments;
        // With a first key that was made just now all of them are.
        let has_sealed = segments.iter().any(|at| at.header.is_sealed());
        let Some(key) = key.filter(|_| has_sealed) else {
            return Ok(());
        };
        for (at, segment) in segments.iter().enumerate() {
            let next = segments.get(at.saturating_add(1));
            // A plain one is never the last of a log that has a key. One without events may lie before it.
            let expected = next.map(|next| segment.expected_last(&next.header));
            let last = expected.unwrap_or(segment.header.base_seq);
            check_plain_segment(key, &segment.header, last, || storage.path(&segment.name))?;
        }
        Ok(())
    }

    /// Takes in what was learned meanwhile of how far the log was durable.
    ///
    /// # Errors
    /// As [`examine`].
    pub(crate) fn add_witness(&mut self, storage: &dyn Storage, witness: Seq) -> Result<()> {
        match &mut self.examination {
            None => check_empty(storage, witness),
            Some(examination) => examination.add_witness(&self.survey, witness),
        }
    }
}

/// Opens the log in a folder that nobody has changed since it was examined; see [`super::Log::open`].
pub(super) fn open(
    storage: &Arc<dyn Storage>,
    config: &LogConfig,
    now: Timestamp,
    mut examined: Examined,
) -> Result<Opened> {
    examined.unlock(storage.as_ref(), &config.access)?;
    let unlocked = examined.unlocked.unwrap_or_default();
    let survey = &examined.survey;
    let opening = Opening::new(storage.as_ref(), config, now, unlocked);
    opening.finish_removal(survey)?;
    let (Some(last), Some(examination)) = (survey.segments.last(), examined.examination) else {
        return opening.make_new(survey);
    };
    // What comes now is encrypted, and an older build must not take the segment for a plain one.
    let fits = !opening.unlocked.is_sealed || last.header.is_sealed();
    let has_room = has_room(last, &examination.end.point);
    let can_go_on = examination.clean && !survey.poisoned && has_room && fits;
    let key = opening.unlocked.key.clone();
    let opened = if can_go_on && opening.has_blocks(&last.name)? {
        opening.go_on(survey, &examination)
    } else {
        super::rewrite::recover(opening, survey, examination)
    }?;
    if let Some(key) = key.as_ref().filter(|_| !fits) {
        let sealed_from = key.sealed_from();
        tracing::info!(
            target: "forelog::log", %sealed_from,
            "the log had no key until now: its events are encrypted from here on, and those of before stay plain"
        );
    }
    check_plain(key.as_ref(), &opened.segments)?;
    Ok(opened)
}

/// Whether a segment has the room for the mark that says that it is open.
fn has_room(last: &Surveyed, end: &Point) -> bool {
    let len = usize::try_from(last.header.segment_len).unwrap_or(0);
    last.footer.is_none() && fits(len, end.frames_end, end.count, MARK_LEN)
}

/// A log without a segment is new, and holds nothing that could be known to be durable.
fn check_empty(storage: &dyn Storage, witness: Seq) -> Result<()> {
    if witness > Seq::ZERO {
        return Err(all_missing(storage, witness));
    }
    Ok(())
}

fn all_missing(storage: &dyn Storage, witness: Seq) -> Error {
    let message = format!(
        "no segment is there, but events up to {witness} are known to have been durable; restore \
         the folder from a backup, or run forelog-recovery doctor"
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
        let tail = tail_of(&active, Timestamp(i64::MIN), &self.unlocked)?;
        let recovery = Recovery {
            clean: true,
            first: Seq::FIRST,
            ..Recovery::default()
        };
        Ok(Opened {
            log_id,
            segments: vec![active],
            tail,
            key: self.unlocked.key.clone(),
            sums: Sums::new(Chain::default(), TimeRanges::EMPTY),
            recovery,
            chores: Chores::default(),
        })
    }

    /// Goes on in the last segment of a log that was closed in order.
    fn go_on(&self, survey: &Survey, examination: &Examination) -> Result<Opened> {
        let Some((last, sealed)) = survey.segments.split_last() else {
            return self.make_new(survey);
        };
        let end = examination.end.point;
        let mut segments = self.open_sealed(sealed, &[])?;
        let offsets = examination.offsets_to(examination.end_segment(), &end);
        let active = Arc::new(self.open_live(last, &end, offsets)?);
        segments.push(active.clone());
        let mut tail = tail_of(&active, end.last_appended_at, &self.unlocked)?;
        let next = last.header.segment_id.next();
        tail.prepared = self.take_prepared(survey, next, examination.boot_id)?;
        // Until this mark is durable the end would look clean, whatever is appended and lost. (A
        // segment without the room for it is not gone on with.)
        let marked = tail.write_mark(end.last_seq, self.storage.boot_id(), false);
        marked.map_err(|_| tail.active().already_sealed())?;
        tail.active().region.sync()?;
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
            key: self.unlocked.key.clone(),
            sums: Sums::new(end.chain, end.times),
            recovery,
            chores: Chores::default(),
        })
    }

    /// The file that was prepared for the next segment before a clean end, if there is one; what
    /// else lies unused is removed. So is one that was prepared in another boot: the zeros of a file that
    /// is used again need not have come to the disk.
    fn take_prepared(
        &self,
        survey: &Survey,
        id: SegmentId,
        boot_id: u128,
    ) -> Result<Option<Region>> {
        let wanted = names::segment(id, 0);
        let is_same_boot = boot_id != 0 && boot_id == self.storage.boot_id();
        let fits =
            |entry: &Entry| entry.name == wanted && entry.len == self.config.segment_len as u64;
        match survey.unused.as_slice() {
            [entry]
                if is_same_boot
                    && survey.leftovers.is_empty()
                    && fits(entry)
                    && self.has_blocks(&wanted)? =>
            {
                self.storage.open(&wanted).map(Some)
            }
            _ => self.clear(survey).map(|()| None),
        }
    }
}

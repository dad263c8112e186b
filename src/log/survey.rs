//! [`Survey`]: what segment files a folder has, and whether they can belong together. Read-only.
//!
//! Sealed segments are not read: their footers and the headers that follow them pin each other. Only
//! the last [`OPEN_MAX`] may be unsealed or not wholly on the disk; [`recovery`](super) reads those.

use std::collections::BTreeMap;

pub(crate) use super::ending::{has_whole_table, read_footer};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::FORMAT_VERSION;
use crate::format::footer::{Footer, TRAILER_LEN, TimeRanges};
use crate::format::names;
use crate::format::segment::{BLOCK_LEN, HeaderState, OPEN_MAX, SegmentHeader};
use crate::position::{SegmentId, Seq};
use crate::storage::{Entry, Storage};

/// What is to be said of features that this build lacks.
const OR_BUILD_IT: &str = if cfg!(feature = "compression") {
    ""
} else {
    ", or, if its events are compressed, build with the feature `compression`"
};

/// No segment is shorter.
const LEN_MIN: u64 = (BLOCK_LEN + TRAILER_LEN) as u64;

/// A segment file with a valid header.
#[derive(Debug, Clone)]
pub(crate) struct Surveyed {
    pub(crate) name: String,
    pub(crate) header: SegmentHeader,
    /// Its footer, if it has a valid one.
    pub(crate) footer: Option<Footer>,
    /// Whether one of the two copies of the header is damaged.
    pub(crate) damaged_copy: bool,
}

/// The segment files of a folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    /// The segments of the log, oldest first.
    pub(crate) segments: Vec<Surveyed>,
    /// Files behind the last segment that were prepared or begun and never came to hold anything.
    pub(crate) unused: Vec<Entry>,
    /// Earlier generations, and files that a crash left half built.
    pub(crate) leftovers: Vec<String>,
    /// Segments that were removed, by the ledger, and are still there, oldest first.
    pub(crate) removed: Vec<String>,
    /// Whether a sync failed before the last end.
    pub(crate) poisoned: bool,
}

/// What one file amounts to.
#[derive(Debug)]
pub(crate) enum Look {
    /// A segment in order.
    Segment(Box<Surveyed>),
    /// Prepared or half made, and never used.
    Unused,
}

impl Survey {
    /// Looks at all files of a folder, from which all up to `removed_upto` were removed by the ledger, if
    /// one is kept.
    ///
    /// # Errors
    /// The first thing found that no crash can have left behind.
    pub(super) fn take(storage: &dyn Storage, removed_upto: Option<SegmentId>) -> Result<Survey> {
        Survey::of(storage, storage.list()?, removed_upto, &|_| None)
    }

    /// As [`Survey::take`], of these files; those that are `known` are not looked at.
    pub(super) fn of(
        storage: &dyn Storage,
        entries: Vec<Entry>,
        removed_upto: Option<SegmentId>,
        known: &dyn Fn(&Entry) -> Option<Look>,
    ) -> Result<Survey> {
        let mut survey = Survey::default();
        let mut newest: BTreeMap<SegmentId, (u32, Entry)> = BTreeMap::new();
        for entry in entries {
            survey.poisoned |= entry.name == names::POISONED;
            if names::is_tmp(&entry.name) {
                survey.leftovers.push(entry.name);
            } else if let Some((id, generation)) = names::parse_segment(&entry.name) {
                // By number: from the thousandth on, generations are not sorted by name.
                match newest.get(&id) {
                    Some((newer, _)) if *newer > generation => survey.leftovers.push(entry.name),
                    _ => {
                        let older = newest.insert(id, (generation, entry));
                        survey.leftovers.extend(older.map(|(_, older)| older.name));
                    }
                }
            }
        }
        if let Some(upto) = removed_upto {
            let held = newest.split_off(&upto.next());
            let gone = std::mem::replace(&mut newest, held).into_values();
            survey.removed = gone.map(|(_, entry)| entry.name).collect();
        }
        let mut looks = Vec::new();
        for (id, (generation, entry)) in newest {
            let look = || look(storage, &entry, id, generation);
            looks.push((id, known(&entry).map_or_else(look, Ok)?, entry));
        }
        survey.order(storage, looks)?;
        survey.check_begin(storage, removed_upto)?;
        survey.check_links(storage)?;
        Ok(survey)
    }

    /// Parts what holds the log from what lies unused behind it.
    fn order(&mut self, storage: &dyn Storage, looks: Vec<(SegmentId, Look, Entry)>) -> Result<()> {
        let is_segment = |look: &Look| matches!(look, Look::Segment(_));
        let last = looks.iter().rposition(|(_, look, _)| is_segment(look));
        let mut expected = looks.first().map_or(SegmentId::FIRST, |(id, _, _)| *id);
        for (at, (id, look, entry)) in looks.into_iter().enumerate() {
            if last.is_some_and(|last| at <= last) && id != expected {
                return Err(missing(storage, expected));
            }
            expected = id.next();
            match look {
                Look::Segment(segment) => self.segments.push(*segment),
                Look::Unused if last.is_none_or(|last| at > last) => self.unused.push(entry),
                Look::Unused => return Err(emptied(storage, &entry, id)),
            }
        }
        self.check_next(storage)
    }

    /// Whether the log begins where what was removed ends.
    fn check_begin(&self, storage: &dyn Storage, removed_upto: Option<SegmentId>) -> Result<()> {
        let Some(upto) = removed_upto else {
            return Ok(());
        };
        let first = self.segments.first().map(|first| first.header.segment_id);
        // A log of which nothing was removed may have nothing yet.
        if first.map_or(upto == SegmentId(0), |first| first == upto.next()) {
            return Ok(());
        }
        let message = format!(
            "segment {} is missing: retention has removed those up to {upto}, and not this one; restore \
             it from a backup, or run forelog-recovery repair --plan to see what is left",
            upto.next()
        );
        Err(Error::new(ErrorKind::MissingSegment, message)
            .at_path(storage.path(&names::segment(upto.next(), 0)))
            .at_segment(upto.next())
            .at_offset(0))
    }

    /// Whether what lies unused can be what a crash left. A log has its first segment from one rename
    /// on, and a segment is only full when the next one's file is there in its full length.
    fn check_next(&self, storage: &dyn Storage) -> Result<()> {
        let next = self.unused.first();
        let Some(last) = self.segments.last() else {
            return next.map_or(Ok(()), |entry| {
                let id = names::parse_segment(&entry.name).map_or(SegmentId::FIRST, |name| name.0);
                Err(emptied(storage, entry, id))
            });
        };
        let is_full = |footer: Footer| footer.last_seq > last.header.durable_upto;
        let expected = last.header.segment_id.next();
        let is_next = |entry: &Entry| {
            names::parse_segment(&entry.name).is_some_and(|(id, _)| id == expected)
                && entry.len >= LEN_MIN
        };
        if last.footer.is_some_and(is_full) && !next.is_some_and(is_next) {
            return Err(missing(storage, expected));
        }
        Ok(())
    }

    /// Holds neighbouring segments against each other.
    fn check_links(&self, storage: &dyn Storage) -> Result<()> {
        let count = self.segments.len();
        for (at, pair) in self.segments.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            if before.header.log_id != after.header.log_id {
                let message = "the segment belongs to another log; take it out of this folder";
                return Err(Error::new(ErrorKind::ForeignSegment, message)
                    .at_path(storage.path(&after.name))
                    .at_segment(after.header.segment_id)
                    .at_offset(0));
            }
            // The last ones may have been cut off by a crash before the footer was written.
            if at + OPEN_MAX < count {
                before.check_pinned_by(&after.header, storage)?;
            }
        }
        Ok(())
    }

    /// The segments before the last one that may not be settled yet, each with the one behind it, from the
    /// newest on.
    pub(super) fn forerunners(&self) -> impl Iterator<Item = (&Surveyed, &Surveyed)> {
        let behind = self.segments.iter().rev();
        behind.clone().skip(1).zip(behind).take(OPEN_MAX - 1)
    }

    /// The highest Seq that a header witnesses to be durable.
    pub(crate) fn witness(&self) -> Seq {
        self.highest(|header| header.durable_upto)
    }

    /// The highest Seq that may have been handed out, by the word of the headers.
    pub(crate) fn seq_ceiling(&self) -> Seq {
        self.highest(|header| header.seq_ceiling)
    }

    /// When the newest event of the sealed segments was appended; the earliest time if there is none.
    pub(crate) fn last_appended_at(&self) -> Timestamp {
        let footers = self.segments.iter().filter_map(|segment| segment.footer);
        let newest = footers.map(|footer| footer.times.appended_max);
        newest.max().unwrap_or(TimeRanges::EMPTY.appended_max)
    }

    /// The highest that the last headers have. Those before had theirs when all this was settled.
    fn highest(&self, value: fn(&SegmentHeader) -> Seq) -> Seq {
        let last = self.segments.iter().rev().take(OPEN_MAX);
        last.map(|at| value(&at.header)).max().unwrap_or(Seq::ZERO)
    }
}

impl Surveyed {
    /// Whether the footer says of this segment what the next header says.
    pub(crate) fn is_pinned_by(&self, next: &SegmentHeader) -> bool {
        self.footer.is_some_and(|footer| {
            footer.last_seq == self.expected_last(next)
                && footer.pinned_end() == next.prev_end
                && footer.chain == next.prev_chain
        })
    }

    /// As [`is_pinned_by`](Self::is_pinned_by), of a segment that must be sealed.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if it is not.
    pub(super) fn check_pinned_by(
        &self,
        next: &SegmentHeader,
        storage: &dyn Storage,
    ) -> Result<()> {
        if self.is_pinned_by(next) {
            return Ok(());
        }
        let message = "the segment's end does not fit what the next one says of it; run \
                       forelog-recovery doctor";
        Err(Error::new(ErrorKind::Corrupt, message)
            .at_path(storage.path(&self.name))
            .at_segment(self.header.segment_id)
            .at_offset(self.trailer_at())
            .at_seq(next.prev_last_seq))
    }

    /// Whether the segment is certain to be on the disk as a whole, sealed: all of it is witnessed, by the
    /// next header, by frames behind that, or from outside. Trailer and table are written together and synced together, so after a
    /// crash the one may be there without the other.
    pub(crate) fn is_settled_before(
        &self,
        next: &SegmentHeader,
        witness: Seq,
        storage: &dyn Storage,
    ) -> Result<bool> {
        let footer = self.footer.filter(|_| self.is_pinned_by(next));
        // One that was rewritten was synced as a whole before it got its name.
        let is_witnessed = self.header.is_rewritten() || witness >= next.prev_last_seq;
        match footer.filter(|_| is_witnessed) {
            Some(footer) => has_whole_table(&storage.open_read_only(&self.name)?, &footer),
            None => Ok(false),
        }
    }

    /// The last Seq that the segment has by the word of the next header. Where it holds no event the
    /// pinned Seq lies before its base.
    pub(crate) fn expected_last(&self, next: &SegmentHeader) -> Seq {
        next.prev_last_seq.max(self.header.base_seq.prev())
    }

    /// Where the trailer stands.
    pub(crate) fn trailer_at(&self) -> u64 {
        self.header.segment_len.saturating_sub(TRAILER_LEN as u64)
    }
}

/// A segment that is full of zeros, or empty, where one with events must stand.
fn emptied(storage: &dyn Storage, entry: &Entry, id: SegmentId) -> Error {
    let message = "the segment's header is gone; run forelog-recovery doctor, or restore the file \
                   from a backup";
    Error::new(ErrorKind::Corrupt, message)
        .at_path(storage.path(&entry.name))
        .at_segment(id)
        .at_offset(0)
}

fn missing(storage: &dyn Storage, id: SegmentId) -> Error {
    let message = format!(
        "segment {id} is missing, and its neighbours tell that it was there; restore it from a \
         backup, or run forelog-recovery doctor to see what is lost"
    );
    Error::new(ErrorKind::MissingSegment, message)
        .at_path(storage.path(&names::segment(id, 0)))
        .at_segment(id)
        .at_offset(0)
}

/// Reads header and footer of one file.
///
/// # Errors
/// What is wrong with a file that no crash can have left behind.
pub(crate) fn look(
    storage: &dyn Storage,
    entry: &Entry,
    id: SegmentId,
    generation: u32,
) -> Result<Look> {
    let broken = |kind, message: &str| {
        let error = Error::new(kind, message).at_path(storage.path(&entry.name));
        Err(error.at_segment(id).at_offset(0))
    };
    if entry.len < LEN_MIN {
        // A crash while the file was made leaves it short, with nothing in it. A segment that was in
        // use had its length synced before.
        let bytes = storage.read(&entry.name)?.unwrap_or_default();
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(Look::Unused);
        }
        let message = "the file is shorter than a segment; restore it from a backup, or run \
                       forelog-recovery doctor";
        return broken(ErrorKind::Truncated, message);
    }
    let region = storage.open_read_only(&entry.name)?;
    let mut block = vec![0; BLOCK_LEN];
    region.read_at(0, &mut block)?;
    let (header, damaged_copy) = match SegmentHeader::decode(&block) {
        HeaderState::Valid {
            header,
            damaged_copy,
        } => (header, damaged_copy),
        HeaderState::Prepared => return Ok(Look::Unused),
        HeaderState::Unsupported => {
            let message = format!(
                "the segment was written by a newer version of Forelog (this one reads format \
                 {FORMAT_VERSION}); upgrade{OR_BUILD_IT}"
            );
            return broken(ErrorKind::UnsupportedVersion, &message);
        }
        HeaderState::Invalid => {
            let message = "both copies of the segment's header are damaged, or this is no segment; \
                           run forelog-recovery doctor, or restore the file from a backup";
            return broken(ErrorKind::Corrupt, message);
        }
    };
    if (header.segment_id, header.generation) != (id, generation) {
        let message = format!(
            "the file's header says segment {}, generation {}; give it its own name back",
            header.segment_id, header.generation
        );
        return broken(ErrorKind::ForeignSegment, &message);
    }
    if header.segment_len != entry.len {
        let message = format!(
            "the file has {} bytes and its header says {}; restore it from a backup, or run \
             forelog-recovery doctor",
            entry.len, header.segment_len
        );
        let error = Error::new(ErrorKind::Truncated, message).at_path(region.path());
        return Err(error.at_segment(id).at_offset(entry.len));
    }
    let footer = read_footer(&region, &header)?;
    Ok(Look::Segment(Box::new(Surveyed {
        name: entry.name.clone(),
        header,
        footer,
        damaged_copy,
    })))
}

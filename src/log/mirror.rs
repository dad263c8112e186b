//! [`Mirror`]: a log that another process may be writing, read without a lock and without a write.
//!
//! **What is mapped and what is copied.** A segment that is sealed, pinned by the next one and witnessed to
//! be durable is never written again, whatever becomes of its writer: it is mapped. The others, the active
//! one and at times its forerunners, are [copied](super::copied) frame by frame as they come, for recovery
//! may seal them at an earlier end. So no byte that a reader has been lent ever changes.
//!
//! **A refresh** surveys the folder, goes on with the copies, and puts the list of segments together anew:
//! the view changes at once or, on an error, not at all. What was mapped before is not looked at again.
//!
//! **Beside a live writer** a folder is never seen as it is at one moment: a file is gone between its
//! listing and a look at it, a segment is sealed between two looks. So an error counts only if several
//! looks in a row find the same one.
//!
//! **What goes back.** Events that were shown and not yet synced may be gone after a failed sync, or after
//! the files were restored or repaired. The view then shows what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::copied::Copied;
use super::examine::Examination;
use super::packs::PackCache;
use super::plain::check_plain;
use super::prefault::Prefault;
use super::segment::Segment;
use super::segments::Segments;
use super::sighting::{Sighted, insist};
use super::survey::{Survey, Surveyed};
use super::time_blocks::TimeBlocks;
use super::view::View;
use super::watermark::Watermark;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Expiry;
use crate::format::segment::{OPEN_MAX, SegmentHeader};
use crate::keys::Access;
use crate::keys::unlock::unlock_to_read;
use crate::position::Seq;
use crate::storage::{Entry, Region, Storage};

/// How long is waited between two looks for more, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(20));

/// The pauses between two looks at the whole folder take so many times as long as such a look.
const GLANCES: u32 = 16;

/// A log that is only read, and what of its folder is open.
#[derive(Debug)]
pub(crate) struct Mirror {
    storage: Arc<dyn Storage>,
    pub(super) view: Arc<View>,
    access: Access,
    /// One refresh at a time.
    held: Mutex<Held>,
}

/// The segments that are open, by the names of their files.
#[derive(Debug, Default)]
struct Held {
    mapped: BTreeMap<String, (Surveyed, Arc<Segment>)>,
    copied: BTreeMap<String, Copied>,
    sighted: Sighted,
}

/// What a look at the folder came to.
struct Seen {
    log_id: u128,
    segments: Vec<Arc<Segment>>,
    /// Of the last one, or the last that lies before a place where the log is torn.
    last: Seq,
    witness: Seq,
}

impl Mirror {
    /// Opens the log in a folder, as it is now; `expiry` says what is not to be shown.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none yet; damage, a missing or foreign segment, a
    /// newer version.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        expiry: Arc<Expiry>,
        clock: Arc<dyn Clock>,
        access: Access,
    ) -> Result<Mirror> {
        let mut held = Held::default();
        let seen = insist(|| held.open(storage.as_ref()))?;
        held.sighted.forget();
        let key = unlock_to_read(seen.headers(), &access, &storage.path(""))?;
        check_plain(key.as_ref(), &seen.segments)?;
        let view = View {
            watermark: Watermark::new(seen.last, seen.witness.min(seen.last)),
            segments: Segments::new(seen.segments),
            log_id: seen.log_id,
            time_blocks: TimeBlocks::default(),
            packs: PackCache::default(),
            prefault: Prefault::new(true),
            expiry,
            clock,
            key: key.map(OnceLock::from).unwrap_or_default(),
        };
        Ok(Mirror {
            access,
            storage,
            view: Arc::new(view),
            held: Mutex::new(held),
        })
    }

    /// What is seen of it.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    /// Brings the view up to what the folder holds now; the last Seq that it has then.
    ///
    /// # Errors
    /// As [`Mirror::open`]; the view is left as it was.
    pub(crate) fn refresh(&self) -> Result<Seq> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = insist(|| held.look(self.storage.as_ref()));
        held.sighted.forget();
        let seen = seen?;
        if seen.log_id != self.view.log_id {
            let message =
                "another log has taken the place of the one that was opened; open it anew";
            let folder = self.storage.path("");
            return Err(Error::new(ErrorKind::ForeignSegment, message).at_path(folder));
        }
        if self.view.key().is_none() {
            // Its writer may have been given a key since.
            let key = unlock_to_read(seen.headers(), &self.access, &self.storage.path(""))?;
            key.map(|key| self.view.key.set(key));
        }
        check_plain(self.view.key(), &seen.segments)?;
        let (last, watermark) = (seen.last, &self.view.watermark);
        // Whoever sees a Seq finds its segment: it comes before the Seq, and goes after it.
        if last < watermark.appended() {
            tracing::warn!(
                target: "forelog::log", shown = %watermark.appended(), %last,
                "events that were shown are gone: they had not been synced, or files were replaced"
            );
            watermark.set_appended(last);
        }
        if !goes_on(&self.view.segments(), &seen.segments) {
            // Other events may have these Seqs now.
            self.view.time_blocks.stop();
        }
        self.view.segments.set(seen.segments);
        self.show_upto(last);
        watermark.set_durable(seen.witness.min(last));
        Ok(last)
    }

    /// Refreshes until all up to `seq` is seen, or the deadline has passed; says whether it is.
    ///
    /// # Errors
    /// As [`Mirror::refresh`].
    pub(crate) fn wait_for(&self, seq: Seq, deadline: Option<Instant>) -> Result<bool> {
        let mut pause = PAUSE.0;
        loop {
            let begun = Instant::now();
            if self.refresh()? >= seq {
                return Ok(true);
            }
            // A folder of many files takes long to look through: at most a part of the time goes there.
            let next = Instant::now() + begun.elapsed().saturating_mul(GLANCES);
            loop {
                let now = Instant::now();
                let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
                if left.is_some_and(|left| left.is_zero()) {
                    return Ok(false);
                }
                thread::sleep(left.map_or(pause, |left| left.min(pause)));
                pause = pause.saturating_mul(2).min(PAUSE.1);
                if Instant::now() >= next {
                    break;
                }
                if self.glance()? >= seq {
                    return Ok(true);
                }
            }
        }
    }

    /// As [`Mirror::refresh`], but only what has come to the end of the newest segment.
    fn glance(&self) -> Result<Seq> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let watermark = &self.view.watermark;
        let newest = self.view.segments.newest();
        let copy = newest.and_then(|newest| held.copied.get_mut(&newest.name));
        if let Some(copy) = copy {
            copy.advance(None, None)?;
            check_plain(self.view.key(), &[copy.segment()])?;
            self.show_upto(copy.segment().last_seq());
        }
        Ok(watermark.appended())
    }

    fn show_upto(&self, last: Seq) {
        let watermark = &self.view.watermark;
        if last > watermark.appended() {
            watermark.set_appended(last);
            watermark.wake_followers(last, false);
        }
    }
}

/// Whether the later segments hold all that the earlier ones held, but for what was removed of the oldest.
fn goes_on(earlier: &[Arc<Segment>], later: &[Arc<Segment>]) -> bool {
    let first = later.first().map(|segment| segment.id());
    let held = earlier.iter().filter(|segment| Some(segment.id()) >= first);
    let is_kept = |(old, new): (&Arc<Segment>, Option<&Arc<Segment>>)| {
        new.is_some_and(|new| {
            let is_same = old.header.salt == new.header.salt;
            (is_same || is_rewritten(old, new)) && old.last_seq() <= new.last_seq()
        })
    };
    let later = later.iter().map(Some).chain(std::iter::repeat(None));
    held.zip(later).all(is_kept)
}

/// Whether a segment is another one, rewritten: it holds the same events, or some of them.
fn is_rewritten(old: &Segment, new: &Segment) -> bool {
    let chain = |segment: &Segment| segment.footer().map(|footer| footer.chain);
    new.header.is_rewritten() && old.id() == new.id() && chain(old) == chain(new)
}

impl Held {
    /// The first look: the last segments are searched for witnesses of what is damaged.
    fn open(&mut self, storage: &dyn Storage) -> Result<Seen> {
        let survey = self.sighted.survey(storage, &|_| None)?;
        if survey.segments.is_empty() {
            return Err(no_log(storage));
        }
        let witness = Examination::read(storage, &survey, Seq::ZERO)?.witness;
        self.take(storage, &survey, witness)
    }

    /// A later look.
    fn look(&mut self, storage: &dyn Storage) -> Result<Seen> {
        let mapped = |entry: &Entry| self.mapped.get(&entry.name).map(|(at, _)| at.clone());
        let survey = match self.sighted.survey(storage, &mapped) {
            Ok(survey) => survey,
            // What is open may be of files that others have replaced.
            Err(_) => self.sighted.survey(storage, &|_| None)?,
        };
        self.take(storage, &survey, Seq::ZERO)
    }

    /// Opens what has to be opened of these segments, and lists them, up to where the log ends. From
    /// outside its prefix it is known that all up to `witness` was durable.
    fn take(&mut self, storage: &dyn Storage, survey: &Survey, witness: Seq) -> Result<Seen> {
        let Some(newest) = survey.segments.last() else {
            return Err(no_log(storage));
        };
        let mut seen = Seen {
            log_id: newest.header.log_id,
            segments: Vec::with_capacity(survey.segments.len()),
            last: Seq::ZERO,
            witness: witness.max(survey.witness()),
        };
        let mut copied = Vec::new();
        let count = survey.segments.len();
        for (at, segment) in survey.segments.iter().enumerate() {
            let next = survey.segments.get(at + 1);
            if at + OPEN_MAX < count || self.is_settled(storage, segment, next, seen.witness)? {
                seen.add(self.map(storage, segment)?);
                continue;
            }
            let copy = self.copy(storage, segment, next)?;
            seen.witness = seen.witness.max(copy.witness());
            seen.add(copy.segment());
            copied.push(segment.name.clone());
            let is_short = next.is_some_and(|next| !copy.reaches(&next.header));
            if (is_short || next.is_none()) && seen.last < seen.witness {
                return Err(copy.damage(seen.witness));
            }
            if is_short {
                // A power cut took its end, and so what is behind it is no part of the log.
                break;
            }
        }
        self.copied.retain(|name, _| copied.contains(name));
        if self.mapped.len() + copied.len() > seen.segments.len() {
            let names: BTreeSet<&str> = seen.segments.iter().map(|at| at.name.as_str()).collect();
            self.mapped.retain(|name, _| names.contains(name.as_str()));
        }
        Ok(seen)
    }

    /// Whether nobody will ever write to a segment again.
    fn is_settled(
        &self,
        storage: &dyn Storage,
        at: &Surveyed,
        next: Option<&Surveyed>,
        witness: Seq,
    ) -> Result<bool> {
        match next {
            _ if self.mapped_as(at).is_some() => Ok(true),
            Some(next) => at.is_settled_before(&next.header, witness, storage),
            None => Ok(false),
        }
    }

    fn mapped_as(&self, at: &Surveyed) -> Option<&Arc<Segment>> {
        let (known, segment) = self.mapped.get(&at.name)?;
        let is_same = known.header.salt == at.header.salt && known.footer == at.footer;
        is_same.then_some(segment)
    }

    /// A segment that is never written again, mapped.
    fn map(&mut self, storage: &dyn Storage, at: &Surveyed) -> Result<Arc<Segment>> {
        if let Some(segment) = self.mapped_as(at) {
            return Ok(segment.clone());
        }
        let mut region = storage.open_read_only(&at.name)?;
        region.adopt(region.len())?;
        let Some(footer) = at.footer else {
            return Err(unsealed(at, &region));
        };
        region.let_go_of_file();
        let (header, name) = (at.header, at.name.clone());
        let segment = Arc::new(Segment::sealed(header, name, Arc::new(region), footer));
        let entry = (at.clone(), segment.clone());
        self.mapped.insert(at.name.clone(), entry);
        Ok(segment)
    }

    /// A segment that may still be written, copied as far as it goes.
    fn copy(
        &mut self,
        storage: &dyn Storage,
        at: &Surveyed,
        next: Option<&Surveyed>,
    ) -> Result<&Copied> {
        let pinned = next.map(|next| &next.header);
        let held = self.copied.remove(&at.name);
        let mut copy = match held.filter(|copy| copy.is_of(&at.header, pinned)) {
            Some(copy) => copy,
            None => Copied::begin(storage, at)?,
        };
        let went = copy.advance(at.footer.as_ref(), pinned);
        let copy = self.copied.entry(at.name.clone()).or_insert(copy);
        went.map(|()| &*copy)
    }
}

impl Seen {
    fn headers(&self) -> impl DoubleEndedIterator<Item = &SegmentHeader> + Clone {
        self.segments.iter().map(|segment| &segment.header)
    }

    fn add(&mut self, segment: Arc<Segment>) {
        self.last = segment.last_seq();
        self.segments.push(segment);
    }
}

fn no_log(storage: &dyn Storage) -> Error {
    let message = "no log is here yet: open it again once its writer has begun it";
    Error::new(ErrorKind::NotFound, message).at_path(storage.path(""))
}

fn unsealed(at: &Surveyed, region: &Region) -> Error {
    let message = "the segment has no footer; run forelog-recovery doctor";
    Error::new(ErrorKind::Corrupt, message)
        .at_path(region.path())
        .at_segment(at.header.segment_id)
        .at_offset(at.trailer_at())
}

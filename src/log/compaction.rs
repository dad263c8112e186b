//! Compaction: of state-like events only the last of each key is kept, in what is old.
//!
//! **A pass** goes from the newest segment that may be compacted to the oldest, and knows which keys the
//! segments behind have. An event goes if an event with the same key stands behind it in one of these
//! segments, all of which are settled: so what supersedes it is on the disk. The keys that a pass remembers
//! are bounded: with more, it drops less.
//!
//! **What is left alone:** the newest segments, and all that somebody still needs: whoever has a pin has
//! seen every event of a segment before one of them is dropped. Who comes while a segment is written anew is
//! heeded as well: it stays as it is until the next pass. Whoever comes later passes the dropped Seqs as gaps.
//! Segments with events whose ids must be found, lest they come twice, are [spared](crate::event::Spared).
//!
//! **How often:** a pass reads all that may be compacted, so it begins once what is new is at least half as
//! much as what earlier passes have left. A segment is rewritten if an eighth of it goes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::drops::Drops;
use super::limits::age_of;
use super::opened::open_with;
use super::scan::{Found, Scanner};
use super::segment::Segment;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::event::KeepLast;
use crate::format::checked::Checked;
use crate::format::frame::Kind;
use crate::format::record::EventRef;
use crate::format::sealed::{Opened, Sealed};
use crate::keys::data::DataKey;
use crate::position::{SegmentId, Seq};

/// How many of the newest segments are never rewritten, whatever is asked for: recovery may read them.
pub(super) const LEAVE_MIN: usize = 2;
/// A segment is rewritten if one in so many of its bytes goes.
const GAIN: usize = 8;
impl Shared {
    /// Whether a pass has something to do.
    pub(super) fn wants_compaction(&self) -> bool {
        !self.config.keep_last.is_empty() && !self.due().is_empty()
    }

    /// One pass, if there is enough to do.
    ///
    /// # Errors
    /// What kept a segment from being rewritten; the others were.
    pub(super) fn compact(&self) -> Result<()> {
        if self.config.keep_last.is_empty() {
            return Ok(());
        }
        let due = self.due();
        let max = self.config.compaction_keys_max;
        let mut keys = Keys::new(&self.config.keep_last, max, self.view.key().cloned());
        let mut failed = None;
        for segment in due.iter().rev() {
            if self.rewriting.is_stopping() {
                return Ok(());
            }
            if let Err(error) = self.compact_one(segment, &mut keys) {
                self.check_alive()?;
                failed.get_or_insert(error);
            }
        }
        if let Some(newest) = due.last() {
            *self.rewriting.passed() = Some(newest.id());
        }
        failed.map_or(Ok(()), Err)
    }

    fn compact_one(&self, segment: &Arc<Segment>, keys: &mut Keys<'_>) -> Result<()> {
        let drops = keys.go_through(segment, &|seq| self.rewriting.check_going(seq))?;
        if drops.count == 0 || drops.len.saturating_mul(GAIN) < drops.all_len() {
            return Ok(());
        }
        if self.rewrite(segment, &drops)? {
            tracing::debug!(
                target: "forelog::log", segment = %segment.id(), events = drops.count,
                bytes = drops.len, "a segment was compacted"
            );
        }
        Ok(())
    }

    /// Whether a pass is put off only because somebody has not seen all yet: who comes on without an append,
    /// so the keeper has to look.
    pub(super) fn compaction_waits(&self) -> bool {
        if self.config.keep_last.is_empty() || self.wants_compaction() {
            return false;
        }
        let old = self.old(self.config.compaction_leave);
        let spared = self.spared_from();
        let may_come = |one: &&Arc<Segment>| one.footer().is_some() && one.last_seq() < spared;
        let sealed = old.iter().take_while(may_come);
        !self.due_of(sealed.cloned().collect()).is_empty()
    }

    /// The segments to go through, oldest first; none while there is too little that is new.
    fn due(&self) -> Vec<Arc<Segment>> {
        let mut may = self.may_be_rewritten(self.config.compaction_leave);
        let (spared, now) = (self.spared_from(), self.clock.now());
        let age_min = self.config.keep_last.spared().age;
        let is_young =
            |one: &Segment| age_min.is_some_and(|min| age_of(one.newest_sealed_at(), now) <= min);
        let past = may
            .iter()
            .take_while(|one| one.last_seq() < spared && !is_young(one));
        may.truncate(past.count());
        self.due_of(may)
    }

    /// The first of the last so many events that are all kept; crashes' gaps are no events.
    fn spared_from(&self) -> Seq {
        let events = self.config.keep_last.spared().events;
        if events == 0 {
            return Seq::MAX;
        }
        let mut before = self.watermark.appended().0.saturating_sub(events);
        for segment in self.segments.all().iter().rev() {
            if let Some(gap) = segment.header.gap().filter(|gap| gap.to.0 > before) {
                before = before.saturating_sub(gap.to.next().since(gap.from));
            }
        }
        Seq(before).next()
    }

    fn due_of(&self, may: Vec<Arc<Segment>>) -> Vec<Arc<Segment>> {
        let passed = self.compacted_upto(&may);
        let is_new = |one: &&Arc<Segment>| Some(one.id()) > passed;
        let len = |one: &Arc<Segment>| one.used_len();
        let new: u64 = may.iter().filter(is_new).map(len).sum();
        let all: u64 = may.iter().map(len).sum();
        if new == 0 || new.saturating_mul(2) < all - new {
            return Vec::new();
        }
        may
    }

    /// The newest of these segments that a pass has gone through. Of what an earlier opening has compacted
    /// it is known.
    pub(super) fn compacted_upto(&self, segments: &[Arc<Segment>]) -> Option<SegmentId> {
        let cut = segments.iter().rev().find(|one| !one.is_full());
        let passed = *self.rewriting.passed();
        passed.max(cut.map(|one| one.id()))
    }

    /// The oldest segments that are settled and that nobody needs, without the newest of all.
    pub(super) fn may_be_rewritten(&self, leave: usize) -> Vec<Arc<Segment>> {
        let used = self.used();
        let mut all = self.old(leave);
        let is_free = |one: &Arc<Segment>| one.footer().is_some() && !self.is_needed(one, used);
        let free = all.iter().take_while(|one| is_free(one)).count();
        all.truncate(free);
        all
    }

    /// How many bytes the segments hold.
    pub(super) fn used(&self) -> u64 {
        self.segments
            .with(|all| all.iter().map(|one| one.used_len()).sum())
    }

    /// Whether somebody has not seen all events of a segment yet; `used` bytes are held altogether.
    pub(super) fn is_needed(&self, one: &Segment, used: u64) -> bool {
        let age = age_of(one.newest_sealed_at(), self.clock.now());
        let need = self.pins.lowest(used, age);
        need.is_some_and(|need| need.holds(one.last_seq()))
    }

    /// All segments but the newest.
    fn old(&self, leave: usize) -> Vec<Arc<Segment>> {
        let mut all = self.segments.all();
        all.truncate(all.len().saturating_sub(leave.max(LEAVE_MIN)));
        all
    }
}

/// The keys that a pass has met.
struct Keys<'a> {
    rules: &'a KeepLast,
    max: usize,
    /// What opens events that are encrypted, and the last of them.
    opener: Option<Arc<DataKey>>,
    opened: Opened,
    /// Those of the segments behind.
    behind: HashSet<u128>,
}

impl<'a> Keys<'a> {
    fn new(rules: &'a KeepLast, max: usize, opener: Option<Arc<DataKey>>) -> Self {
        Keys {
            rules,
            max,
            opener,
            opened: Opened::default(),
            behind: HashSet::new(),
        }
    }

    /// Finds out what of a segment is superseded, and takes its keys in.
    fn go_through(
        &mut self,
        segment: &Arc<Segment>,
        check_going: &dyn Fn(Seq) -> Result<()>,
    ) -> Result<Drops> {
        let mut drops = Drops::none(segment);
        let mut here: HashMap<u128, (Seq, usize)> = HashMap::new();
        let end = segment.frames_end();
        let mut scanner = Scanner::new(segment.clone(), segment.header.salt, end);
        loop {
            let (header, bytes) = match scanner.next()? {
                Found::Frame { frame, bytes, .. } => (frame.header, bytes),
                Found::Invalid { offset, why } => {
                    return Err(Error::new(ErrorKind::Corrupt, why.reason())
                        .at_path(segment.region.path())
                        .at_segment(segment.id())
                        .at_offset(offset as u64));
                }
                Found::End => break,
            };
            if header.kind != Kind::Event {
                continue;
            }
            check_going(header.seq)?;
            drops.keep(bytes.len());
            let Some(key) = self.key_of(bytes) else {
                continue;
            };
            if self.behind.contains(&key) {
                drops.drop(header.seq, bytes.len());
                continue;
            }
            let is_full = self.behind.len() + here.len() >= self.max;
            match here.entry(key) {
                Entry::Occupied(mut last) => {
                    let (seq, len) = last.insert((header.seq, bytes.len()));
                    drops.drop(seq, len);
                }
                Entry::Vacant(_) if is_full => {}
                Entry::Vacant(first) => drop(first.insert((header.seq, bytes.len()))),
            }
        }
        self.behind.extend(here.into_keys());
        Ok(drops)
    }

    /// The key of the event in a frame; none of one that cannot be read, which stays.
    fn key_of(&mut self, frame: &[u8]) -> Option<u128> {
        let event = match Sealed::of(frame) {
            None => {
                let event = EventRef::new(Checked::of_plain(frame)?)?;
                let key = self.opener.as_ref();
                key.is_none_or(|key| key.allows_plain(event.seq()))
                    .then_some(event)?
            }
            Some(sealed) => {
                open_with(self.opener.as_ref()?, sealed, &mut self.opened).ok()?;
                self.opened.event()
            }
        };
        let (event_type, source) = (event.event_type(), event.source());
        self.rules
            .key_of(event_type, source, |name| event.header(name))
    }
}

//! Which sealed segments go, and how: whole ones, oldest first, and never one that is needed, unless by
//! policy.
//!
//! **A round** judges the segments ([`Judge`]), and removes those that go: what a crash leaves of that is
//! told of at [`ledger`](super::ledger).
//!
//! **Readers** hold the segment that they stand in: they read it to its end, and find the gap behind it.
//! Its blocks are free once the last of them has gone on.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::aging::{Aging, At};
use super::explain::{Explain, RetentionReport};
use super::judge::{Facts, Fate, Judge, RetentionWait};
use super::ledger::{Ledger, Removal};
use super::limits::{Limit, WhenPinned, age_of};
use super::pins::Need;
use super::segment::Segment;
use super::shared::Shared;
use super::tail::Tail;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{SegmentId, Seq};
use crate::sync::MutexGuard;

/// How soon, and how late, a quiet log is looked at for what has grown too old. The clock may be set.
const LOOK_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));

/// How often a round looks at some more events, to find out whether they have expired: some ten
/// milliseconds' worth, and with ten rounds a second more than anybody appends.
const LOOKS_MAX: u32 = 64;

/// After which time a quiet log is looked at for who has held its segments.
const WAITING_AFTER: Duration = Duration::from_secs(1);

/// The segments that go now, and for whom others are kept.
#[derive(Debug, Default)]
struct Verdict {
    going: Vec<(Arc<Segment>, Limit)>,
    waits: Option<RetentionWait>,
}

impl Shared {
    /// Removes what the limits ask for.
    pub(super) fn retain(&self) -> Result<()> {
        if self.config.retention.is_unlimited() && self.config.expiry.is_empty() {
            return Ok(());
        }
        let mut noted = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        // What could not be finished comes before anything else, whoever needs it by now.
        self.remove(&self.unfinished(*noted), &mut noted)?;
        let mut looks = LOOKS_MAX;
        loop {
            while looks > 0 && self.look_for_expired() {
                self.sync_if_due()?;
                looks -= 1;
            }
            let verdict = self.judge();
            self.note_wait(verdict.waits);
            self.remove(&verdict.going, &mut noted)?;
            // Another segment is the oldest now, and may have expired too.
            if self.config.expiry.is_empty() || verdict.going.is_empty() || looks == 0 {
                return Ok(());
            }
            looks -= 1;
        }
    }

    /// As [`Shared::retain`], for an emitter that is about to make a file: only if the housekeeping is
    /// behind by so much that the disk would take more than a segment beyond the limit.
    pub(super) fn retain_if_behind(&self) {
        let Some(max_bytes) = self.config.retention.max_bytes else {
            return;
        };
        let held: u64 = self.segments.all().iter().map(|one| one.disk_len()).sum();
        if held > max_bytes {
            // What fails here the housekeeping meets as well, and tells.
            let _tried_again = self.retain();
        }
    }

    /// Removes all segments that lie wholly before `seq`, and that nobody needs.
    pub(super) fn retire_before(&self, seq: Seq) -> Result<()> {
        let mut noted = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.unfinished(*noted);
        self.remove(&left, &mut noted)?;
        let (segments, facts) = self.facts();
        let mut used = facts.iter().map(|facts| facts.used).sum();
        let mut going = Vec::new();
        for (segment, facts) in segments.into_iter().zip(facts) {
            let age = age_of(facts.newest_at, self.clock.now());
            let need = self.pins.lowest(used, age);
            let is_needed = need.is_some_and(|need| need.holds(facts.last_seq));
            if !facts.is_settled() || facts.last_seq >= seq || is_needed {
                break;
            }
            used = used.saturating_sub(facts.used);
            going.push((segment, Limit::Asked));
        }
        self.remove(&going, &mut noted)
    }

    /// Returns once the removal has ended that is under way.
    pub(super) fn await_removal(&self) {
        drop(self.removing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What retention keeps for somebody although a limit asks for it, by the last round.
    pub(super) fn retention_wait(&self) -> Option<RetentionWait> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.as_ref().map(|(wait, _)| wait.clone())
    }

    /// Why each segment stays, or that it goes.
    pub(super) fn explain_retention(&self) -> RetentionReport {
        let (segments, mut facts) = self.facts();
        if let (Some(active), Some(facts)) = (segments.last(), facts.last_mut())
            && active.count() > 0
        {
            facts.newest_at = active.appended_at(active.last_seq());
        }
        let explain = Explain {
            limits: self.config.retention,
            when_pinned: self.config.when_pinned,
            compression: self.config.compression,
            now: self.clock.now(),
            ahead: self.ahead_len(),
            needs: self.pins.all(),
            removed: self.ledger().and_then(Ledger::removed),
            needed: &|used, age| self.needed(used, age),
        };
        explain.report(&facts)
    }

    fn ledger(&self) -> Option<&dyn Ledger> {
        self.config.ledger.as_deref()
    }

    /// Whether the log may go on in another segment.
    ///
    /// # Errors
    /// [`QueueFull`](ErrorKind::QueueFull) if the policy is to reject and somebody who is there needs what
    /// would have to go first.
    pub(super) fn check_kept(&self) -> Result<()> {
        if self.config.when_pinned != WhenPinned::Reject {
            return Ok(());
        }
        let (_, facts) = self.facts();
        let mut judge = self.judge_of(&facts);
        let first = facts.first();
        let fate = first.map(|facts| judge.next(facts, |_, _| self.pins.lowest_attached()));
        let Some(Fate::Needed { by, from, limit }) = fate else {
            // What holds it, if anything does, is for the housekeeping to find out.
            self.signal.wake();
            return Ok(());
        };
        let message = format!(
            "{limit} is reached, and {by} still needs the oldest events: wait until it has come on, \
             raise the limit, or have it unregistered"
        );
        Err(Error::new(ErrorKind::QueueFull, message).at_seq(from))
    }

    /// Goes on in another segment if the active one has grown for long enough, so that its events can
    /// go in time.
    pub(super) fn roll_if_old(&self) -> Result<()> {
        let Some(grows_for) = self.config.retention.grows_for() else {
            return Ok(());
        };
        if self.check_kept().is_err() {
            // By the policy the log goes on in no other segment: it is the emit that finds this one full
            // that has to be told.
            return Ok(());
        }
        let tail = self.tail();
        if !tail.closed && self.is_older(&tail, grows_for) {
            drop(self.rotate(tail)?);
        }
        Ok(())
    }

    /// When a quiet log is to be looked at again; `None`: never.
    pub(super) fn next_retention(&self) -> Option<Duration> {
        if self.retention_wait().is_some() {
            // Whoever holds it goes on without an append.
            return Some(WAITING_AFTER);
        }
        let limits = &self.config.retention;
        let segments = self.segments.all();
        let in_time = |at: Timestamp, time: Duration| {
            let left = at.plus(time).since(self.clock.now());
            left.clamp(LOOK_AFTER.0, LOOK_AFTER.1)
        };
        let sealed = segments.first().filter(|first| first.footer().is_some());
        let too_old = sealed.and_then(|first| {
            let (newest, max_age) = (first.newest_sealed_at()?, limits.max_age?);
            Some(in_time(newest, max_age))
        });
        let expired = sealed.filter(|_| !self.config.expiry.is_empty());
        let expired = expired.and_then(|first| match self.aging().expires_at(first) {
            Some(At::Time(at)) => Some(in_time(at, Duration::ZERO)),
            Some(At::Never) => None,
            None => Some(LOOK_AFTER.0),
        });
        let grown = segments.last().and_then(|active| {
            let appended_at = active.appended_at(active.base_seq())?;
            Some(in_time(appended_at, limits.grows_for()?))
        });
        [too_old, expired, grown].into_iter().flatten().min()
    }

    fn is_older(&self, tail: &Tail, than: Duration) -> bool {
        let active = tail.active();
        let first_at = active.appended_at(active.base_seq());
        first_at.is_some_and(|appended_at| self.clock.now().since(appended_at) >= than)
    }

    /// The segments with what is known of them, oldest first.
    fn facts(&self) -> (Vec<Arc<Segment>>, Vec<Facts>) {
        let segments = self.segments.all();
        let last = segments.len().saturating_sub(1);
        let oldest = segments.first().filter(|_| last > 0);
        let is_expired = oldest.is_some_and(|oldest| self.has_expired(oldest));
        let each = segments.iter().enumerate();
        let facts = each.map(|(at, segment)| Facts::of(segment, at == last, at == 0 && is_expired));
        let facts = facts.collect();
        (segments, facts)
    }

    /// Whether all events of the oldest segment are known to have expired.
    fn has_expired(&self, oldest: &Segment) -> bool {
        let known = self.aging().expires_at(oldest);
        matches!(known, Some(At::Time(at)) if at < self.clock.now())
    }

    /// Finds out more of when the oldest segment's events expire; says whether there is more to find out.
    fn look_for_expired(&self) -> bool {
        if self.config.expiry.is_empty() {
            return false;
        }
        let segments = self.segments.all();
        let Some(oldest) = segments.first().filter(|oldest| oldest.footer().is_some()) else {
            return false;
        };
        let mut aging = self.aging();
        aging.look(oldest, &|seq| self.view.expires_at(oldest, seq));
        aging.expires_at(oldest).is_none()
    }

    fn aging(&self) -> MutexGuard<'_, Aging> {
        self.aging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge_of<'a>(&'a self, facts: &[Facts]) -> Judge<'a> {
        let now = self.clock.now();
        Judge::of(&self.config.retention, facts.iter(), self.ahead_len(), now)
    }

    /// What stands on the disk behind the active segment, or soon will.
    fn ahead_len(&self) -> u64 {
        self.config.segment_len as u64
    }

    /// Who holds a segment back by the policy.
    fn needed(&self, used: u64, age: Duration) -> Option<Need> {
        match self.config.when_pinned {
            WhenPinned::Gap => self.pins.lowest_firm(),
            WhenPinned::Keep | WhenPinned::Reject => self.pins.lowest(used, age),
        }
    }

    fn judge(&self) -> Verdict {
        let (segments, facts) = self.facts();
        let mut judge = self.judge_of(&facts);
        let mut verdict = Verdict::default();
        for (segment, one) in segments.into_iter().zip(&facts) {
            match judge.next(one, |used, age| self.needed(used, age)) {
                Fate::Goes { limit } => verdict.going.push((segment, limit)),
                Fate::Needed { by, from, limit } => {
                    let rest = facts.get(verdict.going.len()..).unwrap_or_default();
                    let (segments, bytes) = self.excess(rest);
                    verdict.waits = Some(RetentionWait {
                        name: by,
                        from,
                        limit,
                        segments,
                        bytes,
                    });
                    break;
                }
                _ => break,
            }
        }
        verdict
    }

    /// How many of these segments would go if nobody needed them, and what they take on the disk.
    fn excess(&self, facts: &[Facts]) -> (u64, u64) {
        let mut judge = self.judge_of(facts);
        let goes = |facts: &&Facts| matches!(judge.next(facts, |_, _| None), Fate::Goes { .. });
        let going = facts.iter().take_while(goes);
        going.fold((0, 0), |(count, bytes), facts| {
            (count + 1, bytes + facts.bytes)
        })
    }

    /// Tells once that retention waits, again when that has become twice as much, and when it goes on.
    fn note_wait(&self, now: Option<RetentionWait>) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wait) = now else {
            if waits.take().is_some() {
                tracing::info!(target: "forelog::log", "nothing is kept beyond the limits any more");
            }
            return;
        };
        let told = waits.take().filter(|(told, _)| told.name == wait.name);
        let told = told.map_or(0, |(_, segments)| segments);
        let is_news = told == 0 || wait.segments >= told.saturating_mul(2);
        if is_news {
            tracing::warn!(
                target: "forelog::log", needed_by = %wait.name, from = %wait.from,
                limit = %wait.limit, segments = wait.segments, bytes = wait.bytes,
                "segments are kept beyond a limit, because somebody still needs them"
            );
        }
        let told = if is_news { wait.segments } else { told };
        *waits = Some((wait, told));
    }

    /// Removes the oldest segments, which are these; see [`ledger`](super::ledger).
    ///
    /// Each name is gone durably before the next one goes: a crash may bring one back, but never leave a
    /// hole, for those who read the folder without the ledger.
    fn remove(&self, going: &[(Arc<Segment>, Limit)], noted: &mut SegmentId) -> Result<()> {
        let Some(removal) = self.removal_of(going).filter(|_| !self.tail().closed) else {
            return Ok(());
        };
        // Or else nothing might be left by which to tell a log.
        self.begin_durably()?;
        if let Some(ledger) = self.ledger().filter(|_| removal.last_segment > *noted) {
            ledger.note(&removal)?;
            *noted = removal.last_segment;
        }
        for (segment, limit) in going {
            // What is left is finished by the next opening, as the ledger says.
            if self.tail().closed || self.rewriting.is_stopping() {
                return Ok(());
            }
            // Removing many takes longer than an interval.
            self.sync_if_due()?;
            self.discard(segment)?;
            self.segments.drop_oldest();
            tracing::debug!(target: "forelog::log", segment = %segment.id(), %limit, "a segment has gone");
        }
        Ok(())
    }

    /// What is noted of the removal of these segments; `None` for none.
    fn removal_of(&self, going: &[(Arc<Segment>, Limit)]) -> Option<Removal> {
        let ((first, _), (last, limit)) = (going.first()?, going.last()?);
        let sum = |of: fn(&Segment) -> u64| going.iter().map(|(segment, _)| of(segment)).sum();
        Some(Removal {
            first_segment: first.id(),
            last_segment: last.id(),
            from: first.base_seq(),
            to: last.last_seq(),
            events: sum(Segment::count),
            bytes: sum(Segment::disk_len),
            at: self.clock.now(),
            limit: *limit,
        })
    }

    /// The segments that are noted as removed, and are still there.
    fn unfinished(&self, noted: SegmentId) -> Vec<(Arc<Segment>, Limit)> {
        let held = self.segments.all().into_iter();
        let noted = held.take_while(|segment| segment.id() <= noted);
        noted.map(|segment| (segment, Limit::Asked)).collect()
    }
}

//! Scrubbing: sealed segments are verified in the background, and what is found is told. First those of the
//! log, then those of the control log.
//!
//! **What is known** is kept by segment: what a check finds takes the place of what the one before found,
//! and goes with the segment when that is removed or rewritten.
//!
//! **Once.** The event of a finding has an id that follows from its place. One that is in the log already,
//! from this opening or an earlier one, is not emitted again.
//!
//! The thread sleeps until a pass is due. It holds neither the system nor, while it waits, a segment: a
//! system whose last handle goes is closed, and what retention removes is gone.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::held::refuse_rehearsed;
use super::scrub_place::Which;
use super::scrub_policy::ScrubPolicy;
use super::{EventSystem, Inner};
use crate::clock::Timestamp;
use crate::control::Control;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId};
use crate::inspect::{Damage, Sealed, scrub};
use crate::log::{Log, random};
use crate::position::{SegmentId, Seq};

/// The type of the events that tell of damage.
pub const DAMAGE_TYPE: &str = "forelog.damage";
/// The source of these events.
pub const DAMAGE_SOURCE: &str = "forelog.scrub";

/// Of how many places of one segment is told by an event of its own.
const TOLD_MAX: usize = 16;

/// What scrubbing has found; see [`EventSystem::scrub_state`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubState {
    /// How many times all sealed segments were gone through since the system was opened.
    pub passes: u64,
    /// When that was done last.
    pub last_pass: Option<Timestamp>,
    /// How many bytes were verified since the system was opened.
    pub bytes: u64,
    /// The damaged places of the segments that are there, in order. Those of the control log come last: their
    /// files begin with `control/`, and they have no Seq.
    pub damage: Vec<Damage>,
}

/// What the event of a finding holds.
#[derive(Debug, Serialize)]
struct Told<'a> {
    segment: SegmentId,
    generation: u32,
    offset: u64,
    seq: Seq,
    file: &'a str,
    reason: &'a str,
    next_step: &'a str,
}

/// The scrubbing of one system.
#[derive(Debug, Default)]
pub(super) struct Scrubber {
    found: Mutex<Found>,
    /// Held during a pass: one at a time.
    pass: Mutex<()>,
    is_stopped: Mutex<bool>,
    ends: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Found {
    passes: u64,
    last_pass: Option<Timestamp>,
    bytes: u64,
    /// What is wrong, by segment and its generation.
    damage: BTreeMap<(Which, SegmentId, u32), Vec<Damage>>,
    /// The events that are in the log.
    told: HashSet<EventId>,
}

/// What a pass needs: not the system, which is closed when its last handle goes.
struct Pass {
    log: Arc<Log>,
    control: Arc<Control>,
    system: Weak<Inner>,
    scrubber: Arc<Scrubber>,
}

impl Scrubber {
    /// Ends what is under way.
    pub(super) fn stop(&self) {
        *lock(&self.is_stopped) = true;
        self.ends.notify_all();
    }

    /// Waits for the thread, unless it is the one that asks.
    pub(super) fn join(&self) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread.filter(|one| one.thread().id() != thread::current().id())
            && thread.join().is_err()
        {
            tracing::error!(target: "forelog::system", "the thread that verifies segments panicked");
        }
    }

    /// Waits for a while; says whether to go on.
    fn rest(&self, within: Duration) -> bool {
        let stopped = lock(&self.is_stopped);
        let waited = self
            .ends
            .wait_timeout_while(stopped, within, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*stopped
    }

    fn state(&self) -> ScrubState {
        let found = lock(&self.found);
        ScrubState {
            passes: found.passes,
            last_pass: found.last_pass,
            bytes: found.bytes,
            damage: found.damage.values().flatten().cloned().collect(),
        }
    }
}

impl Pass {
    /// Goes through all segments, from a random one on: so that processes that end soon get to all of them
    /// in time. `false` if it was ended.
    fn run(&self, pace: &mut dyn FnMut(u64) -> bool) -> Result<bool> {
        let _one_at_a_time = lock(&self.scrubber.pass);
        let ids = |which| {
            let segments = self.of(which).segments();
            let mut ids: Vec<_> = segments.iter().map(|one| (which, one.id())).collect();
            let begin = random().checked_rem(ids.len() as u64).unwrap_or(0);
            ids.rotate_left(usize::try_from(begin).unwrap_or(0));
            ids
        };
        for (which, id) in [ids(Which::Events), ids(Which::Control)].concat() {
            // It may have gone since, or be another file by now.
            let Some(sealed) = self.sealed(which, id) else {
                continue;
            };
            match self.look(which, &sealed, pace) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Closed => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let there = [Which::Events, Which::Control].map(|which| {
            let segments = self.of(which).segments().into_iter();
            segments.map(move |one| (which, one.id(), one.header.generation))
        });
        let there: HashSet<_> = there.into_iter().flatten().collect();
        let mut found = lock(&self.scrubber.found);
        found.damage.retain(|key, _| there.contains(key));
        found.passes += 1;
        found.last_pass = self.system.upgrade().map(|inner| inner.clock.now());
        Ok(true)
    }

    fn of(&self, which: Which) -> &Log {
        match which {
            Which::Events => &self.log,
            Which::Control => self.control.log(),
        }
    }

    fn sealed(&self, which: Which, id: SegmentId) -> Option<Sealed> {
        let segments = self.of(which).segments();
        let at = segments.iter().position(|one| one.id() == id)?;
        Sealed::of(segments.get(at)?, segments.get(at + 1).map(Arc::as_ref))
    }

    /// Checks one segment, and tells what is wrong with it.
    fn look(&self, which: Which, sealed: &Sealed, pace: &mut dyn FnMut(u64) -> bool) -> Result<()> {
        let scrubber = &self.scrubber;
        let mut counted = |bytes| {
            lock(&scrubber.found).bytes += bytes;
            pace(bytes)
        };
        let storage = self.of(which).storage().as_ref();
        let is_gone = || self.is_gone(which, sealed);
        let mut damage = match scrub(storage, sealed, &mut counted) {
            Err(error) if error.kind() != ErrorKind::Closed && is_gone() => Vec::new(),
            other => other?,
        };
        if !damage.is_empty() && !is_gone() {
            // What is not there a second time was somebody at work.
            let again = scrub(storage, sealed, pace)?;
            damage.retain(|one| again.contains(one));
        }
        if !damage.is_empty() && is_gone() {
            damage.clear();
        }
        let damage: Vec<_> = damage.into_iter().map(|one| which.place(one)).collect();
        let header = sealed.header();
        let key = (which, header.segment_id, header.generation);
        {
            let mut found = lock(&scrubber.found);
            let same = |known: &(Which, SegmentId, u32)| (known.0, known.1) == (key.0, key.1);
            found.damage.retain(|known, _| !same(known));
            if !damage.is_empty() {
                found.damage.insert(key, damage.clone());
            }
        }
        for one in damage.iter().take(TOLD_MAX) {
            self.tell(which, key.2, one);
        }
        Ok(())
    }

    /// Whether another file has taken its place, or none.
    fn is_gone(&self, which: Which, sealed: &Sealed) -> bool {
        let there = self.of(which).segments_at_rest();
        !there.iter().any(|one| sealed.is(one))
    }

    /// Tells of a finding, unless that was done.
    fn tell(&self, which: Which, generation: u32, damage: &Damage) {
        let id = id_of(self.of(which).log_id(), generation, damage);
        let Some(inner) = self.system.upgrade() else {
            return;
        };
        let system = EventSystem(inner);
        if lock(&self.scrubber.found).told.contains(&id) {
            return;
        }
        let is_there = system
            .store()
            .get_by_id(id)
            .is_ok_and(|found| found.is_some());
        let emitted = if is_there {
            Ok(())
        } else {
            tracing::error!(
                target: "forelog::system", segment = damage.segment.0, seq = damage.seq.0,
                "a sealed segment is damaged: {damage}"
            );
            let place = system.path().map(|path| path.display().to_string());
            let next_step = which.next_step(damage, &place.unwrap_or_default());
            system.emit_damage(id, generation, damage, &next_step)
        };
        match emitted {
            Ok(()) => {
                lock(&self.scrubber.found).told.insert(id);
            }
            // The next pass finds it again.
            Err(error) => tracing::warn!(
                target: "forelog::system", %error, "the event that tells of damage is not in the log"
            ),
        }
    }
}

impl EventSystem {
    /// Verifies all sealed segments now, as fast as the disk allows, and says what is wrong with them. A
    /// thread does the same by and by ([`Builder::scrub`](super::Builder::scrub)), and waits for this one.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed) if the system is closed; [`PermissionDenied`](ErrorKind::PermissionDenied)
    /// if a file may not be read. Damage is none.
    pub fn scrub(&self) -> Result<ScrubState> {
        refuse_rehearsed("verify its segments")?;
        let scrubber = &self.0.scrubber;
        let finished = self.pass().run(&mut |_| !*lock(&scrubber.is_stopped))?;
        if finished {
            return Ok(self.scrub_state());
        }
        Err(Error::new(ErrorKind::Closed, "the system is closed"))
    }

    /// What scrubbing has found since the system was opened.
    pub fn scrub_state(&self) -> ScrubState {
        self.0.scrubber.state()
    }

    fn pass(&self) -> Pass {
        Pass {
            log: self.0.log.clone(),
            control: self.0.control.clone(),
            system: Arc::downgrade(&self.0),
            scrubber: self.0.scrubber.clone(),
        }
    }

    fn emit_damage(
        &self,
        id: EventId,
        generation: u32,
        damage: &Damage,
        next_step: &str,
    ) -> Result<()> {
        let told = Told {
            segment: damage.segment,
            generation,
            offset: damage.offset,
            seq: damage.seq,
            file: &damage.file,
            reason: &damage.reason,
            next_step,
        };
        let event = Event::new(DAMAGE_TYPE, DAMAGE_SOURCE, &told)?.with_id(id);
        let emit = || self.emit_with(&event, Durability::Sync);
        self.0.dispatcher.past_the_bound(emit).map(drop)
    }

    /// Starts the thread, if there is something on a disk to be verified.
    pub(super) fn begin_scrubbing(&self, policy: Option<ScrubPolicy>) -> Result<()> {
        let Some(policy) = policy.filter(|_| self.path().is_some()) else {
            return Ok(());
        };
        let (system, scrubber) = (Arc::downgrade(&self.0), self.0.scrubber.clone());
        let builder = thread::Builder::new().name("forelog-scrub".to_owned());
        let begun = builder.spawn(move || run(&system, &scrubber, policy));
        let begun = begun.map_err(|e| Error::io("start the thread that scrubs", "", e))?;
        *lock(&self.0.scrubber.thread) = Some(begun);
        Ok(())
    }
}

/// The id of the event that tells of a place; no `UUIDv7`, whose time would be looked for in the log.
fn id_of(log_id: u128, generation: u32, damage: &Damage) -> EventId {
    let (segment, offset) = (damage.segment.0.to_le_bytes(), damage.offset.to_le_bytes());
    let (log_id, generation) = (log_id.to_le_bytes(), generation.to_le_bytes());
    let place = [&log_id[..], &segment, &generation, &offset].concat();
    // FNV-1a of 128 bits.
    let hash = place.iter().fold(
        0x6c62_272e_07bb_0142_62b8_2175_6295_c58d,
        |hash: u128, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        },
    );
    EventId(hash & !(0xf << 76) & !(0b11 << 62) | 8 << 76 | 0b10 << 62)
}

/// One pass after the other, each when it is due.
fn run(system: &Weak<Inner>, scrubber: &Scrubber, policy: ScrubPolicy) {
    let mut wait = policy.begin_after;
    while scrubber.rest(wait) {
        let begun = Instant::now();
        let Some(pass) = system.upgrade().map(|inner| EventSystem(inner).pass()) else {
            return;
        };
        let mut paced = Instant::now();
        let mut pace = |bytes| {
            let goes_on = scrubber.rest(policy.time_of(bytes).saturating_sub(paced.elapsed()));
            paced = Instant::now();
            goes_on
        };
        match pass.run(&mut pace) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(target: "forelog::system", %error, "segments are not verified");
            }
        }
        wait = policy.every.saturating_sub(begun.elapsed());
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

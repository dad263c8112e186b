//! [`Projection`]: a state made from events, kept beside the log, and never out of step with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::applying::{Apply, Applying, Stretch, check_held, gone};
use super::cadence::Cadence;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Filter;
use crate::log::Log;
use crate::position::Seq;
use crate::snapshot::Snapshots;

/// How many events are applied before progress is told and a snapshot may be made.
pub(super) const STRIDE: u64 = 1024;

/// What projections of one system stand on.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) log: Arc<Log>,
    pub(crate) snapshots: Snapshots,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How far a projection has come while it catches up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The last event that was applied or passed over.
    pub position: Seq,
    /// The last event that there was when it began.
    pub target: Seq,
    /// How many events were applied so far.
    pub applied: u64,
}

/// A state that is made by applying events in order, each exactly once.
///
/// State and position are saved together in one atomic file, by [`Projection::save`] or by itself
/// ([`Projection::snapshot_every`], [`Projection::snapshot_interval`]). After a crash the projection is
/// opened from there and catches up with what came later. Saving waits until the position is durable in
/// the log, so a saved state never holds an event that a power cut took back. The newest few snapshots
/// are kept: where one is damaged, the one before counts.
///
/// The apply function must depend on nothing but the state and the event, or the same events would not
/// give the same state. While it lives, a projection keeps the events after its oldest snapshot from
/// being removed by [`max_events`](crate::Builder::max_events).
///
/// See [`manual::projections`](crate::manual::projections) for time travel and live states.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, EventSystem};
/// let system = EventSystem::builder().open()?;
/// let mut sum = system
///     .projection("sum", 1, 0_i64, |sum, event| {
///         *sum += event.data::<i64>()?;
///         Ok(())
///     })?
///     .snapshot_every(10_000);
/// system.emit(Event::new("payment.done", "web", &20)?)?;
/// system.emit(Event::new("payment.done", "web", &22)?)?;
/// sum.catch_up()?;
/// assert_eq!(*sum.state(), 42);
/// sum.save()?;
/// # drop(sum);
/// # system.close() }
/// ```
pub struct Projection<S> {
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) log: Arc<Log>,
    pub(super) snapshots: Snapshots,
    pub(super) filter: Filter,
    pub(super) initial: S,
    pub(super) apply: Apply<S>,
    pub(super) cadence: Cadence,
    state: S,
    position: Seq,
    saved: Option<Seq>,
    /// The position of the oldest snapshot that is kept.
    oldest: Option<Seq>,
    /// What retention had removed when the state was begun from nothing, if it was; nothing, where it had
    /// been begun before and is lost.
    begun_behind: Option<Seq>,
    pin: Pin,
}

impl<S: Serialize + DeserializeOwned + Clone> Projection<S> {
    pub(crate) fn open(
        name: &str,
        version: u64,
        initial: S,
        ground: Ground,
        apply: Apply<S>,
    ) -> Result<Self> {
        if name.is_empty() || name.len() > 64 {
            let message = format!("the projection's name {name:?} must have 1 to 64 bytes");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let mut projection = Projection {
            name: name.to_owned(),
            version,
            filter: Filter::all(),
            state: initial.clone(),
            initial,
            apply,
            cadence: Cadence::new(ground.clock),
            position: Seq::ZERO,
            saved: None,
            oldest: None,
            begun_behind: None,
            // Everything, until it is known from where on.
            pin: Pin::all(name, ground.log.clone()),
            log: ground.log,
            snapshots: ground.snapshots,
        };
        projection.reload()?;
        Ok(projection)
    }

    /// Only events that pass this filter are applied. A filter is part of what the state means:
    /// change the version together with it.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Saves by itself whenever so many events have come since, while it catches up or follows.
    #[must_use]
    pub fn snapshot_every(mut self, events: u64) -> Self {
        self.cadence.events = Some(events.max(1));
        self
    }

    /// Saves by itself whenever it has gone on and this much time has passed since, by the system's
    /// clock, while it catches up or follows.
    #[must_use]
    pub fn snapshot_interval(mut self, interval: Duration) -> Self {
        self.cadence.time = Some(interval);
        self
    }

    /// How many snapshots are kept: 1 or more, 3 by default.
    #[must_use]
    pub fn keep_snapshots(mut self, count: usize) -> Self {
        self.cadence.keep = count.max(1);
        self
    }

    /// The state as of [`Projection::position`].
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The last event that was applied or passed over.
    pub fn position(&self) -> Seq {
        self.position
    }

    /// The position that was last saved or loaded; `None` if the state is made from the first event on.
    pub fn saved(&self) -> Option<Seq> {
        self.saved
    }

    /// Applies all events that have come since; returns how many were applied.
    ///
    /// # Errors
    /// The first error or panic ([`Handler`](ErrorKind::Handler)) of the apply function, or the first
    /// error of reading the log. An apply function that fails may have changed half of the state, so
    /// state and position go back to what was last saved. [`NotFound`](ErrorKind::NotFound) if events
    /// that come next were removed by retention. Errors of [`Projection::save`], if one is due: the
    /// state stays where it is.
    pub fn catch_up(&mut self) -> Result<u64> {
        self.catch_up_with(|_| {})
    }

    /// As [`Projection::catch_up`], and tells how far it is every thousand events and at the end.
    ///
    /// # Errors
    /// As [`Projection::catch_up`].
    pub fn catch_up_with(&mut self, progress: impl FnMut(Progress)) -> Result<u64> {
        self.run(progress, true)
    }

    /// Makes state and position anew from the first event that the log holds, saves them, and removes
    /// the older snapshots; returns how many events were applied. Until it is done, a crash or an error
    /// leaves what was there before.
    ///
    /// A projection of another version is made anew without being asked: opened, it stands before the
    /// first event, and [`Projection::catch_up_with`] does the work.
    ///
    /// # Errors
    /// As [`Projection::catch_up`] and [`Projection::save`].
    pub fn rebuild(&mut self, progress: impl FnMut(Progress)) -> Result<u64> {
        self.pin.set(Seq::FIRST);
        self.reset();
        self.begun_behind = None;
        let applied = self.run(progress, false)?;
        self.save()?;
        self.snapshots
            .keep_only(&self.name, self.version, self.position)?;
        self.oldest = Some(self.position);
        self.repin();
        Ok(applied)
    }

    /// Makes state and position durable, together.
    ///
    /// # Errors
    /// If the position cannot be made durable in the log, or the file cannot be written; the snapshots
    /// that were there stay.
    pub fn save(&mut self) -> Result<()> {
        if self.saved == Some(self.position) {
            return Ok(());
        }
        if self.log.watermark().is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the system is closed"));
        }
        self.log.wait_durable(self.position)?;
        let (name, version, keep) = (&self.name, self.version, self.cadence.keep);
        self.snapshots
            .save(name, version, self.position, &self.state, keep)?;
        self.saved = Some(self.position);
        self.oldest = self.snapshots.oldest(name, version)?;
        self.cadence.saved();
        self.repin();
        Ok(())
    }

    fn run(&mut self, mut progress: impl FnMut(Progress), saves: bool) -> Result<u64> {
        let target = self.log.watermark().appended();
        let mut applied = 0;
        loop {
            let stretch = self.advance(target)?;
            applied += stretch.applied;
            progress(Progress {
                position: self.position,
                target,
                applied,
            });
            if saves {
                self.save_if_due()?;
            }
            if stretch.is_end {
                return Ok(applied);
            }
        }
    }

    /// Applies a stride of events up to `target`.
    pub(super) fn advance(&mut self, target: Seq) -> Result<Stretch> {
        check_held(&self.log, &self.name, self.position)?;
        self.check_begun()?;
        let stride = self
            .cadence
            .events
            .map_or(STRIDE, |every| every.min(STRIDE));
        let applying = Applying {
            name: &self.name,
            log: &self.log,
            filter: &self.filter,
            apply: &mut self.apply,
        };
        match applying.run(&mut self.state, &mut self.position, target, stride) {
            Ok(stretch) => {
                self.repin();
                Ok(stretch)
            }
            Err(error) => {
                // A state of a snapshot that is gone by now needs everything from the first event on.
                self.begun_behind.get_or_insert(Seq::ZERO);
                self.reload()?;
                Err(error)
            }
        }
    }

    /// Saves if it is time to; not once the system is closed, when nothing can be.
    pub(super) fn save_if_due(&mut self) -> Result<()> {
        let is_due = self.cadence.is_due(self.unsaved());
        if is_due && !self.log.watermark().is_closed() {
            self.save()?;
        }
        Ok(())
    }

    /// How far the state has gone on since it was saved.
    pub(super) fn unsaved(&self) -> u64 {
        self.position.since(self.saved.unwrap_or(Seq::ZERO))
    }

    /// Whether a state that starts over finds all that it was begun with: what retention has removed
    /// since would be missing from it without a word.
    fn check_begun(&mut self) -> Result<()> {
        if self.position > Seq::ZERO {
            return Ok(());
        }
        let removed = self.log.removed_upto();
        if removed > *self.begun_behind.get_or_insert(removed) {
            return Err(gone(&self.name, self.position, removed));
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.state = self.initial.clone();
        self.position = Seq::ZERO;
        self.saved = None;
    }

    fn reload(&mut self) -> Result<()> {
        let last = self.log.watermark().appended();
        self.reset();
        let (name, version) = (&self.name, self.version);
        if let Some((position, state)) = self.snapshots.load(name, version, last, last)? {
            self.state = state;
            self.position = position;
            self.saved = Some(position);
        } else if self.snapshots.were_any(name, version)? {
            // What the lost states were made of may be gone.
            self.begun_behind = Some(Seq::ZERO);
        }
        self.oldest = self.snapshots.oldest(name, version)?;
        self.cadence.saved();
        self.repin();
        Ok(())
    }

    /// Asks retention to keep what the oldest snapshot would have to be followed by.
    fn repin(&mut self) {
        let needed = self.oldest.unwrap_or(self.position).min(self.position);
        self.pin.set(needed.next());
    }
}

/// Keeps retention from removing what a projection needs, as long as it lives.
#[derive(Debug)]
struct Pin {
    name: String,
    log: Arc<Log>,
}

impl Pin {
    fn all(projection: &str, log: Arc<Log>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // A name may be opened twice, and each needs its own.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("projection {projection} {number}");
        log.pins().set(&name, Seq::FIRST);
        Pin { name, log }
    }

    fn set(&self, seq: Seq) {
        self.log.pins().set(&self.name, seq);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.log.pins().remove(&self.name);
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Projection<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projection")
            .field("name", &self.name)
            .field("position", &self.position)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

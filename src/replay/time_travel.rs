//! Time travel: the state of a [`Projection`] as it was.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::applying::{Applying, gone};
use super::projection::Projection;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::Seq;

impl<S: Serialize + DeserializeOwned + Clone> Projection<S> {
    /// The state as it was when this event had been applied and nothing after it. The projection itself
    /// stays where it is. It costs the events since the snapshot before; beyond the end of the log, it
    /// is the newest state.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// # use forelog::{Event, EventSystem, Seq};
    /// # let system = EventSystem::builder().open()?;
    /// let mut count = system.projection("count", 1, 0, |count, _| {
    ///     *count += 1;
    ///     Ok(())
    /// })?;
    /// for n in 1..=10 {
    ///     system.emit(Event::new("tick", "clock", &n)?)?;
    /// }
    /// assert_eq!(count.state_at(Seq(4))?, 4);
    /// # drop(count);
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if retention has removed events that it would take. The
    /// first error of the apply function, or of reading the log.
    pub fn state_at(&mut self, seq: Seq) -> Result<S> {
        let last = self.log.watermark().appended();
        let target = seq.min(last);
        let (mut position, mut state) = self.nearest(target, last)?;
        let removed = self.log.removed_upto();
        if removed > position && target > position {
            return Err(gone(&self.name, position, removed));
        }
        let applying = Applying {
            name: &self.name,
            log: &self.log,
            filter: &self.filter,
            apply: &mut self.apply,
        };
        applying.run(&mut state, &mut position, target, u64::MAX)?;
        Ok(state)
    }

    /// The state as it was at this time by the log's clock
    /// ([`appended_at`](crate::EventRef::appended_at)), what was appended at this very time included.
    ///
    /// # Errors
    /// As [`Projection::state_at`].
    pub fn state_at_time(&mut self, time: Timestamp) -> Result<S> {
        let seq = self.log.last_at(time)?;
        let removed = self.log.removed_upto();
        // Of what lies before the first event that is held, no time is known.
        if removed > Seq::ZERO && seq < self.log.first_seq() {
            return Err(gone(&self.name, Seq::ZERO, removed));
        }
        self.state_at(seq)
    }

    /// The furthest state up to `target` that is at hand.
    fn nearest(&self, target: Seq, last: Seq) -> Result<(Seq, S)> {
        if self.position() <= target && self.position() > Seq::ZERO {
            return Ok((self.position(), self.state().clone()));
        }
        let (name, version) = (&self.name, self.version);
        let found = self.snapshots.load(name, version, target, last)?;
        Ok(found.unwrap_or_else(|| (Seq::ZERO, self.initial.clone())))
    }
}

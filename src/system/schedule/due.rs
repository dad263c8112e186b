//! Emitting what is due, once each; the thread that does so.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, TryLockError, Weak};
use std::thread;

use super::super::held::refuse_rehearsed;
use super::super::{EventSystem, Inner};
use super::{LOOK_AFTER, Schedule, ScheduledEvent, Waiting};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};

impl EventSystem {
    /// What is scheduled and not in the log yet. A process that ended before it crossed an event off has left
    /// both.
    pub(crate) fn not_emitted(&self) -> Result<Vec<ScheduledEvent>> {
        let waiting = self.0.schedule.table().waiting.clone();
        let mut left = Vec::new();
        for ((due, _), waiting) in waiting {
            if !self.was_emitted(&waiting)? {
                let event = waiting.event;
                left.push(ScheduledEvent { due, event });
            }
        }
        Ok(left)
    }

    /// Whether an event was emitted, though its file is there. The log is asked, and not what is shown of it:
    /// it may have expired since, and how its data is read is no matter.
    pub(super) fn was_emitted(&self, waiting: &Waiting) -> Result<bool> {
        if !waiting.is_old {
            return Ok(false);
        }
        let found = self
            .0
            .index
            .by_id_from(waiting.event.event_id, waiting.from)?;
        Ok(found.is_some())
    }

    /// Emits what is due by now; returns how many. A thread does so at least every second; this is for
    /// tests that move the clock. Called from inside a handler while another thread does it, it does
    /// nothing.
    ///
    /// # Errors
    /// Those of [`EventSystem::emit`], the first one: what was not emitted is tried again. An event that
    /// the log does not take keeps no other one from being emitted.
    pub fn emit_due(&self) -> Result<u64> {
        refuse_rehearsed("emit what is due")?;
        let round = match self.0.schedule.round.try_lock() {
            // The other one may wait for a place in the queue that only this handler can make.
            Err(TryLockError::WouldBlock) if self.is_inside() => return Ok(0),
            Ok(round) => round,
            Err(_) => self.0.schedule.round(),
        };
        let _one_at_a_time = round;
        let (mut count, mut failed, mut failure) = (0, None, None);
        while let Some((due, waiting)) = self.0.schedule.take_due(failed, self.0.clock.now()) {
            let id = waiting.event.event_id;
            match self.emit_scheduled(&waiting) {
                Ok(emitted) => {
                    self.0.schedule.let_go(id);
                    count += u64::from(emitted);
                }
                Err(error) => {
                    let is_old = waiting.is_old || error.is_outcome_unknown();
                    let back = Waiting { is_old, ..waiting };
                    self.0.schedule.put_back(due, back);
                    if !is_its_own(&error) {
                        return Err(error);
                    }
                    failed = Some((due, id));
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(count), Err)
    }

    /// Emits one event, unless it is in the log already, and removes its file.
    fn emit_scheduled(&self, waiting: &Waiting) -> Result<bool> {
        let id = waiting.event.event_id;
        let is_there = self.was_emitted(waiting)?;
        if !is_there {
            self.emit_with(&waiting.event, Durability::Sync)?;
        }
        if let Err(error) = self.0.schedule.forget(id) {
            // It is emitted. The next opening finds the file, and the event in the log.
            tracing::warn!(target: "forelog::system", %error, "the file of an emitted event stays");
        }
        Ok(!is_there)
    }

    /// Starts the thread if something is scheduled and it does not run.
    pub(in super::super) fn begin_schedule(&self) -> Result<()> {
        let schedule = &self.0.schedule;
        if schedule.table().waiting.is_empty() {
            return Ok(());
        }
        let thread = schedule.thread.lock();
        let mut thread = thread.unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() || schedule.is_stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (system, waited) = (Arc::downgrade(&self.0), schedule.clone());
        let builder = thread::Builder::new().name("forelog-schedule".to_owned());
        let begun = builder.spawn(move || run(&system, &waited));
        *thread = Some(begun.map_err(|e| Error::io("start the thread of the schedule", "", e))?);
        Ok(())
    }
}

/// Whether an error is about the event itself, or one in the log that may be it, and says nothing of others.
fn is_its_own(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::TooLarge | ErrorKind::Invalid | ErrorKind::Corrupt
    )
}

/// Emits what becomes due, as long as there is a system. It is not held while there is nothing to do, or
/// its last handle would not close it.
fn run(system: &Weak<Inner>, schedule: &Schedule) {
    while let Some(inner) = system.upgrade() {
        let system = EventSystem(inner);
        if let Err(error) = system.emit_due() {
            tracing::warn!(target: "forelog::system", %error, "a scheduled event must wait");
        }
        if system.0.log.watermark().is_closed() {
            return;
        }
        let now = system.0.clock.now();
        drop(system);
        let table = schedule.table();
        if schedule.is_stopped.load(Ordering::SeqCst) {
            return;
        }
        let next = table.waiting.keys().next();
        let left = next.map_or(LOOK_AFTER, |(due, _)| due.since(now).min(LOOK_AFTER));
        // One that is due and could not be emitted is not tried again at once.
        let left = if left.is_zero() { LOOK_AFTER } else { left };
        let waited = schedule.changed.wait_timeout(table, left);
        drop(waited);
    }
}

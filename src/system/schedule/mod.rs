//! Scheduled events: emitted when they are due.
//!
//! **Where they are.** A scheduled event is a file of its own, whole and durable before `emit_at`
//! returns. In the log it would be an event that every handler sees and that holds retention for as
//! long as it waits; so the log gets it when it is due, and not before.
//!
//! **Once.** Its id is chosen when it is scheduled. When it is due it is emitted, synced, and then its
//! file is removed. A crash in between leaves both: files that were there at opening are looked up by
//! their ids first, and one that is in the log is only removed. Its file says where the log ended when it was
//! scheduled, and only what stands behind that counts: one that is put off ("again tomorrow") keeps its id,
//! and stands in the log before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::EventSystem;
use super::held::refuse_rehearsed;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId, IdSource};
use crate::format::record::Record;
use crate::format::sealed::Seal;
use crate::format::{names, scheduled};
use crate::keys::data::DataKey;
use crate::log::random;
use crate::position::Seq;
use crate::storage::Storage;

mod due;

#[cfg(test)]
mod tests;

/// How often the clock is looked at: it may be set.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// An event that is to be emitted; see [`EventSystem::emit_at`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScheduledEvent {
    /// When it is due, by the system's clock.
    pub due: Timestamp,
    /// The event, with the id that it will have.
    pub event: Event,
}

/// The scheduled events of a system.
#[derive(Debug)]
pub(super) struct Schedule {
    storage: Arc<dyn Storage>,
    /// What the files are encrypted with, if they are.
    key: Option<Arc<DataKey>>,
    table: Mutex<Table>,
    changed: Condvar,
    /// Held while events are emitted: one round at a time.
    round: Mutex<()>,
    is_stopped: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Table {
    folder: Option<Arc<dyn Storage>>,
    waiting: BTreeMap<(Timestamp, EventId), Waiting>,
    /// When each of them is due.
    due: HashMap<EventId, Timestamp>,
    /// Taken out to be emitted or cancelled, and their files still there.
    in_hand: HashSet<EventId>,
}

impl Table {
    fn insert(&mut self, due: Timestamp, waiting: Waiting) {
        let id = waiting.event.event_id;
        self.in_hand.remove(&id);
        self.due.insert(id, due);
        self.waiting.insert((due, id), waiting);
    }

    /// Takes an event out; its id is free again once it is not in hand any more.
    fn take(&mut self, id: EventId) -> Option<(Timestamp, Waiting)> {
        let due = self.due.remove(&id)?;
        self.in_hand.insert(id);
        Some((due, self.waiting.remove(&(due, id))?))
    }
}

#[derive(Debug, Clone)]
struct Waiting {
    event: Event,
    /// The first Seq that it may have.
    from: Seq,
    /// Whether it may be in the log already.
    is_old: bool,
}

impl Schedule {
    /// Reads what was scheduled before, if there may be any.
    pub(super) fn open(
        storage: &Arc<dyn Storage>,
        has_folder: bool,
        key: Option<Arc<DataKey>>,
    ) -> Result<Self> {
        let mut table = Table::default();
        if has_folder {
            let folder = storage.folder(names::SCHEDULE)?;
            read_all(folder.as_ref(), key.as_deref(), &mut table)?;
            table.folder = Some(folder);
        }
        Ok(Schedule {
            key,
            storage: storage.clone(),
            table: Mutex::new(table),
            changed: Condvar::new(),
            round: Mutex::new(()),
            is_stopped: AtomicBool::new(false),
            thread: Mutex::new(None),
        })
    }

    /// Ends the thread's loop.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        drop(self.table());
        self.changed.notify_all();
    }

    /// Waits for the thread, unless it is the one that asks.
    pub(super) fn join(&self) {
        let thread = self.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|one| one.thread().id() != thread::current().id())
            && thread.join().is_err()
        {
            tracing::error!(target: "forelog::system", "the thread of scheduled events panicked");
        }
    }

    fn round(&self) -> MutexGuard<'_, ()> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: Event, due: Timestamp, from: Seq) -> Result<()> {
        let id = event.event_id;
        // A salt of its own for each file: the same Seq may stand in several.
        let sealer = self.key.as_ref().map(|key| key.sealer()).transpose()?;
        let seal = sealer.as_ref().map(|sealer| sealer as &dyn Seal);
        let bytes = scheduled::encode(&event, id, due, from, seal)?;
        let mut table = self.table();
        // The file of one that is in hand is about to be removed, under the same name.
        if table.due.contains_key(&id) || table.in_hand.contains(&id) {
            let message = format!("an event with the id {id} is scheduled already");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let folder = match &table.folder {
            Some(folder) => folder.clone(),
            None => self.storage.folder(names::SCHEDULE)?,
        };
        folder.replace(&names::scheduled(id), &bytes)?;
        table.folder = Some(folder);
        let waiting = Waiting {
            event,
            from,
            is_old: false,
        };
        table.insert(due, waiting);
        drop(table);
        self.changed.notify_all();
        Ok(())
    }

    /// Removes the file of an event, durably.
    fn forget(&self, id: EventId) -> Result<()> {
        let folder = self.table().folder.clone();
        let Some(folder) = folder else { return Ok(()) };
        folder.remove(&names::scheduled(id))?;
        folder.sync_dir()
    }

    /// Takes the first event out that is due by this time and comes behind `after`.
    fn take_due(
        &self,
        after: Option<(Timestamp, EventId)>,
        now: Timestamp,
    ) -> Option<(Timestamp, Waiting)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut table = self.table();
        let mut behind = table.waiting.range((from, Bound::Unbounded));
        let (&(_, id), _) = behind.next().filter(|((due, _), _)| *due <= now)?;
        table.take(id)
    }

    /// Its file is gone, or left to the next opening.
    fn let_go(&self, id: EventId) {
        self.table().in_hand.remove(&id);
    }

    fn put_back(&self, due: Timestamp, waiting: Waiting) {
        self.table().insert(due, waiting);
    }
}

/// Reads all files. One that is damaged is set aside: the others are still to be emitted.
fn read_all(folder: &dyn Storage, key: Option<&DataKey>, table: &mut Table) -> Result<()> {
    for entry in folder.list()? {
        if names::is_tmp(&entry.name) {
            folder.remove(&entry.name)?;
        }
        if !names::is_scheduled(&entry.name) {
            continue;
        }
        let bytes = folder.read(&entry.name)?.unwrap_or_default();
        // Of a log that had plain events some may be from then, and nothing says which: they have no place in it.
        let is_plain_allowed = key.is_none_or(|key| key.sealed_from() > Seq::ZERO);
        let decoded = scheduled::decode(&bytes, is_plain_allowed, |sealed, opened| {
            key.is_some_and(|key| key.open(sealed, opened))
        });
        let Some((event, due, from)) = decoded else {
            tracing::error!(
                target: "forelog::system", path = %folder.path(&entry.name).display(),
                "a scheduled event is damaged, or was altered by somebody without the key; it is set aside and \
                 will not be emitted"
            );
            folder.rename(&entry.name, &names::damaged(&entry.name))?;
            folder.sync_dir()?;
            continue;
        };
        let waiting = Waiting {
            event,
            from,
            is_old: true,
        };
        table.insert(due, waiting);
    }
    Ok(())
}

impl EventSystem {
    /// Schedules an event to be emitted at a time, by the system's clock: at once if that has passed.
    /// When this returns, the event survives a power cut; it is emitted once, also if the system is
    /// closed, or crashes, in between. Its timestamp becomes the time when it is due. Returns its id,
    /// for [`EventSystem::cancel_scheduled`].
    ///
    /// An event of the log may be scheduled again, under its id: `emit_at(delivery.to_event()?, tomorrow)`
    /// puts it off. It comes once more, unless a [`DuplicatePolicy`](super::DuplicatePolicy) says otherwise.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Event, EventSystem, ManualClock, Timestamp};
    /// use std::sync::Arc;
    /// let clock = Arc::new(ManualClock::new(Timestamp(0)));
    /// let system = EventSystem::builder().clock(clock.clone()).open()?;
    /// let reminder = Event::new("payment.reminder", "billing", &7)?;
    /// let cancelled = system.emit_at(reminder.clone(), Timestamp(1_000))?;
    /// let id = system.emit_at(reminder, Timestamp(1_000))?;
    /// assert!(system.cancel_scheduled(cancelled)?);
    /// clock.set(Timestamp(1_000));
    /// system.emit_due()?; // done by itself within a second, too
    /// assert!(system.store().get_by_id(id)?.is_some());
    /// assert_eq!(system.store().len(), 1);
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if an event of this id is scheduled, or it is no valid event;
    /// [`Closed`](ErrorKind::Closed); any error of writing its file: after a crash it may come all the same.
    pub fn emit_at(&self, mut event: Event, due: Timestamp) -> Result<EventId> {
        if self.0.log.watermark().is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the system is closed"));
        }
        if let Some(id) = self.hold_scheduled_back(&event, due) {
            return Ok(id);
        }
        if let Some(headers) = self.carried(&event.headers) {
            event.headers = headers;
        }
        if event.event_id.is_nil() {
            let mut source = IdSource::above(random(), Timestamp(0));
            event.event_id = source.take(self.0.clock.now(), 1).get(0);
        }
        event.timestamp = due;
        let id = event.event_id;
        self.0.log.check_room(&[Record::of(&event)?])?;
        let from = self.0.log.watermark().appended().next();
        self.0.schedule.add(event, due, from)?;
        self.begin_schedule()?;
        Ok(id)
    }

    /// Takes a scheduled event back; says whether it was still to come. Durable on return.
    ///
    /// # Errors
    /// If its file cannot be removed: then it is still to come.
    pub fn cancel_scheduled(&self, id: EventId) -> Result<bool> {
        refuse_rehearsed("cancel what is scheduled")?;
        let taken = self.0.schedule.table().take(id);
        let Some((due, waiting)) = taken else {
            return Ok(false);
        };
        self.take_back(&waiting)
            .inspect(|_| self.0.schedule.let_go(id))
            .inspect_err(|_| self.0.schedule.put_back(due, waiting.clone()))
    }

    /// Removes an event's file; says whether it was still to come.
    fn take_back(&self, waiting: &Waiting) -> Result<bool> {
        let id = waiting.event.event_id;
        let was_emitted = self.was_emitted(waiting)?;
        self.0.schedule.forget(id)?;
        Ok(!was_emitted)
    }

    /// What is scheduled, the next one first.
    pub fn scheduled(&self) -> Vec<ScheduledEvent> {
        let table = self.0.schedule.table();
        let listed = table
            .waiting
            .iter()
            .map(|((due, _), waiting)| ScheduledEvent {
                due: *due,
                event: waiting.event.clone(),
            });
        listed.collect()
    }
}

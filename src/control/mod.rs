//! [`Control`]: the small internal log of all state that cannot be derived from the main log.
//!
//! It is a [`Log`] of its own in the folder `control`. Its records say how far each named
//! subscription has come, which deliveries have begun, and which events were parked (with a copy of
//! each, so that they pin no segment). In memory they add up to one small state.
//!
//! **Checkpoints.** Every few segments the whole state is written as one entry, and what lies before
//! the checkpoint *before* it is retired: damage to one checkpoint leaves the other, and all records
//! since. An entry counts only when it is whole, so a crash inside a checkpoint changes nothing.
//!
//! **Durability.** A cursor is published at once, which a killed process survives, and synced within
//! [`SYNC_WITHIN`]: a power cut delivers again what was acknowledged since. A parked event is synced
//! before the cursor passes it, for its cursor stands in the same record.
//!
//! **The retention ledger** stands here too; see [`removed`].
//!
//! **Witness.** Every cursor carries the highest Seq of the main log known to be durable, and a clean
//! close its last Seq. The main log is opened with the highest of them, so that an end that is
//! missing is found.
//!
//! **Whose it is.** The identity of the main log is noted with the ledger, each checkpoint and each close. A
//! control log that was copied here from another directory is known by it: nothing of it is taken, and it is
//! treated as one that is damaged beyond reading.
//!
//! **Damage** never stops a system: what is readable is salvaged (see [`salvage`]), the files are set
//! aside, and a new control log begins. Events may be delivered again; none is skipped.

mod ahead;
mod bytes;
mod parked;
mod removed;
mod state;
mod standing;
mod record;
mod reading;
mod books;
mod subscriptions;
mod ledger;
mod salvage;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use parked::ParkedEvent;

use crate::clock::Clock;
use crate::durability::Durability;
use crate::error::Result;
use crate::format::record::Record;
use crate::keys::data::DataKey;
use crate::log::{Log, LogConfig, Removed, log_identity};
use crate::position::Seq;
use crate::storage::Storage;
use books::{Books, read};
use state::{ClosedEntry, Entry, State};

pub(crate) use ahead::Ahead;
pub(crate) use books::Place;
pub(crate) use reading::Reading;
pub(crate) use state::Tries;
pub(crate) use subscriptions::unknown;

/// The length of a segment of the control log.
const SEGMENT_LEN: usize = 1 << 20;
/// After how many segments of records the state is written as a whole.
const CHECKPOINT_AFTER: usize = 4;
/// Within which time a cursor is synced.
const SYNC_WITHIN: Duration = Duration::from_secs(1);
/// The source of all records.
const SOURCE: &str = "forelog";

/// What was done about a damaged control log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlRecovery {
    /// What was wrong.
    pub damage: String,
    /// How many named subscriptions were found in what is readable.
    pub subscriptions: u64,
    /// Whether names may be lost. A named subscription that is not known then starts at the
    /// beginning, whatever it asks for: it may be one whose place was lost.
    pub incomplete: bool,
    /// How many files were set aside, under names that end in `.damaged`.
    pub files_set_aside: u64,
}

/// The control log, and the state that it amounts to.
#[derive(Debug)]
pub(crate) struct Control {
    log: Log,
    clock: Arc<dyn Clock>,
    books: Mutex<Books>,
    recovery: Option<ControlRecovery>,
    is_new: bool,
    /// What copies of events are encrypted with, if they are.
    key: Option<Arc<DataKey>>,
    /// After how many bytes of records a checkpoint is made.
    checkpoint_after: u64,
}

/// A checkpoint that is written and not yet synced.
struct Unsynced {
    last: Seq,
    needed_from: Option<Seq>,
}

/// What a control log says of the main log, without being opened.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// As [`Control::witness`].
    pub(crate) witness: Seq,
    /// As [`Control::removed`].
    pub(crate) removed: Option<Removed>,
    /// Why it is another log's, and of no use here, if it is; the identity of this one.
    stranger: Option<(String, Option<u128>)>,
}

impl Control {
    /// Opens the control log in its folder, or makes one. `background`: whether a thread does the
    /// housekeeping; without one a cursor is synced at the close only.
    ///
    /// # Errors
    /// None for damage, which is reported by [`Control::recovery`]. Everything else: a folder that
    /// cannot be used, a full disk, a newer version, a segment of another log.
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        background: bool,
        known: Known,
    ) -> Result<Control> {
        let config = LogConfig {
            segment_len: SEGMENT_LEN,
            background,
            ..LogConfig::default()
        };
        Control::open_with(storage, clock, &config, known)
    }

    fn open_with(
        storage: &Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        config: &LogConfig,
        known: Known,
    ) -> Result<Control> {
        let is_new = storage.list()?.is_empty();
        let open_log = || Log::open(storage.clone(), config.clone(), clock.clone(), Seq::ZERO);
        let damage = match (known.stranger, salvage::unfinished(storage.as_ref())?) {
            (Some((why, log_id)), _) => {
                let state = State::of_nothing(log_id);
                salvage::note(storage.as_ref(), &state)?;
                Err((state, why))
            }
            (None, Some(state)) => Err((state, "an earlier salvage was cut off".to_owned())),
            (None, None) => match open_log().and_then(|log| Ok((read(&log)?, log))) {
                Ok(opened) => Ok(opened),
                Err(error) if salvage::is_damage(&error) => {
                    let state = salvage::salvage(storage.as_ref())?;
                    Err((state, error.to_string()))
                }
                Err(error) => return Err(error),
            },
        };
        let (state, damage) = match damage {
            Ok((books, log)) => return Ok(Control::new(log, clock, books, config, is_new)),
            Err(damaged) => damaged,
        };
        let recovery = ControlRecovery {
            damage,
            subscriptions: state.subscriptions.len() as u64,
            incomplete: state.incomplete,
            files_set_aside: salvage::set_aside(storage.as_ref())?,
        };
        let control = Control::new(open_log()?, clock.clone(), Books::default(), config, false);
        control.books().state = state;
        control.checkpoint()?;
        salvage::finish(storage.as_ref())?;
        tracing::error!(
            target: "forelog::control", damage = %recovery.damage,
            subscriptions = recovery.subscriptions, incomplete = recovery.incomplete,
            "the control log was damaged; what is readable was salvaged, events may come again"
        );
        Ok(Control {
            recovery: Some(recovery),
            ..control
        })
    }

    fn new(
        log: Log,
        clock: Arc<dyn Clock>,
        books: Books,
        config: &LogConfig,
        is_new: bool,
    ) -> Self {
        let checkpoint_after = config.segment_len.saturating_mul(CHECKPOINT_AFTER) as u64;
        Control {
            log,
            clock,
            books: Mutex::new(books),
            recovery: None,
            is_new,
            key: None,
            checkpoint_after,
        }
    }

    /// What [`Control::witness`] and [`Control::removed`] would be, without opening the control log:
    /// nothing is changed. `main`: the folder of the main log.
    ///
    /// # Errors
    /// If the files cannot be read; damage only makes the answers lower.
    pub(crate) fn known(storage: &dyn Storage, main: Option<&dyn Storage>) -> Result<Known> {
        let state = salvage::readable(storage)?;
        let noted = main.filter(|_| state.log_id.is_some());
        let log_id = noted.map(log_identity).transpose()?.flatten();
        Ok(match state.not_of(log_id) {
            Some(why) => Known {
                stranger: Some((why, log_id)),
                ..Known::default()
            },
            None => Known {
                witness: state.witness,
                removed: state.removed,
                stranger: None,
            },
        })
    }

    /// The same, opened with the key of the main log, if that is encrypted. Without it, copies of events
    /// stay closed, and are kept as they are.
    ///
    /// # Errors
    /// [`Corrupt`](crate::error::ErrorKind::Corrupt) if a copy was altered.
    pub(crate) fn with_key(mut self, key: Option<Arc<DataKey>>) -> Result<Control> {
        if let Some(key) = &key {
            self.books().state.open_copies(key)?;
        }
        self.key = key;
        Ok(self)
    }

    /// The internal log itself.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// What was done about damage, if there was any.
    pub(crate) fn recovery(&self) -> Option<&ControlRecovery> {
        self.recovery.as_ref()
    }

    /// Whether there was no control log before.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The highest Seq of the main log that is known to be durable.
    pub(crate) fn witness(&self) -> Seq {
        self.books().state.witness
    }

    /// Whether damage may have taken the names of subscriptions.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.books().state.incomplete
    }

    /// Notes that names of subscriptions may be lost; durable on return.
    pub(crate) fn set_incomplete(&self) -> Result<()> {
        self.books().state.incomplete = true;
        self.checkpoint()
    }

    /// Makes everything that was written durable.
    pub(crate) fn flush(&self) -> Result<()> {
        self.log.flush()
    }

    /// Closes the control log in order, after the main log, whose last Seq is `durable_upto`.
    ///
    /// # Errors
    /// If a sync fails or failed; the log is closed all the same.
    pub(crate) fn close(&self, durable_upto: Seq) -> Result<()> {
        let noted = self.write(|state| {
            Entry::Closed(ClosedEntry {
                durable_upto,
                log_id: state.log_id,
            })
        });
        self.log.close()?;
        noted.map(drop)
    }

    /// Appends one entry and takes it into the state. On an error the state is as it was.
    fn write(&self, entry: impl FnOnce(&State) -> Entry) -> Result<Seq> {
        self.write_if(|state| Ok(entry(state)))
    }

    /// As [`Control::write`], if the state allows it.
    fn write_if(&self, entry: impl FnOnce(&State) -> Result<Entry>) -> Result<Seq> {
        let mut books = self.books();
        let entry = entry(&books.state)?;
        let seq = self.append(&mut books, &entry)?;
        books.state.apply(&entry);
        if !books.is_checkpoint_due(self.checkpoint_after) {
            return Ok(seq);
        }
        let begun = self.append_checkpoint(&mut books);
        drop(books);
        // The entry itself is safe; a checkpoint that fails is tried again later.
        if let Err(error) = begun.and_then(|unsynced| self.finish_checkpoint(&unsynced)) {
            tracing::warn!(target: "forelog::control", %error, "no checkpoint could be made");
        }
        Ok(seq)
    }

    /// Appends the records of one entry, next to each other; returns the Seq of the last.
    fn append(&self, books: &mut Books, entry: &Entry) -> Result<Seq> {
        let now = self.clock.now();
        let mut last = Seq::ZERO;
        for (event_type, data) in entry.encode()? {
            let record = Record::new(event_type, SOURCE, now, &data)?;
            last = self
                .log
                .append(&[record], Durability::Interval(SYNC_WITHIN))?
                .last;
            books.written = books.written.saturating_add(record.frame_len() as u64);
        }
        Ok(last)
    }

    /// Writes the state as a whole and retires what it replaces; durable on return.
    fn checkpoint(&self) -> Result<()> {
        let unsynced = self.append_checkpoint(&mut self.books())?;
        self.finish_checkpoint(&unsynced)
    }

    fn append_checkpoint(&self, books: &mut Books) -> Result<Unsynced> {
        books.written = 0;
        let first = self.log.watermark().appended().next();
        let entry = Entry::Checkpoint(books.state.clone());
        let last = self.append(books, &entry)?;
        books.note_checkpoint(first);
        Ok(Unsynced {
            last,
            needed_from: books.needed_from,
        })
    }

    fn finish_checkpoint(&self, unsynced: &Unsynced) -> Result<()> {
        self.log.wait_durable(unsynced.last)?;
        match unsynced.needed_from {
            Some(seq) => self.log.retire_before(seq),
            None => Ok(()),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

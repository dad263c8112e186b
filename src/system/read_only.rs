//! Opening a store whose system runs elsewhere, or not at all.

use std::path::Path;
use std::sync::Arc;

use super::store::Origin;
use super::{Builder, EventStore, EventSystem};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::keys::Access;
use crate::log::mirror::Mirror;
use crate::storage::file::FileStorage;
use crate::storage::sys::Sys;

impl EventStore {
    /// Opens the events of a directory to be read, whether or not a system has it open.
    ///
    /// Nothing is written, made or locked: a read-only or a full file system will do. There is no index, so
    /// that queries by type, source, header or id scan, and [`explain`](crate::Query::explain) says so. Those
    /// by Seq and by `appended_at` do not, nor does [`EventStore::get_by_id`] with an id that the system made.
    /// Events do not expire here and are shown as they were emitted, unless the store is opened with
    /// [`Builder::open_read_only`].
    ///
    /// The store shows what is there now. It sees more with [`EventStore::refresh`] and
    /// [`EventStore::wait_for`], each event as soon as its writer has published it: also one that has yet to
    /// be synced. Of the newest segment, which may still be written, it keeps a copy in memory.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) and [`ForeignDirectory`](ErrorKind::ForeignDirectory) where there is
    /// no log; [`Corrupt`](ErrorKind::Corrupt), [`Truncated`](ErrorKind::Truncated),
    /// [`MissingSegment`](ErrorKind::MissingSegment) or [`ForeignSegment`](ErrorKind::ForeignSegment) for
    /// damage, with its place and what to do; [`UnsupportedVersion`](ErrorKind::UnsupportedVersion);
    /// [`Key`](ErrorKind::Key) for events that are encrypted.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// use forelog::{Event, EventStore, EventSystem, Seq};
    /// use std::time::{Duration, Instant};
    /// let system = EventSystem::builder().persistence_path(dir.path()).open()?;
    /// system.emit(Event::new("tick", "clock", &1)?)?;
    ///
    /// // As a rule in another process.
    /// let store = EventStore::open_read_only(dir.path())?;
    /// assert_eq!(store.query().types(["tick"]).count()?, 1);
    ///
    /// system.emit(Event::new("tick", "clock", &2)?)?;
    /// let deadline = Instant::now() + Duration::from_secs(10);
    /// assert!(store.wait_for(Seq(2), Some(deadline))?);
    /// assert!(store.get(Seq(2))?.is_some());
    /// # system.close() }
    /// ```
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<EventStore> {
        let builder = EventSystem::builder().persistence_path(path.as_ref());
        builder.open_read_only()
    }
}

impl Builder {
    /// Opens the events of the directory to be read, as [`EventStore::open_read_only`] does, with what
    /// decides how events are shown: the [key](Builder::encryption_key) that they are encrypted with, their
    /// [expiry](Builder::expire), their [versions](Builder::upcaster) and the clock. Other settings play no part.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a setting that makes no sense, or without a
    /// [`persistence_path`](Builder::persistence_path); as [`EventStore::open_read_only`].
    pub fn open_read_only(self) -> Result<EventStore> {
        self.upcasters.check()?;
        self.expiry.check()?;
        let Some(path) = &self.persistence_path else {
            let message = "a store that is only read needs a persistence_path: name its directory";
            return Err(Error::new(ErrorKind::Invalid, message));
        };
        let log = Arc::new(log_folder(path)?);
        let mirror = Mirror::open(
            log,
            Arc::new(self.expiry),
            self.clock,
            Access::with(self.encryption_key.as_ref()),
        )?;
        Ok(EventStore {
            view: mirror.view(),
            index: None,
            origin: Origin::Files(Arc::new(mirror)),
            upcasters: Arc::new(self.upcasters),
        })
    }
}

/// The folder of the log in a directory.
fn log_folder(path: &Path) -> Result<FileStorage> {
    let directory = FileStorage::open(path, Sys::native())?;
    let log = FileStorage::open(&path.join(names::LOG), Sys::native());
    let Err(error) = log else {
        return log;
    };
    if error.kind() != ErrorKind::NotFound {
        return Err(error);
    }
    let (folders, files) = directory.names()?;
    let all = || {
        let all = folders.iter().chain(&files);
        all.filter_map(|name| name.to_str())
    };
    let (kind, message) = if all().any(names::is_top_level) {
        let message = "no log is here yet: open it again once its writer has begun it";
        (ErrorKind::NotFound, message.to_owned())
    } else {
        let message = names::instead_of_partitioned(all()).unwrap_or_else(|| {
            let message =
                "no Forelog log is here; name the directory that was given as persistence_path";
            message.to_owned()
        });
        (ErrorKind::ForeignDirectory, message)
    };
    Err(Error::new(kind, message).at_path(path))
}

//! Rebuilding the lookup index of a directory that no system has open.

use std::path::Path;
use std::sync::Arc;

use super::EventSystem;
use super::directory::Directory;
use crate::clock::{Clock, SystemClock};
use crate::control::Control;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{Index, IndexConfig, IndexState};
use crate::inspect::Inspector;
use crate::keys::{Access, EncryptionKey};
use crate::log::{Log, LogConfig};

impl EventSystem {
    /// Sets the lookup index of a directory aside, builds another from the log, and says how it
    /// stands. The directory must be there and not be open; it is recovered if need be, as by
    /// [`Builder::open`](super::Builder::open), and closed in order.
    ///
    /// # Errors
    /// As [`Builder::open`](super::Builder::open);
    /// [`NotFound`](ErrorKind::NotFound) if there is no directory.
    pub fn reindex(path: impl AsRef<Path>) -> Result<IndexState> {
        EventSystem::reindex_by(path.as_ref(), Access::Plain)
    }

    /// As [`EventSystem::reindex`], of a directory whose events are encrypted with this key.
    ///
    /// # Errors
    /// As [`EventSystem::reindex`].
    pub fn reindex_encrypted(path: impl AsRef<Path>, key: EncryptionKey) -> Result<IndexState> {
        EventSystem::reindex_by(path.as_ref(), Access::Key(key))
    }

    fn reindex_by(path: &Path, access: Access) -> Result<IndexState> {
        let config = config_for(path, access)?;
        let directory = Directory::on_disk(path)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (control, log) = directory.open_logs(config, &clock)?;
        let log = Arc::new(log);
        let folder = directory.index.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Index, "the directory cannot keep an index").at_path(path)
        })?;
        let state = Index::rebuild(log.clone(), folder, IndexConfig::default());
        let closed = log.close();
        let noted = control.close(log.watermark().durable());
        closed.and(noted)?;
        state
    }

    /// Recovers a directory as by [`Builder::open`](super::Builder::open), encrypted or not, does something with it, and closes
    /// it in order.
    ///
    /// # Errors
    /// As [`EventSystem::reindex`], and those of `work`.
    pub(crate) fn settle<T>(
        path: &Path,
        work: impl FnOnce(&Control, &Log) -> Result<T>,
    ) -> Result<T> {
        let config = config_for(path, Access::Moving)?;
        let directory = Directory::on_disk(path)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (control, log) = directory.open_logs(config, &clock)?;
        let done = work(&control, &log);
        let closed = log.close();
        let noted = control.close(log.watermark().durable());
        closed.and(noted)?;
        done
    }
}

/// The settings to open a directory with that must be there: new segments are as long as the newest is.
fn config_for(path: &Path, access: Access) -> Result<LogConfig> {
    // Opening would make a directory that is not there.
    let segments = Inspector::open(path)?.segments()?;
    let headers = segments.iter().rev().filter_map(|at| at.header.as_ref());
    let usual = headers.map(|header| header.segment_len).max();
    let config = LogConfig::default();
    let len = usual.and_then(|len| usize::try_from(len).ok());
    Ok(LogConfig {
        segment_len: len.unwrap_or(config.segment_len).min(config.segment_len),
        access,
        ..config
    })
}

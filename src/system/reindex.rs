//! Rebuilding the lookup index of a directory that no system has open.

use std::path::Path;
use std::sync::Arc;

use super::EventSystem;
use super::directory::Directory;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::index::{Index, IndexConfig, IndexState};
use crate::inspect::Inspector;
use crate::log::LogConfig;

impl EventSystem {
    /// Sets the lookup index of a directory aside, builds another from the log, and says how it
    /// stands. The directory must be there and not be open; it is recovered if need be, as by
    /// [`Builder::open`](super::Builder::open), and closed in order.
    ///
    /// # Errors
    /// As [`Builder::open`](super::Builder::open);
    /// [`NotFound`](ErrorKind::NotFound) if there is no directory.
    pub fn reindex(path: impl AsRef<Path>) -> Result<IndexState> {
        // Opening would make a directory that is not there.
        Inspector::open(path.as_ref())?;
        let directory = Directory::on_disk(path.as_ref())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (control, log) = directory.open_logs(LogConfig::default(), &clock)?;
        let log = Arc::new(log);
        let folder = directory.index.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Index, "the directory cannot keep an index").at_path(&path)
        })?;
        let state = Index::rebuild(log.clone(), folder, IndexConfig::default());
        let closed = log.close();
        let noted = control.close(log.watermark().durable());
        closed.and(noted)?;
        state
    }
}

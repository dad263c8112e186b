//! A system over a storage that somebody else holds, and its end as a crash would have it: for the
//! test kit.

use std::sync::{Arc, PoisonError};

use super::directory::Directory;
use super::{Builder, EventSystem, Inner};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;
use crate::storage::sys::Sys;

impl EventSystem {
    /// Opens a system whose syncs say Ok and do nothing: what it calls durable is not.
    pub(crate) fn open_without_syncs(builder: Builder) -> Result<EventSystem> {
        let path = builder.persistence_path.clone().ok_or_else(|| {
            let message = "a system without syncs is one on a disk: name a persistence_path";
            Error::new(ErrorKind::Invalid, message)
        })?;
        let directory = Directory::on_disk_with(&path, Sys::native().without_syncs())?;
        EventSystem::open_within(builder, directory)
    }

    /// Opens a system in a folder that is not one of the file system's. The builder's path does not
    /// count, and the lookup index is kept in memory.
    pub(crate) fn open_in(builder: Builder, storage: Arc<dyn Storage>) -> Result<EventSystem> {
        EventSystem::open_within(builder, Directory::within(storage))
    }

    fn open_within(builder: Builder, directory: Directory) -> Result<EventSystem> {
        let durability = builder.chosen_durability()?;
        let config = builder.log_config(true)?;
        let system = EventSystem(Arc::new(Inner::open(
            builder, config, durability, directory,
        )?));
        system.begin_schedule()?;
        Ok(system)
    }

    /// Ends every thread without waiting for handlers to finish what is emitted. The storage must have
    /// stopped, so that nothing is written any more; whatever fails of that is what a crash is.
    pub(crate) fn abandon(&self) {
        let closed = self.0.closed.lock();
        *closed.unwrap_or_else(PoisonError::into_inner) = true;
        self.0.schedule.stop();
        // A rehearsal of a crash has no handler that hangs: whoever does is waited for.
        let _left = self.0.stop_handlers(None);
        self.0.schedule.join();
        self.0.index.close();
        let _crashed = self.0.log.close();
        let _crashed = self.0.control.close(self.0.log.watermark().durable());
        self.0.directory.release();
    }
}

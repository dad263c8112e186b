//! A system over a storage that somebody else holds, and its end as a crash would have it: for the
//! test kit.

use std::sync::{Arc, PoisonError};

use super::directory::Directory;
use super::{Builder, EventSystem, Inner};
use crate::error::Result;
use crate::storage::Storage;

impl EventSystem {
    /// Opens a system in a folder that is not one of the file system's. The builder's path does not
    /// count, and the lookup index is kept in memory.
    pub(crate) fn open_in(builder: Builder, storage: Arc<dyn Storage>) -> Result<EventSystem> {
        let durability = builder.chosen_durability()?;
        let config = builder.log_config(true)?;
        let directory = Directory::within(storage);
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

//! The folders of a system: made, checked and locked on disk, or kept in memory.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::control::Control;
use crate::dispatch::pin_known;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::log::pins::Pins;
use crate::log::{Log, LogConfig};
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::lock::DirLock;
use crate::storage::memory::MemoryStorage;
use crate::storage::sys::Sys;

/// The folders of one system, held for this writer alone.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) storage: Arc<dyn Storage>,
    /// Where the index may keep files of its own; `None` in memory.
    pub(super) index: Option<PathBuf>,
    /// Whether there may be events that were scheduled before.
    pub(super) has_schedule: bool,
    /// Held until the system is closed.
    lock: Mutex<Option<DirLock>>,
}

impl Directory {
    /// A directory that lives and dies with its system.
    pub(super) fn in_memory() -> Self {
        Directory::within(Arc::new(MemoryStorage::default()))
    }

    /// A directory in a storage that nobody else can get at.
    pub(super) fn within(storage: Arc<dyn Storage>) -> Self {
        Directory {
            storage,
            index: None,
            has_schedule: true,
            lock: Mutex::new(None),
        }
    }

    /// The directory at `path`, made if it is not there, and locked.
    ///
    /// # Errors
    /// [`ForeignDirectory`](ErrorKind::ForeignDirectory) if it holds something else,
    /// [`Locked`](ErrorKind::Locked) if another writer has it.
    pub(super) fn on_disk(path: &Path) -> Result<Self> {
        Directory::on_disk_with(path, Sys::native())
    }

    /// As [`Directory::on_disk`], with these system calls.
    pub(super) fn on_disk_with(path: &Path, sys: Sys) -> Result<Self> {
        // Files are made and removed by name for as long as the system is open, wherever the process goes
        // meanwhile.
        let path = std::path::absolute(path)
            .map_err(|cause| Error::io("find the working directory for", path, cause))?;
        let path = path.as_path();
        let storage = FileStorage::create(path, sys)?;
        let (folders, files) = storage.names()?;
        check_ours(path, &folders, &files)?;
        let lock = DirLock::acquire(path)?;
        Ok(Directory {
            storage: Arc::new(storage),
            index: Some(path.join(names::INDEX)),
            has_schedule: folders.iter().any(|name| name == names::SCHEDULE),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Lets another writer in; nothing may be written any more.
    pub(super) fn release(&self) {
        drop(
            self.lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Opens the control log, which may know how far the main log was durable, and the main log.
    ///
    /// A main log that is refused, for what its files hold or for what the control log knows of it, is
    /// found before anything is changed.
    pub(super) fn open_logs(
        &self,
        config: LogConfig,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Arc<Control>, Log)> {
        let main = self.storage.folder(names::LOG)?;
        let control = self.storage.folder(names::CONTROL)?;
        let noted = Control::known(control.as_ref(), Some(main.as_ref()))?;
        let known = noted.removed.as_ref().map(|removed| removed.upto_segment);
        let mut examined = Log::examine(main.as_ref(), noted.witness, known)?;
        examined.unlock(main.as_ref(), &config.access)?;
        let control = Control::open(&control, clock.clone(), config.background, noted)?;
        let removed = control.removed().map(|removed| removed.upto_segment);
        if removed == known {
            examined.add_witness(main.as_ref(), control.witness())?;
        } else {
            // A first key that was made is made anew: where it begins follows from what was examined.
            examined = Log::examine(main.as_ref(), control.witness(), removed)?;
        }
        let key = examined.unlock(main.as_ref(), &config.access)?;
        let control = Arc::new(control.with_key(key)?);
        let pins = Pins::default();
        pin_known(&control, &pins);
        let config = LogConfig {
            ledger: Some(control.clone()),
            ..config
        };
        let log = Log::open_examined(main, config, clock.clone(), examined, pins)?;
        control.belong_to(log.log_id())?;
        if let Some(first) = log.segments().first() {
            control.begin_ledger(first.id(), first.header.prev_last_seq)?;
        }
        Ok((control, log))
    }
}

/// Whether a directory is empty but for what is ours, or what file systems and people leave about.
fn check_ours(path: &Path, folders: &[OsString], files: &[OsString]) -> Result<()> {
    let ours = |name: &OsString| {
        let name = name.to_string_lossy();
        names::is_top_level(&name) || name.starts_with('.') || name == "lost+found"
    };
    let is_forelog = folders.iter().any(|name| name.as_os_str() == names::LOG)
        && files.iter().any(|name| name.as_os_str() == names::LOCK);
    let foreign = folders.iter().chain(files).find(|name| !ours(name));
    match foreign {
        Some(name) if !is_forelog => {
            let message = format!(
                "the directory holds {} and no Forelog log; name an empty or a new directory",
                name.display()
            );
            Err(Error::new(ErrorKind::ForeignDirectory, message).at_path(path))
        }
        _ => Ok(()),
    }
}

//! [`Aside`]: the folder of what a repair replaces: `aside/repair-N/` in the directory itself.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::sys::Sys;
use crate::storage::whole;

/// Where files are kept that a repair takes out of their place; made with the first of them.
#[derive(Debug)]
pub(super) struct Aside {
    directory: PathBuf,
    folder: Option<PathBuf>,
    plan: Vec<u8>,
}

impl Aside {
    /// For a directory that is to be repaired by this plan.
    pub(super) fn new(directory: &Path, plan: Vec<u8>) -> Self {
        Aside {
            directory: directory.to_path_buf(),
            folder: None,
            plan,
        }
    }

    /// The folder, if anything was set aside.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Gives a file of the folder `within` a second name here, or makes a copy where the file system has no
    /// links; durable on return. One that is not there is none to be kept.
    ///
    /// # Errors
    /// If that cannot be done; the file itself stays as it is.
    pub(super) fn keep(&mut self, within: &str, name: &str) -> Result<()> {
        let from = self.directory.join(within).join(name);
        let folder = FileStorage::create(&self.made()?.join(within), Sys::native())?;
        whole::keep(&from, &folder.path(name))?;
        folder.sync_dir()
    }

    fn made(&mut self) -> Result<PathBuf> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let all = self.directory.join(names::ASIDE);
        let mut free = (1..u32::MAX).map(|nth| all.join(names::repair(nth)));
        let folder = free.find(|path| !path.exists()).ok_or_else(|| {
            let message = "no name is left for what a repair sets aside; move some of it elsewhere";
            Error::new(ErrorKind::Invalid, message).at_path(&all)
        })?;
        let storage = FileStorage::create(&folder, Sys::native())?;
        storage.replace(names::REPAIR_PLAN, &self.plan)?;
        self.folder = Some(folder.clone());
        Ok(folder)
    }
}

//! [`PartitionedBuilder`]: the settings of a partitioned system.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::key::PartitionKey;
use super::layout::Layout;
use super::{Inner, PartitionedEventSystem};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::inspect::Inspector;
use crate::position::Seq;
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::sys::Sys;
use crate::system::{Builder, EventSystem};

/// The most partitions: each has its own files, threads and maps.
const PARTITIONS_MAX: usize = 1000;

/// The settings of a [`PartitionedEventSystem`]; see [`PartitionedEventSystem::builder`].
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct PartitionedBuilder {
    pub(super) path: Option<PathBuf>,
    partitions: Option<usize>,
    key: Option<PartitionKey>,
    pub(super) each: Builder,
}

impl PartitionedBuilder {
    /// The directory that keeps the partitions, each in a folder of its own; made if it is not there.
    /// Without one, all is kept in memory.
    pub fn persistence_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Into how many partitions events are divided: 1 to 1,000. A new directory must be told; one that
    /// is there says it by itself.
    pub fn partitions(mut self, count: usize) -> Self {
        self.partitions = Some(count);
        self
    }

    /// What of an event decides where it goes. The default is [`PartitionKey::SOURCE`], or what the
    /// directory says.
    pub fn key(mut self, key: PartitionKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The settings of each partition, without a path. Bounds such as `max_queue_size` count for each.
    pub fn each(mut self, settings: Builder) -> Self {
        self.each = settings;
        self
    }

    /// Opens all partitions: makes the directory, or recovers it.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the directory is divided otherwise than is asked for;
    /// [`NotFound`](ErrorKind::NotFound) if a partition is missing; those of
    /// [`Builder::open`], for any partition.
    pub fn open(self) -> Result<PartitionedEventSystem> {
        let opened = self.open_unwritten()?;
        opened.commit()?;
        Ok(opened.system)
    }

    /// Opens all partitions, and leaves it to [`Opened::commit`] to make a new directory valid.
    pub(super) fn open_unwritten(self) -> Result<Opened> {
        if self.each.has_path() {
            let message = "the path of a partitioned system is set on its own builder; each \
                           partition gets a folder in it";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let path = self.path.clone().filter(|_| self.each.may_persist());
        let Some(path) = path else {
            let (layout, key) = self.wanted(None)?;
            let opened = (0..layout.partitions).map(|_| self.each.clone().open());
            let systems = opened.collect::<Result<Vec<_>>>()?;
            return Ok(Opened::of(systems, key, None));
        };
        let folder = FileStorage::create(&path, Sys::native())?;
        let found = Layout::read(&folder)?;
        let (layout, key) = self.wanted(found.as_ref())?;
        match &found {
            Some(found) => {
                found.check_wanted(&layout, &path)?;
                check_complete(&path, layout.partitions)?;
            }
            None => check_unused(&path, &folder)?,
        }
        let systems = open_each(&path, layout.partitions, &self.each)?;
        if found.is_some() {
            return Ok(Opened::of(systems, key, None));
        }
        check_empty(&path, &systems)?;
        Ok(Opened::of(systems, key, Some((layout, Arc::new(folder)))))
    }

    /// What is asked for, filled up by what is there.
    fn wanted(&self, found: Option<&Layout>) -> Result<(Layout, PartitionKey)> {
        let invalid = |message: &str| Error::new(ErrorKind::Invalid, message);
        let partitions = self.partitions.or(found.map(|found| found.partitions));
        let partitions = partitions.ok_or_else(|| {
            invalid("a new partitioned system must be told into how many partitions to divide")
        })?;
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(invalid("there may be 1 to 1,000 partitions"));
        }
        let key = match (&self.key, found) {
            (Some(key), _) => key.clone(),
            (None, None) => PartitionKey::SOURCE,
            (None, Some(found)) => PartitionKey::of_name(&found.key).ok_or_else(|| {
                let message = format!(
                    "the directory is divided by the key {}, whose function must be given",
                    found.key
                );
                invalid(&message)
            })?,
        };
        let layout = Layout {
            partitions,
            key: key.name(),
        };
        Ok((layout, key))
    }
}

/// The folder of a partition.
pub(super) fn folder_of(path: &Path, partition: usize) -> PathBuf {
    path.join(names::partition(partition))
}

/// Opens the partitions of a directory, whatever its layout says.
fn open_each(path: &Path, count: usize, each: &Builder) -> Result<Vec<EventSystem>> {
    let settings = |partition| each.clone().persistence_path(folder_of(path, partition));
    (0..count)
        .map(|partition| settings(partition).open())
        .collect()
}

/// Whether all partitions are there: opening would make one that is missing, without its events.
pub(super) fn check_complete(path: &Path, count: usize) -> Result<()> {
    for partition in 0..count {
        let folder = folder_of(path, partition);
        if let Err(cause) = Inspector::open(&folder) {
            let message = format!(
                "partition {partition} of {count} is not there; restore its folder from a backup"
            );
            let error = Error::new(ErrorKind::NotFound, message);
            return Err(error.at_path(folder).caused_by(cause));
        }
    }
    Ok(())
}

/// Whether a directory without a layout holds nothing but what an opening that did not end has left.
fn check_unused(path: &Path, folder: &FileStorage) -> Result<()> {
    let (folders, files) = folder.names()?;
    let ours = |name: &&OsString| {
        let name = name.to_string_lossy();
        let is_layout = names::parse_tmp(&name) == Some(names::PARTITIONS);
        names::is_partition(&name) || is_layout || name.starts_with('.') || name == "lost+found"
    };
    let mut names = folders.iter().chain(&files);
    match names.find(|name| !ours(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "the directory holds {} and no partitions; name an empty or a new directory",
                name.display()
            );
            Err(Error::new(ErrorKind::ForeignDirectory, message).at_path(path))
        }
    }
}

/// Whether partitions that have no layout hold no event.
fn check_empty(path: &Path, systems: &[EventSystem]) -> Result<()> {
    let used = |system: &EventSystem| system.store().last_seq() > Seq::ZERO;
    if !systems.iter().any(used) {
        return Ok(());
    }
    let message = "the directory holds partitions with events and no layout: a repartitioning was \
                   not finished, or the file was lost. Remove the directory and repartition again, \
                   or restore the file from a backup";
    Err(Error::new(ErrorKind::Corrupt, message).at_path(path))
}

/// Partitions that are open.
pub(super) struct Opened {
    pub(super) system: PartitionedEventSystem,
    /// What has to be written before the directory is one of partitions.
    unwritten: Option<(Layout, Arc<dyn Storage>)>,
}

impl Opened {
    fn of(
        systems: Vec<EventSystem>,
        key: PartitionKey,
        unwritten: Option<(Layout, Arc<dyn Storage>)>,
    ) -> Self {
        Opened {
            system: PartitionedEventSystem(Arc::new(Inner { systems, key })),
            unwritten,
        }
    }

    /// Whether the directory was no directory of partitions before.
    pub(super) fn is_new(&self) -> bool {
        self.unwritten.is_some()
    }

    /// Makes a new directory valid, durably.
    pub(super) fn commit(&self) -> Result<()> {
        match &self.unwritten {
            Some((layout, folder)) => layout.write(folder.as_ref()),
            None => Ok(()),
        }
    }
}

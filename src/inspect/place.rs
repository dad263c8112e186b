//! [`Place`]: what a path names: a Forelog directory, the folder of one log, or one segment file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::report::Damage;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::keys::Access;
use crate::log::survey::{Look, Surveyed, look};
use crate::storage::file::FileStorage;
use crate::storage::regular::open_regular;
use crate::storage::sys::Sys;
use crate::storage::{Entry, Storage, lock};

/// How often a listing is tried again that a writer's removals have overtaken.
const LIST_TRIES: u32 = 10;

/// Where segment files are, open for reading.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// What the user named.
    pub(super) path: PathBuf,
    kind: Kind,
    /// The folder of the segments; `None` if the directory has no log yet.
    folder: Option<Arc<FileStorage>>,
    /// Whether who looks has a key.
    pub(super) access: Access,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A Forelog directory.
    Directory,
    /// The folder of one log.
    Log,
    /// One segment file of this name.
    File(String),
}

impl Place {
    pub(super) fn open(path: &Path) -> Result<Place> {
        match FileStorage::open(path, Sys::native()) {
            Ok(folder) => Self::directory(path, folder),
            // No folder; if it is no plain file either, the next error says so.
            Err(error) if error.kind() == ErrorKind::NotRegular => Self::file(path),
            Err(error) => Err(error),
        }
    }

    fn directory(path: &Path, folder: FileStorage) -> Result<Place> {
        let (folders, files) = folder.names()?;
        let place = |kind, folder| Place {
            path: path.to_path_buf(),
            kind,
            folder,
            access: Access::Plain,
        };
        if folders.iter().any(|name| name.as_os_str() == names::LOG) {
            let log = FileStorage::open(&path.join(names::LOG), Sys::native())?;
            return Ok(place(Kind::Directory, Some(Arc::new(log))));
        }
        let is_segment = |name: &str| names::parse_segment(name).is_some();
        if files
            .iter()
            .any(|name| name.to_str().is_some_and(is_segment))
        {
            return Ok(place(Kind::Log, Some(Arc::new(folder))));
        }
        if files.iter().any(|name| name.as_os_str() == names::LOG) {
            // A link or a file in the folder's place; opening it says so.
            FileStorage::open(&path.join(names::LOG), Sys::native())?;
        }
        let all = || {
            let all = folders.iter().chain(&files);
            all.filter_map(|name| name.to_str())
        };
        if all().any(names::is_top_level) {
            return Ok(place(Kind::Directory, None));
        }
        let message = names::instead_of_partitioned(all()).unwrap_or_else(|| {
            let message = "no Forelog log is here; name the directory that was given as \
                           persistence_path, or a segment file";
            message.to_owned()
        });
        Err(Error::new(ErrorKind::ForeignDirectory, message).at_path(path))
    }

    fn file(path: &Path) -> Result<Place> {
        drop(open_regular(path, false)?);
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "the file's name is no UTF-8; rename a copy",
            )
            .at_path(path)
        })?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok(Place {
            path: path.to_path_buf(),
            kind: Kind::File(name.to_owned()),
            folder: Some(Arc::new(FileStorage::open(parent, Sys::native())?)),
            access: Access::Plain,
        })
    }

    /// The internal log of the directory, if it has one.
    pub(super) fn control(&self) -> Result<Option<Place>> {
        if !matches!(self.kind, Kind::Directory) {
            return Ok(None);
        }
        let path = self.path.join(names::CONTROL);
        match FileStorage::open(&path, Sys::native()) {
            Ok(folder) => Ok(Some(Place {
                path,
                kind: Kind::Log,
                folder: Some(Arc::new(folder)),
                access: Access::Plain,
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The folder of the projections' snapshots, if the directory has one.
    pub(super) fn snapshots(&self) -> Result<Option<FileStorage>> {
        if !self.is_directory() {
            return Ok(None);
        }
        match FileStorage::open(&self.path.join(names::SNAPSHOTS), Sys::native()) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether this is a whole directory.
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }

    /// The folder of the directory's lookup index, if it has one.
    pub(super) fn index(&self) -> Result<Option<PathBuf>> {
        if !matches!(self.kind, Kind::Directory) {
            return Ok(None);
        }
        let path = self.path.join(names::INDEX);
        match FileStorage::open(&path, Sys::native()) {
            Ok(_) => Ok(Some(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who has the directory open for writing.
    pub(super) fn writer(&self) -> Option<String> {
        match (&self.kind, &self.folder) {
            (Kind::Directory, _) => lock::holder(&self.path),
            // The log's folder stands in the directory.
            (_, folder) => lock::holder(&folder.as_ref()?.path("..")),
        }
    }

    /// A damaged place as an error, with the whole path.
    pub(super) fn error(&self, damage: &Damage) -> Error {
        let folder = match (&self.folder, &self.kind) {
            (Some(folder), _) => folder.path(""),
            (None, Kind::Directory) => self.path.join(names::LOG),
            (None, _) => self.path.clone(),
        };
        damage.to_error(&folder)
    }

    /// Whether this is one file of a log that may have more.
    pub(super) fn is_one_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }

    /// The folder of the segments.
    pub(super) fn storage(&self) -> Option<&FileStorage> {
        self.folder.as_deref()
    }

    /// The folder of the segments, to be kept.
    pub(super) fn shared_storage(&self) -> Option<Arc<FileStorage>> {
        self.folder.clone()
    }

    /// The file that has taken the place of this one of a segment, if one has.
    pub(super) fn rewritten(&self, old: &Surveyed) -> Result<Option<Surveyed>> {
        let known = (old.header.segment_id, old.header.generation);
        let named = |entry: Entry| names::parse_segment(&entry.name).map(|name| (name, entry));
        let later = self.list()?.into_iter().filter_map(named);
        let later = later.filter(|(name, _)| name.0 == known.0 && *name > known);
        let newest = later.max_by_key(|(name, _)| *name);
        let (Some(((id, generation), entry)), Some(storage)) = (newest, self.storage()) else {
            return Ok(None);
        };
        Ok(match look(storage, &entry, id, generation)? {
            Look::Segment(at) => Some(*at),
            Look::Unused => None,
        })
    }

    /// The files to look at, sorted by name.
    pub(super) fn list(&self) -> Result<Vec<Entry>> {
        let Some(storage) = &self.folder else {
            return Ok(Vec::new());
        };
        let mut tries = LIST_TRIES;
        let mut entries = loop {
            match storage.list() {
                // A file was removed between its listing and a look at it.
                Err(error) if error.kind() == ErrorKind::NotFound && tries > 0 => {
                    tries = tries.saturating_sub(1);
                }
                other => break other?,
            }
        };
        if let Kind::File(only) = &self.kind {
            entries.retain(|entry| entry.name == *only);
        }
        Ok(entries)
    }
}

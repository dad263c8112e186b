//! [`Layout`]: into how many partitions a directory is divided and by which key, as its file says.
//!
//! The file is written last when a directory is made, so a directory without it holds no event yet
//! (or a repartitioning that was not finished). It is JSON, to be read by people:
//! `{"format":1,"partitions":4,"key":"source","hash":"fnv1a64-splitmix64","check":"1b2c3d4e"}`, where
//! `check` is the CRC-32 of what stands before it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hash;
use crate::error::{Error, ErrorKind, Result};
use crate::format::crc::crc32;
use crate::format::names;
use crate::storage::Storage;

const FORMAT: u32 = 1;

/// How a directory is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) partitions: usize,
    /// The name of the key.
    pub(super) key: String,
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    partitions: usize,
    key: String,
    hash: String,
    check: String,
}

impl Layout {
    fn written(&self) -> Written {
        let fields = format!("{FORMAT} {} {} {}", self.partitions, self.key, hash::NAME);
        Written {
            format: FORMAT,
            partitions: self.partitions,
            key: self.key.clone(),
            hash: hash::NAME.to_owned(),
            check: format!("{:08x}", crc32(fields.as_bytes())),
        }
    }

    /// Writes the file, durably.
    pub(super) fn write(&self, folder: &dyn Storage) -> Result<()> {
        let text = serde_json::to_string(&self.written()).map_err(|cause| {
            let message = format!("the layout does not serialize: {cause}");
            Error::new(ErrorKind::Invalid, message).caused_by(cause)
        })?;
        folder.replace(names::PARTITIONS, (text + "\n").as_bytes())
    }

    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if it is not what was written;
    /// [`UnsupportedVersion`](ErrorKind::UnsupportedVersion) if a newer version wrote it.
    pub(super) fn read(folder: &dyn Storage) -> Result<Option<Layout>> {
        let Some(bytes) = folder.read(names::PARTITIONS)? else {
            return Ok(None);
        };
        let path = folder.path(names::PARTITIONS);
        let damaged = |what: &str| {
            let message = format!(
                "the layout of the partitions is damaged ({what}); restore the file from a backup: \
                 it says how many partitions there are, and by which key"
            );
            Error::new(ErrorKind::Corrupt, message).at_path(&path)
        };
        let found: Written =
            serde_json::from_slice(&bytes).map_err(|cause| damaged(&cause.to_string()))?;
        if found.format > FORMAT || found.hash != hash::NAME {
            let message = "the layout of the partitions was written by a newer version; upgrade";
            return Err(Error::new(ErrorKind::UnsupportedVersion, message).at_path(&path));
        }
        let layout = Layout {
            partitions: found.partitions,
            key: found.key,
        };
        if layout.written().check != found.check || layout.partitions == 0 {
            return Err(damaged("it does not pass its check"));
        }
        Ok(Some(layout))
    }

    /// Whether this, which is found, is what was asked for.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), saying how to repartition.
    pub(super) fn check_wanted(&self, wanted: &Layout, path: &Path) -> Result<()> {
        if self == wanted {
            return Ok(());
        }
        let message = format!(
            "the directory is divided into {} partitions by {}, and {} by {} are asked for: events \
             would be sought where they are not. Open it as it is, or make a new directory of it \
             with PartitionedEventSystem::repartition",
            self.partitions, self.key, wanted.partitions, wanted.key
        );
        Err(Error::new(ErrorKind::Invalid, message).at_path(path))
    }
}

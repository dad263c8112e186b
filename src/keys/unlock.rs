//! Which data key a log has, by its segments' headers and the user's key.

use std::path::Path;
use std::sync::Arc;

use super::Access;
use super::data::DataKey;
use crate::error::{Error, ErrorKind, Result};
use crate::format::key_slot::{KeySlots, WrappedKey};
use crate::format::segment::{SEALED, SegmentHeader};
use crate::position::Seq;

/// The keys of a log that is opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unlocked {
    /// What reads its events and encrypts new ones; `None` if it is not encrypted, or nobody does either.
    pub(crate) key: Option<Arc<DataKey>>,
    /// Whether new segments are encrypted ones.
    pub(crate) is_sealed: bool,
    /// What stands in their headers.
    pub(crate) slots: KeySlots,
}

impl Unlocked {
    /// The same header, of a segment that is begun now.
    pub(crate) fn mark(&self, header: SegmentHeader) -> SegmentHeader {
        if !self.is_sealed {
            return header;
        }
        SegmentHeader {
            incompatible: header.incompatible | SEALED,
            keys: self.slots,
            ..header
        }
    }
}

/// Finds the data key in the headers of a log's segments, oldest first. For a log that is not encrypted, and
/// is opened with a key, one is made, for a log whose events are encrypted from `next` on.
///
/// # Errors
/// [`Key`](ErrorKind::Key) if the key is missing or another; [`Corrupt`](ErrorKind::Corrupt) if no slot of
/// an encrypted log can be read.
pub(crate) fn unlock<'a>(
    headers: impl DoubleEndedIterator<Item = &'a SegmentHeader>,
    access: &Access,
    folder: &Path,
    next: Seq,
) -> Result<Unlocked> {
    access.check()?;
    let mut is_sealed = false;
    let mut known: Vec<WrappedKey> = Vec::new();
    let mut slots = KeySlots::default();
    for header in headers.rev().filter(|header| header.is_sealed()) {
        is_sealed = true;
        if slots.is_empty() {
            slots = header.keys;
        }
        for key in header.keys.keys() {
            if !known.contains(&key) {
                known.push(key);
            }
        }
    }
    let refuse = |error: Error| Err(error.at_path(folder));
    let key = match access {
        Access::Plain if is_sealed => return refuse(missing()),
        Access::Plain => return Ok(Unlocked::default()),
        Access::Moving => {
            return Ok(Unlocked {
                key: None,
                is_sealed,
                slots,
            });
        }
        Access::Key(key) => key,
    };
    if !is_sealed {
        let data = DataKey::generate(next)?;
        return Ok(Unlocked {
            slots: KeySlots::both(data.wrap(key)?),
            is_sealed: true,
            key: Some(Arc::new(data)),
        });
    }
    for wrapped in &known {
        if let Some(data) = DataKey::unwrap(wrapped, key)? {
            return Ok(Unlocked {
                key: Some(Arc::new(data)),
                is_sealed: true,
                slots: KeySlots::both(*wrapped),
            });
        }
    }
    refuse(if known.is_empty() { lost() } else { wrong() })
}

/// As [`unlock`], to read alone: no key is made. `None` if the log is not encrypted.
///
/// # Errors
/// As [`unlock`].
pub(crate) fn unlock_to_read<'a>(
    headers: impl DoubleEndedIterator<Item = &'a SegmentHeader> + Clone,
    access: &Access,
    folder: &Path,
) -> Result<Option<Arc<DataKey>>> {
    if !headers.clone().any(SegmentHeader::is_sealed) {
        return access.check().map(|()| None);
    }
    // There is a key, so none is made.
    Ok(unlock(headers, access, folder, Seq::ZERO)?.key)
}

fn missing() -> Error {
    let message = "the events are encrypted: give the key, to a system by `Builder::encryption_key`, to a \
                   command by `--key-file`";
    Error::new(ErrorKind::Key, message)
}

fn wrong() -> Error {
    let message = "the events are encrypted with another key than the one that was given, or somebody without \
                   the key has altered the key slots; nothing was changed. Give the one that the log was opened \
                   with before, or restore the header block (the first 4 KiB) of any segment from a backup";
    Error::new(ErrorKind::Key, message)
}

fn lost() -> Error {
    let message = "the key slots of all encrypted segments are damaged, and without one the events cannot \
                   be decrypted: restore the header block (the first 4 KiB) of any segment from a backup";
    Error::new(ErrorKind::Corrupt, message)
}

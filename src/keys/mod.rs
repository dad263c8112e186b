//! Keys: the user's, and the log's own, which it wraps.
//!
//! The user's [`EncryptionKey`] encrypts one thing only: the log's [`DataKey`](data::DataKey), random, made
//! when the log is first opened with a key. It stands, wrapped, in the header block of every segment that is
//! begun from then on ([`format::key_slot`](crate::format::key_slot)). From the data key come, by HKDF-SHA256
//! and a random salt, the keys of [frames](crate::format::sealed), of snapshots, and of what else holds a
//! user's data; each of them is an AES-256-GCM key. So the user's key can be another without a byte of the
//! events being written anew.

mod secret;
mod cipher;
pub(crate) mod data;
pub(crate) mod unlock;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::key_slot::KEY_LEN;
use crate::storage::key_file;
use secret::{Secret, random};

/// More than any key file has.
const FILE_LEN_MAX: usize = 4096;
/// The length of a key in hexadecimal digits.
const DIGITS: usize = 2 * KEY_LEN;

/// The key that a user gives to have events encrypted at rest, and to read them: 32 bytes. It is never
/// written anywhere; a log that has lost it is lost.
///
/// The memory is cleared when the last clone is dropped, and `Debug` does not show it. See the manual's
/// [page](crate::manual::encryption).
#[derive(Clone)]
pub struct EncryptionKey(Arc<Secret>);

impl EncryptionKey {
    /// A key of these bytes, which must be random: not a password, nor made from one without a function that
    /// is meant for that.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        EncryptionKey(Arc::new(Secret::new(bytes)))
    }

    /// A random key, from the operating system.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if it has no random bytes to give.
    pub fn generate() -> Result<Self> {
        Ok(EncryptionKey(Arc::new(Secret::new(random()?))))
    }

    /// The key in a file: 32 bytes, or 64 hexadecimal digits and, if need be, a line end.
    ///
    /// # Errors
    /// [`Key`](ErrorKind::Key) if the file holds anything else, or everybody can read it; [`NotFound`](ErrorKind::NotFound) and others
    /// if it cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = Secret::new(key_file::read(path, FILE_LEN_MAX)?);
        let key = parse(bytes.expose()).ok_or_else(|| {
            let message = format!(
                "the file holds no key: a key is {KEY_LEN} bytes, or {DIGITS} hexadecimal digits"
            );
            Error::new(ErrorKind::Key, message).at_path(path)
        })?;
        Ok(EncryptionKey(Arc::new(key)))
    }

    /// Writes the key to a file that is not there yet, as hexadecimal digits, readable by its owner only.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("events.key");
    /// use forelog::EncryptionKey;
    /// EncryptionKey::generate()?.write_new_file(&path)?;
    /// let key = EncryptionKey::from_file(&path)?;
    /// # let _ = key;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the file is there, or cannot be written.
    pub fn write_new_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let digit = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied();
        let mut text = Vec::with_capacity(DIGITS + 1);
        for byte in self.0.expose() {
            text.extend(digit(byte >> 4).into_iter().chain(digit(byte & 15)));
        }
        text.push(b'\n');
        key_file::write_new(path.as_ref(), Secret::new(text).expose())
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(..)")
    }
}

/// The key that a file's bytes are.
fn parse(bytes: &[u8]) -> Option<Secret> {
    if let Ok(raw) = bytes.try_into() {
        return Some(Secret::new(raw));
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.len() != DIGITS {
        return None;
    }
    let mut key = Secret::new([0; KEY_LEN]);
    for (byte, pair) in key.expose_mut().iter_mut().zip(text.chunks_exact(2)) {
        for &digit in pair {
            let value = char::from(digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(key)
}

/// Who opens a log, as far as keys go.
#[derive(Debug, Clone, Default)]
pub(crate) enum Access {
    /// Somebody without a key: a log that is encrypted is refused.
    #[default]
    Plain,
    /// Somebody with this key: events are encrypted from now on.
    Key(EncryptionKey),
    /// Somebody who reads no event and appends none, and needs no key.
    Moving,
}

impl Access {
    /// Whoever has this key, or none.
    pub(crate) fn with(key: Option<&EncryptionKey>) -> Access {
        key.cloned().map_or(Access::Plain, Access::Key)
    }

    /// Whether this build can do it.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid).
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Access::Key(_) if !cfg!(feature = "encryption") => Err(not_built()),
            _ => Ok(()),
        }
    }
}

/// What a build without the feature says that is given a key.
fn not_built() -> Error {
    let message = "this build of Forelog cannot encrypt: build it with the feature `encryption`, or leave \
                   the key out";
    Error::new(ErrorKind::Invalid, message)
}

//! Files that hold a secret: read whole, and written for their owner alone.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use super::plain::PlainFile;
use crate::error::{Error, ErrorKind, Result};

/// Who may not read a file with a secret, by its mode: everybody.
#[cfg(unix)]
const OTHERS: u32 = 0o004;

/// The bytes of a file, up to `len_max` of them. A link is followed and a pipe is read: secrets come as both.
///
/// # Errors
/// [`Key`](ErrorKind::Key) if everybody may read it; if it cannot be read.
pub(crate) fn read(path: &Path, len_max: usize) -> Result<Vec<u8>> {
    let failed = |cause| Error::io("read the key file", path, cause);
    // At once as much as there can be, so that no copy is left behind by a buffer that grows.
    let mut bytes = Vec::with_capacity(len_max);
    let file = File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = file.metadata().map_err(failed)?;
        if found.is_file() && found.mode() & OTHERS != 0 {
            let message = "everybody can read the key file: make it its owner's alone (chmod 600), and if it \
                           was not meant to be seen, use another key";
            return Err(Error::new(ErrorKind::Key, message).at_path(path));
        }
    }
    let limit = u64::try_from(len_max).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Writes a file that must not be there yet, readable by its owner only; durable on return.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |cause| Error::io("write the key file", path, cause);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    drop(file);
    PlainFile::open(path)?.sync()
}

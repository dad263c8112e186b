//! Plain files, and what else may stand in their place.

use std::fs::{self, File, FileType, Metadata};
use std::path::Path;

use super::sys;
use crate::error::{Error, ErrorKind, Result};

/// What stands in the place of a plain file, if something else does; a link is not followed.
pub(crate) fn irregular(path: &Path, found: &Metadata) -> Option<Error> {
    let kind = found.file_type();
    let what = if kind.is_file() {
        return None;
    } else if kind.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        format!("a symbolic link to {}", target.display())
    } else if kind.is_dir() {
        "a folder".to_owned()
    } else {
        special(kind).to_owned()
    };
    let message = format!(
        "{what} stands where a plain file must be; move it elsewhere and put the file back, or see with \
         forelog-recovery doctor what is lost without it"
    );
    Some(Error::new(ErrorKind::NotRegular, message).at_path(path))
}

fn special(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        } else if kind.is_socket() {
            return "a socket";
        }
    }
    let _ = kind;
    "a device"
}

/// Opens a file that must be a plain file.
pub(crate) fn open_regular(path: &Path, write: bool) -> Result<File> {
    let found = fs::symlink_metadata(path).map_err(|e| Error::io("open", path, e))?;
    if let Some(error) = irregular(path, &found) {
        return Err(error);
    }
    let file = sys::open_options().write(write).open(path);
    let file = file.map_err(|e| Error::io("open", path, e))?;
    let opened = file.metadata().map_err(|e| Error::io("open", path, e))?;
    irregular(path, &opened).map_or(Ok(file), Err)
}

//! The lines of what a half has printed, one at a time, however long the file is.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use forelog::{Error, ErrorKind, Result};

/// The longest line, which no half prints.
const LINE_MAX: usize = 1 << 12;
/// How much of a line is shown that is refused.
const SHOWN_MAX: usize = 80;

/// One line of a file.
pub(crate) struct Line<'a> {
    path: &'a Path,
    /// Counted from 1.
    number: u64,
    /// Without its end, and without spaces around it.
    pub(crate) text: &'a str,
    /// Whether its end is there.
    pub(crate) is_whole: bool,
}

impl Line<'_> {
    /// As an error: such a line no half prints.
    pub(crate) fn refused(&self, what: &str) -> Error {
        let shown: String = self.text.chars().take(SHOWN_MAX).collect();
        let message = format!("line {}, {shown:?}, {what}", self.number);
        Error::new(ErrorKind::Invalid, message).at_path(self.path)
    }
}

/// Takes in all lines of a file but empty ones.
///
/// # Errors
/// If the file cannot be read, or as `take`, which ends it.
pub(crate) fn each(path: &Path, mut take: impl FnMut(&Line<'_>) -> Result<()>) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut file = BufReader::new(file);
    let mut bytes = Vec::with_capacity(LINE_MAX);
    for number in 1.. {
        bytes.clear();
        let mut few = file.by_ref().take(LINE_MAX as u64);
        let read = few.read_until(b'\n', &mut bytes);
        if read.map_err(|e| Error::io("read", path, e))? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        let line = Line {
            path,
            number,
            text: text.trim(),
            is_whole: text.ends_with('\n'),
        };
        if !line.is_whole && bytes.len() == LINE_MAX {
            return Err(line.refused("is longer than anything that `torture` prints"));
        }
        if !line.text.is_empty() {
            take(&line)?;
        }
    }
    Ok(())
}

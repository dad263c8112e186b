//! The input: a file of events, one JSON object a line, plain or zstd-compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use forelog::{Event, HEADERS_LEN_MAX, SOURCE_LEN_MAX, TYPE_LEN_MAX};

use crate::Result;

/// The longest line that may hold an event. Numbers grow most as `MessagePack`, `-0,` to three times
/// its length, so that every such line stays below the 16 MiB that an event may have.
const LINE_LEN_MAX: usize = 5 << 20;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// One line of the input, without its end.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its number, from 1.
    pub(crate) number: u64,
    pub(crate) text: Vec<u8>,
}

impl Line {
    /// The event in this line, or why there is none.
    pub(crate) fn event(&self) -> Result<Event, String> {
        if self.text.len() > LINE_LEN_MAX {
            return Err(format!("is longer than {} MiB", LINE_LEN_MAX >> 20));
        }
        let text = str::from_utf8(&self.text).map_err(|error| error.to_string())?;
        let event = Event::from_json(text).map_err(|error| error.to_string())?;
        let headers = event
            .headers
            .iter()
            .map(|(name, value)| 4 + name.len() + value.len());
        for (what, len, len_max) in [
            ("event_type", event.event_type.len(), TYPE_LEN_MAX),
            ("source", event.source.len(), SOURCE_LEN_MAX),
            ("headers", headers.sum::<usize>() + 1, HEADERS_LEN_MAX + 1),
        ] {
            if len == 0 || len > len_max {
                return Err(format!("{what}: {len} bytes, where 1 to {len_max} may be"));
            }
        }
        Ok(event)
    }
}

/// The lines of a file that are not blank.
pub(crate) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    number: u64,
}

impl Lines {
    /// Opens a file; whether it is compressed shows in its first bytes, or in its name.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let cannot_open = |error| format!("cannot open {}: {error}", path.display());
        let mut plain = BufReader::with_capacity(64 << 10, File::open(path).map_err(cannot_open)?);
        if !plain.get_ref().metadata()?.is_file() {
            let path = path.display();
            return Err(format!("{path} is no plain file, and it has to be read twice").into());
        }
        let is_zstd = plain.fill_buf()?.starts_with(&ZSTD_MAGIC)
            || path.extension().is_some_and(|extension| extension == "zst");
        let reader: Box<dyn BufRead> = if is_zstd {
            Box::new(BufReader::new(zstd::Decoder::with_buffer(plain)?))
        } else {
            Box::new(plain)
        };
        Ok(Lines {
            path: path.to_owned(),
            reader,
            number: 0,
        })
    }

    /// Only the events; lines that hold none are passed over.
    pub(crate) fn events(self) -> impl Iterator<Item = Result<Event>> {
        self.filter_map(|line| line.map(|line| line.event().ok()).transpose())
    }

    /// Reads to the end of the line, but keeps little more than the longest event of it.
    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        let mut start = self.reader.by_ref().take(LINE_LEN_MAX as u64 + 1);
        if start.read_until(b'\n', &mut text)? == 0 {
            return Ok(None);
        }
        if text.last() == Some(&b'\n') {
            text.pop();
        } else if text.len() > LINE_LEN_MAX {
            self.reader.skip_until(b'\n')?;
        }
        Ok(Some(text))
    }
}

impl Iterator for Lines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Result<Line>> {
        loop {
            let text = match self.read_line() {
                Ok(text) => text?,
                Err(error) => {
                    let (path, number) = (self.path.display(), self.number);
                    let message = format!("cannot read {path} after line {number}: {error}");
                    return Some(Err(message.into()));
                }
            };
            self.number += 1;
            if !text.trim_ascii().is_empty() {
                return Some(Ok(Line {
                    number: self.number,
                    text,
                }));
            }
        }
    }
}

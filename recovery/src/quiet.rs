//! An output whose reader may close it without ending the command: `verify DIR | head -1` is to end with
//! the code of what it found, and `repair --apply | head -1` is to repair.

use std::io::{self, ErrorKind, Write};

/// Takes what is written once nobody reads any more, and drops it. Other errors stay errors.
pub(crate) struct Quiet<'a> {
    to: &'a mut dyn Write,
    is_closed: bool,
}

impl<'a> Quiet<'a> {
    pub(crate) fn new(to: &'a mut dyn Write) -> Quiet<'a> {
        Quiet {
            to,
            is_closed: false,
        }
    }

    /// What stands for a write once the reader has gone.
    fn or_closed<T>(&mut self, written: io::Result<T>, instead: T) -> io::Result<T> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(instead)
            }
            written => written,
        }
    }
}

impl Write for Quiet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let written = self.to.write(bytes);
        self.or_closed(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.or_closed(flushed, ())
    }
}

//! The one error type: [`Error`], with an [`ErrorKind`] that says what the caller can do.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::position::{SegmentId, Seq};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument or a setting is not valid: mend the call.
    Invalid,
    /// The event or batch is larger than the log takes: split it, or raise the limit.
    TooLarge,
    /// The queue is full: wait, or make the handlers faster. The event is not in the log.
    QueueFull,
    /// An event was emitted on the condition that its source stands at a Seq, and it stands at
    /// another: read what has come and decide again. The event is not in the log.
    Conflict,
    /// The system is closed or closing.
    Closed,
    /// Another process or handle has the directory open: the message names its process id.
    Locked,
    /// There is no such directory, file or name.
    NotFound,
    /// The directory holds something, but no Forelog log.
    ForeignDirectory,
    /// A segment belongs to another log, or stands under another segment's name.
    ForeignSegment,
    /// A segment is missing between others.
    MissingSegment,
    /// A file is shorter than it must be.
    Truncated,
    /// Bytes that were once durable fail their check. Run `forelog-recovery doctor`.
    Corrupt,
    /// The events are encrypted, and the key is missing, another one, or none: give the right one.
    /// Nothing was changed.
    Key,
    /// The files were written by a newer version of Forelog: upgrade.
    UnsupportedVersion,
    /// The path is a symbolic link, a pipe or a device, where a plain file or folder must be.
    NotRegular,
    /// The file system or the log is read-only.
    ReadOnly,
    /// The operating system denies access.
    PermissionDenied,
    /// The disk or a quota is full: free space and emit again. The event is not in the log.
    NoSpace,
    /// A sync failed: the event may or may not be in the log. Reopen, then emit again with the
    /// same event id.
    SyncFailed,
    /// An earlier sync failed, so nothing more is taken: reopen the system.
    Poisoned,
    /// Data is no valid `MessagePack` or JSON, or not of the type asked for.
    Decode,
    /// A user's function returned an error or panicked.
    Handler,
    /// The lookup index failed; it is derived and can be rebuilt.
    Index,
    /// The operating system reported another error.
    Io,
}

/// An error of Forelog: its kind, a message that says what to do next, and its place.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    segment: Option<SegmentId>,
    offset: Option<u64>,
    seq: Option<Seq>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind; the message says what happened and what to do next.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            segment: None,
            offset: None,
            seq: None,
            source: None,
        }))
    }

    /// An operating-system error while doing `what` to `path`; the kind follows from the error.
    pub fn io(what: &str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let kind = kind_of(&source);
        let hint = hint_for(kind);
        Error::new(kind, format!("cannot {what}: {source}{hint}"))
            .at_path(path)
            .caused_by(source)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file or folder concerned.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The segment concerned.
    pub fn segment(&self) -> Option<SegmentId> {
        self.0.segment
    }

    /// The byte offset within the file concerned.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The Seq concerned.
    pub fn seq(&self) -> Option<Seq> {
        self.0.seq
    }

    /// The message alone, without path, segment, offset and Seq.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether an event whose `emit` returned this error may be in the log all the same: emit it
    /// again with the same event id. All other errors of `emit` mean that it is not in the log.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self.0.kind, ErrorKind::SyncFailed)
    }

    /// Adds the file or folder concerned.
    #[must_use]
    pub fn at_path(mut self, path: impl AsRef<Path>) -> Self {
        self.0.path = Some(path.as_ref().to_path_buf());
        self
    }

    /// Adds the segment concerned.
    #[must_use]
    pub fn at_segment(mut self, segment: SegmentId) -> Self {
        self.0.segment = Some(segment);
        self
    }

    /// Adds the byte offset concerned.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// Adds the Seq concerned.
    #[must_use]
    pub fn at_seq(mut self, seq: Seq) -> Self {
        self.0.seq = Some(seq);
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A second error with the same kind, message and place, for another waiter (no source).
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Error(Box::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            path: self.0.path.clone(),
            segment: self.0.segment,
            offset: self.0.offset,
            seq: self.0.seq,
            source: None,
        }))
    }
}

/// The kind that an operating-system error amounts to.
fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::NoSpace
        }
        io::ErrorKind::UnexpectedEof => ErrorKind::Truncated,
        _ => ErrorKind::Io,
    }
}

/// Calls a function of the user's; a panic in it is the reason of a failure.
#[inline]
pub(crate) fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Result<T, String> {
    // What it works on may be left in any state by a panic; it is the user's to keep that sound.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        format!("the {what} panicked: {}", text.unwrap_or("no message"))
    })
}

fn hint_for(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NoSpace => "; free space on the disk and try again",
        ErrorKind::PermissionDenied => "; check the owner and the mode",
        ErrorKind::ReadOnly => "; mount it writable, or use the read-only tools",
        _ => "",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut open = " (";
        let mut place = |name: &str, value: Option<String>| -> fmt::Result {
            if let Some(value) = value {
                write!(f, "{open}{name} {value}")?;
                open = ", ";
            }
            Ok(())
        };
        place(
            "path",
            self.0.path.as_ref().map(|p| p.display().to_string()),
        )?;
        place("segment", self.0.segment.map(|s| s.to_string()))?;
        place("offset", self.0.offset.map(|o| o.to_string()))?;
        place("seq", self.0.seq.map(|s| s.to_string()))?;
        if open == ", " {
            f.write_str(")")
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

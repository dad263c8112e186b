//! A read-only look into a Forelog directory, or into one segment file: [`Inspector`].
//!
//! It writes no byte of the directory, needs no lock, and works where a system cannot be opened: on damaged
//! directories, on read-only file systems, and beside a live writer in this or another process. It
//! reads with `pread` through windows of bounded size, so that a bad disk is an error and not a
//! signal, and memory does not grow with the log. What a disk cannot read is told as damage, and what stands
//! behind it is read. Only [`verify`](Inspector::verify) writes elsewhere: it compares a copy of the index, in the
//! system's folder for temporary files, which goes again.
//!
//! ```
//! use forelog::Filter;
//! use forelog::inspect::{Inspector, Selector};
//!
//! # fn show(path: &std::path::Path) -> forelog::Result<()> {
//! let inspector = Inspector::open(path)?;
//! for record in inspector.records(Selector::all().filter(Filter::all().types(["order.*"])).limit(10))? {
//!     match record {
//!         Ok(record) => println!("{} {}", record.seq(), record.view()?.event_type()),
//!         Err(damage) => eprintln!("{damage}"),
//!     }
//! }
//! let report = inspector.verify(&mut |_| {})?;
//! println!("{}: {} events", report.verdict, report.log.count);
//! # Ok(()) }
//! ```

#![deny(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects
)]

mod selector;
mod damage;
mod report;
mod logged;
mod place;
mod walk;
mod table;
mod piece;
mod segment_check;
mod file;
mod piece_check;
mod end;
mod layout;
mod keyed;
mod identity;
mod index_check;
mod passes;
mod scrub;
mod records;
mod newest;
mod rescue;
mod slot;
mod slots;
mod current;
mod follow;
mod raw;
mod verify;
mod retention;
mod snapshots;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use damage::Damage;
pub use follow::Follow;
pub use logged::LoggedEvent;
pub use newest::Newest;
pub use passes::Progress;
pub use raw::{RawFrame, RawItem, RawItems, RawKind};
pub use records::Records;
pub use report::{
    FooterReport, HeaderReport, IndexReport, LogReport, REPORT_VERSION, SegmentReport,
    SegmentState, SubscriptionReport, Verdict, VerifyReport,
};
pub(crate) use scrub::{Sealed, scrub};
pub use selector::{Bound, Selector};
pub(crate) use slot::{Left, Slot};
pub(crate) use slots::Slots;
pub use snapshots::{SnapshotReport, SnapshotState};

use crate::error::Result;
use crate::keys::{Access, EncryptionKey};
use crate::log::RetentionReport;
use crate::log::limits::Retention;
use layout::Layout;
use place::Place;
use verify::Depth;

/// Looks into a Forelog directory or a segment file; see the [module](self).
#[derive(Debug, Clone)]
pub struct Inspector {
    place: Place,
}

impl Inspector {
    /// Opens a Forelog directory, the folder of one of its logs, or one segment file.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) and
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) as the system says;
    /// [`NotRegular`](crate::ErrorKind::NotRegular) for a symbolic link, a pipe or a device;
    /// [`ForeignDirectory`](crate::ErrorKind::ForeignDirectory) for a folder without a log.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let place = Place::open(path.as_ref())?;
        Ok(Inspector { place })
    }

    /// The same look, with the key that the events are encrypted with: to read them, and to have each held
    /// against its authentication tag when the log is verified.
    #[must_use]
    pub fn encryption_key(mut self, key: EncryptionKey) -> Self {
        self.place.access = Access::Key(key);
        self
    }

    /// Whether events are encrypted.
    ///
    /// # Errors
    /// As [`Inspector::segments`].
    pub fn is_encrypted(&self) -> Result<bool> {
        Ok(Layout::take(&self.place)?.is_sealed())
    }

    /// All segment files, by name.
    ///
    /// # Errors
    /// If the folder or a file cannot be read. What is wrong with a file's bytes is part of its
    /// report.
    pub fn segments(&self) -> Result<Vec<SegmentReport>> {
        Ok(Layout::take(&self.place)?.reports())
    }

    /// The events that the selector lets pass, in order; an error item for each damaged place.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a filter that makes no sense; [`Key`](crate::ErrorKind::Key)
    /// for events that are encrypted with another key than [was given](Inspector::encryption_key); or if the
    /// folder or a file's header cannot be read.
    pub fn records(&self, selector: Selector) -> Result<Records> {
        Records::new(self.place.clone(), selector)
    }

    /// As [`Inspector::records`], from the newest event to the oldest. Whoever wants few of them reads
    /// the last segments only.
    ///
    /// # Errors
    /// As [`Inspector::records`].
    pub fn newest(&self, selector: Selector) -> Result<Newest> {
        Newest::new(self.place.clone(), selector)
    }

    /// Every frame of every segment file, and the bytes that are none.
    ///
    /// # Errors
    /// If the folder or a file's header cannot be read.
    pub fn raw(&self) -> Result<RawItems> {
        RawItems::new(self.place.clone())
    }

    /// The events that the selector lets pass, and then those that a live writer adds.
    ///
    /// # Errors
    /// As [`Inspector::records`].
    pub fn follow(&self, selector: Selector) -> Result<Follow> {
        Follow::new(self.place.clone(), selector)
    }

    /// Checks everything: each checksum, the order of Seqs, chain hashes, footers and offset tables,
    /// both copies of each header, the links between segments; in the main log and the internal one.
    /// What is damage and what a torn tail is decided as opening a system decides it.
    ///
    /// `progress` is told from time to time how far it is; beside a live writer it may begin again. The index is
    /// compared by a copy in [`temp_dir`](std::env::temp_dir); where none can be made the report says so.
    ///
    /// # Errors
    /// If something cannot be read for want of permission. What is wrong with the bytes, or with the disk that
    /// cannot give them, is part of the report.
    pub fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<VerifyReport> {
        verify::verify(&self.place, Depth::All, progress)
    }

    /// As [`Inspector::verify`], without the index: several segments are checked at once.
    ///
    /// # Errors
    /// As [`Inspector::verify`].
    pub fn verify_log(&self, progress: &mut dyn FnMut(Progress)) -> Result<VerifyReport> {
        verify::verify(&self.place, Depth::Log, progress)
    }

    /// Checks what opening a system relies on: headers, footers, the links between segments, the frames
    /// of the last segments, the internal log. It takes as long for a large log as for a small one, and
    /// does not find a flipped bit in the frames of a sealed segment.
    ///
    /// # Errors
    /// As [`Inspector::verify`].
    pub fn verify_fast(&self) -> Result<VerifyReport> {
        verify::verify(&self.place, Depth::Ends, &mut |_| {})
    }

    /// What retention would do with the directory under these limits: for each segment, what it takes, how
    /// old it is, who still needs it, and why it stays or that it goes. All names that the directory knows
    /// count as needing what they have not seen.
    ///
    /// # Errors
    /// If something cannot be read.
    pub fn retention(&self, limits: Retention) -> Result<RetentionReport> {
        retention::explain(&self.place, limits)
    }

    /// The segments that the log has or must have had, with what is left of each.
    pub(crate) fn slots(&self, progress: &mut dyn FnMut(Progress)) -> Result<Slots> {
        Slots::take(&self.place, progress)
    }

    /// The snapshots of projections in the directory, also those that are damaged or were set aside, by
    /// name. None for the folder of a log or one segment file.
    ///
    /// # Errors
    /// If the folder or a file cannot be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotReport>> {
        snapshots::survey(&self.place)
    }

    /// Whether this is a whole directory, rather than the folder of a log or one segment file.
    pub fn is_directory(&self) -> bool {
        self.place.is_directory()
    }

    /// Who has the directory open for writing, such as `process 4711`; `None` if nobody has, or it
    /// is not known to which directory a file belongs.
    pub fn writer(&self) -> Option<String> {
        self.place.writer()
    }
}

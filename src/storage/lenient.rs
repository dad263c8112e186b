//! [`Lenient`]: a folder whose files are read although the disk cannot give all of their bytes.
//!
//! A read that fails is made again in pieces of 4 KiB, which is what a system reads at least. What cannot be
//! read then is filled with bytes that no frame, header or footer has, so that whoever needs them meets damage;
//! and it is remembered: a second look at the same folder meets the same, even if the disk should give the
//! bytes for once. Where nothing can be read any more the disk is taken to be [gone](Lenient::gone).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backing::Backing;
use super::detour::{Detour, Way};
use super::file::FileStorage;
use super::usage::Space;
use super::{Entry, Region, Storage};
use crate::error::{Error, ErrorKind, Result};

/// How much is read at once where a disk fails.
const PIECE: u64 = 4096;
/// No frame is as long, no magic begins like this, and room that was never written holds zeros.
const MADE_UP: u8 = 0xFF;
/// After so many pieces in a row (4 MiB) none of which can be read, no more are tried.
const GONE_AFTER: usize = 1024;

/// A range of a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    /// The file's name.
    pub(crate) name: String,
    pub(crate) range: Range<u64>,
    why: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.range.end.saturating_sub(self.range.start);
        write!(
            f,
            "{len} bytes cannot be read: {}; before a repair try to copy the file with ddrescue, which may still \
             get at them",
            self.why
        )
    }
}

/// A folder to read; see the module.
#[derive(Debug, Clone)]
pub(crate) struct Lenient {
    folder: Arc<FileStorage>,
    met: Arc<Met>,
}

impl Lenient {
    /// Over a folder of which nothing is known yet.
    pub(crate) fn over(folder: Arc<FileStorage>) -> Lenient {
        Lenient {
            folder,
            met: Arc::default(),
        }
    }

    /// What could not be read so far, by file and place.
    pub(crate) fn unread(&self) -> Vec<Unread> {
        self.met.all()
    }

    /// The error that stands for all others, once the disk is taken to be gone.
    pub(crate) fn gone(&self) -> Option<Error> {
        let is_failing = self.met.failed_in_a_row.load(Ordering::Relaxed) >= GONE_AFTER;
        let is_gone = is_failing || !self.met.has_read.load(Ordering::Relaxed);
        let last = self.met.all().pop().filter(|_| is_gone)?;
        let message = format!(
            "cannot read: {}; nothing else could be read either, so the disk is taken to be gone: look after it, \
             or copy the files with ddrescue to another one, and try again there",
            last.why
        );
        let error = Error::new(ErrorKind::Io, message).at_path(self.folder.path(&last.name));
        Some(error.at_offset(last.range.start))
    }

    fn soften(&self, name: &str, region: Region) -> Region {
        let way = Patient {
            name: name.to_owned(),
            met: Arc::clone(&self.met),
        };
        region.behind(|backing| Box::new(Detour::new(backing, way)))
    }
}

/// What a folder's reads have met.
#[derive(Debug, Default)]
pub(super) struct Met {
    files: Mutex<BTreeMap<String, Ranges>>,
    failed_in_a_row: AtomicUsize,
    /// Whether anything could be read.
    has_read: AtomicBool,
}

/// The ranges of a file that cannot be read, by their starts, and the last reason.
#[derive(Debug, Default)]
struct Ranges {
    ends: BTreeMap<u64, u64>,
    why: String,
}

impl Met {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Ranges>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that could not be read.
    pub(super) fn all(&self) -> Vec<Unread> {
        let files = self.files();
        let of_file = |(name, held): (&String, &Ranges)| {
            let unread = |(&start, &end): (&u64, &u64)| Unread {
                name: name.clone(),
                range: start..end,
                why: held.why.clone(),
            };
            held.ends.iter().map(unread).collect::<Vec<_>>()
        };
        files.iter().flat_map(of_file).collect()
    }

    /// Fills `out` with what `read` gives of a file from an offset on.
    pub(super) fn read(
        &self,
        name: &str,
        read: &dyn Fn(u64, &mut [u8]) -> io::Result<()>,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        match read(offset, out) {
            Ok(()) => {
                self.note_read();
                self.cover(name, offset, out);
                Ok(())
            }
            Err(error) if is_of_disk(&error) => self.read_pieces(name, read, offset, out),
            Err(error) => Err(error),
        }
    }

    fn read_pieces(
        &self,
        name: &str,
        read: &dyn Fn(u64, &mut [u8]) -> io::Result<()>,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let (mut at, mut rest) = (offset, out);
        while !rest.is_empty() {
            let len = usize::try_from(PIECE - at % PIECE).unwrap_or(usize::MAX);
            let (piece, behind) = rest.split_at_mut(len.min(rest.len()));
            let end = at.saturating_add(piece.len() as u64);
            if self.is_unread(name, &(at..end)) {
                piece.fill(MADE_UP);
            } else if let Err(error) = read(at, piece) {
                if !is_of_disk(&error) {
                    return Err(error);
                }
                self.note(name, at..end, &error);
                if self.failed_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= GONE_AFTER {
                    return Err(error);
                }
                piece.fill(MADE_UP);
            } else {
                self.note_read();
            }
            (at, rest) = (end, behind);
        }
        Ok(())
    }

    fn note_read(&self) {
        self.has_read.store(true, Ordering::Relaxed);
        self.failed_in_a_row.store(0, Ordering::Relaxed);
    }

    /// Takes back what the disk has given this time only.
    fn cover(&self, name: &str, offset: u64, out: &mut [u8]) {
        let files = self.files();
        let Some(held) = files.get(name) else {
            return;
        };
        let within = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
        let end = offset.saturating_add(out.len() as u64);
        for (&start, &upto) in held.ends.range(..end) {
            let range = within(start)..within(upto).min(out.len());
            if let Some(covered) = out.get_mut(range) {
                covered.fill(MADE_UP);
            }
        }
    }

    /// Whether some of a range could not be read.
    fn is_unread(&self, name: &str, range: &Range<u64>) -> bool {
        let files = self.files();
        let last = files.get(name).and_then(|held| {
            let before = held.ends.range(..range.end);
            before.last().map(|(_, &end)| end)
        });
        last.is_some_and(|end| end > range.start)
    }

    fn note(&self, name: &str, range: Range<u64>, error: &io::Error) {
        let mut files = self.files();
        let held = files.entry(name.to_owned()).or_default();
        held.why = error.to_string();
        let before = held.ends.range_mut(..=range.start).next_back();
        let start = match before {
            Some((&start, end)) if *end >= range.start => {
                *end = range.end.max(*end);
                start
            }
            _ => {
                held.ends.insert(range.start, range.end);
                range.start
            }
        };
        if let Some(end) = held.ends.remove(&range.end) {
            held.ends.insert(start, end);
        }
    }
}

/// Whether an error says that the disk cannot give the bytes, rather than that there are none or that nobody
/// may read them.
pub(super) fn is_of_disk(error: &io::Error) -> bool {
    let kind = Error::io("read", "", io::Error::from(error.kind())).kind();
    let is_of_system = matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory
    );
    kind == ErrorKind::Io && !is_of_system
}

/// Reads of one file.
#[derive(Debug)]
struct Patient {
    name: String,
    met: Arc<Met>,
}

impl Way for Patient {
    fn read_at(&self, backing: &dyn Backing, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let read = |at: u64, out: &mut [u8]| {
            let at = usize::try_from(at).map_err(|_| io::ErrorKind::UnexpectedEof)?;
            backing.read_at(at, out)
        };
        self.met.read(&self.name, &read, offset as u64, out)
    }

    fn is_unread(&self, range: &Range<usize>) -> bool {
        let range = range.start as u64..range.end as u64;
        self.met.is_unread(&self.name, &range)
    }
}

impl Storage for Lenient {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn boot_id(&self) -> u128 {
        self.folder.boot_id()
    }

    fn list(&self) -> Result<Vec<Entry>> {
        self.folder.list()
    }

    fn find(&self, name: &str) -> Result<Option<Entry>> {
        self.folder.find(name)
    }

    fn create(&self, name: &str, len: usize) -> Result<Region> {
        self.folder.create(name, len)
    }

    fn open(&self, name: &str) -> Result<Region> {
        self.folder.open(name)
    }

    fn open_read_only(&self, name: &str) -> Result<Region> {
        Ok(self.soften(name, self.folder.open_read_only(name)?))
    }

    fn open_unbuffered(&self, name: &str) -> Result<Region> {
        Ok(self.soften(name, self.folder.open_unbuffered(name)?))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.folder.read(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.folder.write(name, bytes)
    }

    fn touch(&self, name: &str) -> Result<()> {
        self.folder.touch(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.folder.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.folder.remove(name)
    }

    fn sync_dir(&self) -> Result<()> {
        self.folder.sync_dir()
    }

    fn folder(&self, name: &str) -> Result<Arc<dyn Storage>> {
        self.folder.folder(name)
    }

    fn space(&self) -> Option<Space> {
        self.folder.space()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A file of ones whose disk fails in this range.
    fn failing(bad: Range<u64>) -> impl Fn(u64, &mut [u8]) -> io::Result<()> {
        move |at, out: &mut [u8]| {
            if at < bad.end && bad.start < at + out.len() as u64 {
                return Err(io::Error::from_raw_os_error(5));
            }
            out.fill(1);
            Ok(())
        }
    }

    #[test]
    fn only_the_pieces_that_fail_are_made_up_and_they_stay_so() {
        let met = Met::default();
        let mut out = vec![0; 32 << 10];
        met.read("a", &failing(9000..13_000), 100, &mut out)
            .unwrap();
        let made_up = |at: usize| (8192..16_384).contains(&(at + 100));
        for (at, &byte) in out.iter().enumerate() {
            assert_eq!(byte == MADE_UP, made_up(at), "{at}");
        }
        let all = met.all();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].range, 8192..16_384);
        assert!(all[0].to_string().contains("8192 bytes cannot be read: "));
        // The disk is well again, for the moment.
        let mut again = vec![0; 32 << 10];
        met.read("a", &failing(0..0), 100, &mut again).unwrap();
        assert_eq!(again, out);
        assert!(met.is_unread("a", &(16_000..17_000)));
        assert!(!met.is_unread("a", &(16_384..17_000)));
        assert!(!met.is_unread("a", &(0..8192)));
        assert!(!met.is_unread("b", &(8192..16_384)));
    }

    #[test]
    fn where_nothing_can_be_read_it_ends() {
        let met = Met::default();
        let tried = Cell::new(0);
        let read = |_: u64, _: &mut [u8]| {
            tried.set(tried.get() + 1);
            Err(io::Error::from_raw_os_error(5))
        };
        let mut out = vec![0; 64 << 20];
        met.read("a", &read, 0, &mut out).unwrap_err();
        assert!(tried.get() < 2 * GONE_AFTER);
        met.read("b", &read, 0, &mut out).unwrap_err();
        assert!(tried.get() < 2 * GONE_AFTER, "no more pieces are tried");
    }

    #[test]
    fn other_errors_are_errors() {
        for kind in [
            io::ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::OutOfMemory,
        ] {
            let met = Met::default();
            let read = |_: u64, _: &mut [u8]| Err(io::Error::from(kind));
            let error = met.read("a", &read, 0, &mut [0; 8]).unwrap_err();
            assert_eq!((error.kind(), met.all()), (kind, vec![]));
        }
    }
}

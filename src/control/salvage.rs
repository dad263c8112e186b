//! Salvage: what a damaged control log still says, and how a new one begins from it.
//!
//! **Nothing is skipped.** Every frame that passes its check was written by us, so whatever cursor it
//! holds was acknowledged. Three things could make such a cursor skip an event all the same:
//! - A *parked* event whose copy is among the unreadable bytes. Each cursor says how many parkings it
//!   knows of; one that knows of more than were found is not taken, nor any after it.
//! - A *name* that is among the unreadable bytes: its subscription would pass for a new one, and
//!   might start at the end. Where there are unreadable bytes behind the last whole checkpoint, the
//!   state is marked incomplete, and unknown names start at the beginning.
//! - The *deletion* of a name that was made again: the cursor of its earlier life would stand for that of
//!   the new one. Each record of a later life says so, and what was found before it no longer counts.
//!
//! A seek, or a whole new life, of which not one record can be read has left no trace: the subscription then
//! stands where it stood before.
//!
//! The ledger of what retention removed proves nothing then, and begins anew ([`removed`](super::removed)).
//!
//! **Crashes inside it.** The state is first written, whole and durable, to the file `salvaged`.
//! From then on every opening sets all other files aside and begins again from that file, until the
//! new log has it durable in its first checkpoint; only then is the file removed. So any number of
//! crashes ends in the same state. No file is deleted.

use super::record::{Assembler, decode_state, encode_state};
use super::state::{Entry, State};
use crate::error::{Error, ErrorKind, Result};
use crate::format::checked::Checked;
use crate::format::footer::TRAILER_LEN;
use crate::format::frame::{FrameHeader, Invalid, Kind};
use crate::format::names;
use crate::format::record::EventRef;
use crate::format::segment::{BLOCK_LEN, HeaderState, SegmentHeader, frames_max};
use crate::format::snapshot::Snapshot;
use crate::log::scan::{Found, Scanner};
use crate::log::survey::read_footer;
use crate::position::Seq;
use crate::storage::{Region, Storage};

/// Whether an error of opening the control log means that its files are damaged.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Corrupt | ErrorKind::MissingSegment | ErrorKind::Truncated
    )
}

/// Reads what is readable, and makes it durable in the file `salvaged`.
///
/// # Errors
/// Only where files cannot be read or written at all, or are of a newer version.
pub(super) fn salvage(storage: &dyn Storage) -> Result<State> {
    let state = readable(storage)?;
    note(storage, &state)?;
    Ok(state)
}

/// Makes a state durable in the file `salvaged`: a new control log begins from it.
pub(super) fn note(storage: &dyn Storage, state: &State) -> Result<()> {
    let note = Snapshot {
        is_sealed: false,
        log_id: 0,
        position: state.witness,
        version: 1,
        state: &encode_state(state)?,
    };
    storage.replace(names::SALVAGED, &note.encode())
}

/// What is readable; nothing is changed.
pub(super) fn readable(storage: &dyn Storage) -> Result<State> {
    let mut finds = Finds::default();
    let mut names: Vec<_> = storage
        .list()?
        .into_iter()
        .filter_map(|entry| Some((names::parse_segment(&entry.name)?, entry)))
        .collect();
    names.sort_by_key(|(id, _)| *id);
    for (_, entry) in names {
        if entry.len >= (BLOCK_LEN + TRAILER_LEN) as u64 {
            finds.read(&storage.open_read_only(&entry.name)?)?;
        } else {
            finds.hole = true;
        }
    }
    let mut state = finds.state;
    state.incomplete |= finds.hole;
    if finds.hole {
        // What was removed since may be among what is lost: it would be taken for lost itself.
        state.removed = None;
    }
    Ok(state)
}

/// The state of a salvage that a crash has cut off.
pub(super) fn unfinished(storage: &dyn Storage) -> Result<Option<State>> {
    let Some(bytes) = storage.read(names::SALVAGED)? else {
        return Ok(None);
    };
    // The file was made by a rename, so it is whole unless it was damaged since; the files that it
    // was read from are then still there, or set aside and of no more help.
    match Snapshot::decode(&bytes) {
        Some(note) => decode_state(note.state).map(Some),
        None => Ok(None),
    }
}

/// Gives all files of the damaged log other names, and makes that durable; says how many.
pub(super) fn set_aside(storage: &dyn Storage) -> Result<u64> {
    let entries = storage.list()?;
    let taken = |name: &str| entries.iter().any(|entry| entry.name == name);
    let damaged = entries
        .iter()
        .filter(|entry| entry.name != names::SALVAGED && !names::is_damaged(&entry.name));
    let mut count = 0;
    for entry in damaged {
        let mut free = (1..u32::MAX).map(|nth| names::damaged_again(&entry.name, nth));
        if let Some(aside) = free.find(|name| !taken(name)) {
            storage.rename(&entry.name, &aside)?;
            count += 1;
        }
    }
    storage.sync_dir()?;
    Ok(count)
}

/// Ends a salvage: the new log has the state.
pub(super) fn finish(storage: &dyn Storage) -> Result<()> {
    storage.remove(names::SALVAGED)?;
    storage.sync_dir()
}

/// What was found so far, segment by segment.
#[derive(Debug, Default)]
struct Finds {
    state: State,
    assembler: Assembler,
    last: Seq,
    log_id: Option<u128>,
    /// Whether records may be missing behind the last whole checkpoint, or the start of the log.
    hole: bool,
}

impl Finds {
    fn read(&mut self, region: &Region) -> Result<()> {
        let Some(header) = self.header(region)? else {
            return Ok(());
        };
        let footer = match read_footer(region, &header) {
            Ok(footer) => footer,
            Err(error) if is_damage(&error) => None,
            Err(error) => return Err(error),
        };
        let sealed_at = footer.and_then(|footer| usize::try_from(footer.frames_end).ok());
        let end = sealed_at.unwrap_or(region.len().saturating_sub(TRAILER_LEN));
        if header.base_seq > self.last.next() && header.prev_last_seq == self.last {
            self.last = header.base_seq.prev();
        }
        self.walk(&mut Scanner::new(region, header.salt, end), &header)
    }

    /// The header of a segment of this log; `None` if there is none to be read.
    fn header(&mut self, region: &Region) -> Result<Option<SegmentHeader>> {
        let mut block = vec![0; BLOCK_LEN];
        region.read_at(0, &mut block)?;
        match SegmentHeader::decode(&block) {
            HeaderState::Valid { header, .. } => {
                let ours = *self.log_id.get_or_insert(header.log_id) == header.log_id;
                self.hole |= !ours;
                Ok(Some(header).filter(|_| ours))
            }
            HeaderState::Prepared => Ok(None),
            HeaderState::Invalid => {
                self.hole = true;
                Ok(None)
            }
            HeaderState::Unsupported => {
                let message = "a segment of the control log was written by a newer version of \
                               Forelog; upgrade";
                Err(Error::new(ErrorKind::UnsupportedVersion, message).at_path(region.path()))
            }
        }
    }

    fn walk(&mut self, scanner: &mut Scanner<&Region>, header: &SegmentHeader) -> Result<()> {
        let base = header.base_seq;
        let seq_max = base.plus(frames_max(
            usize::try_from(header.segment_len).unwrap_or(usize::MAX),
        ));
        let plausible = |frame: &FrameHeader| frame.seq >= base.prev() && frame.seq <= seq_max;
        loop {
            match scanner.next()? {
                Found::Frame { frame, .. } if frame.header.kind == Kind::Event => {
                    match Checked::of_plain(frame.bytes).and_then(EventRef::new) {
                        Some(event) => self.take(&event)?,
                        None => self.hole = true,
                    }
                }
                Found::Frame { .. } => {}
                Found::Invalid { why, .. } => {
                    self.hole |= why != Invalid::Empty;
                    if !scanner.resync(&plausible)? {
                        return Ok(());
                    }
                }
                Found::End => return Ok(()),
            }
        }
    }

    fn take(&mut self, event: &EventRef<'_>) -> Result<()> {
        let seq = event.seq();
        if seq <= self.last {
            // An earlier generation of the segment had it already.
            return Ok(());
        }
        self.hole |= seq > self.last.next();
        self.last = seq;
        let taken = self
            .assembler
            .take(seq, event.event_type(), event.data_bytes());
        match taken {
            Ok(Some((_, entry))) => {
                if matches!(entry, Entry::Checkpoint(_)) {
                    self.hole = false;
                }
                self.state.apply(&entry);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Decode => {
                self.hole = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

//! How an [`Entry`] lies in the control log.
//!
//! An entry is an event whose type names it and whose data is a `MessagePack` map. An entry that is
//! too long for one frame lies in several `forelog.chunk` records, and a `forelog.whole` record
//! behind them says what they are together; without it they are nothing.
//!
//! **Versions.** Fields are found by their names. A field that came later has a default, so that older
//! records are read; a record type that is not known was written by a newer version, and is refused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bytes::{Bytes, to_bytes};
use super::parked::ParkedFields;
use super::standing::StandingRecord;
use super::state::{CursorEntry, Entry, State};
use crate::error::{Error, ErrorKind, Result};
use crate::event;
use crate::log::Removed;
use crate::position::Seq;

/// The longest data of one record; what is longer is split.
const CHUNK_LEN: usize = 256 << 10;

const CURSOR: &str = "forelog.cursor";
const ATTEMPT: &str = "forelog.attempt";
const PARKED: &str = "forelog.parked";
const UNPARKED: &str = "forelog.unparked";
const PAUSED: &str = "forelog.paused";
const DELETED: &str = "forelog.deleted";
const CHECKPOINT: &str = "forelog.checkpoint";
const CLOSED: &str = "forelog.closed";
const REMOVED: &str = "forelog.removed";
const CHUNK: &str = "forelog.chunk";
const WHOLE: &str = "forelog.whole";

#[derive(Serialize, Deserialize)]
struct ParkedRecord {
    place: CursorEntry,
    parked: ParkedFields,
}

#[derive(Serialize, Deserialize)]
struct CheckpointRecord {
    witness: Seq,
    incomplete: bool,
    subscriptions: Vec<StandingRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed: Option<Removed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_id: Option<u128>,
}

#[derive(Serialize, Deserialize)]
struct ChunkRecord {
    index: u32,
    bytes: Bytes,
}

#[derive(Serialize, Deserialize)]
struct WholeRecord {
    event_type: String,
    chunks: u32,
    len: u64,
}

/// An entry as it goes into the log: type and data of each of its records, in order.
pub(super) type Records = Vec<(&'static str, Vec<u8>)>;

impl Entry {
    /// The records of this entry.
    pub(super) fn encode(&self) -> Result<Records> {
        let (event_type, data) = match self {
            Entry::Cursor(entry) => (CURSOR, to_bytes(entry)?),
            Entry::Attempt(entry) => (ATTEMPT, to_bytes(entry)?),
            Entry::Parked(place, parked) => {
                let record = ParkedRecord {
                    place: place.clone(),
                    parked: ParkedFields::of(parked),
                };
                (PARKED, to_bytes(&record)?)
            }
            Entry::Unparked(entry) => (UNPARKED, to_bytes(entry)?),
            Entry::Paused(entry) => (PAUSED, to_bytes(entry)?),
            Entry::Deleted(entry) => (DELETED, to_bytes(entry)?),
            Entry::Checkpoint(state) => (CHECKPOINT, encode_state(state)?),
            Entry::Closed(entry) => (CLOSED, to_bytes(entry)?),
            Entry::Removed(entry) => (REMOVED, to_bytes(entry)?),
        };
        if data.len() <= CHUNK_LEN {
            return Ok(vec![(event_type, data)]);
        }
        split(event_type, &data)
    }

    fn decode(event_type: &str, data: &[u8]) -> Result<Entry> {
        Ok(match event_type {
            CURSOR => Entry::Cursor(event::decode(data)?),
            ATTEMPT => Entry::Attempt(event::decode(data)?),
            PARKED => {
                let record: ParkedRecord = event::decode(data)?;
                Entry::Parked(record.place, Arc::new(record.parked.into_parked()?))
            }
            UNPARKED => Entry::Unparked(event::decode(data)?),
            PAUSED => Entry::Paused(event::decode(data)?),
            DELETED => Entry::Deleted(event::decode(data)?),
            CHECKPOINT => Entry::Checkpoint(decode_state(data)?),
            CLOSED => Entry::Closed(event::decode(data)?),
            REMOVED => Entry::Removed(event::decode(data)?),
            other => {
                let message = format!(
                    "the control log has a record of type {other:?}, which this version of Forelog \
                     does not know; upgrade"
                );
                return Err(Error::new(ErrorKind::UnsupportedVersion, message));
            }
        })
    }
}

/// All of a state in one piece.
pub(super) fn encode_state(state: &State) -> Result<Vec<u8>> {
    to_bytes(&CheckpointRecord {
        witness: state.witness,
        incomplete: state.incomplete,
        subscriptions: state.subscriptions.iter().map(StandingRecord::of).collect(),
        removed: state.removed.clone(),
        log_id: state.log_id,
    })
}

/// What [`encode_state`] has made.
pub(super) fn decode_state(bytes: &[u8]) -> Result<State> {
    let record: CheckpointRecord = event::decode(bytes)?;
    let mut state = State {
        witness: record.witness,
        incomplete: record.incomplete,
        removed: record.removed,
        log_id: record.log_id,
        ..State::default()
    };
    for one in record.subscriptions {
        let (name, standing) = one.into_standing()?;
        state.subscriptions.insert(name, standing);
    }
    Ok(state)
}

fn split(event_type: &str, data: &[u8]) -> Result<Records> {
    let mut records = Vec::new();
    let mut chunks = 0;
    for bytes in data.chunks(CHUNK_LEN) {
        let chunk = ChunkRecord {
            index: chunks,
            bytes: Bytes(bytes.to_vec()),
        };
        records.push((CHUNK, to_bytes(&chunk)?));
        chunks = chunks.saturating_add(1);
    }
    let whole = WholeRecord {
        event_type: event_type.to_owned(),
        chunks,
        len: data.len() as u64,
    };
    records.push((WHOLE, to_bytes(&whole)?));
    Ok(records)
}

/// A frame that passes its check and holds no record is damage as well.
pub(super) fn no_record(error: Error, seq: Seq) -> Error {
    if error.kind() != ErrorKind::Decode {
        return error;
    }
    let message = format!("a record of the control log makes no sense: {error}");
    Error::new(ErrorKind::Corrupt, message).at_seq(seq)
}

/// Puts entries together from records, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    chunks: u32,
    bytes: Vec<u8>,
    /// Where the chunks begin.
    first: Seq,
}

impl Assembler {
    /// Takes the next record; returns the entry that it completes, and the Seq where that begins.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the record makes no sense,
    /// [`UnsupportedVersion`](ErrorKind::UnsupportedVersion) if its type is not known.
    pub(super) fn take(
        &mut self,
        seq: Seq,
        event_type: &str,
        data: &[u8],
    ) -> Result<Option<(Seq, Entry)>> {
        match event_type {
            CHUNK => {
                self.push(seq, &event::decode(data)?);
                Ok(None)
            }
            WHOLE => {
                let whole: WholeRecord = event::decode(data)?;
                let (chunks, bytes) = (self.chunks, std::mem::take(&mut self.bytes));
                self.chunks = 0;
                if (chunks, bytes.len() as u64) != (whole.chunks, whole.len) {
                    let message = "parts of a record of the control log are missing";
                    return Err(Error::new(ErrorKind::Decode, message).at_seq(seq));
                }
                Entry::decode(&whole.event_type, &bytes).map(|entry| Some((self.first, entry)))
            }
            _ => {
                // Chunks that nothing completes were cut off by a crash.
                self.chunks = 0;
                self.bytes.clear();
                Entry::decode(event_type, data).map(|entry| Some((seq, entry)))
            }
        }
    }

    fn push(&mut self, seq: Seq, chunk: &ChunkRecord) {
        if chunk.index == 0 {
            self.chunks = 0;
            self.first = seq;
            self.bytes.clear();
        }
        if chunk.index == self.chunks {
            self.chunks = self.chunks.saturating_add(1);
            self.bytes.extend_from_slice(&chunk.bytes.0);
        } else {
            self.chunks = u32::MAX;
        }
    }
}

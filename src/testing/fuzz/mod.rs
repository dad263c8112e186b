//! What fuzzers call: each decoder of the disk's bytes, fed with any bytes at all. None of them may panic,
//! hang, or take more memory than its bytes justify; what they decode is of no interest.
//!
//! Random bytes end at a checksum. So that what lies behind is reached, [`mend`] makes the checksums of a
//! file right again that was changed, as only a hostile hand would.

mod mend;

use std::sync::Arc;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::control::Reading;
use crate::error::Result;
use crate::event::{Data, Event, EventId, decode};
use crate::format::checked;
use crate::format::footer::Footer;
use crate::format::frame::{self, Kind, Place, Stamp};
use crate::format::names;
use crate::format::record::{EventRef, Record};
use crate::format::scheduled;
use crate::format::segment::{BLOCK_LEN, HeaderState, SegmentHeader};
use crate::format::snapshot::Snapshot;
use crate::log::contents::Contents;
use crate::log::scan::{Found, Scanner};
use crate::log::survey::{Look, look};
use crate::position::Seq;
use crate::storage::sim::SimDisk;
use crate::storage::{Entry, Storage};
use mend::{mend_frame, mend_snapshot};

pub use mend::mend;

/// Where the frames of [`frame`] stand.
const PLACE: Place = Place {
    salt: 0x1234_5678_9abc_def0,
    offset: BLOCK_LEN,
};

/// Decodes bytes as a frame: as they are, and with their checksum made right.
pub fn frame(bytes: &[u8]) {
    read_frame(bytes);
    let mut forged = bytes.to_vec();
    if mend_frame(&mut forged, PLACE).is_some() {
        read_frame(&forged);
    }
}

fn read_frame(bytes: &[u8]) {
    let _ = frame::peek(bytes);
    let _ = frame::salt_told(bytes, PLACE.offset);
    let _ = frame::decode(bytes, PLACE);
    let _ = scheduled::decode(bytes, true, |_, _| false);
    if let Some(event) = checked::check(bytes, PLACE).and_then(EventRef::new) {
        read_event(&event);
    }
}

fn read_event(event: &EventRef<'_>) {
    let _ = event.headers().count();
    let _ = event.to_json_value();
    let _ = event.to_event().map(|event| event.to_json());
    let _ = event.data::<Vec<u64>>();
}

/// Decodes bytes as the `MessagePack` of an event, a record of any kind.
pub fn record(bytes: &[u8]) {
    let _ = Data::from_msgpack(bytes).map(|data| data.to_json_value());
    let _ = decode::<Value>(bytes);
    let _ = decode::<(String, Vec<u8>, f64)>(bytes);
    let _ = std::str::from_utf8(bytes).map(Event::from_json);
}

/// Decodes bytes as records of the internal log that keeps cursors: a byte that names the type, two for the
/// length, and so on.
pub fn cursor(bytes: &[u8]) {
    const TYPES: [&str; 12] = [
        "forelog.cursor",
        "forelog.attempt",
        "forelog.parked",
        "forelog.unparked",
        "forelog.paused",
        "forelog.deleted",
        "forelog.checkpoint",
        "forelog.closed",
        "forelog.removed",
        "forelog.chunk",
        "forelog.whole",
        "forelog.unheard",
    ];
    let mut reading = Reading::default();
    let mut rest = bytes;
    let mut seq = Seq::FIRST;
    while let [kind, low, high, behind @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(behind.len());
        let (data, next) = behind.split_at(len);
        let event_type = TYPES[usize::from(*kind) % TYPES.len()];
        let _ = take_record(&mut reading, event_type, data, seq);
        (rest, seq) = (next, seq.next());
    }
    let _ = (
        reading.witness(),
        reading.removed(),
        reading.cursors().count(),
    );
}

fn take_record(reading: &mut Reading, event_type: &str, data: &[u8], seq: Seq) -> Result<()> {
    let record = Record::new(event_type, "forelog", Timestamp(0), data)?;
    let mut bytes = vec![0; frame::padded(record.frame_len())];
    let stamp = Stamp {
        kind: Kind::Event,
        flags: 0,
        seq,
        event_id: EventId(1),
        appended_at: Timestamp(0),
        durable_upto: seq,
        batch_place: 0,
        batch_count: 1,
    };
    frame::encode(&mut bytes, &record, stamp, PLACE);
    let event = checked::check(&bytes, PLACE).and_then(EventRef::new);
    event.map_or(Ok(()), |event| reading.take(&event))
}

/// Decodes bytes as the file of a snapshot: as they are, and with their checksum made right.
pub fn snapshot(bytes: &[u8]) {
    let mut forged = bytes.to_vec();
    mend_snapshot(&mut forged);
    for bytes in [bytes, &forged] {
        if let Some(snapshot) = Snapshot::decode(bytes) {
            let _ = decode::<Value>(snapshot.state);
        }
    }
}

/// Reads bytes as the file of a segment: as they are, and with their checksums made right.
pub fn segment(bytes: &[u8]) {
    let _ = read_segment(bytes);
    let mut forged = bytes.to_vec();
    mend(&mut forged);
    let _ = read_segment(&forged);
}

fn read_segment(bytes: &[u8]) -> Result<()> {
    let HeaderState::Valid { header, .. } = SegmentHeader::decode(bytes) else {
        return Ok(());
    };
    let name = names::segment(header.segment_id, header.generation);
    let disk = SimDisk::new();
    disk.write_file(&name, bytes)?;
    let storage = disk.storage();
    let entry = Entry {
        name: name.clone(),
        len: bytes.len() as u64,
    };
    let look = look(
        storage.as_ref(),
        &entry,
        header.segment_id,
        header.generation,
    )?;
    let Look::Segment(at) = look else {
        return Ok(());
    };
    scan(storage.as_ref(), &at.name, at.footer.as_ref(), &header)
}

/// Goes through all frames, and searches behind what is none.
fn scan(
    storage: &dyn Storage,
    name: &str,
    footer: Option<&Footer>,
    header: &SegmentHeader,
) -> Result<()> {
    let region = Arc::new(storage.open_read_only(name)?);
    let limit = footer.and_then(|footer| usize::try_from(footer.frames_end).ok());
    let mut scanner = Scanner::new(
        Contents::of(region.clone(), footer)?,
        header.salt,
        limit.unwrap_or(region.len()),
    );
    loop {
        match scanner.next()? {
            Found::End => return Ok(()),
            Found::Frame { bytes, offset, .. } => {
                let place = Place {
                    salt: header.salt,
                    offset,
                };
                if let Some(event) = checked::check(bytes, place).and_then(EventRef::new) {
                    read_event(&event);
                }
            }
            Found::Invalid { .. } => {
                if !scanner.resync(&|_| true)? {
                    return Ok(());
                }
            }
        }
    }
}

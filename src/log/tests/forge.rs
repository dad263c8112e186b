//! Forged segments: plain events in the place of encrypted ones, made by somebody who knows the format, and not
//! the key. Every checksum of theirs is right.

use super::encryption::is_segment;
use crate::clock::Timestamp;
use crate::format::frame::{self, FLAG_SEALED, Kind, Place, Stamp};
use crate::format::key_slot::KeySlots;
use crate::format::record::Record;
use crate::format::sealed::EXTRA_LEN;
use crate::format::segment::{BLOCK_LEN, HeaderState, SEALED, SegmentHeader};
use crate::log::scan::{Found, Scanner};
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, SimDisk};

/// What the forged events hold.
pub(super) const FORGED: u8 = b'!';

/// A frame of an event as it lies in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) seq: Seq,
    pub(super) offset: usize,
    /// Without padding.
    pub(super) len: usize,
    pub(super) is_sealed: bool,
}

pub(super) fn header_of(bytes: &[u8]) -> Option<SegmentHeader> {
    match SegmentHeader::decode(&bytes[..BLOCK_LEN]) {
        HeaderState::Valid { header, .. } => Some(header),
        _ => None,
    }
}

/// The segments of a disk that hold something, oldest first.
pub(super) fn segments(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let all = disk.files().into_iter();
    let all = all.filter(|(path, bytes)| is_segment(path) && header_of(bytes).is_some());
    all.map(|(path, bytes)| (path, bytes.to_vec())).collect()
}

pub(super) fn frames(bytes: &[u8]) -> Vec<Frame> {
    let header = header_of(bytes).unwrap();
    let mut scanner = Scanner::new(bytes, header.salt, bytes.len());
    let mut found = Vec::new();
    while let Found::Frame { offset, frame, .. } = scanner.next().unwrap() {
        if frame.header.kind == Kind::Event {
            found.push(Frame {
                seq: frame.header.seq,
                offset,
                len: usize::try_from(frame.header.len).unwrap(),
                is_sealed: frame.header.flags & FLAG_SEALED != 0,
            });
        }
    }
    found
}

/// A plain event in the place of this one, of its length, with a right checksum.
pub(super) fn forge(bytes: &mut [u8], frame: Frame) {
    let place = Place {
        salt: header_of(bytes).unwrap().salt,
        offset: frame.offset,
    };
    let old = frame::decode(&bytes[frame.offset..], place).unwrap().header;
    let room = frame.len - frame::HEADER_LEN - EXTRA_LEN;
    // A record's data is MessagePack: an array of so many small numbers.
    let data_of = |len: usize| {
        let mut data = vec![FORGED; len];
        data[0] = 0xdc;
        let count = u16::try_from(len - 3).unwrap();
        data[1..3].copy_from_slice(&count.to_be_bytes());
        data
    };
    let names = "test.number".len() + "unit".len();
    let data = data_of(room + EXTRA_LEN - names);
    let record = Record::new("test.number", "unit", Timestamp(1), &data).unwrap();
    assert_eq!(record.frame_len(), frame.len);
    let stamp = Stamp {
        kind: Kind::Event,
        flags: old.flags & !FLAG_SEALED,
        seq: old.seq,
        event_id: old.event_id,
        appended_at: old.appended_at,
        durable_upto: old.durable_upto,
        batch_place: old.batch_place,
        batch_count: old.batch_count,
    };
    let end = frame.offset + frame::padded(frame.len);
    frame::encode(&mut bytes[frame.offset..end], &record, stamp, place);
}

/// The same segment, plain as a whole.
pub(super) fn forge_whole(bytes: &mut [u8]) {
    for frame in frames(bytes) {
        forge(bytes, frame);
    }
    let header = SegmentHeader {
        incompatible: header_of(bytes).unwrap().incompatible & !SEALED,
        keys: KeySlots::default(),
        ..header_of(bytes).unwrap()
    };
    bytes[..BLOCK_LEN].copy_from_slice(&header.encode());
}

pub(super) fn put(disk: &SimDisk, path: &str, bytes: &[u8]) -> SimDisk {
    let disk = disk.crash(CrashKind::Process, Choice::AllKept);
    disk.corrupt(path, 0..bytes.len(), |old| old.copy_from_slice(bytes))
        .unwrap();
    disk
}

//! [`mend`]: checksums that are right for whatever a file holds.

use crate::format::crc::crc32;
use crate::format::footer::{Footer, Part, TRAILER_LEN};
use crate::format::frame::{self, HEADER_LEN, Place};
use crate::format::segment::{BLOCK_LEN, COPY, HeaderState, SECTOR_LEN, SegmentHeader};

/// The length of a checksum.
const SUM_LEN: usize = 4;

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at.saturating_add(value.len())) {
        place.copy_from_slice(value);
    }
}

/// Makes all checksums of a segment's file right for what it holds: header and its copy, frames as far as
/// they go, tables, footer.
pub fn mend(file: &mut [u8]) {
    let Some(sector) = file.get(..SECTOR_LEN).filter(|_| file.len() >= BLOCK_LEN) else {
        return;
    };
    let mut sector = sector.to_vec();
    let checksum = crc32(&sector[..SECTOR_LEN - SUM_LEN]);
    put(&mut sector, SECTOR_LEN - SUM_LEN, &checksum.to_le_bytes());
    put(file, 0, &sector);
    put(file, COPY, &sector);
    if let HeaderState::Valid { header, .. } = SegmentHeader::decode(file) {
        if !header.is_packed() {
            mend_frames(file, header.salt);
        }
        mend_footer(file);
    }
}

fn mend_frames(file: &mut [u8], salt: u64) {
    let mut offset = BLOCK_LEN;
    while let Some(rest) = file.get_mut(offset..) {
        let Some(len) = mend_frame(rest, Place { salt, offset }) else {
            return;
        };
        offset += frame::padded(len);
    }
}

/// The length of the frame at the start of the bytes.
pub(super) fn mend_frame(bytes: &mut [u8], place: Place) -> Option<usize> {
    let len = frame::claimed_len(bytes).ok()?;
    let content = bytes.get(SUM_LEN..len.max(HEADER_LEN))?;
    let content_crc = crc32(content);
    let frame = bytes.get(..len)?.to_vec();
    frame::relocate(bytes, &frame, content_crc, place);
    Some(len)
}

fn mend_footer(file: &mut [u8]) {
    let at = file.len().saturating_sub(TRAILER_LEN);
    let mut trailer = file.get(at..).unwrap_or_default().to_vec();
    let Some(sums) = trailer.get(..TRAILER_LEN - SUM_LEN) else {
        return;
    };
    let checksum = crc32(sums);
    put(&mut trailer, TRAILER_LEN - SUM_LEN, &checksum.to_le_bytes());
    let Some(mut footer) = Footer::decode(&trailer) else {
        return;
    };
    let sum = |part: &Part| {
        let at = usize::try_from(part.at).ok()?;
        let end = at.checked_add(usize::try_from(part.len).ok()?)?;
        file.get(at..end).map(crc32)
    };
    let table = Part {
        at: footer.table_at() as u64,
        len: footer.table_len().unwrap_or(0) as u64,
        checksum: 0,
    };
    footer.table_checksum = sum(&table).unwrap_or(footer.table_checksum);
    let dropped = &mut footer.rewritten.dropped;
    dropped.checksum = sum(dropped).unwrap_or(dropped.checksum);
    if let Some(packed) = &mut footer.rewritten.packed {
        packed.list.checksum = sum(&packed.list).unwrap_or(packed.list.checksum);
    }
    put(file, at, &footer.encode());
}

/// The same for the file of a snapshot: its checksum stands behind eight bytes and covers what follows.
pub(super) fn mend_snapshot(file: &mut [u8]) {
    let checksum = crc32(file.get(8 + SUM_LEN..).unwrap_or_default());
    put(file, 8, &checksum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::format::snapshot::Snapshot;
    use crate::position::Seq;
    use crate::testing::{Crash, TestDisk};

    #[test]
    fn a_changed_file_passes_its_checks_once_it_is_mended() {
        let disk = TestDisk::new();
        let system = disk.open(crate::EventSystem::builder().segment_size(64 << 10));
        let system = system.unwrap();
        system.emit(Event::new("a", "b", &7).unwrap()).unwrap();
        let disk = system.into_disk(Crash::Process);
        let path = disk.files().into_iter().map(|file| file.0);
        let path = path.into_iter().find(|path| path.starts_with("log/"));
        let mut file = disk.read(&path.unwrap()).unwrap();
        // The last Seq of the segment before, and the type of the first event.
        file[80] ^= 0x55;
        file[BLOCK_LEN + HEADER_LEN] = b'z';
        let is_valid = |file: &[u8]| {
            let HeaderState::Valid { header, .. } = SegmentHeader::decode(file) else {
                return false;
            };
            let place = Place {
                salt: header.salt,
                offset: BLOCK_LEN,
            };
            frame::decode(&file[BLOCK_LEN..], place).is_ok() && header.prev_last_seq.0 > 0
        };
        assert!(!is_valid(&file));
        mend(&mut file);
        assert!(is_valid(&file));

        let mut snapshot = Snapshot {
            log_id: 1,
            position: Seq(2),
            version: 3,
            is_sealed: false,
            state: b"abc",
        }
        .encode();
        snapshot[20] ^= 1;
        assert_eq!(Snapshot::decode(&snapshot), None);
        mend_snapshot(&mut snapshot);
        assert!(Snapshot::decode(&snapshot).is_some());
        for len in 0..100 {
            mend(&mut vec![7; len]);
            mend_snapshot(&mut vec![7; len]);
        }
    }
}

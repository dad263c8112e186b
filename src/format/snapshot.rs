//! The file of a projection's snapshot: a header of 64 bytes, then the state as `MessagePack`, or, in one of
//! an encrypted log, `salt ‖ ciphertext ‖ tag` of it.

use super::bytes::{array_at, put, u32_at, u64_at, u128_at};
use super::crc::crc32;
use crate::position::Seq;

const MAGIC: &[u8; 8] = b"FORELOGS";

const MAGIC_AT: usize = 0;
const CHECKSUM: usize = MAGIC_AT + 8;
const FORMAT: usize = CHECKSUM + 4;
const LOG_ID: usize = FORMAT + 4;
const POSITION: usize = LOG_ID + 16;
const VERSION: usize = POSITION + 8;
const STATE_LEN: usize = VERSION + 8;
const RESERVED: usize = STATE_LEN + 8;
/// The length of the header.
pub(crate) const HEADER_LEN: usize = RESERVED + 8;
const _: () = assert!(HEADER_LEN == 64);

/// The formats of snapshot files that this code reads and writes.
const PLAIN: u32 = 1;
const SEALED: u32 = 2;

/// Name, place and length of each header field, for the manual's byte map.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("magic", MAGIC_AT, 8),
    ("checksum", CHECKSUM, 4),
    ("format", FORMAT, 4),
    ("log_id", LOG_ID, 16),
    ("position", POSITION, 8),
    ("version", VERSION, 8),
    ("state_len", STATE_LEN, 8),
    ("reserved", RESERVED, 8),
];

/// A snapshot, decoded: it borrows the state's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot<'a> {
    /// The log that the state was made from.
    pub(crate) log_id: u128,
    /// The last event that the state has taken in.
    pub(crate) position: Seq,
    /// The version of the projection, as its author counts.
    pub(crate) version: u64,
    /// Whether the state is encrypted.
    pub(crate) is_sealed: bool,
    /// The state as `MessagePack`, or encrypted.
    pub(crate) state: &'a [u8],
}

impl<'a> Snapshot<'a> {
    /// The bytes of the file. The checksum (CRC-32) covers all that stands behind it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER_LEN];
        put(&mut out, MAGIC_AT, MAGIC);
        let format = if self.is_sealed { SEALED } else { PLAIN };
        put(&mut out, FORMAT, &format.to_le_bytes());
        put(&mut out, LOG_ID, &self.log_id.to_le_bytes());
        put(&mut out, POSITION, &self.position.0.to_le_bytes());
        put(&mut out, VERSION, &self.version.to_le_bytes());
        put(
            &mut out,
            STATE_LEN,
            &(self.state.len() as u64).to_le_bytes(),
        );
        out.extend_from_slice(self.state);
        let checksum = crc32(out.get(FORMAT..).unwrap_or_default());
        put(&mut out, CHECKSUM, &checksum.to_le_bytes());
        out
    }

    /// How long the file is that begins with this header; `None` if it is damaged or of another format.
    pub(crate) fn claimed_len(head: &[u8]) -> Option<u64> {
        let format = u32_at(head, FORMAT)?;
        if array_at::<8>(head, MAGIC_AT)? != *MAGIC || ![PLAIN, SEALED].contains(&format) {
            return None;
        }
        u64_at(head, STATE_LEN)?.checked_add(HEADER_LEN as u64)
    }

    /// Reads a file; `None` if it is damaged or of another format.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Snapshot<'a>> {
        let checksum = crc32(bytes.get(FORMAT..)?);
        let state = bytes.get(HEADER_LEN..)?;
        if array_at::<8>(bytes, MAGIC_AT)? != *MAGIC
            || u32_at(bytes, CHECKSUM)? != checksum
            || ![PLAIN, SEALED].contains(&u32_at(bytes, FORMAT)?)
            || u64_at(bytes, STATE_LEN)? != state.len() as u64
        {
            return None;
        }
        Some(Snapshot {
            log_id: u128_at(bytes, LOG_ID)?,
            position: Seq(u64_at(bytes, POSITION)?),
            version: u64_at(bytes, VERSION)?,
            is_sealed: u32_at(bytes, FORMAT)? == SEALED,
            state,
        })
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_back_and_no_flipped_bit_passes() {
        let snapshot = Snapshot {
            log_id: 7,
            position: Seq(9),
            version: 3,
            is_sealed: false,
            state: b"abc",
        };
        let sealed = Snapshot {
            is_sealed: true,
            ..snapshot
        };
        assert_eq!(Snapshot::decode(&sealed.encode()), Some(sealed));
        let bytes = snapshot.encode();
        assert_eq!(Snapshot::decode(&bytes), Some(snapshot));
        let head = &bytes[..HEADER_LEN];
        assert_eq!(Snapshot::claimed_len(head), Some(bytes.len() as u64));
        assert_eq!(Snapshot::claimed_len(&head[1..]), None);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(Snapshot::decode(&flipped), None, "byte {at} bit {bit}");
            }
            assert_eq!(Snapshot::decode(&bytes[..at]), None);
        }
    }
}

//! The key envelope of a segment: the log's data key, wrapped by the user's, in two slots of its header block.
//!
//! A slot is one sector, which disks write whole or not at all, with a checksum of its own; so keys can be
//! wrapped anew, one slot after the other, without touching the header. All slots of a log hold the same data
//! key: where those of one segment are damaged, another's do as well.
//!
//! The key is authenticated together with `sealed_from`, the first Seq whose event cannot be plain: what stands
//! plain there or behind was put there by somebody without the key.

use super::bytes::{array_at, put, u16_at, u32_at, u64_at};
use super::crc::crc32;
use crate::position::Seq;

/// What disks write whole or not at all.
pub(crate) const SECTOR_LEN: usize = 512;
/// Where the first slot of the key envelope stands in a header block.
pub(crate) const KEY_SLOT_A: usize = 1024;
/// Where the second one does.
pub(crate) const KEY_SLOT_B: usize = KEY_SLOT_A + SECTOR_LEN;

/// The length of a key in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// The length of a cipher's nonce.
pub(crate) const NONCE_LEN: usize = 12;
/// The length of an authentication tag.
pub(crate) const TAG_LEN: usize = 16;
/// The length of a data key's name.
pub(crate) const KEY_ID_LEN: usize = 16;

const MAGIC: &[u8; 8] = b"FLKEYSLT";
const VERSION_NOW: u16 = 1;
/// AES-256-GCM, with keys by HKDF-SHA256.
const CIPHER_NOW: u16 = 1;

const MAGIC_AT: usize = 0;
const VERSION: usize = MAGIC_AT + 8;
const CIPHER: usize = VERSION + 2;
const RESERVED: usize = CIPHER + 2;
const KEY_ID: usize = RESERVED + 4;
const SEALED_FROM: usize = KEY_ID + KEY_ID_LEN;
const NONCE: usize = SEALED_FROM + 8;
const WRAPPED: usize = NONCE + NONCE_LEN;
const TAG: usize = WRAPPED + KEY_LEN;
const FIELDS_END: usize = TAG + TAG_LEN;
const CHECKSUM: usize = SECTOR_LEN - 4;
const _: () = assert!(FIELDS_END <= CHECKSUM);

/// Name, place and length of each field, for the manual's byte map.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, usize, usize)] = &[
    ("magic", MAGIC_AT, 8),
    ("version", VERSION, 2),
    ("cipher", CIPHER, 2),
    ("reserved", RESERVED, 4),
    ("key_id", KEY_ID, KEY_ID_LEN),
    ("sealed_from", SEALED_FROM, 8),
    ("nonce", NONCE, NONCE_LEN),
    ("wrapped", WRAPPED, KEY_LEN),
    ("tag", TAG, TAG_LEN),
    ("zeros", FIELDS_END, CHECKSUM - FIELDS_END),
    ("checksum", CHECKSUM, 4),
];

/// A data key that only the user's key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrappedKey {
    /// Which data key it is.
    pub(crate) key_id: [u8; KEY_ID_LEN],
    /// From this Seq on no event is plain; [`Seq::ZERO`] if none ever was.
    pub(crate) sealed_from: Seq,
    pub(crate) nonce: [u8; NONCE_LEN],
    pub(crate) wrapped: [u8; KEY_LEN],
    pub(crate) tag: [u8; TAG_LEN],
}

impl WrappedKey {
    /// The slot.
    pub(crate) fn encode(&self) -> [u8; SECTOR_LEN] {
        let mut slot = [0; SECTOR_LEN];
        put(&mut slot, 0, &self.associated());
        put(&mut slot, NONCE, &self.nonce);
        put(&mut slot, WRAPPED, &self.wrapped);
        put(&mut slot, TAG, &self.tag);
        let checksum = crc32(slot.get(..CHECKSUM).unwrap_or_default());
        put(&mut slot, CHECKSUM, &checksum.to_le_bytes());
        slot
    }

    /// Reads a slot; `None` if it is empty, damaged, or of a newer version.
    pub(crate) fn decode(slot: &[u8]) -> Option<WrappedKey> {
        let checksum = crc32(slot.get(..CHECKSUM)?);
        let is_whole = u32_at(slot, CHECKSUM) == Some(checksum)
            && array_at::<8>(slot, MAGIC_AT).as_ref() == Some(MAGIC)
            && u16_at(slot, VERSION) == Some(VERSION_NOW)
            && u16_at(slot, CIPHER) == Some(CIPHER_NOW);
        if !is_whole {
            return None;
        }
        Some(WrappedKey {
            key_id: array_at(slot, KEY_ID)?,
            sealed_from: Seq(u64_at(slot, SEALED_FROM)?),
            nonce: array_at(slot, NONCE)?,
            wrapped: array_at(slot, WRAPPED)?,
            tag: array_at(slot, TAG)?,
        })
    }

    /// What is authenticated with the key: the fields of the slot before the nonce.
    pub(crate) fn associated(&self) -> [u8; NONCE] {
        let mut out = [0; NONCE];
        put(&mut out, MAGIC_AT, MAGIC);
        put(&mut out, VERSION, &VERSION_NOW.to_le_bytes());
        put(&mut out, CIPHER, &CIPHER_NOW.to_le_bytes());
        put(&mut out, KEY_ID, &self.key_id);
        put(&mut out, SEALED_FROM, &self.sealed_from.0.to_le_bytes());
        out
    }
}

/// The key envelope: what stands in the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KeySlots {
    pub(crate) a: Option<WrappedKey>,
    pub(crate) b: Option<WrappedKey>,
}

impl KeySlots {
    /// The same in both.
    pub(crate) fn both(key: WrappedKey) -> KeySlots {
        KeySlots {
            a: Some(key),
            b: Some(key),
        }
    }

    /// What there is.
    pub(crate) fn keys(self) -> impl Iterator<Item = WrappedKey> {
        self.a.into_iter().chain(self.b)
    }

    /// Whether neither slot can be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.a.is_none() && self.b.is_none()
    }

    /// Whether both can.
    pub(crate) fn is_whole(&self) -> bool {
        self.a.is_some() && self.b.is_some()
    }

    /// Reads the slots of a header block.
    pub(crate) fn decode(block: &[u8]) -> KeySlots {
        let slot = |at: usize| block.get(at..at.checked_add(SECTOR_LEN)?);
        KeySlots {
            a: slot(KEY_SLOT_A).and_then(WrappedKey::decode),
            b: slot(KEY_SLOT_B).and_then(WrappedKey::decode),
        }
    }

    /// Writes the slots of a header block. A slot that cannot be read becomes like the other.
    pub(super) fn write_to(&self, block: &mut [u8]) {
        if let Some(key) = self.a.or(self.b) {
            put(block, KEY_SLOT_A, &key.encode());
        }
        if let Some(key) = self.b.or(self.a) {
            put(block, KEY_SLOT_B, &key.encode());
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_and_no_flipped_bit_passes() {
        let key = WrappedKey {
            key_id: [1; KEY_ID_LEN],
            sealed_from: Seq(5),
            nonce: [2; NONCE_LEN],
            wrapped: [3; KEY_LEN],
            tag: [4; TAG_LEN],
        };
        let slot = key.encode();
        assert_eq!(WrappedKey::decode(&slot), Some(key));
        assert_eq!(slot[..NONCE], key.associated());
        for at in 0..slot.len() {
            let mut flipped = slot;
            flipped[at] ^= 1;
            assert_eq!(WrappedKey::decode(&flipped), None, "byte {at}");
        }
        assert_eq!(WrappedKey::decode(&slot[..SECTOR_LEN - 1]), None);
        assert_eq!(WrappedKey::decode(&[0; SECTOR_LEN]), None);
    }
}

//! Sealed frames: how an event lies in a segment whose log is encrypted.
//!
//! With [`FLAG_SEALED`] the payload region is `salt ‖ ciphertext ‖ tag`: 16 random bytes that, with the log's
//! data key, give the key of this frame; type, source, headers and data, encrypted; and the tag that
//! authenticates them together with all of the fixed header but its checksum. The nonce is the Seq. Checksum
//! and chain go over the ciphertext. All that is needed besides the data key stands in the frame, and nothing
//! that a move changes is authenticated: so frames are checked, moved and salvaged without a key.

use super::bytes::{array_at, put, u8_at, u16_at, u64_at};
use super::checked::Checked;
use super::frame::{
    self, FLAG_SEALED, FLAGS, HEADER_LEN, KIND, Kind, LEN, Place, SEALED_EXTRA, SEQ, Stamp,
};
use super::key_slot::{NONCE_LEN, TAG_LEN};
use super::record::{EventRef, Record};
use crate::position::Seq;

/// The length of the salt that a sealed payload begins with.
pub(crate) const SALT_LEN: usize = 16;
/// How many bytes more a frame takes if it is sealed.
pub(crate) const EXTRA_LEN: usize = SALT_LEN + TAG_LEN;
/// Where the ciphertext starts in a frame.
const TEXT: usize = HEADER_LEN + SALT_LEN;
/// What is authenticated besides the payload.
const ASSOCIATED_LEN: usize = HEADER_LEN - LEN;
const _: () = assert!(EXTRA_LEN as u64 == SEALED_EXTRA);

/// Name, place and length of each part of a sealed payload region with a ciphertext of this length, for the
/// manual's byte map.
#[cfg(test)]
pub(crate) fn fields(text_len: usize) -> [(&'static str, usize, usize); 3] {
    [
        ("salt", 0, SALT_LEN),
        ("ciphertext", SALT_LEN, text_len),
        ("tag", SALT_LEN.saturating_add(text_len), TAG_LEN),
    ]
}

/// What encrypts frames under one salt.
pub(crate) trait Seal {
    /// The salt that its key was made with.
    fn salt(&self) -> &[u8; SALT_LEN];
    /// Encrypts in place; returns the tag.
    fn seal(&self, nonce: &[u8; NONCE_LEN], associated: &[u8], bytes: &mut [u8]) -> [u8; TAG_LEN];
}

impl Record<'_> {
    /// The length of the record's sealed frame in bytes, without padding.
    pub(crate) fn sealed_len(&self) -> usize {
        self.frame_len().saturating_add(EXTRA_LEN)
    }
}

/// As [`frame::encode`], sealed. `out`, which has the room for the sealed frame, must be private memory: the
/// plain payload stands in it for a moment.
pub(crate) fn encode(
    out: &mut [u8],
    record: &Record<'_>,
    stamp: Stamp,
    place: Place,
    seal: &dyn Seal,
) -> u32 {
    let len = record.sealed_len();
    let stamp = Stamp {
        flags: stamp.flags | FLAG_SEALED,
        ..stamp
    };
    frame::put_padding(out, len);
    put(out, 0, &frame::header_bytes(record, stamp, len));
    put(out, HEADER_LEN, seal.salt());
    record.write_payload(out.get_mut(TEXT..).unwrap_or_default());
    let associated: [u8; ASSOCIATED_LEN] = array_at(out, LEN).unwrap_or([0; ASSOCIATED_LEN]);
    let tag_at = len.saturating_sub(TAG_LEN);
    let text = out.get_mut(TEXT..tag_at).unwrap_or_default();
    let tag = seal.seal(&nonce_of(stamp.seq), &associated, text);
    put(out, tag_at, &tag);
    frame::finish(out, len, place)
}

/// A frame's nonce. Under one salt, and so under one key, no Seq is used twice.
fn nonce_of(seq: Seq) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    put(
        &mut nonce,
        NONCE_LEN.saturating_sub(8),
        &seq.0.to_le_bytes(),
    );
    nonce
}

/// A sealed frame that has passed its check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed<'a>(&'a [u8]);

impl<'a> Sealed<'a> {
    /// The frame with these bytes, checked and without padding, if it is an event's and sealed.
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Self> {
        let is_event = u8_at(bytes, KIND)? == Kind::Event as u8;
        let is_sealed = u16_at(bytes, FLAGS)? & FLAG_SEALED != 0;
        let is_long = bytes.len() >= HEADER_LEN.saturating_add(EXTRA_LEN);
        (is_event && is_sealed && is_long).then_some(Sealed(bytes))
    }

    /// The salt that its key was made with.
    pub(crate) fn salt(self) -> [u8; SALT_LEN] {
        array_at(self.0, HEADER_LEN).unwrap_or_default()
    }

    /// Lays the event out as it would lie in a log that is not encrypted. `open` is given nonce, what is
    /// authenticated besides, the ciphertext to decrypt in place, and the tag; says whether it fits.
    pub(crate) fn open(
        self,
        out: &mut Opened,
        open: impl FnOnce(&[u8; NONCE_LEN], &[u8], &mut [u8], &[u8; TAG_LEN]) -> bool,
    ) -> bool {
        let len = self.0.len().saturating_sub(EXTRA_LEN);
        let tag_at = self.0.len().saturating_sub(TAG_LEN);
        let tag = array_at(self.0, tag_at).unwrap_or_default();
        let associated = self.0.get(LEN..HEADER_LEN).unwrap_or_default();
        let nonce = nonce_of(Seq(u64_at(self.0, SEQ).unwrap_or_default()));
        let bytes = &mut out.0;
        bytes.clear();
        bytes.extend_from_slice(self.0.get(..HEADER_LEN).unwrap_or_default());
        bytes.extend_from_slice(self.0.get(TEXT..tag_at).unwrap_or_default());
        let text = bytes.get_mut(HEADER_LEN..).unwrap_or_default();
        if !open(&nonce, associated, text, &tag) {
            bytes.clear();
            return false;
        }
        let flags = u16_at(self.0, FLAGS).unwrap_or_default() & !FLAG_SEALED;
        put(bytes, FLAGS, &flags.to_le_bytes());
        put(
            bytes,
            LEN,
            &u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes(),
        );
        true
    }
}

/// An event that was decrypted, laid out in memory as a plain frame.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opened(Vec<u8>);

impl Opened {
    /// The event, if type and source are UTF-8.
    pub(crate) fn checked(&self) -> Option<EventRef<'_>> {
        EventRef::new(Checked::of(&self.0)?)
    }

    /// The event of which [`Opened::checked`] was sure before.
    pub(crate) fn event(&self) -> EventRef<'_> {
        EventRef::of_checked(Checked::of(&self.0).unwrap_or(Checked::NOTHING))
    }
}

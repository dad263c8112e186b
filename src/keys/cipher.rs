//! [`Cipher`]: AES-256-GCM under a key that HKDF-SHA256 made; the only file that names either.

#[cfg(feature = "encryption")]
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
#[cfg(feature = "encryption")]
use ring::hkdf::{HKDF_SHA256, Salt};

#[cfg(not(feature = "encryption"))]
use super::not_built;
use super::secret::Secret;
use crate::error::Result;
#[cfg(feature = "encryption")]
use crate::error::{Error, ErrorKind};
use crate::format::key_slot::{NONCE_LEN, TAG_LEN};

/// Encrypts and decrypts under one key.
pub(super) struct Cipher {
    #[cfg(feature = "encryption")]
    aes: Box<LessSafeKey>,
    /// There is none in a build that cannot encrypt.
    #[cfg(not(feature = "encryption"))]
    none: std::convert::Infallible,
}

#[cfg(feature = "encryption")]
impl Cipher {
    /// Under the key for this purpose and salt that comes of a secret.
    pub(super) fn new(secret: &Secret, purpose: &str, salt: &[u8]) -> Result<Cipher> {
        let derived = Salt::new(HKDF_SHA256, &[]).extract(secret.expose());
        let parts = [purpose.as_bytes(), salt];
        let key = derived.expand(&parts, &AES_256_GCM);
        let key = key.map_err(|_| Error::new(ErrorKind::Io, "a key cannot be derived"))?;
        let aes = LessSafeKey::new(UnboundKey::from(key));
        Ok(Cipher { aes: Box::new(aes) })
    }

    /// Encrypts in place; returns the tag.
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        bytes: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let sealed = self
            .aes
            .seal_in_place_separate_tag(nonce, Aad::from(associated), bytes);
        let tag = sealed.ok().and_then(|tag| tag.as_ref().try_into().ok());
        tag.unwrap_or_else(|| {
            // Only more than 64 GiB are refused. Nothing plain must leave, and no tag fits zeros.
            bytes.fill(0);
            [0; TAG_LEN]
        })
    }

    /// Decrypts in place, if the tag fits; otherwise nothing of the bytes can be used.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> bool {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let associated = Aad::from(associated);
        let opened =
            self.aes
                .open_in_place_separate_tag(nonce, associated, (*tag).into(), bytes, 0..);
        opened.is_ok()
    }
}

#[cfg(not(feature = "encryption"))]
impl Cipher {
    pub(super) fn new(_: &Secret, _: &str, _: &[u8]) -> Result<Cipher> {
        Err(not_built())
    }

    pub(super) fn seal(&self, _: &[u8; NONCE_LEN], _: &[u8], _: &mut [u8]) -> [u8; TAG_LEN] {
        match self.none {}
    }

    pub(super) fn open(
        &self,
        _: &[u8; NONCE_LEN],
        _: &[u8],
        _: &mut [u8],
        _: &[u8; TAG_LEN],
    ) -> bool {
        match self.none {}
    }
}

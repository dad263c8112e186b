//! [`Cipher`]: AES-256-GCM under a key that HKDF-SHA256 made; the only file that names either.

#[cfg(feature = "encryption")]
use aes_gcm::aead::inout::InOutBuf;
#[cfg(feature = "encryption")]
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};

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
    aes: Box<Aes256Gcm>,
    /// There is none in a build that cannot encrypt.
    #[cfg(not(feature = "encryption"))]
    none: std::convert::Infallible,
}

#[cfg(feature = "encryption")]
impl Cipher {
    /// Under the key for this purpose and salt that comes of a secret.
    pub(super) fn new(secret: &Secret, purpose: &str, salt: &[u8]) -> Result<Cipher> {
        let impossible = || Error::new(ErrorKind::Io, "a key cannot be derived");
        let mut key = Secret::new([0; 32]);
        let derived = hkdf::Hkdf::<sha2::Sha256>::new(None, secret.expose());
        derived
            .expand_multi_info(&[purpose.as_bytes(), salt], key.expose_mut())
            .map_err(|_| impossible())?;
        let aes = Aes256Gcm::new_from_slice(key.expose()).map_err(|_| impossible())?;
        Ok(Cipher { aes: Box::new(aes) })
    }

    /// Encrypts in place; returns the tag.
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        bytes: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let nonce = (*nonce).into();
        let sealed =
            self.aes
                .encrypt_inout_detached(&nonce, associated, InOutBuf::from(&mut *bytes));
        if let Ok(tag) = sealed {
            tag.into()
        } else {
            // Only more than 64 GiB are refused. Nothing plain must leave, and no tag fits zeros.
            bytes.fill(0);
            [0; TAG_LEN]
        }
    }

    /// Decrypts in place, if the tag fits.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> bool {
        let (nonce, tag) = ((*nonce).into(), (*tag).into());
        let opened =
            self.aes
                .decrypt_inout_detached(&nonce, associated, InOutBuf::from(bytes), &tag);
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

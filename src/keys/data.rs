//! [`DataKey`]: the log's own key, which the user's wraps, and what is made of it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::EncryptionKey;
use super::cipher::Cipher;
use super::secret::{Secret, random};
use crate::error::Result;
use crate::format::key_slot::{KEY_ID_LEN, NONCE_LEN, TAG_LEN, WrappedKey};
use crate::format::sealed::{Opened, SALT_LEN, Seal, Sealed};
use crate::position::Seq;

/// What the keys are for; so that none of them is used for two things.
const TO_WRAP: &str = "forelog key envelope v1";
const FRAMES: &str = "forelog frame v1";
/// How many frame keys are kept that were used last: a log has one for each segment that it wrote.
const KEPT: usize = 8;
/// The nonce where a key encrypts one thing only.
const ONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

type Salt = [u8; SALT_LEN];

/// The key that a log's data is encrypted with, by way of others.
pub(crate) struct DataKey {
    id: [u8; KEY_ID_LEN],
    secret: Secret,
    /// From this Seq on no event is plain; [`Seq::ZERO`] if none ever was.
    sealed_from: Seq,
    /// Of frames that were read, the last one first.
    frames: Mutex<Vec<(Salt, Arc<Cipher>)>>,
}

impl DataKey {
    /// A new one, of a log whose events are all encrypted from this Seq on.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub(crate) fn generate(sealed_from: Seq) -> Result<DataKey> {
        Ok(DataKey::new(random()?, Secret::new(random()?), sealed_from))
    }

    fn new(id: [u8; KEY_ID_LEN], secret: Secret, sealed_from: Seq) -> DataKey {
        DataKey {
            id,
            secret,
            sealed_from,
            frames: Mutex::default(),
        }
    }

    #[cfg(all(test, feature = "encryption"))]
    pub(super) fn of(id: [u8; KEY_ID_LEN], secret: [u8; 32], sealed_from: Seq) -> DataKey {
        DataKey::new(id, Secret::new(secret), sealed_from)
    }

    /// The first Seq whose event cannot be plain; [`Seq::ZERO`] if nothing of the log ever was.
    pub(crate) fn sealed_from(&self) -> Seq {
        self.sealed_from
    }

    /// Whether an event of this Seq, or what was made of the log when it had come as far, may be plain.
    pub(crate) fn allows_plain(&self, seq: Seq) -> bool {
        seq < self.sealed_from
    }

    /// Wraps it.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub(crate) fn wrap(&self, key: &EncryptionKey) -> Result<WrappedKey> {
        self.wrap_under(key, random()?)
    }

    pub(super) fn wrap_under(
        &self,
        key: &EncryptionKey,
        nonce: [u8; NONCE_LEN],
    ) -> Result<WrappedKey> {
        let mut wrapped = WrappedKey {
            key_id: self.id,
            sealed_from: self.sealed_from,
            nonce,
            wrapped: *self.secret.expose(),
            tag: [0; TAG_LEN],
        };
        let associated = wrapped.associated();
        let cipher = Cipher::new(&key.0, TO_WRAP, &[])?;
        wrapped.tag = cipher.seal(&nonce, &associated, &mut wrapped.wrapped);
        Ok(wrapped)
    }

    /// Unwraps one; `None` if it was wrapped by another key.
    pub(crate) fn unwrap(wrapped: &WrappedKey, key: &EncryptionKey) -> Result<Option<DataKey>> {
        let cipher = Cipher::new(&key.0, TO_WRAP, &[])?;
        let mut secret = Secret::new(wrapped.wrapped);
        let is_right = cipher.open(
            &wrapped.nonce,
            &wrapped.associated(),
            secret.expose_mut(),
            &wrapped.tag,
        );
        Ok(is_right.then(|| DataKey::new(wrapped.key_id, secret, wrapped.sealed_from)))
    }

    /// What encrypts frames from now on, under a salt of its own.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub(crate) fn sealer(&self) -> Result<Sealer> {
        self.sealer_under(random()?)
    }

    pub(super) fn sealer_under(&self, salt: Salt) -> Result<Sealer> {
        let cipher = Cipher::new(&self.secret, FRAMES, &salt)?;
        Ok(Sealer { salt, cipher })
    }

    /// Decrypts a frame; `false` if it was not encrypted with this key as it stands.
    pub(crate) fn open(&self, frame: Sealed<'_>, out: &mut Opened) -> bool {
        let Ok(cipher) = self.cipher_of(frame.salt()) else {
            return false;
        };
        frame.open(out, |nonce, associated, bytes, tag| {
            cipher.open(nonce, associated, bytes, tag)
        })
    }

    /// The cipher of frames with this salt.
    fn cipher_of(&self, salt: Salt) -> Result<Arc<Cipher>> {
        let mut kept = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|(known, _)| *known == salt) {
            if place > 0 {
                kept.swap(0, place);
            }
        } else {
            let cipher = Arc::new(Cipher::new(&self.secret, FRAMES, &salt)?);
            kept.truncate(KEPT - 1);
            kept.insert(0, (salt, cipher));
        }
        let (_, cipher) = &kept[0];
        Ok(cipher.clone())
    }

    /// Encrypts bytes that stand alone, under a key of their own: `salt ‖ ciphertext ‖ tag`. What they are
    /// for, and `associated`, must be the same when they are opened.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub(crate) fn seal_bytes(
        &self,
        purpose: &str,
        associated: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>> {
        let salt: Salt = random()?;
        let cipher = Cipher::new(&self.secret, purpose, &salt)?;
        let mut out = Vec::with_capacity(plain.len().saturating_add(SALT_LEN + TAG_LEN));
        out.extend_from_slice(&salt);
        out.extend_from_slice(plain);
        let text = out.get_mut(SALT_LEN..).unwrap_or_default();
        let tag = cipher.seal(&ONCE, associated, text);
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens what [`DataKey::seal_bytes`] has made; `None` if it was not made so with this key.
    pub(crate) fn open_bytes(
        &self,
        purpose: &str,
        associated: &[u8],
        sealed: &[u8],
    ) -> Option<Vec<u8>> {
        let (salt, rest) = sealed.split_first_chunk::<SALT_LEN>()?;
        let (text, tag) = rest.split_last_chunk::<TAG_LEN>()?;
        let cipher = Cipher::new(&self.secret, purpose, salt).ok()?;
        let mut plain = text.to_vec();
        let is_right = cipher.open(&ONCE, associated, &mut plain, tag);
        is_right.then_some(plain)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// Encrypts frames under one salt.
pub(crate) struct Sealer {
    salt: Salt,
    cipher: Cipher,
}

impl Seal for Sealer {
    fn salt(&self) -> &Salt {
        &self.salt
    }

    fn seal(&self, nonce: &[u8; NONCE_LEN], associated: &[u8], bytes: &mut [u8]) -> [u8; TAG_LEN] {
        self.cipher.seal(nonce, associated, bytes)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

//! [`Secret`]: bytes that are cleared when they are dropped, and that no message shows.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// What can be overwritten.
pub(super) trait Bytes: AsRef<[u8]> + AsMut<[u8]> {}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Bytes for T {}

/// Bytes that nobody shall see.
pub(super) struct Secret<T: Bytes = [u8; 32]>(T);

impl<T: Bytes> Secret<T> {
    pub(super) fn new(bytes: T) -> Self {
        Secret(bytes)
    }

    pub(super) fn expose(&self) -> &T {
        &self.0
    }

    pub(super) fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Bytes> Drop for Secret<T> {
    fn drop(&mut self) {
        // In a build that cannot encrypt there is nothing to protect.
        #[cfg(feature = "encryption")]
        zeroize::Zeroize::zeroize(self.0.as_mut());
    }
}

impl<T: Bytes> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Random bytes from the operating system. Nothing stands in for them where it has none to give.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| {
        let message = format!("the operating system gives no random bytes for a key: {cause}");
        Error::new(ErrorKind::Io, message)
    })?;
    Ok(bytes)
}

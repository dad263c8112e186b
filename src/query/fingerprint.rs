//! [`Fingerprint`]: a number for what a query asks, the same in every version and on every machine.

/// FNV-1a over named fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Takes in a text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.number(name, text.as_bytes());
    }

    /// Takes in bytes; names and lengths keep fields apart.
    pub(crate) fn number(&mut self, name: &str, bytes: &[u8]) {
        self.bytes(name.as_bytes());
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The number.
    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

//! The hash of a name, by which the store lists it: `SipHash-1-3` (Aumasson and Bernstein, 2012),
//! keyed by the log's id so that names made to collide in one log do not in another.
//!
//! 64 bits stand for the name. That two of a million names share them is less likely than one in
//! 30 million; a damaged record passes its checksum sooner.

use std::hash::{BuildHasherDefault, Hasher};

/// Keyed by a log's id.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameHash([u64; 2]);

impl NameHash {
    pub(super) fn of_log(log_id: u128) -> NameHash {
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
        NameHash([half(log_id), half(log_id >> 64)])
    }

    /// The hash of a name.
    pub(super) fn hash(self, name: &str) -> u64 {
        let [k0, k1] = self.0;
        let mut state = Sip([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ]);
        let (words, rest) = name.as_bytes().as_chunks::<8>();
        for word in words {
            state.take(u64::from_le_bytes(*word));
        }
        let last = (name.len() as u64) << 56;
        let last = (0..).zip(rest).fold(last, |word, (place, byte)| {
            word | u64::from(*byte) << (8 * place)
        });
        state.take(last);
        state.finish()
    }
}

struct Sip([u64; 4]);

impl Sip {
    fn take(&mut self, word: u64) {
        let [_, _, _, v3] = &mut self.0;
        *v3 ^= word;
        self.round();
        let [v0, ..] = &mut self.0;
        *v0 ^= word;
    }

    fn finish(mut self) -> u64 {
        let [_, _, v2, _] = &mut self.0;
        *v2 ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        let [v0, v1, v2, v3] = self.0;
        v0 ^ v1 ^ v2 ^ v3
    }

    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.0;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.0 = [v0, v1, v2, v3];
    }
}

/// Maps by a hash of a name need no other.
pub(super) type Hashed = BuildHasherDefault<Identity>;

/// Hands a `u64` through.
#[derive(Debug, Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

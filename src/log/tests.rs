//! The log's tests: on every storage, through every crash, over damage of every kind.

mod asks;
mod basics;
mod compaction;
#[cfg(feature = "compression")]
mod compression;
mod crash;
mod damage;
#[cfg(feature = "encryption")]
mod encryption;
mod faults;
mod files;
#[cfg(feature = "encryption")]
mod forge;
mod holes;
mod mirror;
#[cfg(shuttle)]
mod model;
mod opening;
mod pending;
#[cfg(feature = "encryption")]
mod plain;
mod portable;
mod prewriting;
mod promise;
mod reading;
mod recovery;
mod recycle;
mod retention;
mod run;
mod staged;
mod survive;
mod waiting;

use crate::keys::{Access, EncryptionKey};

/// `base` rounds, times what `FORELOG_TEST_SCALE` asks for.
fn rounds(base: u64) -> u64 {
    let scale = std::env::var("FORELOG_TEST_SCALE").ok();
    base * scale.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Who reads and writes logs that are encrypted, where the build can.
fn keyed() -> Access {
    if cfg!(feature = "encryption") {
        Access::Key(EncryptionKey::from_bytes([7; 32]))
    } else {
        Access::Plain
    }
}

/// Deterministic numbers (`SplitMix64`). Tests name the seed in their messages.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these.
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

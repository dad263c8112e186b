//! The on-disk contract: bytes ⇄ values, as pure functions, without I/O.
//!
//! A segment file is a 4 KiB header block, then frames one after the other, then (once sealed) an
//! offset table, and a trailer in its last 512 bytes. `src/manual/format.md` draws every byte; a
//! test there holds the drawing against the constants of these files.
//!
//! Bytes from a disk are hostile: nothing here indexes, casts or adds without a check, and what does
//! not hold is a value ([`frame::Invalid`], [`segment::HeaderState`]), never a panic.

#![deny(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects
)]

mod bytes;
pub(crate) mod crc;
pub(crate) mod names;
pub(crate) mod payload;
pub(crate) mod frame;
pub(crate) mod checked;
pub(crate) mod record;
pub(crate) mod alone;
pub(crate) mod trace;
pub(crate) mod lineage;
pub(crate) mod key_slot;
pub(crate) mod sealed;
pub(crate) mod segment;
pub(crate) mod footer;
pub(crate) mod dropped;
pub(crate) mod packs;
pub(crate) mod snapshot;
pub(crate) mod scheduled;

#[cfg(test)]
mod tests;

/// The version of the format that this code writes, and the newest that it reads.
pub const FORMAT_VERSION: u16 = 1;

//! The checksum of all that is written: CRC-32 as zlib, PNG and Ethernet have it (ISO-HDLC; polynomial
//! 0x04C11DB7, reflected).
//!
//! Every event goes through it when it is written and each time it is read, and it is a large part of a
//! buffered emit and most of a replay, so it comes from the library that is quickest with some hundred bytes: libdeflate.

pub(crate) use libdeflater::crc32;

/// The checksum of all that `crc` is the checksum of, with these bytes behind it.
pub(crate) fn crc32_append(crc: u32, bytes: &[u8]) -> u32 {
    let mut sum = libdeflater::Crc::with_initial(crc);
    sum.update(bytes);
    sum.sum()
}

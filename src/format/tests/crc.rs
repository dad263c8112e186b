//! The checksum is the standard's, whatever the length, the alignment and the parts.

use crate::format::crc::{crc32, crc32_append};

#[test]
fn it_is_the_crc_32_of_the_standard() {
    assert_eq!(crc32(b""), 0);
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

/// Each length and alignment takes a path of its own through the library's code.
#[test]
fn all_lengths_and_alignments_agree_with_another_library() {
    let bytes: Vec<u8> = (0..6_000_u32).map(|at| ((at * 131) >> 3) as u8).collect();
    let lengths = (0..700).chain([1_000, 1_023, 1_024, 1_025, 2_047, 4_096, 5_900]);
    for len in lengths {
        for start in 0..66 {
            let part = &bytes[start..start + len];
            assert_eq!(
                crc32(part),
                crc32fast::hash(part),
                "{len} bytes from {start}"
            );
        }
    }
}

#[test]
fn parts_one_after_the_other_are_as_the_whole() {
    let bytes: Vec<u8> = (0..300_u16).map(|at| at as u8).collect();
    for cut in 0..bytes.len() {
        let (front, back) = bytes.split_at(cut);
        let parts = crc32_append(crc32(front), back);
        assert_eq!(parts, crc32(&bytes), "cut at {cut}");
    }
}

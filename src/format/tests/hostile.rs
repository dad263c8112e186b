//! Bytes that no encoder wrote never pass for a frame.

use super::super::checked::{self, Checked};
use super::super::frame::{self, FIELDS, HEADER_LEN, Invalid, Place};
use super::super::payload::Headers;
use super::super::record::EventRef;
use super::{PLACE, Random, frame_of, place_of, rounds, sample_frame};
use crate::event::{Data, Event};
use crate::format::crc::crc32;

/// Overwrites a field and mends the checksum.
fn forged(bytes: &[u8], field: &str, value: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[place_of(FIELDS, field)].copy_from_slice(value);
    let len = frame::claimed_len(&out).unwrap().min(out.len());
    let content_crc = crc32(&out[4..len]);
    let copy = out.clone();
    frame::relocate(&mut out, &copy, content_crc, PLACE);
    out
}

#[test]
fn every_flipped_bit_is_found() {
    let frame_bytes = sample_frame();
    let len = frame::claimed_len(&frame_bytes).unwrap();
    let whole = frame::decode(&frame_bytes, PLACE).unwrap();
    // Bytes behind the frame, so that a longer length finds something to read.
    let mut bytes = [&frame_bytes[..], &Random::new(5).bytes(70_000)].concat();
    for bit in 0..frame_bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let decoded = frame::decode(&bytes, PLACE);
        if bit / 8 < len {
            assert!(decoded.is_err(), "bit {bit} passed");
        } else {
            let frame = decoded.unwrap();
            assert_eq!(
                (frame.header, &frame.bytes[4..]),
                (whole.header, &whole.bytes[4..]),
                "padding"
            );
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn no_truncated_frame_passes() {
    let bytes = sample_frame();
    let len = frame::claimed_len(&bytes).unwrap();
    for cut in 0..len {
        assert_eq!(
            frame::decode(&bytes[..cut], PLACE).unwrap_err(),
            Invalid::Length,
            "{cut}"
        );
        let mut zeroed = bytes.clone();
        zeroed[cut..].fill(0);
        if zeroed[..len] != bytes[..len] {
            assert!(
                frame::decode(&zeroed, PLACE).is_err(),
                "zeros from {cut} on"
            );
        }
    }
}

#[test]
fn zeros_are_empty_whatever_their_place() {
    let mut random = Random::new(6);
    for len in 0..300 {
        let expected = if len < 8 {
            Invalid::Length
        } else {
            Invalid::Empty
        };
        assert_eq!(
            frame::decode(&vec![0; len], random.place()).unwrap_err(),
            expected,
            "{len}"
        );
    }
}

#[test]
fn no_frame_passes_at_another_offset_or_under_another_salt() {
    let seed = 8;
    let mut random = Random::new(seed);
    let bytes = sample_frame();
    for offset in (0..1 << 20)
        .step_by(frame::ALIGN)
        .filter(|&offset| offset != PLACE.offset)
    {
        let copied = frame::decode(&bytes, Place { offset, ..PLACE });
        assert_eq!(copied.unwrap_err(), Invalid::Checksum, "offset {offset}");
    }
    for _ in 0..rounds(20_000) {
        let place = Place {
            salt: random.next(),
            ..PLACE
        };
        assert!(
            frame::decode(&bytes, place).is_err(),
            "{place:?}, seed {seed}"
        );
    }
}

#[test]
fn a_frame_inside_a_payload_never_passes_for_one() {
    let inner = sample_frame();
    // MessagePack bin: the inner frame's bytes stand verbatim in the outer frame's data.
    let len = u16::try_from(inner.len()).unwrap().to_be_bytes();
    for pad in 0..8 {
        let msgpack = [&[0xc5], &len[..], &inner[..]].concat();
        let event = Event::with_data(
            "t".repeat(1 + pad),
            "s",
            Data::from_msgpack(msgpack).unwrap(),
        );
        let (outer, _) = frame_of(&event, Random::new(9).stamp(), PLACE);
        for at in (8..outer.len()).step_by(frame::ALIGN) {
            let place = Place {
                offset: PLACE.offset + at,
                ..PLACE
            };
            assert!(
                frame::decode(&outer[at..], place).is_err(),
                "pad {pad}, at {at}"
            );
        }
    }
}

#[test]
fn lengths_out_of_range_are_refused_before_anything_is_read() {
    let bytes = sample_frame();
    let with_len = |len: u32| {
        let mut bytes = bytes.clone();
        bytes[place_of(FIELDS, "len")].copy_from_slice(&len.to_le_bytes());
        frame::decode(&bytes, PLACE).map(|_| ()).unwrap_err()
    };
    for len in (0..HEADER_LEN as u32).chain([u32::MAX, u32::MAX - 7, 1 << 31, 1 << 24]) {
        assert_eq!(with_len(len), Invalid::Length, "{len}");
    }
}

#[test]
fn fields_out_of_range_are_refused_under_a_right_checksum() {
    let bytes = sample_frame();
    assert!(frame::decode(&forged(&bytes, "kind", &[1]), PLACE).is_ok());
    let max = u16::MAX.to_le_bytes();
    let wrong: &[(&str, &[u8])] = &[
        ("kind", &[0]),
        ("kind", &[3]),
        ("kind", &[255]),
        ("flags", &[8, 0]),
        ("flags", &[0, 128]),
        ("source_len", &max),
        ("headers_len", &max),
        ("batch_place", &max),
        ("batch_count", &[0, 0]),
    ];
    for (field, value) in wrong {
        let bytes = forged(&bytes, field, value);
        let decoded = frame::decode(&bytes, PLACE);
        assert_eq!(decoded.unwrap_err(), Invalid::Field, "{field} {value:?}");
        let checked = checked::check(&bytes, PLACE);
        assert!(checked.is_none(), "{field} {value:?}");
    }
    // A sealed frame is one, but none that could be read as it lies.
    let sealed = forged(&bytes, "flags", &[4, 0]);
    assert!(checked::check(&sealed, PLACE).is_none() && Checked::of_plain(&sealed).is_none());
    let no_room = u16::try_from(bytes.len() - HEADER_LEN - 31).unwrap();
    let short = forged(&sealed, "headers_len", &no_room.to_le_bytes());
    assert_eq!(frame::decode(&short, PLACE).unwrap_err(), Invalid::Field);
    let early = forged(
        &forged(&bytes, "seq", &3_u64.to_le_bytes()),
        "durable_lag",
        &[4, 0, 0, 0],
    );
    assert_eq!(
        frame::decode(&early, PLACE).unwrap_err(),
        Invalid::Field,
        "a lag beyond the Seq"
    );
    assert!(
        checked::check(&early, PLACE).is_none(),
        "a lag beyond the Seq"
    );
    let mark = forged(&bytes, "kind", &[2]);
    assert!(checked::check(&mark, PLACE).is_none(), "a mark in a batch");
    assert_eq!(
        frame::decode(&mark, PLACE).unwrap_err(),
        Invalid::Field,
        "a mark in a batch"
    );
}

#[test]
fn random_bytes_are_no_frame() {
    let seed = 10;
    let mut random = Random::new(seed);
    for round in 0..rounds(20_000) {
        let len = random.below(400);
        let mut bytes = random.bytes(len);
        // A length that fits, so that the checksum is what refuses.
        if let Some(place) = bytes.get_mut(place_of(FIELDS, "len")) {
            place.copy_from_slice(&(len as u32).to_le_bytes());
        }
        assert!(
            frame::decode(&bytes, PLACE).is_err(),
            "round {round}, seed {seed}"
        );
    }
}

#[test]
fn text_that_is_no_utf8_is_no_event() {
    let mut bytes = sample_frame();
    bytes[HEADER_LEN] = 0xff;
    let bytes = forged(&bytes, "kind", &[1]);
    assert!(EventRef::new(checked::check(&bytes, PLACE).unwrap()).is_none());
}

#[test]
fn headers_of_any_bytes_end() {
    let seed = 11;
    let mut random = Random::new(seed);
    for _ in 0..rounds(2_000) {
        let len = random.below(200);
        let mut bytes = random.bytes(len);
        for byte in &mut bytes {
            *byte &= 7;
        }
        let pairs = Headers::new(&bytes).count();
        assert!(
            pairs <= bytes.len() / 4,
            "{pairs} pairs in {len} bytes, seed {seed}"
        );
    }
    assert_eq!(
        Headers::new(&[1, 0, 0, 0, 0xff]).count(),
        0,
        "a name that is no UTF-8"
    );
}

//! Frames: what goes in comes out.

use super::super::checked;
use super::super::frame::{self, Gist, HEADER_LEN, Kind, Stamp};
use super::super::payload::Record;
use super::super::record::EventRef;
use super::{PLACE, Random, frame_of, rounds, sample_frame};
use crate::clock::Timestamp;
use crate::error::ErrorKind;
use crate::event::{Data, Event, EventId};
use crate::position::Seq;

#[test]
fn events_round_trip() {
    for seed in 1..=rounds(500) as u64 {
        let mut random = Random::new(seed);
        let (event, stamp, place) = (random.event(), random.stamp(), random.place());
        let (bytes, content_crc) = frame_of(&event, stamp, place);
        let frame = frame::decode(&bytes, place).unwrap_or_else(|e| panic!("{e:?}, seed {seed}"));
        let header = frame.header;
        assert_eq!(
            (header.seq, header.kind, header.flags),
            (stamp.seq, stamp.kind, stamp.flags)
        );
        assert_eq!(
            (header.appended_at, header.durable_upto),
            (stamp.appended_at, stamp.durable_upto)
        );
        assert_eq!(
            (header.batch_place, header.batch_count),
            (stamp.batch_place, stamp.batch_count)
        );
        assert_eq!(
            (header.content_crc, header.padded_len()),
            (content_crc, bytes.len()),
            "seed {seed}"
        );
        let read = EventRef::new(checked::check(&bytes, place).unwrap()).unwrap();
        assert_eq!(read.to_event().unwrap(), event, "seed {seed}");
    }
}

#[test]
fn a_frame_moves_with_its_content_checksum() {
    let mut random = Random::new(3);
    let bytes = sample_frame();
    let frame = frame::decode(&bytes, PLACE).unwrap();
    for _ in 0..100 {
        let place = random.place();
        let mut moved = vec![0xaa; bytes.len()];
        frame::relocate(&mut moved, &bytes, frame.header.content_crc, place);
        let there = frame::decode(&moved, place).unwrap();
        assert_eq!(there.header, frame.header);
        assert_eq!(there.bytes[4..], frame.bytes[4..]);
    }
}

#[test]
fn what_is_kept_of_a_frame_is_what_its_bytes_say_and_its_padding_is_zero() {
    for len in 0..64 {
        let mut random = Random::new(len);
        let (event, place) = (random.event(), random.place());
        let data = vec![0xff; usize::try_from(len).unwrap()];
        let record = Record::new("t", "s", event.timestamp, &data).unwrap();
        let stamp = Stamp {
            kind: Kind::Event,
            ..random.stamp()
        };
        let mut bytes = vec![0xaa; frame::padded(record.frame_len())];
        let content_crc = frame::encode(&mut bytes, &record, stamp, place);
        let gist = frame::gist(&bytes, place);
        assert_eq!(gist, Some(Gist::of(&record, &stamp, content_crc)), "{len}");
        let padding = &bytes[record.frame_len()..];
        assert!(padding.iter().all(|&byte| byte == 0), "{len}: {padding:?}");
    }
}

#[test]
fn marks_round_trip_and_take_a_header_alone() {
    let stamp = Stamp {
        kind: Kind::Mark,
        flags: frame::FLAG_CLEAN,
        seq: Seq(9),
        event_id: EventId::NIL,
        appended_at: Timestamp(1),
        durable_upto: Seq(9),
        batch_place: 0,
        batch_count: 0,
    };
    let mut bytes = vec![0xaa; HEADER_LEN];
    frame::encode(&mut bytes, &Record::MARK, stamp, PLACE);
    let header = frame::decode(&bytes, PLACE).unwrap().header;
    assert_eq!((header.kind, header.flags), (Kind::Mark, frame::FLAG_CLEAN));
    assert_eq!((header.seq, header.durable_upto), (Seq(9), Seq(9)));
}

#[test]
fn a_lag_beyond_its_field_reads_as_not_known() {
    let mut random = Random::new(4);
    let event = random.event();
    let seq = Seq(1 << 40);
    for (durable_upto, read) in [
        (Seq(1), Seq::ZERO),
        (Seq(seq.0 - u64::from(u32::MAX)), Seq::ZERO),
        (
            Seq(seq.0 - u64::from(u32::MAX) + 1),
            Seq(seq.0 - u64::from(u32::MAX) + 1),
        ),
        (seq, seq),
        // A witness ahead of the frame itself says no more than the frame's own Seq.
        (Seq(seq.0 + 5), seq),
    ] {
        let stamp = Stamp {
            seq,
            durable_upto,
            ..random.stamp()
        };
        let (bytes, _) = frame_of(&event, stamp, PLACE);
        assert_eq!(
            frame::decode(&bytes, PLACE).unwrap().header.durable_upto,
            read
        );
    }
}

#[test]
fn records_that_do_not_fit_are_refused() {
    let nil = || Data::default();
    let refused = |event: Event, word: &str| {
        let error = Record::of(&event).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(word), "{error}");
    };
    let taken = |event: Event| assert!(Record::of(&event).is_ok());
    refused(Event::with_data("", "s", nil()), "event type is empty");
    refused(Event::with_data("t", "", nil()), "source is empty");
    refused(Event::with_data("t".repeat(256), "s", nil()), "256 bytes");
    refused(Event::with_data("t", "s".repeat(1025), nil()), "1025 bytes");
    taken(Event::with_data("t".repeat(255), "s".repeat(1024), nil()));
    taken(Event::with_data("t", "s", nil()).with_header("k", "v".repeat(65_530)));
    refused(
        Event::with_data("t", "s", nil()).with_header("k", "v".repeat(65_531)),
        "65536 bytes",
    );
}

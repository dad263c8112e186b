//! `src/manual/format.md` says what the code does.

use super::super::frame::{self, Chain, Kind, Place, Stamp};
use super::super::{dropped, footer, key_slot, names, packs, payload, sealed, segment, snapshot};
use super::{Field, frame_of};
use crate::clock::Timestamp;
use crate::event::{Data, Event, EventId};
use crate::position::{SegmentId, Seq};

const MANUAL: &str = include_str!("../../manual/format.md");

/// The lines behind an HTML comment, up to the next empty one.
fn section(marker: &str) -> Vec<&'static str> {
    let marker = format!("<!-- {marker} -->");
    let mut lines = MANUAL.lines().skip_while(|line| *line != marker);
    assert!(lines.next().is_some(), "the manual has no {marker}");
    lines.take_while(|line| !line.is_empty()).collect()
}

/// The rows of a byte map: name, offset, length.
fn byte_map(name: &str) -> Vec<(String, usize, usize)> {
    let rows = section(&format!("bytes: {name}"));
    assert_eq!(rows[0], "| offset | len | field | meaning |", "{name}");
    let row = |line: &&str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (
            cells[3].to_owned(),
            cells[1].parse().unwrap(),
            cells[2].parse().unwrap(),
        )
    };
    rows[2..].iter().map(row).collect()
}

/// Asserts that the map of this name is these fields, without a hole or an overlap, `total` long.
#[track_caller]
fn holds(name: &str, fields: &[Field], total: usize) {
    let map = byte_map(name);
    let rows: Vec<Field> = fields.to_vec();
    let map_rows: Vec<(&str, usize, usize)> = map.iter().map(|(n, a, l)| (&**n, *a, *l)).collect();
    assert_eq!(
        map_rows, rows,
        "{name}: the manual (left) and the code (right)"
    );
    let end = map.iter().fold(0, |end, (field, at, len)| {
        assert_eq!(
            *at, end,
            "{name}.{field} does not start where the field before ends"
        );
        at + len
    });
    assert_eq!(end, total, "{name}: total length");
}

#[test]
fn the_byte_maps_are_the_code_s() {
    holds("frame", frame::FIELDS, frame::HEADER_LEN);
    holds("header", segment::FIELDS, segment::SECTOR_LEN);
    holds("slot", key_slot::FIELDS, segment::SECTOR_LEN);
    holds("sealed", &sealed::fields(7), 7 + sealed::EXTRA_LEN);
    holds("trailer", footer::FIELDS, footer::TRAILER_LEN);
    holds("dropped", dropped::FIELDS, dropped::RANGE_LEN);
    holds("pack", packs::FIELDS, packs::PACK_LEN);
    holds("snapshot", snapshot::FIELDS, snapshot::HEADER_LEN);
    holds(
        "entry",
        &[("frame_offset", 0, footer::ENTRY_LEN)],
        footer::ENTRY_LEN,
    );
    holds(
        "pair",
        &[("name_len", 0, 2), ("value_len", 2, 2)],
        payload::PAIR_HEAD,
    );
}

#[test]
fn the_map_of_the_header_block_is_the_code_s() {
    use key_slot::{KEY_SLOT_A, KEY_SLOT_B};
    use segment::{BLOCK_LEN, COPY, SECTOR_LEN};
    let after = KEY_SLOT_B + SECTOR_LEN;
    let fields = [
        ("header", 0, SECTOR_LEN),
        ("zeros", SECTOR_LEN, KEY_SLOT_A - SECTOR_LEN),
        ("key_slot_a", KEY_SLOT_A, SECTOR_LEN),
        ("key_slot_b", KEY_SLOT_B, SECTOR_LEN),
        ("zeros", after, COPY - after),
        ("header_copy", COPY, SECTOR_LEN),
    ];
    holds("block", &fields, BLOCK_LEN);
}

#[test]
fn every_name_is_in_the_manual() {
    let segment = names::segment(SegmentId::FIRST, 0);
    let building = names::tmp(&names::segment(SegmentId::FIRST, 1));
    let packs = names::packs_tmp(&names::segment(SegmentId::FIRST, 1));
    let state = names::snapshot("NAME", 1, Seq(42));
    let expected = [
        names::LOCK.to_owned(),
        format!("{}/{segment}", names::LOG),
        format!("{}/{building}", names::LOG),
        format!("{}/{packs}", names::LOG),
        format!("{}/{}", names::LOG, names::POISONED),
        names::scheduled(EventId(7))
            .replace(&EventId(7).to_string(), &format!("{}/ID", names::SCHEDULE)),
        format!("{}/", names::CONTROL),
        format!("{}/", names::INDEX),
        format!("{}/{state}", names::SNAPSHOTS),
        format!("{}/{}", names::SNAPSHOTS, names::damaged(&state)),
        format!("{}/{}/", names::LOG, names::ASIDE),
        format!("{}/", names::ASIDE),
    ];
    for name in expected {
        let row = format!("| `{name}` |");
        assert!(MANUAL.contains(&row), "the manual has no row {row}");
    }
    let torn = format!("`{}`", names::torn_tail(&segment, 8192));
    assert!(MANUAL.contains(&torn), "the manual does not name {torn}");
}

#[test]
fn the_limits_are_the_code_s() {
    let limits = format!("1 to {} and 1 to 1,024 bytes", payload::TYPE_LEN_MAX);
    assert!(MANUAL.contains(&limits), "{limits}");
    assert_eq!(payload::SOURCE_LEN_MAX, 1024);
    let depth = format!("nested at most {} deep", crate::event::MAX_DEPTH);
    assert!(MANUAL.contains(&depth), "{depth}");
}

#[test]
fn the_example_is_what_the_code_writes() {
    let data = Data::new(&42).unwrap();
    let id: EventId = "0190163d-8694-739b-aea5-966c26f8ad90".parse().unwrap();
    let event = Event::with_data("a.b", "web", data)
        .with_id(id)
        .at(Timestamp(1));
    let stamp = Stamp {
        kind: Kind::Event,
        flags: frame::FLAG_SYNC,
        seq: Seq(7),
        event_id: id,
        appended_at: Timestamp(2),
        durable_upto: Seq(5),
        batch_place: 0,
        batch_count: 1,
    };
    let place = Place {
        salt: 0x0123_4567_89ab_cdef,
        offset: 4096,
    };
    let (bytes, content_crc) = frame_of(&event.with_header("k", "v"), stamp, place);
    let hex = |line: &[u8]| {
        line.iter()
            .map(|b| format!("{b:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let written: Vec<String> = bytes.chunks(16).map(hex).collect();
    let rows = section("example: frame");
    assert_eq!(
        rows[1..rows.len() - 1],
        written,
        "the manual (left) and the code (right)"
    );

    let len = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
    let chain = format!("`{:#018x}`", Chain::default().extend(len, content_crc).0);
    assert!(
        MANUAL.contains(&chain),
        "the manual does not name the chain {chain}"
    );
}

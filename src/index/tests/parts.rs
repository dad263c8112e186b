//! Values, and a store that fails while it is in use.

use super::*;
use crate::index::hash::NameHash;
use crate::index::keys::Run;
use crate::index::pieces::{
    Branch, Piece, PieceWriter, count_offsets, decode_offsets, encode_offsets,
};
use crate::index::values::{Manifest, Position, encode_ids, find_ids};

#[test]
fn offsets_come_back_and_stay_small() {
    let all: Vec<u16> = (0..4096).collect();
    let even: Vec<u16> = (0..4096).step_by(2).collect();
    for offsets in [all, even, vec![0, 1, 127, 255, 4095], vec![4000], vec![0]] {
        let bytes = encode_offsets(&offsets);
        assert!(
            bytes.len() <= (2 * offsets.len()).min(512),
            "{}",
            bytes.len()
        );
        assert_eq!(count_offsets(&bytes), offsets.len() as u64);
        assert_eq!(decode_offsets(&bytes), Some(offsets));
    }
    for bytes in [
        &[][..],
        &[0x80],
        &[5, 0],
        &[0xff, 0x1f, 1],
        &[0x80, 0x80, 0x04],
    ] {
        assert_eq!(decode_offsets(bytes), None, "{bytes:?}");
    }
}

#[test]
fn branches_come_back() {
    for children in [1, 1 << 63, 0b1010_1010, 0x7f, 0xff, u64::MAX] {
        for count in [1, 127, 128, 1 << 40] {
            let branch = Branch { count, children };
            assert_eq!(Branch::decode(&branch.encode()), Some(branch));
        }
    }
    for bytes in [&[][..], &[0, 1], &[1], &[1, 64], &[1, 0, 0]] {
        assert_eq!(Branch::decode(bytes), None, "{bytes:?}");
    }
}

#[test]
fn the_pieces_of_a_run_cover_all_hashes() {
    let run = Run::of(Dimension::Source, 0, 80);
    let mut random = Source::new(19, 0, 1);
    let mut hashes: Vec<u64> = (0..1000).map(|_| random.random()).collect();
    hashes.sort_unstable();
    let mut writer = PieceWriter::new(run);
    for hash in &hashes {
        writer.push(*hash, &hash.to_le_bytes()[..3]);
    }
    let pieces = writer.finish();
    assert!(pieces.len() > 4, "{}", pieces.len());
    let mut next = 0;
    for (key, value) in &pieces {
        let piece = Piece::read(key, value).unwrap();
        assert!(piece.covers(next) && !piece.covers(next.wrapping_sub(1)));
        next = piece.last.wrapping_add(1);
        for at in 0..value.len() {
            let mut flipped = value.clone();
            flipped[at] ^= 1;
            assert!(Piece::read(key, &flipped).is_none(), "{at}");
        }
        assert!(Piece::read(&run.child(1).key(0), value).is_none());
    }
    assert_eq!(next, 0, "the last piece covers the rest");
    let find = |hash: u64| {
        let mut pieces = pieces
            .iter()
            .map(|(key, value)| Piece::read(key, value).unwrap());
        pieces.find(|piece| piece.covers(hash)).unwrap().find(hash)
    };
    for hash in &hashes {
        assert_eq!(find(*hash), Ok(Some(&hash.to_le_bytes()[..3])));
    }
    for hash in [0, hashes[0] + 1, u64::MAX] {
        assert_eq!(find(hash), Ok(None));
    }
}

#[test]
fn names_are_hashed_as_the_definition_says() {
    // The key 00 01 02 … 0f and a message of 0 to 15 such bytes: worked out apart, by a
    // program that gives the 2-4 vectors of the paper.
    let hashes = NameHash::of_log(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
    assert_eq!(hashes.hash(""), 0xabac_0158_050f_c4dc);
    let message: String = (0..15_u8).map(char::from).collect();
    assert_eq!(hashes.hash(&message), 0xd320_d86d_2a51_9956);
}

#[test]
fn bytes_behind_a_true_checksum_may_still_be_nonsense() {
    let key = keys::piece(0, 0);
    let run = Run::of(Dimension::Type, 0, 0);
    let mut random = Source::new(13, 0, 1);
    for _ in 0..20_000 {
        let len = usize::try_from(random.random() % 40).unwrap();
        let mut body: Vec<u8> = (0..len).map(|_| (random.random() >> 56) as u8).collect();
        if let Some(high) = body.get_mut(9) {
            *high = 0;
        }
        if let Some(offsets) = decode_offsets(&body) {
            assert!(offsets.is_sorted_by(|a, b| a < b));
            assert!(offsets.iter().all(|offset| *offset < 4096));
        }
        Branch::decode(&body);
        let value = keys::seal(&run.key(0), b"", &body);
        if let Some(mut piece) = Piece::read(&run.key(0), &value) {
            while let Ok(Some(_)) = piece.next_entry() {}
        }
        let found = find_ids(&keys::seal(&key, b"", &body), &key, 0);
        assert_eq!(found.is_some(), len % 6 == 0);
        let manifest = Manifest::decode(0, &keys::seal(&keys::manifest(0), b"", &body));
        let flags = body.get(2).copied().unwrap_or_default();
        let wanted = if flags >> 2 == 63 { 25 } else { 23 };
        assert_eq!(manifest.is_some(), len == wanted && flags & 1 == 0);
        assert_eq!(
            Position::decode(&keys::seal(keys::POSITION, &[0; 16], &body), 0),
            None
        );
    }
}

#[test]
fn of_events_with_the_same_id_the_first_is_named() {
    let ids = [EventId(1), EventId(2), EventId(1), EventId(1), EventId(3)];
    let offsets = [10, 11, 12, 13, 14];
    let pieces = encode_ids(5, &ids, &offsets, 99);
    assert_eq!(pieces.len(), 8);
    for (id, due) in [(1, vec![10]), (2, vec![11]), (3, vec![14]), (4, vec![])] {
        let (piece, hash) = keys::id_hash(EventId(id), 99);
        let (key, value) = &pieces[usize::from(piece)];
        assert_eq!(find_ids(value, key, hash), Some(due));
    }
}

#[test]
fn the_store_that_fails_in_use_is_replaced_and_answers_stay_right() {
    let dir = tempfile::tempdir().unwrap();
    let log = memory_log();
    let mut source = Source::new(14, 50, 5);
    let index = open(&log, &dir.path().join("index"));
    for round in 1..5 {
        source.emit(&log, 5000);
        assert!(index.catch_up());
        index.core.report("a test says so");
        assert_equals_scan(&index, &log, "broken");
        assert!(index.catch_up());
        assert_equals_scan(&index, &log, "mended");
        assert_eq!(index.state().rebuilds, round);
        assert_eq!(
            index.state().in_memory,
            round >= 3,
            "after three it gives up"
        );
    }
}

#[test]
fn a_panic_of_the_store_is_an_error_of_the_index() {
    let failed = store::guarded("look", || -> Result<()> { panic!("as its users report") });
    let error = failed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Index);
    assert!(error.message().contains("panicked at look"), "{error}");
    assert_eq!(store::guarded("look", || Ok(5)).unwrap(), 5);
}

#[test]
fn an_event_that_cannot_be_read_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let log_folder = dir.path().join("log");
    let log = file_log(&log_folder);
    let mut source = Source::new(15, 0, 5);
    source.emit(&log, 9000);
    let (sick, id) = (Seq(3000), source.used[2999]);
    let stored = log.get(sick).unwrap().unwrap();
    let data_len = stored.event().frame().payload().len();
    let segment = log
        .segments()
        .into_iter()
        .find(|held| held.last_seq() >= sick)
        .unwrap();
    let bytes = std::fs::read(log_folder.join(&segment.name)).unwrap();
    let at = bytes
        .windows(8)
        .position(|bytes| bytes == sick.0.to_le_bytes())
        .unwrap();
    let whole = bytes.clone();
    let mut bytes = bytes;
    bytes[at + 56 + data_len - 1] ^= 1;
    std::fs::write(log_folder.join(&segment.name), bytes).unwrap();
    assert!(log.get(sick).is_err());

    let index = open(&log, &dir.path().join("index"));
    assert!(index.catch_up());
    assert_eq!(index.state().unreadable, 1);
    assert_eq!(index.by_id(id).unwrap(), None);
    assert_eq!(index.by_id(source.used[3000]).unwrap(), Some(Seq(3001)));
    let found: Vec<Seq> = (0..40)
        .flat_map(|t| index.by_type(&format!("type.{t}"), Seq(1)))
        .collect();
    assert_eq!(found.len(), 8999);
    index.close();
    let index = open(&log, &dir.path().join("index"));
    assert_eq!(index.by_id(source.used[3000]).unwrap(), Some(Seq(3001)));
    assert_eq!(index.state().rebuilds, 0);
    index.close();
    // The segment is mended: what was passed over is found again.
    std::fs::write(log_folder.join(&segment.name), whole).unwrap();
    assert!(log.get(sick).is_ok());
    let index = open(&log, &dir.path().join("index"));
    assert!(index.catch_up());
    assert_eq!(index.by_id(id).unwrap(), Some(sick));
    assert_equals_scan(&index, &log, "mended");
    assert_eq!(index.state().rebuilds, 1);
}

#[test]
fn lookups_beside_a_writer_are_right() {
    let log = memory_log();
    let index = Index::open(log.clone(), None, IndexConfig::default());
    std::thread::scope(|scope| {
        scope.spawn(|| Source::new(16, 30, 4).emit(&log, 20_000));
        let mut seen = 0;
        while seen < 20_000 {
            let appended = log.watermark().appended();
            let mut counted = 0;
            for number in 0..4 {
                let seqs: Vec<Seq> = index.by_type(&format!("type.{number}"), Seq(1)).collect();
                assert!(seqs.is_sorted_by(|a, b| a < b));
                counted += seqs.iter().filter(|seq| **seq <= appended).count();
            }
            assert_eq!(counted as u64, appended.0);
            seen = appended.0;
        }
    });
}

/// In a store on the disk: what is handed on, merged and removed meanwhile is found before, during and after.
#[test]
fn lookups_in_a_folder_beside_a_writer_and_retention_are_right() {
    const TYPES: u64 = 700;
    let dir = tempfile::tempdir().unwrap();
    let log = memory_log();
    let index = open(&log, &dir.path().join("index"));
    let ended = std::sync::atomic::AtomicBool::new(false);
    let is_ended = || ended.load(std::sync::atomic::Ordering::Acquire);
    let name_of = |seq: u64| format!("type.{}", seq % TYPES);
    let look = |seed: u64| {
        let mut random = Source::new(seed, 0, 1);
        while !is_ended() {
            let appended = log.watermark().appended().0;
            let number = random.random() % TYPES;
            let mut found = index.newest(Dimension::Type, &name_of(number), Seq::MAX);
            let mut due = None;
            for _ in 0..=random.random() % 300 {
                let Some(Seq(seq)) = found.next() else {
                    let past = due.unwrap_or(appended.saturating_sub(TYPES));
                    assert!(past <= log.first_seq().0, "{number}: nothing at {past}");
                    break;
                };
                assert_eq!(seq % TYPES, number);
                match due {
                    None => assert!(seq + TYPES > appended, "{seq} of {appended}"),
                    // What retention removes meanwhile may be passed over.
                    Some(due) => assert!(seq == due || due < log.first_seq().0, "{seq}, not {due}"),
                }
                let Some(next) = seq.checked_sub(TYPES).filter(|next| *next > 0) else {
                    break;
                };
                due = Some(next);
            }
        }
    };
    std::thread::scope(|scope| {
        for seed in [51, 52, 53] {
            scope.spawn(move || look(seed));
        }
        for batch in 0..400 {
            let seqs = batch * 1000 + 1..=(batch + 1) * 1000;
            let names: Vec<String> = seqs.map(name_of).collect();
            let records = names
                .iter()
                .map(|name| Record::new(name, "test", Timestamp(1), &[0xc0]).unwrap());
            log.append(&records.collect::<Vec<_>>(), Durability::Os)
                .unwrap();
            if batch > 0 && batch % 100 == 0 {
                assert!(index.catch_up());
                log.retire_before(Seq((batch - 20) * 1000)).unwrap();
            }
        }
        assert!(index.catch_up());
        ended.store(true, std::sync::atomic::Ordering::Release);
    });
    assert_eq!(index.state().rebuilds, 0);
}

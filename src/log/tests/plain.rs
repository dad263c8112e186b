//! Plain events where only encrypted ones can be: put there by somebody who knows the format, and not the key.
//! Every checksum of theirs is right.

use std::sync::Arc;

use super::encryption::{PLAIN, SETUP, open, refused};
use super::forge::{FORGED, forge, forge_whole, frames, header_of, put, segments};
use super::promise::read;
use super::run::{Run, Setup, Step};
use super::{keyed, mirror};
use crate::clock::Timestamp;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind};
use crate::event::{KeepLast, StateKey};
use crate::format::crc::crc32;
use crate::format::footer::Footer;
use crate::format::frame::{self, Kind, Place, Stamp};
use crate::format::key_slot::{KEY_SLOT_A, KEY_SLOT_B, KeySlots, SECTOR_LEN, WrappedKey};
use crate::format::record::Record;
use crate::format::segment::{PACKED, SEALED, SegmentHeader, TRAILER_LEN};
use crate::keys::Access;
use crate::keys::data::DataKey;
use crate::log::finder::Finder;
use crate::log::plain::check_plain_segment;
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, SimDisk};

fn assert_told(error: &Error, seq: Seq, path: &str) {
    let text = error.to_string();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::Corrupt, Some(seq)),
        "{text}"
    );
    assert!(text.contains("somebody without the key"), "{text}");
    assert!(text.contains("forelog-recovery"), "{text}");
    let name = path.rsplit('/').next().unwrap();
    assert!(text.contains(name) && error.segment().is_some(), "{text}");
}

/// Every way in which an event is read says so, and those beside it are read.
fn assert_refused(log: &Log, seq: Seq, path: &str) {
    assert_told(&log.get(seq).unwrap_err(), seq, path);
    let mut finder = Finder::new(log.view());
    assert_told(&finder.get_unexpired(seq).unwrap_err(), seq, path);
    for mut reader in [log.reader(seq), log.durable_reader(seq)] {
        assert!(reader.step_on().is_none());
        assert_told(&reader.next_event().unwrap_err(), seq, path);
        assert_told(&reader.step().unwrap_err(), seq, path);
        assert!(reader.step_on().is_none());
        assert_eq!(reader.position(), seq, "the reader stays there");
    }
    // One that comes from the event before.
    let mut reader = log.reader(seq.prev());
    if seq > Seq::FIRST {
        reader.next_event().unwrap().unwrap();
        assert!(reader.step_on().is_none());
        assert_told(&reader.step().unwrap_err(), seq, path);
    }
    for beside in [seq.prev(), seq.next()] {
        if beside >= Seq::FIRST && beside <= log.watermark().appended() {
            log.get(beside).unwrap().unwrap();
        }
    }
}

fn keyed_run() -> Run {
    let run = Run::of(SETUP, &[Step::Append(1, 100, Durability::Sync); 90], |_| {});
    run.log().close().unwrap();
    run
}

#[test]
fn a_plain_event_in_an_encrypted_one_s_place_is_refused_by_every_reader() {
    let run = keyed_run();
    let all = segments(&run.disk);
    assert!(all.len() > 2);
    for (path, bytes) in [&all[0], &all[1], all.last().unwrap()] {
        let all = frames(bytes);
        for frame in [all[0], all[1], *all.last().unwrap()] {
            assert!(frame.is_sealed);
            let mut forged = bytes.clone();
            forge(&mut forged, frame);
            let disk = put(&run.disk, path, &forged);
            let mirror = mirror::open(&disk).unwrap();
            let error = mirror.view().get(frame.seq).unwrap_err();
            assert_told(&error, frame.seq, path);
            let mut reader = mirror.view().reader(frame.seq);
            assert_told(&reader.next_event().unwrap_err(), frame.seq, path);
            assert!(read(&mirror.view()).is_err());
            // Who has no key, and reads nothing for anybody, moves it as it moves any.
            let moving = disk.crash(CrashKind::Process, Choice::AllKept);
            let moving = open(&moving, Access::Moving, LogConfig::default()).unwrap();
            let event = moving.get(frame.seq).unwrap().unwrap();
            assert_eq!(event.event().data_bytes()[3], FORGED);
            drop(moving);
            // It is damage, and no torn tail: it stays where it is, and is refused again.
            for access in [keyed(), Access::Moving, keyed()] {
                let log = open(&disk, access.clone(), LogConfig::default()).unwrap();
                if matches!(access, Access::Key(_)) {
                    assert_refused(&log, frame.seq, path);
                }
                log.close().unwrap();
            }
        }
    }
}

/// A crash leaves a tail that recovery moves: what was forged in it moves along, and is refused.
#[test]
fn a_plain_event_that_recovery_has_moved_is_refused() {
    let run = Run::of(SETUP, &[Step::Append(1, 100, Durability::Os); 8], |_| {});
    let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
    let (path, mut bytes) = segments(&disk).pop().unwrap();
    let frame = frames(&bytes)[4];
    forge(&mut bytes, frame);
    let disk = put(&disk, &path, &bytes);
    let log = open(&disk, keyed(), LogConfig::default()).unwrap();
    assert!(!log.recovery().clean);
    let error = log.get(frame.seq).unwrap_err();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::Corrupt, Some(frame.seq))
    );
    assert!(log.get(frame.seq.next()).unwrap().is_some());
}

#[test]
fn a_plain_segment_in_an_encrypted_one_s_place_is_refused_and_nothing_changed() {
    let run = keyed_run();
    let all = segments(&run.disk);
    for (path, bytes) in [&all[0], &all[1], all.last().unwrap()] {
        let seq = frames(bytes)[0].seq;
        let mut forged = bytes.clone();
        forge_whole(&mut forged);
        let disk = put(&run.disk, path, &forged);
        let error = refused(&disk, keyed());
        assert_told(&error, seq, path);
        assert!(error.to_string().contains("plain segment"), "{error}");
        assert_told(&mirror::open(&disk).unwrap_err(), seq, path);
        assert!(open(&disk, Access::Moving, LogConfig::default()).is_ok());
        // Nobody reads half of it without the key either.
        let disk = put(&run.disk, path, &forged);
        assert_eq!(refused(&disk, Access::Plain).kind(), ErrorKind::Key);
    }
}

#[test]
fn a_reader_that_has_the_log_open_refuses_a_plain_segment_that_comes_later() {
    let mut run = Run::of(SETUP, &[Step::Append(1, 100, Durability::Sync); 3], |_| {});
    run.log().close().unwrap();
    let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
    let mirror = mirror::open(&disk).unwrap();
    run.step(Step::Kill).unwrap();
    for _ in 0..40 {
        run.step(Step::Append(1, 100, Durability::Sync)).unwrap();
    }
    run.log().close().unwrap();
    for (path, bytes) in &run.disk.files() {
        disk.write_file(path, bytes).unwrap();
    }
    let (path, mut bytes) = segments(&run.disk).pop().unwrap();
    forge_whole(&mut bytes);
    disk.write_file(&path, &bytes).unwrap();
    let error = mirror.refresh().unwrap_err();
    assert_told(&error, frames(&bytes)[0].seq, &path);
    assert_eq!(mirror.view().watermark().appended(), Seq(3));
}

/// A compressed segment holds nothing encrypted, whatever its header says besides.
#[test]
fn what_is_said_to_be_encrypted_and_compressed_is_taken_for_plain() {
    let key = DataKey::generate(Seq(10)).unwrap();
    let header = header_of(&segments(&keyed_run().disk)[0].1).unwrap();
    let check = |bits: u64, last: u64| {
        let incompatible = bits;
        let header = SegmentHeader {
            incompatible,
            ..header
        };
        check_plain_segment(&key, &header, Seq(last), || "log".into())
    };
    assert!(check(SEALED, 10).is_ok() && check(0, 9).is_ok() && check(PACKED, 9).is_ok());
    assert!(check(SEALED | PACKED, 9).is_ok());
    for bits in [0, PACKED, SEALED | PACKED] {
        let error = check(bits, 10).unwrap_err();
        assert_eq!(
            (error.kind(), error.seq()),
            (ErrorKind::Corrupt, Some(Seq(10)))
        );
    }
}

/// What a log's slots say, all of them the same.
fn sealed_from(disk: &SimDisk) -> Seq {
    let slots = segments(disk)
        .into_iter()
        .flat_map(|(_, bytes)| KeySlots::decode(&bytes).keys().collect::<Vec<_>>());
    let mut all: Vec<Seq> = slots.map(|slot| slot.sealed_from).collect();
    all.dedup();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

/// Where a disk's events are plain: all before a Seq, which the slots name, and none from there on.
fn assert_parted(disk: &SimDisk) -> Seq {
    let from = sealed_from(disk);
    for (path, bytes) in segments(disk) {
        for frame in frames(&bytes) {
            assert_eq!(
                frame.is_sealed,
                frame.seq >= from,
                "{path}: {frame:?}, {from}"
            );
        }
    }
    from
}

#[test]
fn a_log_that_is_given_a_key_says_where_its_plain_events_end() {
    let appended = [Step::Append(1, 100, Durability::Os); 30];
    assert_eq!(assert_parted(&keyed_run().disk), Seq::ZERO);
    for is_closed in [true, false] {
        let mut run = Run::of(PLAIN, &appended, |_| {});
        run.step(Step::GiveKey(is_closed)).unwrap();
        run.step(Step::Append(1, 10, Durability::Sync)).unwrap();
        assert_eq!(assert_parted(&run.disk), Seq(31));
        assert_eq!(run.log().key().unwrap().sealed_from(), Seq(31));
        assert_eq!(run.log().watermark().appended(), Seq(31));
        // Its plain past is read, and what is put in the place of what came since is not.
        read(run.log()).unwrap();
        run.log().close().unwrap();
        let all = segments(&run.disk);
        let (path, bytes) = all.last().unwrap();
        let frame = *frames(bytes).last().unwrap();
        let mut forged = bytes.clone();
        forge(&mut forged, frame);
        let disk = put(&run.disk, path, &forged);
        let log = open(&disk, keyed(), LogConfig::default()).unwrap();
        assert_refused(&log, Seq(31), path);
        assert!(log.get(Seq(1)).unwrap().is_some());
    }
    // After a power cut the log goes on above all Seqs that were handed out, and may have been seen.
    let run = Run::of(PLAIN, &appended, |_| {});
    let disk = run.disk.crash(CrashKind::System, Choice::AllLost);
    let log = SETUP.open(&disk).unwrap();
    let base = log.segments().last().unwrap().base_seq();
    assert!(base > Seq(31), "{base}");
    assert_eq!(assert_parted(&disk), base);
}

/// A log with a past is never so short of room that an empty segment of it is taken for a forged one.
#[test]
fn an_empty_plain_segment_before_the_first_key_is_no_forgery() {
    let key = DataKey::generate(Seq(31)).unwrap();
    let header = SegmentHeader {
        incompatible: 0,
        base_seq: Seq(31),
        ..header_of(&segments(&keyed_run().disk)[0].1).unwrap()
    };
    let check = |last| check_plain_segment(&key, &header, last, || "log".into());
    assert!(check(Seq(30)).is_ok() && check(Seq(31)).is_err());
}

/// The last plain segment made longer, by its own word, than the next one says: what readers would go by.
#[test]
fn a_plain_segment_that_claims_more_than_it_had_is_refused() {
    let mut run = Run::of(PLAIN, &[Step::Append(1, 100, Durability::Sync); 5], |_| {});
    run.step(Step::GiveKey(true)).unwrap();
    run.step(Step::Append(1, 100, Durability::Sync)).unwrap();
    run.log().close().unwrap();
    let (path, mut bytes) = segments(&run.disk).swap_remove(0);
    assert!(!header_of(&bytes).unwrap().is_sealed());
    let trailer_at = bytes.len() - TRAILER_LEN;
    let mut footer = Footer::decode(&bytes[trailer_at..]).unwrap();
    assert_eq!(footer.last_seq, Seq(5));
    let last = *frames(&bytes).last().unwrap();
    let table_at = footer.table_at();
    let end = usize::try_from(footer.frames_end).unwrap();
    let table = bytes[table_at..table_at + 20].to_vec();
    // One more frame, and its place in the table.
    let place = |offset| Place {
        salt: footer.salt,
        offset,
    };
    let old = frame::decode(&bytes[last.offset..], place(last.offset)).unwrap();
    let (len, old) = (old.bytes.len(), old.header);
    let stamp = Stamp {
        kind: Kind::Event,
        flags: old.flags,
        seq: Seq(6),
        event_id: old.event_id,
        appended_at: old.appended_at,
        durable_upto: old.durable_upto,
        batch_place: 0,
        batch_count: 1,
    };
    let data = vec![0x01];
    let record = Record::new("test.number", "unit", Timestamp(1), &data).unwrap();
    let more = frame::padded(record.frame_len());
    assert!(more <= frame::padded(len));
    frame::encode(&mut bytes[end..end + more], &record, stamp, place(end));
    let entry = u32::try_from(end / 8).unwrap().to_le_bytes();
    let table = [table, entry.to_vec()].concat();
    footer.frames_end += more as u64;
    footer.count += 1;
    footer.last_seq = Seq(6);
    footer.table_checksum = crc32(&table);
    let table_at = footer.table_at();
    bytes[table_at..table_at + table.len()].copy_from_slice(&table);
    bytes[trailer_at..].copy_from_slice(&footer.encode());
    let disk = put(&run.disk, &path, &bytes);
    let error = open(&disk, keyed(), LogConfig::default()).unwrap_err();
    assert_told(&error, Seq(6), &path);
    assert!(error.to_string().contains("plain segment"), "{error}");
}

#[test]
fn a_key_slot_that_names_another_seq_is_not_taken() {
    let mut run = Run::of(PLAIN, &[Step::Append(1, 100, Durability::Sync); 5], |_| {});
    run.step(Step::GiveKey(true)).unwrap();
    run.step(Step::Append(1, 100, Durability::Sync)).unwrap();
    run.log().close().unwrap();
    for other in [Seq::ZERO, Seq(5), Seq(7), Seq::MAX] {
        let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
        let mut altered = 0;
        for (path, bytes) in segments(&disk) {
            for slot in [KEY_SLOT_A, KEY_SLOT_B] {
                let range = slot..slot + SECTOR_LEN;
                let Some(key) = WrappedKey::decode(&bytes[range.clone()]) else {
                    continue;
                };
                // While one is as it was, that is the one that counts.
                assert!(mirror::open(&disk).is_ok());
                let anew = WrappedKey {
                    sealed_from: other,
                    ..key
                };
                disk.corrupt(&path, range, |old| old.copy_from_slice(&anew.encode()))
                    .unwrap();
                altered += 1;
            }
        }
        assert!(altered >= 2);
        let error = refused(&disk, keyed());
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(
            error.to_string().contains("altered the key slots"),
            "{error}"
        );
        assert_eq!(mirror::open(&disk).unwrap_err().kind(), ErrorKind::Key);
    }
}

/// An opening with the first key that a crash cuts off anywhere; then the log goes on without a key where it
/// still can, or with it; and is given the key once more.
#[test]
fn a_first_key_through_a_crash_at_any_operation() {
    let script = [
        Step::Append(2, 100, Durability::Sync),
        Step::Append(9, 300, Durability::Os),
        Step::Append(1, 300, Durability::Sync),
        Step::Append(3, 200, Durability::Os),
    ];
    let (mut went_on_plain, mut went_on_keyed) = (0, 0);
    for is_closed in [true, false] {
        let run = Run::of(PLAIN, &script, |_| {});
        if is_closed {
            run.log().close().unwrap();
        }
        for before in [
            (CrashKind::Process, Choice::AllKept),
            (CrashKind::System, Choice::AllLost),
            (CrashKind::System, Choice::Seed(7)),
        ] {
            let image = run.disk.crash(before.0, before.1);
            let whole = image.crash(CrashKind::Process, Choice::AllKept);
            drop(SETUP.open(&whole).unwrap());
            for nth in 1..=whole.op_count() {
                let disk = image.crash(CrashKind::Process, Choice::AllKept);
                disk.crash_at(nth);
                drop(SETUP.open(&disk));
                for after in [
                    (CrashKind::Process, Choice::AllKept),
                    (CrashKind::System, Choice::AllLost),
                    (CrashKind::System, Choice::AllKept),
                    (CrashKind::System, Choice::Seed(nth)),
                ] {
                    let left = disk.crash(after.0, after.1);
                    let mut first = PLAIN;
                    if let Err(error) = PLAIN.open(&left) {
                        assert_eq!(error.kind(), ErrorKind::Key, "{error}");
                        first = SETUP;
                    }
                    went_on_plain += u64::from(!first.is_keyed);
                    went_on_keyed += u64::from(first.is_keyed);
                    go_on(&left, first);
                }
            }
        }
    }
    assert!(went_on_plain > 50 && went_on_keyed > 20);
}

/// Appends, gives the key, appends, and reads all of it, by a reader beside the log as well.
fn go_on(disk: &SimDisk, first: Setup) {
    for setup in [first, SETUP] {
        let log = setup.open(disk).unwrap();
        let data = [0x93, 1, 2, 3];
        let record = Record::new("test.number", "unit", Timestamp(1), &data).unwrap();
        log.append(&[record, record], Durability::Os).unwrap();
        log.flush().unwrap();
    }
    assert_parted(disk);
    let log = SETUP.open(disk).unwrap();
    let count = |mut reader: crate::log::reader::Reader| {
        let mut count = 0;
        while reader.next_event().unwrap().is_some() {
            count += 1;
        }
        count
    };
    assert_eq!(count(log.reader(Seq::FIRST)), log.count());
    let mirror = mirror::open(disk).unwrap();
    assert_eq!(count(mirror.view().reader(Seq::FIRST)), log.count());
}

/// A forged event supersedes none, and is not dropped as superseded: it stays, to be told of.
#[test]
fn a_plain_event_has_no_part_in_compaction() {
    let config = || {
        let mut keep_last = KeepLast::default();
        keep_last.set("test.number".to_owned(), StateKey::Source);
        LogConfig {
            keep_last: Arc::new(keep_last),
            ..LogConfig::default()
        }
    };
    let disk = SimDisk::new();
    let log = open(&disk, keyed(), config()).unwrap();
    let append = |log: &Log, source: &str| {
        let data = [0x01; 200];
        let record = Record::new("test.number", source, Timestamp(1), &data).unwrap();
        log.append(&[record], Durability::Os).unwrap();
    };
    // The first event of this source is its last; the forged one behind it has the source too.
    append(&log, "unit");
    (0..60).for_each(|_| append(&log, "thing"));
    (0..150).for_each(|nth| append(&log, &format!("thing {nth}")));
    log.close().unwrap();
    drop(log);
    // Where nothing is superseded, and so nothing is copied and held against the chain.
    let (path, mut bytes) = segments(&disk).swap_remove(3);
    let frame = frames(&bytes)[2];
    assert!(frame.seq > Seq(61));
    forge(&mut bytes, frame);
    let disk = put(&disk, &path, &bytes);
    let log = open(&disk, keyed(), config()).unwrap();
    log.rewrite_what_is_due().unwrap();
    assert_eq!(log.count(), 211 - 59);
    assert!(log.get(Seq(1)).unwrap().is_some(), "it was superseded");
    let error = log.get(frame.seq).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "it was dropped");
}

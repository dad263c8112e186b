//! Encrypted logs: what an observer of the disk sees, who is let in, and that no nonce comes twice.

use std::collections::HashSet;
use std::sync::Arc;

use super::promise::read;
use super::run::{Run, Setup, Step, steps};
use super::{keyed, mirror};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{KeepLast, StateKey};
use crate::format::crc::crc32;
use crate::format::frame::{self, FLAG_SEALED, HEADER_LEN, Kind, Place};
use crate::format::key_slot::{KEY_SLOT_A, KEY_SLOT_B, SECTOR_LEN};
use crate::format::names;
use crate::format::record::Record;
use crate::format::sealed::SALT_LEN;
use crate::format::segment::{BLOCK_LEN, HeaderState, SegmentHeader};
use crate::keys::{Access, EncryptionKey};
use crate::log::mirror::Mirror;
use crate::log::scan::{Found, Scanner};
use crate::log::{Log, LogConfig, recovery};
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, SimDisk};

pub(super) const SETUP: Setup = Setup {
    segment_len: 9 << 10,
    is_keyed: true,
    ..Setup::SMALL
};
pub(super) const PLAIN: Setup = Setup {
    is_keyed: false,
    ..SETUP
};
/// Stands in every event that is to be found, or not.
const MARKER: &[u8] = b"the marker that nobody must see";

pub(super) fn open(disk: &SimDisk, access: Access, config: LogConfig) -> Result<Log> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_000)));
    let config = LogConfig {
        segment_len: 16 << 10,
        background: false,
        access,
        ..config
    };
    Log::open(disk.storage().folder(names::LOG)?, config, clock, Seq::ZERO)
}

pub(super) fn refused(disk: &SimDisk, access: Access) -> Error {
    let before = disk.files();
    let error = open(disk, access, LogConfig::default()).unwrap_err();
    assert_eq!(disk.files(), before, "a refused opening changed a file");
    error
}

fn append(log: &Log, source: &str, data: &[u8], durability: Durability) {
    let headers = [("h".to_owned(), String::from_utf8_lossy(data).into_owned())];
    let record = Record::new("secret.type", source, Timestamp(1), data).unwrap();
    let record = record.with_headers(&headers).unwrap();
    let last = log.append(&[record, record], durability).unwrap().last;
    if durability == Durability::Sync {
        log.wait_durable(last).unwrap();
    }
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

pub(super) fn is_segment(path: &str) -> bool {
    let name = path.strip_prefix("log/");
    name.is_some_and(|name| names::parse_segment(name).is_some())
}

/// Seq and salt of each sealed frame of a disk's segments, and how many lie open.
fn salts(disk: &SimDisk) -> (Vec<(Seq, [u8; SALT_LEN])>, usize) {
    let (mut sealed, mut plain) = (Vec::new(), 0);
    for (_, bytes) in disk.files().iter().filter(|(path, _)| is_segment(path)) {
        let HeaderState::Valid { header, .. } = SegmentHeader::decode(&bytes[..BLOCK_LEN]) else {
            continue;
        };
        let mut scanner = Scanner::new(bytes.as_slice(), header.salt, bytes.len());
        while let Found::Frame { frame, bytes, .. } = scanner.next().unwrap() {
            if frame.header.kind == Kind::Mark {
                continue;
            }
            if frame.header.flags & FLAG_SEALED == 0 {
                plain += 1;
                continue;
            }
            assert!(header.is_sealed() && header.keys.is_whole());
            let salt = bytes[HEADER_LEN..HEADER_LEN + SALT_LEN].try_into().unwrap();
            sealed.push((frame.header.seq, salt));
        }
    }
    (sealed, plain)
}

#[test]
fn nothing_of_an_event_is_to_be_seen_on_the_disk() {
    for access in [keyed(), Access::Plain] {
        let disk = SimDisk::new();
        let log = open(&disk, access.clone(), LogConfig::default()).unwrap();
        let durabilities = [Durability::Os, Durability::Sync, Durability::Os];
        for durability in durabilities.iter().cycle().take(120) {
            append(&log, "secret source", MARKER, *durability);
        }
        log.flush().unwrap();
        assert!(log.segments().len() > 3);
        let is_plain = matches!(access, Access::Plain);
        for (path, bytes) in disk.files().iter().filter(|(path, _)| is_segment(path)) {
            // A frame begins with its checksum and its length, which is never 0.
            let begins = |at: usize| bytes.get(at..at + 8).is_some_and(|bytes| bytes != [0; 8]);
            let is_used = begins(0) && begins(BLOCK_LEN);
            for what in [MARKER, b"secret.type", b"secret source"] {
                assert_eq!(holds(bytes, what), is_plain && is_used, "{path}");
            }
        }
    }
}

#[test]
fn a_wrong_key_and_none_are_refused_and_change_nothing() {
    for is_closed in [true, false] {
        let run = Run::of(SETUP, &steps(1, 30, false), |_| {});
        if is_closed {
            run.log().close().unwrap();
        }
        let disk = run.disk.crash(CrashKind::System, Choice::AllKept);
        let other = Access::Key(EncryptionKey::from_bytes([8; 32]));
        let (none, wrong) = (refused(&disk, Access::Plain), refused(&disk, other));
        assert_eq!(
            (none.kind(), wrong.kind()),
            (ErrorKind::Key, ErrorKind::Key)
        );
        assert!(none.to_string().contains("--key-file"), "{none}");
        assert!(wrong.to_string().contains("another key"), "{wrong}");
        assert!(open(&disk, keyed(), LogConfig::default()).is_ok());
    }
}

#[test]
fn no_salt_has_a_seq_twice_and_each_segment_and_opening_has_its_own() {
    let mut used = HashSet::new();
    for seed in 0..12 {
        let mut run = Run::of(SETUP, &[], |_| {});
        for step in steps(seed, 40, false) {
            let (before, _) = salts(&run.disk);
            run.step(step).unwrap();
            let (after, plain) = salts(&run.disk);
            assert_eq!(plain, 0);
            if matches!(step, Step::Reopen | Step::Kill) {
                run.step(Step::Append(1, 10, Durability::Os)).unwrap();
                let (seq, salt) = *salts(&run.disk).0.last().unwrap();
                let is_new = |(_, known): &(Seq, [u8; SALT_LEN])| *known != salt;
                assert!(
                    before.iter().all(is_new),
                    "{seq} has a salt of an earlier opening"
                );
            }
            used.extend(after);
        }
        // What a power cut leaves: the same Seqs may come again, under another salt.
        let disk = run.disk.crash(CrashKind::System, Choice::AllLost);
        let mut again = run;
        again.disk = disk;
        again.log = Some(SETUP.open(&again.disk).unwrap());
        let (held, _) = salts(&again.disk);
        again.log().append(&[Record::MARK], Durability::Os).unwrap();
        let fresh = *salts(&again.disk).0.last().unwrap();
        assert!(!held.contains(&fresh) && used.insert(fresh));
    }
}

/// A copy of a directory, of a virtual machine, of a backup: both go on from one state.
#[test]
fn two_copies_of_a_log_that_both_go_on_share_no_salt() {
    let run = Run::of(SETUP, &steps(2, 20, false), |_| {});
    let last = |is_clean: bool| {
        let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
        if is_clean {
            SETUP.open(&disk).unwrap().close().unwrap();
        }
        let log = SETUP.open(&disk).unwrap();
        append(&log, "b", b"c", Durability::Sync);
        *salts(&disk).0.last().unwrap()
    };
    let all: HashSet<_> = [last(true), last(true), last(false), last(false)].into();
    assert_eq!(all.len(), 4);
    assert!(all.iter().map(|(seq, _)| seq).collect::<HashSet<_>>().len() < 4);
}

#[test]
fn a_plain_log_becomes_encrypted_and_keeps_what_it_has() {
    for is_closed in [true, false] {
        let mut run = Run::of(PLAIN, &steps(3, 20, false), |_| {});
        let count = run.promise.events.len();
        run.setup = SETUP;
        run.step(if is_closed { Step::Reopen } else { Step::Kill })
            .unwrap();
        for step in [
            Step::Append(3, 200, Durability::Os),
            Step::Append(1, 10, Durability::Sync),
        ] {
            run.step(step).unwrap();
        }
        let (sealed, plain) = salts(&run.disk);
        assert_eq!(sealed.len(), 4, "{sealed:?}");
        assert!(plain > 0 && run.promise.events.len() > count);
        // All of it is read, by the log itself, by another that opens it, and by one that only reads.
        let found = read(run.log()).unwrap();
        let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
        assert_eq!(mirror::shown(&disk).unwrap(), found);
        assert_eq!(read(&SETUP.open(&disk).unwrap()).unwrap(), found);
        assert_eq!(refused(&disk, Access::Plain).kind(), ErrorKind::Key);
    }
}

#[test]
fn a_reader_beside_a_writer_sees_its_log_become_encrypted() {
    let mut run = Run::of(PLAIN, &steps(4, 10, false), |_| {});
    let with_key = mirror::open(&run.disk).unwrap();
    let folder = run.disk.storage().folder(names::LOG).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
    let access = Access::Plain;
    let without = Mirror::open(folder, Arc::default(), clock, access).unwrap();
    run.setup = SETUP;
    run.step(Step::Reopen).unwrap();
    run.step(Step::Append(2, 100, Durability::Sync)).unwrap();
    assert_eq!(with_key.refresh().unwrap(), run.promise.last());
    assert_eq!(read(&with_key.view()).unwrap(), read(run.log()).unwrap());
    assert_eq!(without.refresh().unwrap_err().kind(), ErrorKind::Key);
}

/// The first frame of the first segment, its bytes and where it lies.
fn first_frame(disk: &SimDisk) -> (String, Place, Vec<u8>) {
    let path = format!("log/{}", names::segment(crate::position::SegmentId(1), 0));
    let bytes = disk.read_file(&path).unwrap();
    let HeaderState::Valid { header, .. } = SegmentHeader::decode(&bytes[..BLOCK_LEN]) else {
        panic!("no header");
    };
    let place = Place {
        salt: header.salt,
        offset: BLOCK_LEN,
    };
    let frame = frame::decode(&bytes[BLOCK_LEN..], place).unwrap();
    (path, place, frame.bytes.to_vec())
}

/// Somebody who knows the format, and not the key: every checksum is right.
#[test]
fn a_frame_that_is_altered_under_a_right_checksum_is_told_of() {
    let run = Run::of(SETUP, &[Step::Append(1, 100, Durability::Sync); 40], |_| {});
    let log = run.log();
    log.close().unwrap();
    let (path, place, frame) = first_frame(&run.disk);
    let mut told = 0;
    for at in 4..frame.len() {
        let mut altered = frame.clone();
        altered[at] ^= 1;
        let content_crc = crc32(&altered[4..]);
        let mut bytes = vec![0; altered.len()];
        frame::relocate(&mut bytes, &altered, content_crc, place);
        if frame::decode(&bytes, place).is_err() {
            continue;
        }
        let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
        let range = BLOCK_LEN..BLOCK_LEN + bytes.len();
        disk.corrupt(&path, range, |old| old.copy_from_slice(&bytes))
            .unwrap();
        let log = SETUP.open(&disk).unwrap();
        let error = log.get(Seq(1)).unwrap_err();
        assert_eq!(
            (error.kind(), error.seq()),
            (ErrorKind::Corrupt, Some(Seq(1))),
            "byte {at}"
        );
        let error = log.reader(Seq(1)).next_event().unwrap_err();
        assert_eq!(
            (error.kind(), error.seq()),
            (ErrorKind::Corrupt, Some(Seq(1))),
            "byte {at}"
        );
        told += usize::from(error.to_string().contains("altered"));
        assert!(log.get(Seq(2)).unwrap().is_some());
    }
    assert!(told > frame.len() - 30, "{told} of {}", frame.len());
}

#[test]
fn a_damaged_key_slot_does_no_harm_while_another_is_whole() {
    let run = Run::of(SETUP, &steps(5, 40, false), |_| {});
    run.log().close().unwrap();
    let found = run.promise.events.len();
    let paths: Vec<String> = run.disk.files().into_iter().map(|(path, _)| path).collect();
    let paths: Vec<String> = paths.into_iter().filter(|path| is_segment(path)).collect();
    assert!(paths.len() > 2 && found > 10);
    let slots = [KEY_SLOT_A, KEY_SLOT_B];
    let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
    for (nth, (path, slot)) in paths
        .iter()
        .flat_map(|path| slots.map(|slot| (path, slot)))
        .enumerate()
    {
        if disk.read_file(path).unwrap()[slot..slot + SECTOR_LEN] == [0; SECTOR_LEN] {
            continue;
        }
        let check = disk.crash(CrashKind::Process, Choice::AllKept);
        assert!(
            open(&check, keyed(), LogConfig::default()).is_ok(),
            "{nth} slots are damaged"
        );
        disk.corrupt(path, slot..slot + SECTOR_LEN, |bytes| bytes[40] ^= 4)
            .unwrap();
    }
    let error = refused(&disk, keyed());
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("key slots"), "{error}");
}

/// Without the key everything is moved that has to be, and nothing can be appended.
#[test]
fn a_log_is_recovered_without_its_key() {
    for seed in 0..6 {
        let run = Run::of(SETUP, &steps(seed, 30, false), |_| {});
        let disk = run.disk.crash(CrashKind::System, Choice::AllKept);
        let moving = open(&disk, Access::Moving, LogConfig::default()).unwrap();
        let record = Record::new("a", "b", Timestamp(1), b"c").unwrap();
        let refused = moving.append(&[record], Durability::Sync).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Key);
        assert!(
            moving
                .get(moving.first_seq())
                .map_or(true, |found| found.is_none())
        );
        moving.close().unwrap();
        drop(moving);
        let log = SETUP.open(&disk).unwrap();
        assert!(log.recovery().clean);
        let found = run.promise.check(&log, CrashKind::System);
        found.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

#[test]
fn what_is_superseded_goes_from_an_encrypted_log() {
    let disk = SimDisk::new();
    let mut keep_last = KeepLast::default();
    keep_last.set("secret.type".to_owned(), StateKey::Source);
    let config = LogConfig {
        keep_last: Arc::new(keep_last),
        compression: cfg!(feature = "compression").then_some(3),
        ..LogConfig::default()
    };
    let log = open(&disk, keyed(), config).unwrap();
    for number in 0..300 {
        append(
            &log,
            &format!("source {}", number % 4),
            &[b'x'; 100],
            Durability::Os,
        );
    }
    log.flush().unwrap();
    let before = log.count();
    log.rewrite_what_is_due().unwrap();
    assert!(
        log.count() < before / 2,
        "{} of {before} are left",
        log.count()
    );
    let rewritten = log
        .segments()
        .iter()
        .filter(|one| one.header.is_rewritten())
        .count();
    assert!(rewritten > 2 && log.segments().iter().all(|one| !one.header.is_packed()));
    let report = log.explain_retention();
    assert!(report.segments.iter().all(|one| one.encrypted));
    let says = report.to_string();
    let why = "not compressed: encrypted events would not become smaller";
    assert_eq!(says.contains(why), cfg!(feature = "compression"), "{says}");
    let mut reader = log.reader(Seq::FIRST);
    let mut read = 0;
    while let Some(event) = reader.next_event().unwrap() {
        assert_eq!(event.data_bytes(), [b'x'; 100]);
        read += 1;
    }
    assert_eq!(read, log.count());
}

/// What was examined with one key is opened with it: the folder is not looked through again.
#[test]
fn the_key_is_found_before_anything_is_written() {
    let run = Run::of(SETUP, &[Step::Append(1, 10, Durability::Sync)], |_| {});
    let disk = run.disk.crash(CrashKind::System, Choice::AllKept);
    let storage = disk.storage().folder(names::LOG).unwrap();
    let mut examined = recovery::examine(storage.as_ref(), Seq::ZERO, None).unwrap();
    let ops = disk.op_count();
    assert!(
        examined
            .unlock(storage.as_ref(), &keyed())
            .unwrap()
            .is_some()
    );
    assert_eq!(disk.op_count(), ops);
}

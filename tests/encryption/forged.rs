//! Plain things in the place of encrypted ones, put there by somebody who can write every file, and has not the
//! key: every checksum is right.

use std::fs;
use std::path::{Path, PathBuf};

use forelog::inspect::{Inspector, Selector, Verdict};
use forelog::{Builder, ErrorKind, EventRef, EventSystem, Seq};

use super::{MARKER, files, key, keyed, live, plain, secret};

/// A frame of a file: where it starts, its Seq, and whether it is encrypted.
fn frames(bytes: &[u8], start: usize) -> Vec<(usize, u64, bool)> {
    let number =
        |at: usize, len: usize| (0..len).fold(0, |n, i| n | u64::from(bytes[at + i]) << (8 * i));
    let mut found = Vec::new();
    let mut at = start;
    while at + 64 <= bytes.len() && number(at, 8) != 0 {
        let (len, flags, kind) = (number(at + 4, 4), number(at + 52, 2), bytes[at + 54]);
        if kind == 1 {
            found.push((at, number(at + 8, 8), flags & 4 != 0));
        }
        at += usize::try_from(len).unwrap().next_multiple_of(8);
    }
    found
}

/// Puts a plain event into the place of the encrypted one at this offset: the same length, Seq, id and times,
/// and a checksum that is right there.
fn forge(bytes: &mut [u8], at: usize, salt: u64) {
    let len = usize::try_from(u32::from_le_bytes(
        bytes[at + 4..at + 8].try_into().unwrap(),
    ));
    let end = at + len.unwrap();
    bytes[at + 52] &= !4;
    let (event_type, source) = ("secret.made", "forger");
    bytes[at + 55] = u8::try_from(event_type.len()).unwrap();
    bytes[at + 56..at + 58].copy_from_slice(&u16::try_from(source.len()).unwrap().to_le_bytes());
    bytes[at + 58..at + 60].fill(0);
    let names = [event_type.as_bytes(), source.as_bytes()].concat();
    bytes[at + 64..at + 64 + names.len()].copy_from_slice(&names);
    // Data: an array of small numbers in MessagePack.
    let data = &mut bytes[at + 64 + names.len()..end];
    let count = u16::try_from(data.len() - 3).unwrap();
    data.fill(1);
    data[0] = 0xdc;
    data[1..3].copy_from_slice(&count.to_be_bytes());
    let fold = salt ^ (salt >> 32);
    let offset = u32::try_from(at).unwrap().wrapping_mul(2_654_435_761);
    let mask = u32::try_from(fold & 0xffff_ffff).unwrap() ^ offset;
    let checksum = crc32fast::hash(&bytes[at + 4..end]) ^ mask;
    bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// The file of a folder whose name has this in it.
fn file_of(folder: &Path, name: &str) -> PathBuf {
    let is_it = |path: &PathBuf| path.to_string_lossy().contains(name);
    files(folder).into_iter().find(is_it).unwrap()
}

/// Puts a plain event into the place of this one of the oldest segment.
fn forge_event(dir: &Path, seq: u64) {
    let path = file_of(&dir.join("log"), "000000000001");
    let mut bytes = fs::read(&path).unwrap();
    let salt = u64::from_le_bytes(bytes[120..128].try_into().unwrap());
    let all = frames(&bytes, 4096);
    let (at, ..) = *all.iter().find(|(_, held, _)| *held == seq).unwrap();
    forge(&mut bytes, at, salt);
    fs::write(&path, bytes).unwrap();
}

/// By somebody who can write every file, and has not the key.
#[test]
fn what_is_plain_is_taken_for_nothing_that_was_encrypted() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    live(keyed(&dir));
    let seq = Seq(5);
    forge_event(&dir, seq.0);
    let told = |error: &forelog::Error| {
        let text = error.to_string();
        assert_eq!(
            (error.kind(), error.seq()),
            (ErrorKind::Corrupt, Some(seq)),
            "{text}"
        );
        assert!(
            text.contains("plain event") && text.contains("000000000001"),
            "{text}"
        );
    };
    // Those who only look: with the key they see it, and without they cannot.
    let inspector = Inspector::open(&dir).unwrap();
    let report = inspector.verify_log(&mut |_| {}).unwrap();
    // The chain over all events is no secret either, and tells only of who forgets it.
    let names_it = |reason: &str| reason.contains("plain event");
    assert!(report.damage().all(|one| !names_it(&one.reason)));
    let inspector = inspector.encryption_key(key());
    let report = inspector.verify(&mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Damaged);
    let mut damage = report.damage();
    let found = damage.find(|one| one.seq == seq).unwrap();
    assert!(names_it(&found.reason), "{}", found.reason);
    let records = inspector.records(Selector::all()).unwrap();
    let bad: Vec<_> = records.filter_map(Result::err).collect();
    told(&bad[0]);
    let mut follow = inspector.follow(Selector::all()).unwrap();
    let error = loop {
        match follow.poll() {
            Ok(Some(event)) => assert!(event.seq() < seq),
            Ok(None) => panic!("it was passed over"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let store = keyed(&dir).open_read_only().unwrap();
    told(&store.get(seq).unwrap_err());
    drop(store);
    let state = EventSystem::reindex_encrypted(&dir, key()).unwrap();
    assert_eq!(state.unreadable, 1);
    // The system itself: look-ups, followers, states.
    let system = keyed(&dir).open().unwrap();
    told(&system.store().get(seq).unwrap_err());
    assert!(system.store().get(Seq(6)).unwrap().is_some());
    let apply = |count: &mut u64, _: &EventRef<'_>| {
        *count += 1;
        Ok(())
    };
    let mut projection = system.projection("count", 1, 0, apply).unwrap();
    told(&projection.catch_up().unwrap_err());
    assert!(projection.position() < seq && *projection.state() < seq.0);
    drop(projection);
    system.close().unwrap();
}

/// What lies beside the log: the state of a projection, and what is scheduled.
#[test]
fn a_plain_snapshot_and_a_plain_scheduled_event_are_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    live(keyed(&dir));
    let snapshot = file_of(&dir.join("snapshots"), "marks.");
    let old = fs::read(&snapshot).unwrap();
    let state = b"\x91\xa6forged";
    let mut forged = old[..64].to_vec();
    forged[12..16].copy_from_slice(&1_u32.to_le_bytes());
    forged[48..56].copy_from_slice(&(state.len() as u64).to_le_bytes());
    forged.extend_from_slice(state);
    let checksum = crc32fast::hash(&forged[12..]);
    forged[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&snapshot, forged).unwrap();
    let scheduled = file_of(&dir.join("schedule"), ".scheduled");
    let mut bytes = fs::read(&scheduled).unwrap();
    assert_eq!(frames(&bytes, 0).len(), 1);
    forge(&mut bytes, 0, 0x5343_4845_4455_4c45);
    fs::write(&scheduled, bytes).unwrap();

    let system = keyed(&dir).open().unwrap();
    assert_eq!(system.scheduled(), []);
    let apply = |state: &mut Vec<String>, event: &EventRef<'_>| {
        state.push(event.source().to_owned());
        Ok(())
    };
    let mut projection = system
        .projection("marks", 1, Vec::<String>::new(), apply)
        .unwrap();
    assert_eq!(projection.position(), Seq(0), "it begins at the start");
    projection.catch_up().unwrap();
    assert!(projection.state().iter().all(|source| source != "forged"));
    drop(projection);
    system.close().unwrap();
    for folder in ["snapshots", "schedule"] {
        file_of(&dir.join(folder), ".damaged");
    }
}

/// A directory that was given a key later keeps all that it had, and takes nothing plain from then on.
#[test]
fn a_directory_that_is_given_a_key_keeps_what_it_had() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    live(plain(&dir));
    let state = |builder: Builder| {
        let system = builder.open().unwrap();
        let apply = |_: &mut Vec<String>, _: &EventRef<'_>| Ok(());
        let projection = system
            .projection("marks", 1, Vec::<String>::new(), apply)
            .unwrap();
        let (position, len) = (projection.position(), projection.state().len());
        drop(projection);
        let parked = system.parked("picky");
        let found = (
            system.scheduled().len(),
            parked.len(),
            parked[0].reason.clone(),
            (position, len),
            system.store().query().count().unwrap(),
        );
        system.emit(secret(9)).unwrap();
        system.close().unwrap();
        found
    };
    let due = |count: u64| {
        let reason = format!("it says {MARKER}");
        (1, 1, reason, (Seq(803), 803), count)
    };
    assert_eq!(state(keyed(&dir)), due(803));
    assert_eq!(state(keyed(&dir)), due(804));
    let inspector = Inspector::open(&dir).unwrap().encryption_key(key());
    let report = inspector.verify(&mut |_| {}).unwrap();
    assert_eq!(
        (report.verdict, report.index_ok),
        (Verdict::Good, Some(true))
    );
    // The last event, alone in the last segment, as a plain one.
    let path = files(&dir.join("log")).into_iter().rev();
    let mut told = 0;
    for path in path {
        let mut bytes = fs::read(&path).unwrap();
        let found = frames(&bytes, 4096);
        let Some((at, seq, _)) = found
            .iter()
            .find(|(_, seq, is_sealed)| *is_sealed && *seq == 804)
        else {
            continue;
        };
        let salt = u64::from_le_bytes(bytes[120..128].try_into().unwrap());
        forge(&mut bytes, *at, salt);
        fs::write(&path, bytes).unwrap();
        let store = keyed(&dir).open_read_only().unwrap();
        let error = store.get(Seq(*seq)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(store.get(Seq(803)).unwrap().is_some());
        told += 1;
    }
    assert_eq!(told, 1);
}

/// Who follows the log's files meets a segment that is plain as a whole, and comes behind the encrypted ones.
#[test]
fn a_plain_segment_that_comes_later_is_followed_no_further() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let system = keyed(&dir).open().unwrap();
    for n in 0..5 {
        system.emit(secret(n)).unwrap();
    }
    system.close().unwrap();
    let inspector = Inspector::open(&dir).unwrap().encryption_key(key());
    let mut follow = inspector.follow(Selector::all()).unwrap();
    for seq in 1..=5 {
        assert_eq!(follow.poll().unwrap().unwrap().seq(), Seq(seq));
    }
    assert!(follow.poll().unwrap().is_none());
    let last = file_of(&dir.join("log"), "000000000001");
    let mut bytes = fs::read(&last).unwrap();
    let (at, ..) = *frames(&bytes, 4096).last().unwrap();
    let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
    let end = (at + usize::try_from(len).unwrap()).next_multiple_of(8);
    let frame = bytes[at..end].to_vec();
    let put = |bytes: &mut Vec<u8>, at: usize, value: u64| {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    bytes[4096..].fill(0);
    bytes[4096..4096 + frame.len()].copy_from_slice(&frame);
    put(&mut bytes, 4096 + 8, 6);
    let salt = u64::from_le_bytes(bytes[120..128].try_into().unwrap());
    forge(&mut bytes, 4096, salt);
    // Nothing encrypted; segment, base Seq, last Seq and end of the one before.
    for (at, value) in [(24, 0), (48, 2), (72, 6), (80, 5), (88, end as u64)] {
        put(&mut bytes, at, value);
    }
    let checksum = crc32fast::hash(&bytes[..508]);
    bytes[508..512].copy_from_slice(&checksum.to_le_bytes());
    bytes[512..4096].fill(0);
    bytes.copy_within(..512, 3584);
    fs::write(dir.join("log/000000000002-000.seg"), bytes).unwrap();
    let error = follow.poll().unwrap_err();
    assert_eq!(
        (error.kind(), error.seq()),
        (ErrorKind::Corrupt, Some(Seq(6)))
    );
    assert!(error.to_string().contains("plain event"), "{error}");
    assert!(follow.poll().unwrap().is_none());
}

//! Events that are damaged after they were indexed.

use super::*;

/// Flips a bit in the data of an event, in the files of a log.
fn harm(log: &Log, log_folder: &Path, seq: Seq) {
    let segments = log.segments();
    let segment = segments.iter().find(|one| one.last_seq() >= seq).unwrap();
    let path = log_folder.join(&segment.name);
    let bytes = std::fs::read(&path).unwrap();
    let len = {
        let stored = log.get(seq).unwrap().unwrap();
        stored.event().frame().payload().len()
    };
    // The bytes of a Seq may stand elsewhere, too.
    let places = bytes.windows(8).enumerate();
    let places = places.filter(|(_, bytes)| *bytes == seq.0.to_le_bytes());
    for (at, _) in places {
        let mut harmed = bytes.clone();
        if let Some(byte) = harmed.get_mut(at + 56 + len - 1) {
            *byte ^= 1;
        }
        std::fs::write(&path, harmed).unwrap();
        if log.get(seq).is_err() {
            return;
        }
    }
    panic!("{seq} can still be read");
}

/// Where the ids of a window ascend, the log itself is searched. What cannot be read is not taken for what
/// is not there, and hides no other.
#[test]
fn the_id_of_an_event_that_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let log_folder = dir.path().join("log");
    let log = file_log(&log_folder);
    let mut source = Source::new(41, 0, 3);
    source.emit(&log, 9000);
    let index = Index::open(log.clone(), None, IndexConfig::default());
    assert!(index.catch_up());
    let sick = [1, 300, 2048, 2049, 2050, 4095, 4096, 4351, 6000, 8191].map(Seq);
    for seq in sick {
        harm(&log, &log_folder, seq);
    }
    for (seq, id) in (1..).map(Seq).zip(&source.used).take(8191) {
        match index.by_id(*id) {
            Ok(found) => assert_eq!(found, Some(seq)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert!(sick.contains(&seq), "{seq}: {error}");
            }
        }
        // No event has an id between two that can be read.
        let is_beside = |one: &Seq| *one == seq || *one == seq.next();
        let between = EventId(id.0 + 1);
        if !source.used.contains(&between) {
            let found = index.by_id(between);
            if sick.iter().any(is_beside) {
                assert!(matches!(found, Ok(None) | Err(_)), "{seq}");
            } else {
                assert_eq!(found.unwrap(), None, "{seq}");
            }
        }
    }
    for seq in sick {
        let id = source.used[usize::try_from(seq.0 - 1).unwrap()];
        let found = index.by_id(id).map_err(|error| error.kind());
        assert_eq!(found, Err(ErrorKind::Corrupt), "{seq}");
    }
    assert_eq!(index.state().rebuilds, 0);
}

/// However many of a window could not be read: that one of them can be by now shows by their number.
#[test]
fn an_event_that_was_mended_among_many_that_were_not_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let log_folder = dir.path().join("log");
    let log = file_log(&log_folder);
    Source::new(43, 0, 3).emit(&log, 9000);
    let lasting = (2000..2070).map(Seq);
    let mended = Seq(2100);
    lasting.for_each(|seq| harm(&log, &log_folder, seq));
    let segments = log.segments();
    let segment = segments
        .iter()
        .find(|one| one.last_seq() >= mended)
        .unwrap();
    let path = log_folder.join(&segment.name);
    let before = std::fs::read(&path).unwrap();
    harm(&log, &log_folder, mended);

    let index = open(&log, &dir.path().join("index"));
    assert!(index.catch_up());
    assert_eq!(index.state().unreadable, 71);
    index.close();
    let index = open(&log, &dir.path().join("index"));
    assert_eq!(index.opened_state().rebuilds, 0);
    index.close();

    std::fs::write(&path, before).unwrap();
    let id = log.get(mended).unwrap().unwrap().event().event_id();
    let index = open(&log, &dir.path().join("index"));
    assert!(index.catch_up());
    assert_eq!(index.by_id(id).unwrap(), Some(mended));
    assert_eq!(index.state().rebuilds, 1);
    assert_eq!(index.state().unreadable, 70);
}

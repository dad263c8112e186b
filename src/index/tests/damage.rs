//! A store that is deleted, cut, zeroed, flipped, foreign, or ahead of the log.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // A file of a live store may go between listing and copying.
            let _ = fs::copy(entry.path(), target);
        }
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_in(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

/// Bytes that a disk may give back in place of these, and what was done to them.
fn damaged(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let len = bytes.len();
    let mut all = vec![
        ("empty".to_owned(), Vec::new()),
        ("zeroed".to_owned(), vec![0; len]),
        (
            "garbage".to_owned(),
            (0..=250).cycle().step_by(7).take(len).collect(),
        ),
    ];
    // Of a large file mostly the start is in use.
    let written = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    for eighth in (1..8).step_by(2) {
        let at = written * eighth / 8;
        all.push((format!("cut at {at}"), bytes[..at].to_vec()));
        let mut flipped = bytes.to_vec();
        if let Some(byte) = flipped.get_mut(at) {
            *byte ^= 1 << (eighth % 8);
        }
        all.push((format!("flipped at {at}"), flipped));
        let mut zeroed = bytes.to_vec();
        zeroed
            .iter_mut()
            .skip(at)
            .take(4096)
            .for_each(|byte| *byte = 0);
        all.push((format!("4 KiB of zeros at {at}"), zeroed));
    }
    all
}

/// A log with an index of three windows, closed.
fn made(dir: &Path, odd_ids: u64) -> (Arc<Log>, PathBuf) {
    let log = memory_log();
    Source::new(8, odd_ids, 12).emit(&log, 13_000);
    let folder = dir.join("index");
    let state = Index::rebuild(log.clone(), &folder, IndexConfig::default()).unwrap();
    assert_eq!(state.windows, 3);
    assert!(!state.in_memory);
    (log, folder)
}

/// Lookups are right at once, and after the index has mended itself.
pub(super) fn assert_mends(log: &Arc<Log>, folder: &Path, context: &str) -> IndexState {
    let index = open(log, folder);
    assert_equals_scan(&index, log, context);
    // Damage shows where it is met: each id is looked for.
    let mut reader = log.reader(Seq::FIRST);
    while let Some(event) = reader.next_event().unwrap() {
        let found = index.by_id(event.event_id()).unwrap();
        assert!(found.is_some_and(|seq| seq <= event.seq()), "{context}");
    }
    assert!(index.catch_up(), "{context}");
    assert_equals_scan(&index, log, context);
    let state = index.state();
    assert!(!state.in_memory, "{context}");
    index.close();
    let mismatches = against_log(log, folder, &IndexConfig::default()).unwrap();
    assert_eq!(mismatches, [], "{context}");
    state
}

#[test]
fn damage_to_any_file_costs_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (log, folder) = made(dir.path(), 60);
    let files = files_in(&folder);
    assert!(files.len() >= 3, "{files:?}");
    for file in &files {
        let name = file.strip_prefix(&folder).unwrap();
        let bytes = fs::read(file).unwrap();
        for (number, (what, bytes)) in damaged(&bytes).into_iter().enumerate() {
            let system = tempfile::tempdir_in(dir.path()).unwrap();
            let copied = system.path().join("index");
            copy(&folder, &copied);
            fs::write(copied.join(name), bytes).unwrap();
            let context = format!("{} {what} ({number})", name.display());
            assert_mends(&log, &copied, &context);
        }
    }
}

#[test]
fn a_deleted_index_or_file_costs_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (log, folder) = made(dir.path(), 10);
    for file in files_in(&folder) {
        let name = file.strip_prefix(&folder).unwrap();
        let system = tempfile::tempdir_in(dir.path()).unwrap();
        let copied = system.path().join("index");
        copy(&folder, &copied);
        fs::remove_file(copied.join(name)).unwrap();
        assert_mends(&log, &copied, &format!("without {}", name.display()));
    }
    fs::remove_dir_all(&folder).unwrap();
    assert_mends(&log, &folder, "deleted");
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    assert_eq!(assert_mends(&log, &folder, "an empty folder").rebuilds, 0);
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file where the folder should be").unwrap();
    assert_mends(&log, &folder, "a file");
}

/// Sled opens its files by itself, and would wait for whoever writes to a pipe.
#[cfg(unix)]
#[test]
fn a_pipe_or_a_link_in_place_of_any_file_costs_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (log, folder) = made(dir.path(), 10);
    for file in files_in(&folder) {
        let name = file.strip_prefix(&folder).unwrap();
        let put: [fn(&Path); 2] = [
            |path| {
                let mode = rustix::fs::Mode::from_bits_truncate(0o600);
                let fifo = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, path, fifo, mode, 0).unwrap();
            },
            |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        ];
        for put in put {
            let system = tempfile::tempdir_in(dir.path()).unwrap();
            let copied = system.path().join("index");
            copy(&folder, &copied);
            fs::remove_file(copied.join(name)).unwrap();
            put(&copied.join(name));
            let state = assert_mends(&log, &copied, &format!("{} replaced", name.display()));
            assert_eq!(state.rebuilds, 1);
        }
    }
}

#[test]
fn verify_names_what_is_wrong_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (log, folder) = made(dir.path(), 10);
    let before: Vec<_> = files_in(&folder)
        .iter()
        .map(|file| fs::read(file).unwrap())
        .collect();
    let verify = || against_log(&log, &folder, &IndexConfig::default()).unwrap();
    assert_eq!(verify(), []);
    let after: Vec<_> = files_in(&folder)
        .iter()
        .map(|file| fs::read(file).unwrap())
        .collect();
    assert_eq!(before, after);
    let (store, ()) =
        store::open(&folder, log.log_id(), &IndexConfig::default(), |_| Ok(())).unwrap();
    store.apply(&[], &[keys::piece(1, 3)]).unwrap();
    drop(store);
    let mismatches = verify();
    assert_eq!(mismatches.len(), 1, "{mismatches:?}");
    assert_eq!(
        mismatches[0].to_string(),
        "Seqs 4096 to 8191: a record is missing"
    );
    fs::write(folder.join("META"), "damage").unwrap();
    assert_eq!(verify()[0].seqs, None);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(verify(), []);
}

#[test]
fn each_record_that_goes_missing_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (log, folder) = made(dir.path(), 100);
    let (store, keys) = store::open(&folder, log.log_id(), &IndexConfig::default(), |store| {
        let mut keys = Vec::new();
        let (from, to) = keys::ALL;
        store.scan(from, to, &mut |key, _| {
            keys.push(key.to_vec());
            true
        })?;
        Ok(keys)
    })
    .unwrap();
    drop(store);
    assert!(keys.len() > 3 * 9, "{}", keys.len());
    for key in keys {
        let system = tempfile::tempdir_in(dir.path()).unwrap();
        let copied = system.path().join("index");
        copy(&folder, &copied);
        let config = IndexConfig::default();
        let (store, ()) = store::open(&copied, log.log_id(), &config, |_| Ok(())).unwrap();
        store.apply(&[], std::slice::from_ref(&key)).unwrap();
        store.flush().unwrap();
        drop(store);
        let context = format!("without the record {:?}", key.escape_ascii().to_string());
        let index = open(&log, &copied);
        let mut reader = log.reader(Seq::FIRST);
        // Only the pieces of ids have to be looked for one by one.
        while key[0] == b'i' && index.state().rebuilds == 0 {
            let event = reader.next_event().unwrap().expect(&context);
            let found = index.by_id(event.event_id()).unwrap();
            assert!(found.is_some_and(|found| found <= event.seq()), "{context}");
        }
        assert_lists_equal_scan(&index, &log, usize::MAX, &context);
        assert!(index.catch_up(), "{context}");
        assert_eq!(index.state().rebuilds, 1, "{context}");
    }
}

#[test]
fn an_index_of_another_log_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let (_, folder) = made(dir.path(), 10);
    let other = memory_log();
    Source::new(9, 10, 5).emit(&other, 13_000);
    let state = assert_mends(&other, &folder, "foreign");
    assert_eq!(state.rebuilds, 1);
    assert!(dir.path().join("aside/index.bad-1").is_dir());
}

#[test]
fn at_most_two_folders_are_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (log, folder) = made(dir.path(), 10);
    for round in 0..4 {
        fs::write(folder.join("META"), "damage").unwrap();
        assert_eq!(
            assert_mends(&log, &folder, "damaged again").rebuilds,
            1,
            "{round}"
        );
    }
    let aside = fs::read_dir(dir.path().join("aside")).unwrap();
    let mut names: Vec<_> = aside.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["index.bad-3", "index.bad-4"]);
}

#[test]
fn an_index_that_leads_the_log_or_knows_other_events_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let (before, log_folder) = (dir.path().join("before"), dir.path().join("log"));
    let folder = dir.path().join("index");
    let mut source = Source::new(10, 10, 5);
    let log = file_log(&log_folder);
    source.emit(&log, 6000);
    log.close().unwrap();
    drop(log);
    copy(&log_folder, &before);
    let log = file_log(&log_folder);
    let index = open(&log, &folder);
    source.emit(&log, 6000);
    index.catch_up();
    index.close();
    log.close().unwrap();
    drop((index, log));
    for more in [0, 7000] {
        // The log is put back as it was, and goes on with other events.
        fs::remove_dir_all(&log_folder).unwrap();
        copy(&before, &log_folder);
        let copied = dir.path().join(more.to_string()).join("index");
        copy(&folder, &copied);
        let log = file_log(&log_folder);
        Source::new(11, 10, 5).emit(&log, more);
        let state = assert_mends(&log, &copied, &format!("put back, {more} more"));
        assert_eq!(state.rebuilds, 1);
    }
}

#[test]
fn a_folder_that_cannot_be_used_leaves_the_index_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "no folder").unwrap();
    let log = memory_log();
    Source::new(12, 10, 5).emit(&log, 5000);
    let index = open(&log, &dir.path().join("file/index"));
    assert!(index.catch_up());
    assert!(index.state().in_memory);
    assert_equals_scan(&index, &log, "in memory");
}

#[test]
fn a_store_that_takes_too_long_to_open_is_passed_by() {
    let dir = tempfile::tempdir().unwrap();
    let (log, folder) = made(dir.path(), 10);
    let config = IndexConfig {
        open_deadline: std::time::Duration::ZERO,
        ..IndexConfig::default()
    };
    let index = Index::open(log.clone(), Some(folder), config);
    assert!(index.catch_up());
    assert!(index.state().in_memory);
    assert_equals_scan(&index, &log, "too late");
}

/// A crash has left records of a window that the position does not cover, and the log goes on behind it.
#[test]
fn what_a_crash_left_of_a_window_that_is_skipped_costs_no_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    // The storage has no boot id, so that an unclean end leaves a gap, here of some windows.
    let storage: Arc<dyn Storage> =
        Arc::new(FileStorage::create(&dir.path().join("log"), Sys::PORTABLE).unwrap());
    let config = || LogConfig {
        segment_len: 1 << 20,
        ..log_config()
    };
    let folder = dir.path().join("index");
    let mut source = Source::new(43, 0, 3);
    let log = log_with(storage.clone(), config());
    let index = open(&log, &folder);
    source.emit(&log, 4_200);
    assert!(index.catch_up());
    index.close();
    // What was handed to the store of a window whose events the log has lost.
    let probe = |_: &dyn store::Store| Ok(());
    let (store, ()) = store::open_unclaimed(&folder, &IndexConfig::default(), probe).unwrap();
    let records = [keys::names(Dimension::Type, 2, 0), keys::manifest(2)];
    let records = records.map(|key| (key.clone(), keys::seal(&key, b"", b"")));
    store.apply(&records, &[]).unwrap();
    store.flush().unwrap();
    drop((store, log));
    let log = log_with(storage, config());
    let index = open(&log, &folder);
    source.emit(&log, 4_200);
    assert!(log.get(log.watermark().appended()).unwrap().is_some());
    assert!(
        log.watermark().appended() > Seq(12_300),
        "no window is skipped"
    );
    assert!(index.catch_up());
    assert_equals_scan(&index, &log, "behind a gap");
    assert_eq!(index.state().rebuilds, 0);
    index.close();
    let index = open(&log, &folder);
    assert_equals_scan(&index, &log, "behind a gap, reopened");
    assert_eq!(index.state().rebuilds, 0);
}

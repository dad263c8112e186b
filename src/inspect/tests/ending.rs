//! A log that ends too early, and places that are not what they must be.

use super::*;

/// A whole system's directory, so that the control log knows what was durable.
fn system(count: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let system = crate::EventSystem::builder()
        .persistence_path(dir.path())
        .segment_size(64 << 10)
        .durability(Durability::Os)
        .open()
        .unwrap();
    for number in 1..=count {
        system.emit(event(number)).unwrap();
    }
    system.close().unwrap();
    dir
}

fn records(dir: &Path) -> (usize, Vec<crate::Error>) {
    let (mut read, mut errors) = (0, Vec::new());
    let inspector = Inspector::open(dir).unwrap();
    for item in inspector.records(Selector::all()).unwrap().take(5000) {
        match item {
            Ok(_) => read += 1,
            Err(error) => errors.push(error),
        }
    }
    (read, errors)
}

fn newest(dir: &Path) -> PathBuf {
    let inspector = Inspector::open(dir).unwrap();
    let segments = inspector.segments().unwrap();
    let mut held = segments.iter().filter(|segment| segment.header.is_some());
    dir.join("log").join(&held.next_back().unwrap().file)
}

fn ends_too_early(dir: &Path) {
    let (read, errors) = records(dir);
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = &errors[0];
    assert!(error.message().contains("known to be durable"), "{error}");
    assert_eq!(error.seq(), Some(Seq(read as u64 + 1)));
    assert!(error.segment().is_some() && error.offset().is_some());
    assert!(error.path().unwrap().starts_with(dir.join("log")));
    let report = Inspector::open(dir).unwrap().verify(&mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Damaged);
    assert_eq!(report.log.torn_bytes, 0);
}

#[test]
fn a_removed_newest_segment_is_an_error_at_the_end() {
    let dir = system(2000);
    assert_eq!(records(dir.path()).1.len(), 0);
    fs::remove_file(newest(dir.path())).unwrap();
    ends_too_early(dir.path());
}

#[test]
fn a_zeroed_header_of_the_newest_segment_is_an_error_at_the_end() {
    let dir = system(2000);
    let path = newest(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[..4096].fill(0);
    fs::write(path, bytes).unwrap();
    ends_too_early(dir.path());
}

#[test]
fn a_missing_log_folder_is_damage() {
    let dir = system(10);
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    let (read, errors) = records(dir.path());
    assert_eq!((read, errors.len()), (0, 1), "{errors:?}");
    assert_eq!(errors[0].kind(), ErrorKind::Corrupt);
    let report = Inspector::open(dir.path())
        .unwrap()
        .verify(&mut |_| {})
        .unwrap();
    assert_eq!(report.verdict, Verdict::Damaged);
}

#[test]
fn a_file_or_a_link_in_place_of_the_log_folder_is_refused() {
    let dir = system(10);
    let (log, away) = (dir.path().join("log"), dir.path().join("away"));
    fs::rename(&log, &away).unwrap();
    fs::write(&log, "x").unwrap();
    let kind = || Inspector::open(dir.path()).unwrap_err().kind();
    assert_eq!(kind(), ErrorKind::NotRegular);
    #[cfg(unix)]
    {
        fs::remove_file(&log).unwrap();
        std::os::unix::fs::symlink(&away, &log).unwrap();
        assert_eq!(kind(), ErrorKind::NotRegular);
    }
}

#[test]
fn a_control_log_that_cannot_be_read_is_told_once() {
    let dir = system(10);
    fs::remove_dir_all(dir.path().join("control")).unwrap();
    fs::write(dir.path().join("control"), "x").unwrap();
    let (_, errors) = records(dir.path());
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].kind(), ErrorKind::NotRegular);
}

//! Paths that are not what they should be (row 44), and folders of somebody else.

use std::os::unix::fs::symlink;
use std::path::Path;

use forelog::ErrorKind;

use crate::access::filled;
use crate::child::text;
use crate::ledger::open;
use crate::tools;

fn refused(dir: &Path) -> forelog::Error {
    open(dir).map(drop).expect_err("it is refused")
}

fn assert_refused(dir: &Path, kind: ErrorKind) {
    let error = refused(dir);
    assert_eq!(error.kind(), kind, "{}: {error}", dir.display());
    assert!(error.path().is_some(), "{error}");
}

#[test]
fn a_missing_folder_is_made_with_its_parents() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    filled(&deep).check_dir(&deep, "a new folder");
}

#[test]
fn a_path_that_is_a_file_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    assert_refused(&file, ErrorKind::NotRegular);
    open(&file.join("below")).expect_err("a file has nothing below it");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn symbolic_links_in_place_of_folders_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    let before = tools::snapshot(&data);
    let link = dir.path().join("link");
    symlink(&data, &link).unwrap();
    assert_refused(&link, ErrorKind::NotRegular);
    let dangling = dir.path().join("dangling");
    symlink(dir.path().join("nowhere"), &dangling).unwrap();
    assert_refused(&dangling, ErrorKind::NotRegular);
    assert!(!dir.path().join("nowhere").exists());

    let elsewhere = dir.path().join("elsewhere");
    std::fs::rename(data.join("log"), &elsewhere).unwrap();
    symlink(&elsewhere, data.join("log")).unwrap();
    assert_refused(&data, ErrorKind::NotRegular);
    std::fs::remove_file(data.join("log")).unwrap();
    std::fs::rename(&elsewhere, data.join("log")).unwrap();
    assert_eq!(tools::snapshot(&data), before);
    ledger.check_dir(&data, "the real folders");
}

#[test]
fn what_stands_in_place_of_a_segment_must_be_a_plain_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    let away = dir.path().join("away");
    let segments = tools::segments(&data);
    for path in [&segments[0], &segments[1], segments.last().unwrap()] {
        std::fs::rename(path, &away).unwrap();
        let before = tools::snapshot(&data);
        symlink(&away, path).unwrap();
        assert_refused(&data, ErrorKind::NotRegular);
        std::fs::remove_file(path).unwrap();
        assert!(tools::succeeds("mkfifo", &[text(path)]), "mkfifo");
        // A pipe that nobody writes to would be waited for for ever.
        assert_refused(&data, ErrorKind::NotRegular);
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
        let error = refused(&data);
        let kinds = [ErrorKind::NotRegular, ErrorKind::MissingSegment];
        assert!(
            kinds.contains(&error.kind()),
            "{}: {error:?}",
            path.display()
        );
        std::fs::remove_dir(path).unwrap();
        assert_eq!(tools::snapshot(&data), before);
        std::fs::rename(&away, path).unwrap();
    }
    ledger.check_dir(&data, "the real files");
}

#[test]
fn a_lock_that_is_no_plain_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    let lock = data.join("LOCK");
    let target = dir.path().join("target");
    std::fs::write(&target, "mine").unwrap();
    std::fs::remove_file(&lock).unwrap();
    symlink(&target, &lock).unwrap();
    assert_refused(&data, ErrorKind::NotRegular);
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    assert_refused(&data, ErrorKind::NotRegular);
    std::fs::remove_dir(&lock).unwrap();
    assert!(tools::succeeds("mkfifo", &[text(&lock)]), "mkfifo");
    assert_refused(&data, ErrorKind::NotRegular);
    std::fs::remove_file(&lock).unwrap();
    ledger.check_dir(&data, "without a lock file");
}

#[test]
fn a_folder_of_somebody_else_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("src")).unwrap();
    std::fs::write(dir.path().join("src/main.c"), "int main;").unwrap();
    assert_refused(dir.path(), ErrorKind::ForeignDirectory);
    std::fs::write(dir.path().join("notes"), "mine").unwrap();
    assert_refused(dir.path(), ErrorKind::ForeignDirectory);
    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    names.retain(|entry| entry.as_ref().unwrap().file_name() != "src");
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(
        refused(dir.path()).to_string().contains("notes")
            || refused(dir.path()).to_string().contains("src")
    );
}

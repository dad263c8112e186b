//! What stands where a file is expected: pipes, sockets, folders and links are told, not read and not removed.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const KINDS: [&str; 7] = [
    "pipe", "socket", "folder", "dangling", "loop", "device", "another",
];

/// Puts something else in a file's place. Sockets have short paths, so they are made elsewhere.
fn put(kind: &str, path: &Path, home: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
    match kind {
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        "socket" => {
            let made = home.join("s");
            drop(UnixListener::bind(&made).unwrap());
            fs::rename(made, path).unwrap();
        }
        "folder" => fs::create_dir(path).unwrap(),
        "dangling" => symlink(home.join("nowhere"), path).unwrap(),
        "loop" => symlink(path.file_name().unwrap(), path).unwrap(),
        "device" => symlink("/dev/zero", path).unwrap(),
        _ => symlink(corpus::segment(&home.join("whole"), 1), path).unwrap(),
    }
}

fn run(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_forelog-recovery"))
        .args(args)
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code().unwrap(), said)
}

fn index_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = corpus::bytes_below(&dir.join("index"))
        .into_keys()
        .collect();
    for file in &mut files {
        *file = file.strip_prefix(dir).unwrap().to_path_buf();
    }
    files
}

#[test]
fn what_stands_in_place_of_a_file_of_a_log_is_named_by_every_command_and_stays() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    corpus::whole(&whole);
    let newest = corpus::segment(Path::new(""), corpus::newest(&whole));
    let log = [corpus::segment(Path::new(""), 1), newest];
    let control = Path::new("control/000000000001-000.seg").to_path_buf();
    for (file, kind) in log
        .into_iter()
        .chain([control])
        .flat_map(|file| KINDS.map(|kind| (file.clone(), kind)))
    {
        let work = tempfile::tempdir_in(home.path()).unwrap();
        let (dir, into) = (work.path().join("data"), work.path().join("into"));
        corpus::copy(&whole, &dir);
        let at = dir.join(&file);
        put(kind, &at, home.path());
        let before = fs::symlink_metadata(&at).unwrap();
        let (dir, into) = (dir.to_str().unwrap(), into.to_str().unwrap());
        let commands: [&[&str]; 8] = [
            &["verify", dir],
            &["doctor", dir],
            &["repair", dir, "--plan"],
            &["repair", dir, "--apply"],
            &["salvage", dir, "--into", into],
            &["cursors", "list", dir],
            &["reindex", dir],
            &["torture", "write", dir, "--events", "1", "--seed", "1"],
        ];
        for args in commands {
            let (code, said) = run(args);
            let place = format!("{kind} {} {args:?}: {said}", file.display());
            assert_eq!(code, 4, "{place}");
            let what = match kind {
                "pipe" | "socket" | "folder" => kind,
                _ => "symbolic link",
            };
            assert!(said.contains(what), "{place}");
            assert!(said.contains("move it elsewhere"), "{place}");
        }
        let after = fs::symlink_metadata(&at).unwrap();
        assert_eq!(before.file_type(), after.file_type());
    }
}

#[test]
fn what_stands_in_place_of_a_file_of_the_index_is_set_aside_with_it() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    corpus::whole(&whole);
    let files = index_files(&whole);
    assert!(files.len() >= 3, "{files:?}");
    for (file, kind) in files
        .iter()
        .flat_map(|file| KINDS.map(|kind| (file.clone(), kind)))
    {
        let work = tempfile::tempdir_in(home.path()).unwrap();
        let dir = work.path().join("data");
        corpus::copy(&whole, &dir);
        put(kind, &dir.join(&file), home.path());
        let place = format!("{kind} {}", file.display());
        let path = dir.to_str().unwrap();
        let (code, said) = run(&["verify", path]);
        assert!([0, 3].contains(&code), "{place}: {said}");
        let system = corpus::open(&dir);
        let found = system.store().get_by_id(forelog::EventId(700)).unwrap();
        assert!(found.is_some(), "{place}");
        system.close().unwrap();
        let set_aside = dir
            .join("aside/index.bad-1")
            .join(file.strip_prefix("index").unwrap());
        let is_kept = fs::symlink_metadata(set_aside).is_ok() || dir.join(&file).exists();
        assert!(is_kept, "{place}");
        let (code, said) = run(&["verify", path]);
        assert_eq!(code, 0, "{place}: {said}");
    }
}

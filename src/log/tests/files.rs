//! What only real files can do to a log: links, pipes, and a truncation from outside. (Missing rights: `tests/faults`.)

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::promise::{Sent, read};
use crate::clock::{SystemClock, Timestamp};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names as format;
use crate::format::record::Record;
use crate::log::{Log, LogConfig};
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::sys::Sys;

const SYSTEMS: [Sys; 2] = [Sys::native(), Sys::PORTABLE];

fn open(folder: &Path, sys: Sys) -> Result<Log> {
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::create(folder, sys)?);
    let config = LogConfig {
        segment_len: 8 << 10,
        background: false,
        ..LogConfig::default()
    };
    Log::open(storage, config, Arc::new(SystemClock), Seq::ZERO)
}

fn append(log: &Log, number: u64) -> Result<Seq> {
    let data = Sent::data(number, 500);
    let record = Record::new("test.number", "unit", Timestamp(1), &data)?;
    let appended = log.append(&[record], Durability::Os)?;
    Ok(appended.last)
}

/// A folder with a log of four segments, and all that is open of it.
fn filled(sys: Sys) -> (tempfile::TempDir, PathBuf, Log) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("log");
    let log = open(&folder, sys).unwrap();
    for number in 1..=20 {
        append(&log, number).unwrap();
    }
    assert!(log.segments().len() >= 4);
    (dir, folder, log)
}

fn segment(folder: &Path, id: usize) -> PathBuf {
    folder.join(format!("{id:012}-000.seg"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn check_refused(folder: &Path, sys: Sys, kind: ErrorKind) -> Error {
    let before = names(folder);
    let error = open(folder, sys).unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.path().is_some());
    assert_eq!(names(folder), before);
    error
}

#[cfg(unix)]
#[test]
fn a_segment_that_is_a_link_or_a_pipe_is_refused() {
    for sys in SYSTEMS {
        let (dir, folder, log) = filled(sys);
        let count = log.segments().len();
        log.close().unwrap();
        drop(log);
        for id in 1..=count {
            let aside = dir.path().join("aside");
            fs::rename(segment(&folder, id), &aside).unwrap();
            std::os::unix::fs::symlink(&aside, segment(&folder, id)).unwrap();
            check_refused(&folder, sys, ErrorKind::NotRegular);
            fs::remove_file(segment(&folder, id)).unwrap();

            let pipe = segment(&folder, id);
            let mode = rustix::fs::Mode::from_bits_truncate(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
            check_refused(&folder, sys, ErrorKind::NotRegular);
            fs::remove_file(pipe).unwrap();
            fs::rename(&aside, segment(&folder, id)).unwrap();
        }
        assert_eq!(read(&open(&folder, sys).unwrap()).unwrap().len(), 20);
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_a_link_is_refused() {
    for sys in SYSTEMS {
        let (dir, folder, log) = filled(sys);
        log.close().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let error = open(&link, sys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotRegular);
    }
}

/// A segment that is cut from outside while the log is open: whoever comes to it is told. (Bytes that
/// are gone while they are being read end the process with SIGBUS, as documented.)
#[test]
fn a_segment_that_is_truncated_while_the_log_is_open_is_found_by_readers() {
    for sys in SYSTEMS {
        let (_dir, folder, log) = filled(sys);
        let file = fs::OpenOptions::new()
            .write(true)
            .open(segment(&folder, 2))
            .unwrap();
        file.set_len(4_096).unwrap();
        let mut reader = log.reader(Seq::FIRST);
        let error = loop {
            match reader.next_event() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the reader does not see it"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Truncated);
        assert_eq!(error.path(), Some(segment(&folder, 2).as_path()));
        append(&log, 21).unwrap();
        let last = log.segments()[2].base_seq();
        assert!(
            log.reader(last).next_event().unwrap().is_some(),
            "others are readable"
        );
        drop(log);
        let error = check_refused(&folder, sys, ErrorKind::Truncated);
        assert_eq!(error.segment(), Some(SegmentId(2)));
    }
}

#[cfg(unix)]
fn pipe(at: &Path) {
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// What a crash leaves half built is a plain file; a link or a pipe of such a name is somebody else's.
#[cfg(unix)]
#[test]
fn a_link_or_a_pipe_with_a_temporary_name_stays() {
    for sys in SYSTEMS {
        for clean in [true, false] {
            let (_dir, folder, log) = filled(sys);
            if clean {
                log.close().unwrap();
            }
            drop(log);
            let strays = ["link.tmp", "pipe.tmp", "folder.tmp"].map(|name| folder.join(name));
            std::os::unix::fs::symlink("nowhere", &strays[0]).unwrap();
            pipe(&strays[1]);
            fs::create_dir(&strays[2]).unwrap();
            fs::write(folder.join("half-built.tmp"), "x").unwrap();
            let log = open(&folder, sys).unwrap();
            assert_eq!(read(&log).unwrap().len(), 20);
            for stray in &strays {
                assert!(fs::symlink_metadata(stray).is_ok(), "{clean} {stray:?}");
            }
            assert!(!folder.join("half-built.tmp").exists());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_link_where_a_file_is_to_be_built_is_named_and_stays() {
    for sys in SYSTEMS {
        let (_dir, folder, log) = filled(sys);
        drop(log);
        for name in names(&folder) {
            let number = |generation: &str| name.replace("-000.", generation);
            for built in [number("-000."), number("-001.")] {
                let _ = std::os::unix::fs::symlink("nowhere", folder.join(format!("{built}.tmp")));
            }
        }
        let before = names(&folder);
        let error = open(&folder, sys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotRegular, "{error}");
        for name in before {
            assert!(fs::symlink_metadata(folder.join(&name)).is_ok(), "{name}");
        }
        for name in names(&folder) {
            if format::is_tmp(&name) {
                fs::remove_file(folder.join(name)).unwrap();
            }
        }
        assert_eq!(read(&open(&folder, sys).unwrap()).unwrap().len(), 20);
    }
}

/// A copy of a file with holes where there are zeros, as `cp --sparse=always` makes it.
#[cfg(target_os = "linux")]
fn copy_with_holes(from: &Path, to: &Path) {
    use std::os::unix::fs::FileExt;

    let bytes = fs::read(from).unwrap();
    let file = fs::File::create(to).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (nth, block) in bytes.chunks(4096).enumerate() {
        if block.iter().any(|&byte| byte != 0) {
            file.write_all_at(block, nth as u64 * 4096).unwrap();
        }
    }
}

/// A full disk would end the process at a store into a hole.
#[cfg(target_os = "linux")]
#[test]
fn a_copy_with_holes_gets_its_blocks_before_it_is_written_to() {
    use crate::storage::sys::allocated;

    let open = |folder: &Path| {
        let storage: Arc<dyn Storage> =
            Arc::new(FileStorage::create(folder, Sys::native()).unwrap());
        let config = LogConfig {
            segment_len: 256 << 10,
            background: false,
            ..LogConfig::default()
        };
        Log::open(storage, config, Arc::new(SystemClock), Seq::ZERO).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let (folder, copy) = (dir.path().join("log"), dir.path().join("copy"));
    let log = open(&folder);
    append(&log, 1).unwrap();
    log.close().unwrap();
    drop(log);
    fs::create_dir(&copy).unwrap();
    for name in names(&folder) {
        copy_with_holes(&folder.join(&name), &copy.join(&name));
    }
    let room = || {
        let found = fs::metadata(segment(&copy, 1)).unwrap();
        (allocated(&found), found.len())
    };
    let (has, len) = room();
    assert!(
        has < len,
        "{has} bytes of {len}: the file system makes no holes"
    );
    let log = open(&copy);
    let (has, len) = room();
    assert!(has >= len, "{has} bytes of {len}");
    assert_eq!(append(&log, 2).unwrap(), Seq(2));
    log.close().unwrap();
}

//! Files of a version to come (row 50): refused, and left as they are to the last byte.

use std::path::Path;

use forelog::{ErrorKind, FORMAT_VERSION};

use crate::access::filled;
use crate::ledger::open;
use crate::tools;

/// Where the header's version stands, and where its second copy begins: the page on the format.
const VERSION_AT: usize = 8;
const COPY_AT: usize = 4096 - 512;

fn stamp(path: &Path, version: u16) {
    let mut bytes = std::fs::read(path).unwrap();
    for at in [VERSION_AT, COPY_AT + VERSION_AT] {
        let place = &mut bytes[at..at + 2];
        assert_eq!(u16::from_le_bytes([place[0], place[1]]), FORMAT_VERSION);
        place.copy_from_slice(&version.to_le_bytes());
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_newer_version_is_refused_and_not_a_byte_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    let whole = tools::snapshot(&data);
    let segments = tools::segments(&data);
    for path in [&segments[0], &segments[2], segments.last().unwrap()] {
        let bytes = std::fs::read(path).unwrap();
        if bytes.iter().all(|&byte| byte == 0) {
            // Prepared and not yet in use: it has no header.
            continue;
        }
        stamp(path, FORMAT_VERSION + 1);
        let before = tools::snapshot(&data);
        for _ in 0..2 {
            let error = open(&data).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedVersion, "{error:?}");
            assert_eq!(error.path(), Some(path.as_path()));
            assert!(error.to_string().contains("upgrade"), "{error}");
            assert_eq!(tools::snapshot(&data), before);
        }
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(tools::snapshot(&data), whole);
    ledger.check_dir(&data, "its own version");
}

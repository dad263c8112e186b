//! Room that the disk refuses (rows 11, 12), by system calls that fail.

use std::os::unix::fs::MetadataExt;

use crate::child::{Child, text};
use crate::injected::sweep;
use crate::tools;

#[test]
fn no_room_for_a_segment_is_an_error_of_the_emit_and_passes() {
    if !tools::has_strace() {
        return;
    }
    sweep("fallocate:error=ENOSPC", &[], 40, 8000, |outcome| {
        let (said, context) = (&outcome.said, &outcome.context);
        let all_no_space = said.errors.iter().all(|kind| kind == "NoSpace");
        assert!(all_no_space, "{context}");
        match said.opened.as_deref() {
            Some("NoSpace") => assert_eq!(said.acks, 0, "{context}"),
            Some("Ok") => assert_eq!(said.closed.as_deref(), Some("Ok"), "{context}"),
            other => panic!("opened {other:?}: {context}"),
        }
        assert_eq!(
            said.acks + said.errors.len() as u64,
            if said.opened.as_deref() == Some("Ok") {
                40
            } else {
                0
            },
            "{context}"
        );
        let data = outcome.data();
        for path in tools::segments(&data) {
            let len = std::fs::metadata(&path).unwrap().len();
            assert_eq!(
                len % 4096,
                0,
                "{}: partial file left; {context}",
                path.display()
            );
            assert!(len > 0, "{}: empty file left; {context}", path.display());
        }
        let mut ledger = outcome.ledger;
        ledger.check_dir(&data, context);
    });
}

#[test]
fn without_fallocate_zeros_are_written_and_no_file_is_sparse() {
    if !tools::has_strace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let wrapper = ["strace", "-f", "-qq", "-o", "/dev/null"].map(str::to_owned);
    for error in ["EOPNOTSUPP", "ENOSYS"] {
        let mut wrapper = wrapper.to_vec();
        wrapper.extend(["-e".into(), format!("inject=fallocate:error={error}")]);
        let run = if error == "ENOSYS" { "2" } else { "1" };
        let settings = [text(&data), run, "40", "8000"];
        let lines = Child::start(&wrapper, "script", &settings).succeed();
        assert_eq!(lines.last().unwrap(), "closed Ok", "{lines:?}");
        let segments = tools::segments(&data);
        assert!(segments.len() > 4, "it rotates");
        for path in segments {
            let found = std::fs::metadata(&path).unwrap();
            let held = found.blocks() * 512;
            assert!(
                held >= found.len(),
                "{}: {held} of {}",
                path.display(),
                found.len()
            );
        }
    }
}

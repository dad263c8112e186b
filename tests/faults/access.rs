//! Directories that may not be written or read (rows 19, 20, 21).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::child::{Child, text};
use crate::ledger::{Ledger, open};
use crate::load::Tag;
use crate::tools;

/// A directory with some events over several segments, closed in order.
pub(crate) fn filled(dir: &Path) -> Ledger {
    let system = open(dir).unwrap();
    let mut ledger = Ledger::default();
    let mut lines = Vec::new();
    for number in 0..30 {
        let receipt = system.emit(Tag::alone(1, number).event_of(8000)).unwrap();
        lines.push(format!("ack {} {}", receipt.seq, receipt.event_id));
    }
    ledger.take(&lines);
    system.close().unwrap();
    ledger
}

/// What a child that opens the directory under this wrapper says.
fn opened(wrapper: &[String], dir: &Path) -> String {
    let lines = Child::start(wrapper, "open", &[text(dir)]).succeed();
    lines.into_iter().next().unwrap()
}

/// A command that runs another as somebody who owns nothing.
pub(crate) fn as_nobody() -> Option<Vec<String>> {
    let words = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let this = std::env::current_exe().unwrap();
    let mut probe = words[1..].to_vec();
    probe.extend(["test", "-x", text(&this)]);
    if !tools::is_root() || !tools::succeeds(words[0], &probe) {
        tools::skip("cannot become another user with setpriv");
        return None;
    }
    Some(words.map(str::to_owned).to_vec())
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_read_only_file_system_is_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    let before = tools::snapshot(&data);
    let path = text(dir.path());
    let script = format!("mount --bind {path} {path}\nmount -o remount,bind,ro {path}");
    let Some(wrapper) = tools::mounted(&script) else {
        return;
    };
    for dir in [data.clone(), dir.path().join("new")] {
        let line = opened(&wrapper, &dir);
        assert!(line.starts_with("opened ReadOnly"), "{line}");
    }
    assert_eq!(tools::snapshot(&data), before);
    ledger.check_dir(&data, "writable again");
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_nothing_is_made_in_it() {
    let Some(wrapper) = as_nobody() else { return };
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    let before = tools::snapshot(&data);
    for (mode, path) in [
        (0o755, data.clone()),
        (0o755, dir.path().join("new")),
        (0o311, data.clone()),
        (0o700, data.clone()),
        (0o700, data.join("deeper")),
    ] {
        chmod(&data, mode);
        let line = opened(&wrapper, &path);
        assert!(
            line.starts_with("opened PermissionDenied"),
            "{mode:o} {path:?}: {line}"
        );
        assert!(line.contains("check the owner and the mode"), "{line}");
    }
    chmod(&data, 0o755);
    assert!(!dir.path().join("new").exists());
    assert_eq!(tools::snapshot(&data), before);
    ledger.check_dir(&data, "by its owner");
}

/// The folder may be written, but not one of the segments in it.
#[test]
fn a_segment_that_may_not_be_written_is_an_error_and_stays() {
    let Some(wrapper) = as_nobody() else { return };
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o755);
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    for folder in std::fs::read_dir(&data).unwrap() {
        chmod(&folder.unwrap().path(), 0o777);
    }
    chmod(&data, 0o777);
    let before = tools::snapshot(&data);
    let line = opened(&wrapper, &data);
    assert!(line.starts_with("opened PermissionDenied"), "{line}");
    assert_eq!(tools::snapshot(&data), before);
    ledger.check_dir(&data, "by its owner");
}

/// Takes the attribute away again when it is dropped, or the folder could not be removed.
struct Immutable<'a>(&'a Path, &'a str);

impl<'a> Immutable<'a> {
    fn make(path: &'a Path, attribute: &'a str) -> Option<Self> {
        if !tools::succeeds("chattr", &[&format!("+{attribute}"), text(path)]) {
            tools::skip("chattr does not work here");
            return None;
        }
        Some(Immutable(path, attribute))
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        tools::succeeds("chattr", &[&format!("-{}", self.1), text(self.0)]);
    }
}

#[test]
fn an_immutable_segment_is_an_error_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut ledger = filled(&data);
    let segments = tools::segments(&data);
    assert!(segments.len() > 3, "{segments:?}");
    for path in [&segments[0], &segments[1], segments.last().unwrap()] {
        for attribute in ["i", "a"] {
            let before = tools::snapshot(&data.join("log"));
            let Some(_immutable) = Immutable::make(path, attribute) else {
                return;
            };
            let opened = open(&data).map(drop);
            let error =
                opened.expect_err("a file that cannot be written is no segment to go on with");
            assert_eq!(
                error.kind(),
                forelog::ErrorKind::PermissionDenied,
                "{error}"
            );
            assert_eq!(error.path(), Some(path.as_path()), "{error}");
            assert_eq!(tools::snapshot(&data.join("log")), before);
        }
    }
    ledger.check_dir(&data, "after chattr");
}

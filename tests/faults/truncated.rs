//! A segment that is truncated under an open system (row 14).
//!
//! A map whose file ends early is a signal when it is read behind the end, which no library can turn
//! into an error; the manual says so. What can be told is told: whoever begins with the segment after
//! it was truncated gets `Truncated`.

use std::path::Path;

use forelog::{ErrorKind, Seq};

use crate::access::filled;
use crate::child::{Child, text};
use crate::ledger::{name, open};
use crate::roles::{report, say, wait};
use crate::tools;

/// Waits until its second segment is truncated, and reads: the child's role.
pub(crate) fn read(dir: &Path) {
    let system = open(dir).unwrap();
    let all = system.replay().run(|_| Ok(())).unwrap();
    say(&format!("read {all}"));
    wait();
    let mut last = Seq::ZERO;
    let replayed = system.replay().run(|event| {
        last = event.seq();
        Ok(())
    });
    report(&format!("replayed {last}"), replayed.map(drop));
    // What lies in other segments is served.
    let stored = system.store().get(Seq(all)).unwrap().unwrap();
    assert_eq!(stored.event().seq(), Seq(all));
    let emitted = system.emit(stored.event().to_event().unwrap());
    report("emitted", emitted.map(drop));
}

#[test]
fn a_segment_truncated_under_an_open_system_is_an_error_for_who_comes_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    filled(&data);
    let mut child = Child::start(&[], "truncated", &[text(&data)]);
    child.wait_for("read 30");
    let path = &tools::segments(&data)[1];
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(20_000).unwrap();
    child.go_on();
    let replayed = child.wait_for("replayed");
    assert!(replayed.contains("Truncated"), "{replayed}");
    assert!(!replayed.starts_with("replayed 0 "), "{replayed}");
    child.wait_for("emitted Ok");
    child.succeed();
    // And found at the next opening, which changes nothing.
    let before = tools::snapshot(&data);
    let error = open(&data).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated, "{}", name(error.kind()));
    assert_eq!(error.path(), Some(path.as_path()));
    assert_eq!(tools::snapshot(&data), before);
}

//! System calls that fail, one after the other (rows 8, 9, 10, 16, 17, 18): `strace` makes the Nth
//! call of each thread fail, or the Nth and all later ones, for every N until none is left to fail.

use std::path::Path;

use crate::child::{Child, text};
use crate::ledger::{Ledger, Said};
use crate::tools;

/// What one child under `strace` came to.
pub(crate) struct Outcome {
    pub(crate) said: Said,
    /// The calls that were made to fail, as strace shows them.
    pub(crate) hits: Vec<String>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) ledger: Ledger,
    pub(crate) context: String,
}

impl Outcome {
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Whether a file of the main log was hit, not one of what follows it.
    fn hit_log(&self) -> bool {
        self.hits.iter().any(|hit| hit.contains("/data/log"))
    }

    /// Every event was acknowledged, and the close went well.
    fn check_all_taken(&self) {
        let said = (self.said.acks, self.said.closed.as_deref());
        assert_eq!(said, (u64::from(AHEAD), Some("Ok")), "{}", self.context);
    }

    /// Opens what the child left and finds all that it acknowledged.
    fn check_reopened(&mut self) {
        let data = self.data();
        self.ledger.check_dir(&data, &self.context);
    }
}

/// Runs the script under one injection, such as `fdatasync:error=EIO:when=3`, with further options.
pub(crate) fn inject(fault: &str, options: &[&str], count: u32, len: usize) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let data = dir.path().join("data");
    let calls = fault.split(':').next().unwrap();
    let mut wrapper: Vec<String> = ["strace", "-f", "-qq", "-y", "-o", text(&trace)]
        .map(str::to_owned)
        .to_vec();
    wrapper.extend(["-e".into(), format!("trace={calls}")]);
    wrapper.extend(["-e".into(), format!("inject={fault}")]);
    wrapper.extend(
        options
            .iter()
            .map(|option| option.replace("DIR", text(&data))),
    );
    let settings = [text(&data), "1", &count.to_string(), &len.to_string()];
    let (status, lines) = Child::start(&wrapper, "script", &settings).finish();
    let trace = std::fs::read_to_string(&trace).unwrap();
    let hits = trace.lines().filter(|line| line.contains("(INJECTED)"));
    let hits: Vec<String> = hits.map(str::to_owned).collect();
    let context = format!("{fault} {options:?}: {hits:?} {lines:?}");
    assert!(status.success(), "{status}: {context}");
    let mut ledger = Ledger::default();
    let said = ledger.take(&lines);
    Outcome {
        said,
        hits,
        dir,
        ledger,
        context,
    }
}

/// Runs the script with the first, second, … call failing, once and from then on, until none is hit.
pub(crate) fn sweep(
    fault: &str,
    options: &[&str],
    count: u32,
    len: usize,
    check: impl Fn(Outcome),
) {
    for plus in ["", "+"] {
        for nth in 1.. {
            let outcome = inject(&format!("{fault}:when={nth}{plus}"), options, count, len);
            let hit = !outcome.hits.is_empty();
            assert!(hit || nth > 1, "{fault} never struck: {}", outcome.context);
            check(outcome);
            if !hit {
                println!("{fault}{plus}: {} calls", nth - 1);
                break;
            }
        }
    }
}

fn is_final(kind: &str) -> bool {
    ["SyncFailed", "Poisoned"].contains(&kind)
}

/// After a sync of the log has failed nothing is acknowledged any more, and reopening finds all.
fn sync_errors_are_final(mut outcome: Outcome) {
    let (said, context) = (&outcome.said, &outcome.context);
    if outcome.hits.is_empty() {
        assert_eq!(
            (said.errors.len(), said.closed.as_deref()),
            (0, Some("Ok")),
            "{context}"
        );
    } else if outcome.hit_log() && said.opened.as_deref() == Some("Ok") {
        assert!(!said.acked_after_error, "{context}");
        assert!(said.errors.iter().all(|kind| is_final(kind)), "{context}");
        assert!(
            said.errors.iter().skip(1).all(|kind| kind == "Poisoned"),
            "{context}"
        );
        assert_ne!(said.closed.as_deref(), Some("Ok"), "{context}");
    }
    outcome.check_reopened();
}

#[test]
fn a_failed_data_sync_is_final_and_reopening_tells_the_truth() {
    if tools::has_strace() {
        sweep("fdatasync:error=EIO", &[], 30, 8000, sync_errors_are_final);
    }
}

/// A header is written and synced in one call; where a system cannot, the whole file is synced.
#[test]
fn a_failed_sync_of_a_header_is_final_and_one_that_cannot_be_had_is_replaced() {
    if !tools::has_strace() {
        return;
    }
    sweep("pwritev2:error=EIO", &[], 30, 8000, sync_errors_are_final);
    let mut outcome = inject("pwritev2:error=EOPNOTSUPP", &[], 30, 8000);
    assert!(!outcome.hits.is_empty(), "{}", outcome.context);
    assert_eq!(outcome.said.acks, 30, "{}", outcome.context);
    outcome.check_reopened();
}

#[test]
fn a_failed_sync_of_a_folder_is_final_too() {
    if tools::has_strace() {
        sweep("fsync:error=EIO", &[], 30, 8000, sync_errors_are_final);
        // The counts of a thread's calls are its own; so those of the log's folder alone come to
        // the threads that prepare segments.
        let log = ["-P", "DIR/log"];
        sweep("fsync:error=EIO", &log, 60, 8000, sync_errors_are_final);
    }
}

#[test]
fn a_rename_that_fails_leaves_the_old_file() {
    if !tools::has_strace() {
        return;
    }
    let calls = "rename,renameat,renameat2:error=EXDEV";
    sweep(calls, &[], 12, 8000, |mut outcome| {
        let said = &outcome.said;
        if outcome.hit_log_by_name() {
            assert_eq!(said.opened.as_deref(), Some("Io"), "{}", outcome.context);
        }
        outcome.check_reopened();
    });
}

/// A mapped file that becomes shorter is a signal for whoever reads it.
#[test]
fn no_file_of_a_log_is_ever_truncated() {
    if !tools::has_strace() {
        return;
    }
    let mut outcome = inject("ftruncate,truncate:error=EIO", &[], 30, 8000);
    let (said, context) = (&outcome.said, &outcome.context);
    assert_eq!(
        (said.acks, said.closed.as_deref()),
        (30, Some("Ok")),
        "{context}"
    );
    assert!(
        !outcome.hits.iter().any(|hit| hit.contains(".seg")),
        "{context}"
    );
    outcome.check_reopened();
}

/// How many events ask for the second segment to be prepared, and lie in the first.
const AHEAD: u32 = 4;

/// Makes writes into the second segment's file fail, which is prepared ahead of need: they write zeros,
/// so one that is only said to have written changes nothing but the count. No event comes to lie there.
fn inject_into_prepared(fault: &str) -> Outcome {
    let only = ["-P", "DIR/log/000000000002-000.seg"];
    let outcome = inject(fault, &only, AHEAD, 8000);
    assert!(!outcome.hits.is_empty(), "{fault}: nothing was prepared");
    outcome
}

#[test]
fn interrupted_and_short_writes_are_gone_on_with() {
    if !tools::has_strace() {
        return;
    }
    for fault in [
        "pwrite64:error=EINTR:when=1..9+2",
        "pwrite64:retval=1:when=1..9+2",
    ] {
        let mut outcome = inject_into_prepared(fault);
        outcome.check_all_taken();
        outcome.check_reopened();
    }
}

#[test]
fn a_write_that_writes_nothing_is_an_error_and_no_endless_loop() {
    if !tools::has_strace() {
        return;
    }
    // The prepared file is given up, which is no matter for the events.
    let mut outcome = inject_into_prepared("pwrite64:retval=0");
    outcome.check_all_taken();
    outcome.check_reopened();
}

/// A file that cannot be mapped when the log wants to go on in it.
#[test]
fn a_file_that_cannot_be_mapped_is_an_error_and_loses_nothing() {
    if !tools::has_strace() {
        return;
    }
    for file in 2..=3 {
        let name = format!("DIR/log/{file:012}-000.seg");
        for when in ["1", "1+"] {
            let fault = format!("mmap:error=ENOMEM:when={when}");
            let mut outcome = inject(&fault, &["-P", &name], 30, 8000);
            assert!(!outcome.hits.is_empty(), "{}", outcome.context);
            outcome.check_reopened();
        }
    }
}

/// Blocks that the disk does not give, for want of room or because it is broken.
#[test]
fn blocks_that_cannot_be_had_are_an_error_and_lose_nothing() {
    if !tools::has_strace() {
        return;
    }
    for error in ["EIO", "ENOSPC"] {
        let fault = format!("fallocate:error={error}");
        sweep(&fault, &[], 30, 8000, |mut outcome| {
            outcome.check_reopened();
        });
    }
}

/// A disk that takes its time: nobody waits for ever, and closing ends.
#[test]
fn a_slow_disk_loses_no_wake_up_and_lets_the_system_close() {
    if !tools::has_strace() {
        return;
    }
    let slow = "fdatasync,fsync,pwritev2:delay_enter=300000";
    let outcome = inject(slow, &[], 12, 8000);
    let said = (outcome.said.acks, outcome.said.closed.as_deref());
    assert_eq!(said, (12, Some("Ok")), "{}", outcome.context);
}

impl Outcome {
    /// As [`Outcome::hit_log`], for calls that name paths instead of open files.
    fn hit_log_by_name(&self) -> bool {
        self.hits.iter().any(|hit| {
            let log = format!("{}/log/", text(&self.data()));
            hit.contains(&log) && Path::new(&log).exists()
        })
    }
}

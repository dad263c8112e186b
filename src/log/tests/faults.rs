//! Operations that fail: syncs above all, then everything else that a disk can refuse.

use std::io;

use super::promise::read;
use super::rounds;
use super::run::{Run, Setup, Step, steps};
use super::survive::survive;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind};
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, OpKind, SimDisk, Times};

const LATER: [Choice; 8] = [
    Choice::AllLost,
    Choice::AllKept,
    Choice::OnlyKept(0),
    Choice::OnlyLost(0),
    Choice::Seed(1),
    Choice::Seed(2),
    Choice::Seed(3),
    Choice::Seed(4),
];

/// What holds after a sync of the log has failed: nothing is taken any more, everything is readable.
fn check_poisoned(run: &mut Run) {
    for durability in [Durability::Sync, Durability::Os] {
        let failed = run.step(Step::Append(1, 10, durability)).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Poisoned, "{failed:?}");
        assert!(!failed.is_outcome_unknown());
    }
    let failed = run.step(Step::Flush);
    assert!(failed.is_err() || run.promise.synced == run.promise.last());
    let found = read(run.log()).unwrap();
    assert_eq!(
        found.last().map_or(Seq::ZERO, |sent| sent.seq),
        run.promise.published
    );
}

/// Opens what the run left: in the same boot, where the page cache shows what the disk may lack, and
/// then after a power cut; and after a power cut at once.
fn check_after(run: &Run) -> Result<u64, String> {
    let process = run.disk.crash(CrashKind::Process, Choice::AllKept);
    let mut states = survive(process, run.setup, &run.promise, CrashKind::Process, &LATER)?;
    for choice in LATER {
        let image = run.disk.crash(CrashKind::System, choice);
        states += survive(image, run.setup, &run.promise, CrashKind::System, &[])?;
    }
    Ok(states)
}

/// Lets each operation of a kind fail once, one after the other, until none is left to fail.
fn sweep(setup: Setup, script: &[Step], op: OpKind, error: io::ErrorKind) -> Vec<Error> {
    let mut met = Vec::new();
    for nth in 1.. {
        let plan = |disk: &SimDisk| disk.fail(op, nth, error, Times::Once);
        let (mut run, errors) = Run::bravely(setup, script, plan);
        if errors.is_empty() {
            break;
        }
        if errors
            .iter()
            .any(|error| error.kind() == ErrorKind::SyncFailed)
            && run.log.is_some()
        {
            check_poisoned(&mut run);
        }
        if let Err(wrong) = check_after(&run) {
            panic!("{op:?} {nth} fails: {errors:?}\n{wrong}\n{setup:?}\nscript {script:?}");
        }
        met.extend(errors);
    }
    met
}

fn setups() -> [Setup; 3] {
    let lazy = Setup {
        lazy: true,
        ..Setup::SMALL
    };
    let retaining = Setup {
        max_events: Some(20),
        ..Setup::SMALL
    };
    [Setup::SMALL, lazy, retaining]
}

#[test]
fn a_failed_sync_is_final_and_loses_nothing_that_is_shown_later() {
    let mut failed = 0;
    for seed in 0..rounds(3) {
        for setup in setups() {
            let script = steps(300 + seed, 30, setup.lazy);
            let met = sweep(setup, &script, OpKind::Sync, io::ErrorKind::Other);
            let is_final = |error: &&Error| error.kind() == ErrorKind::SyncFailed;
            failed += met.iter().filter(is_final).count();
            assert!(
                met.iter()
                    .all(|error| { matches!(error.kind(), ErrorKind::SyncFailed | ErrorKind::Io) })
            );
        }
    }
    assert!(failed > 10, "only {failed} syncs of the log failed");
}

#[test]
fn whatever_else_fails_is_an_error_and_loses_nothing() {
    let ops = [
        OpKind::SyncDir,
        OpKind::Rename,
        OpKind::Create,
        OpKind::Remove,
        OpKind::Write,
        OpKind::Open,
    ];
    // Not every script has each of them: it may be that nothing is old enough to be removed.
    let mut struck = [0; 6];
    for seed in 0..rounds(2) {
        for setup in setups() {
            let script = steps(400 + seed, 40, setup.lazy);
            let script = [&script[..], &[Step::Retire, Step::Snapshot, Step::Reopen]].concat();
            for (op, struck) in ops.into_iter().zip(&mut struck) {
                let met = sweep(setup, &script, op, io::ErrorKind::Other);
                *struck += met.len();
                let is_expected = |error: &Error| match error.kind() {
                    ErrorKind::Io => true,
                    // A folder's sync is a sync.
                    ErrorKind::SyncFailed => op == OpKind::SyncDir,
                    _ => false,
                };
                assert!(met.iter().all(is_expected), "{met:?}");
            }
        }
    }
    assert!(struck.iter().all(|count| *count > 0), "{struck:?}");
}

#[test]
fn a_full_disk_is_an_error_and_the_log_goes_on_once_there_is_room() {
    for seed in 0..rounds(4) {
        let script = steps(500 + seed, 40, false);
        let met = sweep(
            Setup::SMALL,
            &script,
            OpKind::Create,
            io::ErrorKind::StorageFull,
        );
        assert!(met.iter().all(|error| error.kind() == ErrorKind::NoSpace));

        let mut run = Run::of(Setup::SMALL, &script, |_| {});
        // What is staged and waits for its sync is not to be read yet.
        run.step(Step::Flush).unwrap();
        let before: Vec<String> = run.disk.files().into_iter().map(|(path, _)| path).collect();
        run.disk.set_capacity(0);
        let mut refused = None;
        for _ in 0..100 {
            let appended = run.step(Step::Append(1, 900, Durability::Os));
            refused = appended.err().or(refused);
        }
        let refused = refused.expect("no room for a segment");
        assert_eq!(refused.kind(), ErrorKind::NoSpace);
        assert!(!refused.is_outcome_unknown());
        let after = run.disk.files().into_iter().map(|(path, _)| path);
        assert!(after.eq(before), "no partial file");
        assert_eq!(
            read(run.log()).unwrap().len(),
            run.promise
                .events
                .iter()
                .filter(|sent| sent.seq >= run.log().first_seq())
                .count()
        );
        run.disk.set_capacity(u64::MAX);
        run.step(Step::Append(1, 900, Durability::Sync)).unwrap();
        check_after(&run).unwrap();
    }
}

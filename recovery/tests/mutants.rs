//! The engine broken on purpose in eleven ways: `torture` finds each of them, and nothing where it is whole.
//!
//! `cargo test -p forelog-recovery --features mutants --test mutants`

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use clap::Parser;
use forelog::testing::{Mutant, break_by};
use forelog_dump::Exit;
use forelog_recovery::{Args, run};
use serde_json::Value;

/// What an attack comes to.
struct Verdict {
    kept: bool,
    runs: u64,
    /// The promises that were found broken.
    broken: Vec<String>,
}

fn torture(args: &[&str]) -> Verdict {
    let words = [&["forelog-recovery", "torture", "--json"], args].concat();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(&Args::parse_from(words), &mut out, &mut err);
    let summary: Value = serde_json::from_slice(&out).unwrap();
    let kept = summary["kept"].as_bool().unwrap();
    assert_eq!(kept, exit == Exit::Good, "{exit:?}: {summary}");
    let modes = summary["modes"].as_array().unwrap();
    let broken = modes
        .iter()
        .flat_map(|mode| mode["broken"].as_array().unwrap());
    Verdict {
        kept,
        runs: modes
            .iter()
            .map(|mode| mode["runs"].as_u64().unwrap())
            .sum(),
        broken: broken
            .map(|one| one["promise"].as_str().unwrap().to_owned())
            .collect(),
    }
}

/// Which promises may be found broken by a fault: any of them tells of it.
fn signs(mutant: Mutant) -> &'static [&'static str] {
    match mutant {
        Mutant::SkipSync | Mutant::ForgetFolderSync | Mutant::AcknowledgeFailedSync => {
            &["lost", "refused", "failure_forgotten"]
        }
        Mutant::PublishBeforeCopy => &["lost", "refused", "failed"],
        Mutant::AdvanceCursorEarly | Mutant::LoseParked => &["skipped"],
        Mutant::ReuseSeq => &["reused"],
        Mutant::IgnoreChecksum => &["altered", "invented", "reordered", "refused"],
        Mutant::CutTailTooFar => &["lost"],
        Mutant::ApplyTwice => &["wrongly_applied"],
        Mutant::DropUndeclared => &["refused", "holed", "failed"],
        _ => &[],
    }
}

/// One test, since a fault is the whole process's.
#[test]
fn each_fault_of_the_engine_is_found_and_none_where_there_is_none() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        break_by(Some(mutant));
        let verdict = torture(&["--sim", "--seeds", "100"]);
        println!("{mutant:?}: {} seeds, {:?}", verdict.runs, verdict.broken);
        let is_seen = verdict
            .broken
            .iter()
            .any(|one| signs(mutant).contains(&one.as_str()));
        if verdict.kept || !is_seen {
            missed.push((mutant, verdict.broken));
        }
    }
    break_by(None);
    let whole = torture(&["--sim", "--seeds", "20"]);
    assert!(whole.kept, "{:?}", whole.broken);
    assert!(missed.is_empty(), "{missed:?}");
}

//! Processes that are killed at unforeseeable moments, over and over in one directory (rows 1, 54).

use crate::child::{Child, text};
use crate::ledger::{Ledger, open};
use crate::load::{Random, scaled, seed};

/// Reads what the child says until it has acknowledged so many events, and kills it.
fn run_until_killed(dir: &std::path::Path, run: u64, seed: u64, acks: u64) -> Vec<String> {
    let settings = [text(dir), &run.to_string(), &seed.to_string()];
    let child = Child::start(&[], "storm", &settings);
    child.wait_for("opening");
    let mut lines = Vec::new();
    let mut count = 0;
    while count < acks {
        let line = child.line().expect("the child lives until it is killed");
        count += u64::from(line.starts_with("ack"));
        lines.push(line);
    }
    lines.extend(child.kill());
    lines
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_and_invents_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    let seed = seed();
    let mut random = Random(seed);
    let mut ledger = Ledger::default();
    let mut run = 0;
    for round in 0..scaled(5) {
        // Some are killed while they open: recovery itself is cut short, more than once.
        for _ in 0..random.below(3) {
            run += 1;
            let lines = run_until_killed(&dir, run, random.below(u64::MAX), 0);
            ledger.take(&lines);
        }
        run += 1;
        let acks = 1 + random.below(600);
        let lines = run_until_killed(&dir, run, random.below(u64::MAX), acks);
        let said = ledger.take(&lines);
        let context = format!("seed {seed}, round {round}, run {run}, killed after {acks} acks");
        println!("{context}: {} acks in all", ledger.acks());
        assert_eq!(said.errors, Vec::<String>::new(), "{context}");
        let system = open(&dir).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        let recovery = system.recovery().clone();
        assert_eq!(
            recovery.gap, None,
            "{context}: in the same boot nothing is lost"
        );
        ledger.check(&system, &context);
        system.close().unwrap();
    }
}

//! What a plan says is what the repair does, on directories that are damaged in any way.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;

use std::path::Path;

use corpus::{copy, each, edit, events, killed, newest, segment, whole};
use forelog::repair::{self, RepairStep};

/// How far places that are damaged lie apart.
const STEP: usize = 6007;

/// The Seqs that steps declare as lost.
fn lost(steps: &[RepairStep]) -> Vec<(u64, u64)> {
    let lost = steps.iter().flat_map(|step| &step.lost_seqs);
    lost.map(|gap| (gap.from.0, gap.to.0)).collect()
}

/// Plans and repairs a directory; what the two say differently, if they do.
fn check(dir: &Path) -> Result<(), String> {
    let before = events(dir);
    let plan = repair::plan(dir, &mut |_| Ok(())).map_err(|error| error.to_string())?;
    let report = repair::apply(dir, &mut |_| Ok(())).map_err(|error| error.to_string())?;
    let said = (plan.events, plan.lost, lost(&plan.steps));
    let done = (report.events, report.lost, lost(&report.steps));
    let after = events(dir);
    let is_kept = |(seq, event)| after.get(seq) == Some(event);
    // Behind recovery what is damaged in the last segments is written anew, as the plan says.
    let (first, more) = report
        .steps
        .split_at_checked(plan.steps.len())
        .unwrap_or_default();
    let is_announced = plan
        .steps
        .iter()
        .any(|step| step.why.contains("written anew"));
    let steps_fit = first == plan.steps && (more.is_empty() || is_announced);
    if said == done && steps_fit && report.remains.is_empty() && before.iter().all(is_kept) {
        return Ok(());
    }
    Err(format!(
        "{said:?} {:#?}\n{done:?} {:#?}",
        plan.steps, report.steps
    ))
}

#[test]
fn a_plan_is_what_the_repair_does_on_every_directory_of_the_corpus() {
    let within = tempfile::tempdir().unwrap();
    let mut differ = Vec::new();
    each(within.path(), |name, dir| {
        if let Err(why) = check(dir) {
            differ.push(format!("{name}: {why}"));
        }
    });
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
}

type Change = fn(&Path, usize);

/// What is done to a segment's file, at a place in it.
const CHANGES: [(&str, Change); 4] = [
    ("a flipped bit", |file, at| {
        edit(file, |bytes| bytes[at] ^= 4);
    }),
    ("a zeroed page", |file, at| {
        edit(file, |bytes| {
            let end = bytes.len().min(at + 4096);
            bytes[at..end].fill(0);
        });
    }),
    ("an end", |file, at| edit(file, |bytes| bytes.truncate(at))),
    ("bytes too many", |file, at| {
        edit(file, |bytes| bytes.extend(std::iter::repeat_n(7, at + 1)));
    }),
];

#[test]
fn a_plan_is_what_the_repair_does_wherever_the_end_is_damaged() {
    let home = tempfile::tempdir().unwrap();
    let mut differ = Vec::new();
    let poisoned = |dir: &Path| {
        killed(dir);
        std::fs::write(dir.join("log/poisoned"), "").unwrap();
    };
    for (name, make) in [
        ("whole", whole as fn(&Path)),
        ("killed", killed),
        ("poisoned", poisoned),
    ] {
        let source = home.path().join(name);
        make(&source);
        let newest = newest(&source);
        let mut changed = |id, what: &str, change: &dyn Fn(&Path)| {
            let dir = home.path().join("changed");
            copy(&source, &dir);
            change(&segment(&dir, id));
            if let Err(why) = check(&dir) {
                differ.push(format!("{name}, segment {id}, {what}: {why}"));
            }
            std::fs::remove_dir_all(dir).unwrap();
        };
        for id in [newest - 1, newest] {
            let len = std::fs::metadata(segment(&source, id)).unwrap().len();
            let len = usize::try_from(len).unwrap();
            for (nth, at) in (0..len).step_by(STEP).enumerate() {
                // Elsewhere in each turn, and near the ends of all parts.
                let at = [at, at + 511, at + 3583][nth % 3].min(len - 1);
                for (what, change) in CHANGES {
                    changed(id, &format!("{what} at {at}"), &|file| change(file, at));
                }
            }
        }
        // Behind the newest one stands the file that was prepared for the next, if it was.
        let there = (newest - 1..).take_while(|id| segment(&source, *id).exists());
        for id in there {
            changed(id, "gone", &|file| std::fs::remove_file(file).unwrap());
            changed(id, "empty", &|file| edit(file, Vec::clear));
            changed(id, "garbage", &|file| edit(file, |bytes| bytes.fill(0xa5)));
        }
    }
    assert!(
        differ.is_empty(),
        "{}\n{} differ",
        differ.join("\n\n"),
        differ.len()
    );
}

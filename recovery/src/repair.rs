//! `repair`: what a repair would do, or has done.

use std::io::{self, Write};

use forelog::inspect::Verdict;
use forelog::repair::{RepairPlan, RepairReport, RepairStep};
use forelog_dump::{Exit, Fault, Output};

use crate::options::RepairArgs;
use crate::progress;
use crate::shown::{json as as_json, line, path as shown, seqs, typed};

pub(crate) fn repair(args: &RepairArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    if !args.apply {
        let bar = progress::bytes("looking");
        let plan = forelog::repair::plan(&args.path, &mut progress::watching(&bar));
        bar.finish_and_clear();
        let plan = plan?;
        if json {
            as_json(&plan, out)?;
        } else {
            show_plan(&plan, out)?;
        }
        return Ok(exit_of_plan(&plan));
    }
    let bar = progress::bytes("repairing");
    let report = forelog::repair::apply(&args.path, &mut progress::watching(&bar));
    bar.finish_and_clear();
    let report = report?;
    if json {
        as_json(&report, out)?;
    } else {
        show_report(&report, out)?;
    }
    Ok(if report.remains.is_empty() {
        Exit::Good
    } else {
        Exit::Damaged
    })
}

fn exit_of_plan(plan: &RepairPlan) -> Exit {
    match plan.verdict {
        verdict if plan.steps.is_empty() => verdict.into(),
        Verdict::Torn if plan.refused.is_none() => Exit::Torn,
        _ => Exit::Damaged,
    }
}

fn show_plan(plan: &RepairPlan, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", shown(&plan.path), plan.verdict)?;
    if let Some(refused) = &plan.refused {
        line(out, "refused", refused)?;
    }
    if let Some(holder) = &plan.in_use_by {
        line(out, "in use by", &format!("{holder}: close it there first"))?;
    }
    line(out, "keeps", &format!("{} events", plan.events))?;
    line(out, "loses", &lost(plan.lost, &plan.steps))?;
    steps(&plan.steps, out)?;
    if plan.steps.is_empty() {
        line(out, "steps", "none: nothing has to be repaired")
    } else {
        let next = format!("forelog-recovery repair {} --apply", typed(&plan.path));
        line(out, "next", &next)
    }
}

fn show_report(report: &RepairReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", shown(&report.path), report.verdict)?;
    line(out, "has", &format!("{} events", report.events))?;
    line(out, "lost", &lost(report.lost, &report.steps))?;
    steps(&report.steps, out)?;
    if report.steps.is_empty() {
        line(out, "steps", "none: nothing had to be repaired")?;
    }
    if let Some(aside) = &report.aside {
        line(out, "kept in", &aside.display().to_string())?;
    }
    for remains in &report.remains {
        line(out, "remains", remains)?;
    }
    Ok(())
}

fn lost(count: u64, steps: &[RepairStep]) -> String {
    let ranges: Vec<_> = steps
        .iter()
        .flat_map(|step| &step.lost_seqs)
        .copied()
        .collect();
    match count {
        0 => "nothing".to_owned(),
        count => format!("{count} events (Seqs {})", seqs(&ranges)),
    }
}

fn steps(steps: &[RepairStep], out: &mut dyn Write) -> io::Result<()> {
    for (number, step) in (1..).zip(steps) {
        let counts = match (step.kept, step.lost) {
            (0, 0) => String::new(),
            (kept, 0) => format!(", keeps {kept}"),
            (kept, lost) => format!(", keeps {kept}, loses {lost}"),
        };
        let step = format!(
            "{:<18} {}{counts}: {}",
            step.action.to_string(),
            step.file,
            step.why
        );
        line(out, &format!("step {number}"), &step)?;
    }
    Ok(())
}

//! The verdict of `torture check` for people.

use forelog_dump::{Output, clean};

use super::check::Report;
use crate::shown::path as shown;

pub(super) fn text(report: &Report<'_>, out: Output<'_>) -> std::io::Result<()> {
    let verdict = if report.kept {
        "every promise was kept"
    } else {
        "A PROMISE IS BROKEN"
    };
    writeln!(out, "{}: {verdict}", shown(report.path))?;
    for (name, value) in rows(report) {
        writeln!(out, "  {:<32} {}", clean(&name), clean(&value))?;
    }
    Ok(())
}

/// The lines of the table, in two columns.
fn rows(report: &Report<'_>) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let tally = &report.tally;
    row(
        "events",
        format!("{} by {} threads", tally.events, tally.writers),
    );
    if !report.is_there {
        let judged = "no log is there: judged as without events";
        row("directory", judged.to_owned());
    }
    let torn = report.acks_torn;
    row(
        "acknowledgements",
        format!("{} ({torn} torn lines)", report.acks),
    );
    row("  found", tally.acknowledged.to_string());
    if report.durability == "os" {
        row("  lost, as may be", tally.lost_by_right.to_string());
    }
    if let Some(recovery) = &report.recovery {
        let ended = if recovery.clean {
            "in order"
        } else {
            "by a crash"
        };
        let (rewritten, torn) = (recovery.rewritten, recovery.torn_bytes);
        row("ended", ended.to_owned());
        row("  written anew", format!("{rewritten} events"));
        row("  torn tail", format!("{torn} bytes"));
    }
    for gap in &report.gaps {
        row("declared gap", format!("Seqs {gap}"));
    }
    if let Some(consumed) = &report.consumed {
        let (printed, torn) = (consumed.printed, consumed.torn);
        let (name, position) = (&consumed.name, consumed.position);
        let by = format!("{printed} by {name:?} ({torn} torn lines), at Seq {position}");
        row("consumed", by);
    }
    for finding in &report.broken {
        row(&finding.promise.to_string(), finding.count.to_string());
        for example in &finding.examples {
            let place = example
                .seq
                .map_or_else(String::new, |seq| format!("  Seq {seq}"));
            row(&place, example.detail.clone());
        }
    }
    rows
}

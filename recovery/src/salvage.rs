//! `salvage`: what is left of a directory, in a new one.

use std::io::{self, Write};

use forelog::repair::SalvageReport;
use forelog_dump::{Exit, Fault, Output};

use crate::options::SalvageArgs;
use crate::progress;
use crate::shown::{json as as_json, line, path as shown, seqs, typed};

pub(crate) fn salvage(args: &SalvageArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let bar = progress::bytes("salvaging");
    let mut watch = progress::watching(&bar);
    let report = forelog::repair::salvage(&args.path, &args.into, &mut watch);
    bar.finish_and_clear();
    let report = report?;
    if json {
        as_json(&report, out)?;
    } else {
        text(&report, out)?;
    }
    Ok(if report.lost > 0 || !report.left.is_empty() {
        Exit::Damaged
    } else {
        Exit::Good
    })
}

fn text(report: &SalvageReport, out: &mut dyn Write) -> io::Result<()> {
    let into = shown(&report.into);
    writeln!(out, "{into}: {} events salvaged", report.events)?;
    if report.events > 0 {
        let span = format!("{} to {}, as they were", report.first, report.last);
        line(out, "Seqs", &span)?;
    }
    let size = format!("{} ({} bytes)", report.segments, report.bytes);
    line(out, "segments", &size)?;
    if report.lost > 0 {
        let lost = format!("{} events (Seqs {})", report.lost, seqs(&report.lost_seqs));
        line(out, "lost", &lost)?;
    }
    for left in &report.left {
        line(out, "left", left)?;
    }
    let next = format!("forelog-recovery verify {}", typed(&report.into));
    line(out, "next", &next)
}

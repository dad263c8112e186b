//! `verify`: the report of the inspector, as text or JSON.

use std::io::{self, Write};

use forelog::inspect::{LogReport, Progress, VerifyReport};
use forelog_dump::{Exit, Fault, Output};

use crate::args::VerifyArgs;
use crate::progress;
use crate::shown::{line, path as shown, seqs};

pub(crate) fn verify(args: &VerifyArgs, json: bool, out: Output<'_>) -> Result<Exit, Fault> {
    let inspector = args.key.inspector(&args.path)?;
    let bar = progress::bytes("verifying");
    let mut show = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    };
    let report = if args.fast {
        inspector.verify_fast()
    } else if args.skip_index {
        inspector.verify_log(&mut show)
    } else {
        inspector.verify(&mut show)
    };
    bar.finish_and_clear();
    let report = report?;
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        // One file says nothing of how its log was closed.
        text(&report, !args.path.is_file(), out)?;
    }
    Ok(report.verdict.into())
}

fn text(report: &VerifyReport, is_whole: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", shown(&report.path), report.verdict)?;
    if !report.deep {
        line(
            out,
            "checked",
            "headers, footers, links and the last segments; --deep reads every byte",
        )?;
    }
    log(&report.log, is_whole, out)?;
    if let Some(control) = &report.control {
        writeln!(out, "  control log")?;
        log(control, true, out)?;
    }
    for one in &report.subscriptions {
        let behind = report.log.last.since(one.cursor);
        let place = format!(
            "{:?} at Seq {}, {behind} behind, {} parked",
            one.name, one.cursor, one.parked
        );
        line(out, "handler", &place)?;
    }
    let index = match (&report.index, report.index_ok) {
        (index, None) => {
            let why = index.as_ref().and_then(|index| index.not_compared.as_ref());
            why.map_or("not compared".to_owned(), |why| {
                format!("not compared: {why}")
            })
        }
        (_, Some(true)) => "agrees with the log".to_owned(),
        (index, Some(false)) => {
            let problem = index.as_ref().and_then(|index| index.problem.clone());
            let problem = problem.unwrap_or_else(|| "does not agree with the log".to_owned());
            format!("{problem}; run forelog-recovery reindex")
        }
    };
    line(out, "index", &index)?;
    if let Some(writer) = &report.in_use_by {
        line(out, "in use by", writer)?;
    }
    Ok(())
}

fn log(log: &LogReport, is_whole: bool, out: &mut dyn Write) -> io::Result<()> {
    let events = match log.count {
        0 => "none".to_owned(),
        count => format!("{count} (Seqs {} to {})", log.first, log.last),
    };
    line(out, "events", &events)?;
    let segments = format!("{} ({} bytes of frames)", log.segments, log.bytes);
    line(out, "segments", &segments)?;
    if is_whole {
        let how = if log.clean {
            "in order"
        } else {
            "not in order"
        };
        line(out, "closed", how)?;
    }
    for gap in &log.gaps {
        line(
            out,
            "gap",
            &format!("Seqs {gap} were skipped after a crash"),
        )?;
    }
    if log.dropped > 0 {
        let dropped = format!("{} events, each with a later one of its key", log.dropped);
        line(out, "compacted", &dropped)?;
    }
    if log.lost > 0 {
        let lost = format!(
            "{} events (Seqs {}), as a repair has declared",
            log.lost,
            seqs(&log.lost_seqs)
        );
        line(out, "lost", &lost)?;
    }
    if log.torn_bytes > 0 {
        // What opening does with a damaged log is not told here: it may refuse.
        let fate = match log.damage_count {
            0 => "which the next opening sets aside",
            _ => "behind the last event",
        };
        let torn = format!("{} bytes, {fate}", log.torn_bytes);
        line(out, "torn tail", &torn)?;
    }
    for damage in &log.damage {
        line(out, "damage", &damage.to_string())?;
    }
    let unlisted = log.damage_count.saturating_sub(log.damage.len() as u64);
    if unlisted > 0 {
        line(out, "damage", &format!("and {unlisted} more places"))?;
    }
    Ok(())
}

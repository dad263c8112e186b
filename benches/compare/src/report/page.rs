//! The page of results.

use std::fmt::Write;

use super::numbers::{figure, thousands, times};
use super::table::tables;
use crate::engines::OWN;
use crate::run::Results;
use crate::stats::Ratio;
use crate::workload::Workload;

const INTRODUCTION: &str = "\
The same records of 256 bytes, the same durability, the same process; a round runs all engines before \
the next begins, in an order that moves on by one; figures are medians over the rounds. What Forelog \
gets is an event whose type, source and data take those 256 bytes together, made before the clock \
starts. A buffered append survives a killed process, a durable one a power cut; an engine that promises \
less stands below the others, marked †. Settings are the engines' defaults, but where a default would \
fail on these many records. Logs are read warm, opened anew for each round. Forelog prepares its \
segments in the background while the clock runs, as it always does.";

/// The page, with the plot under this name.
pub fn markdown(results: &Results, plot: &str) -> String {
    let mut text = String::from("# Forelog beside other engines\n\n");
    machine(&mut text, results);
    let _ = writeln!(text, "\n{INTRODUCTION}\n\n![Figures by engine]({plot})\n");
    text.push_str(&plain(results));
    versions(&mut text, results);
    text
}

/// The page without what does not change from run to run.
pub fn plain(results: &Results) -> String {
    let mut text = String::new();
    summary(&mut text, results);
    behind(&mut text, results);
    let _ = write!(text, "\n{}", tables(results));
    troubles(&mut text, results);
    text
}

fn machine(text: &mut String, results: &Results) {
    let machine = &results.machine;
    let settings = &results.settings;
    let _ = writeln!(
        text,
        "Measured {} on {}, {} cores, {}, {}; {}.",
        machine.date, machine.cpu, machine.cores, machine.kernel, machine.file_system, machine.rust
    );
    #[expect(clippy::cast_precision_loss, reason = "shown only")]
    let events = thousands(settings.events as f64);
    let _ = writeln!(
        text,
        "Other work on the machine as the run began: a load average of {}. {} rounds, {events} events, {} \
         s for each durable figure. Again by one command, in `benches/compare`: `cargo run --release -- \
         --out RESULTS.md`.",
        machine.load, settings.runs, settings.seconds
    );
}

/// Forelog beside the best engine of equal durability.
fn summary(text: &mut String, results: &Results) {
    text.push_str("## Forelog against the best of equal durability\n\n");
    text.push_str("| workload | Forelog | the best other | ahead by (95 % interval) |\n");
    text.push_str("|---|---:|---:|---:|\n");
    for compared in compare(results) {
        let unit = compared.workload.unit();
        let _ = writeln!(
            text,
            "| {} | {} {} | {}, {} | {} |",
            compared.workload.title(),
            figure(compared.own, unit),
            unit.label(),
            compared.rival,
            figure(compared.other, unit),
            ratio(compared.ratio)
        );
    }
    text.push_str(
        "\nThe ratio is the median of the ratios of each round, its interval a bootstrap over them; \
         above 1 Forelog is ahead.\n",
    );
    if let Some(pair) = &results.pair {
        let _ = writeln!(
            text,
            "Durable appends by one thread in {} pairs of slices, both open and in turns: Forelog / {} \
             = {}.",
            pair.ratio.pairs,
            pair.rival,
            ratio(Some(pair.ratio))
        );
    }
}

fn ratio(ratio: Option<Ratio>) -> String {
    ratio.map_or_else(String::new, |ratio| {
        format!(
            "{} ({:.2}–{:.2})",
            times(ratio.median),
            ratio.low,
            ratio.high
        )
    })
}

struct Compared {
    workload: Workload,
    own: f64,
    rival: &'static str,
    other: f64,
    ratio: Option<Ratio>,
}

fn compare(results: &Results) -> Vec<Compared> {
    let compared = Workload::ALL.into_iter().filter_map(|workload| {
        let (rival, other) = results.best_rival(workload)?;
        let own = results.cell(workload, OWN)?;
        let beside = results.cell(workload, rival)?;
        let rounds = own.samples.iter().zip(&beside.samples);
        let unit = workload.unit();
        let ratios: Vec<f64> = rounds
            .map(|(own, other)| unit.advantage(own.value, other.value))
            .collect();
        Some(Compared {
            workload,
            own: own.median()?,
            rival,
            other,
            ratio: Ratio::of_pairs(&ratios),
        })
    });
    compared.collect()
}

/// A line for each workload where an engine of equal durability is ahead.
fn behind(text: &mut String, results: &Results) {
    text.push_str("\n## Where Forelog is not first\n\n");
    let before = text.len();
    for compared in compare(results) {
        let unit = compared.workload.unit();
        let factor = unit.advantage(compared.other, compared.own);
        if factor <= 1.0 {
            continue;
        }
        let _ = writeln!(
            text,
            "- {}: {} is ahead {} ({} against {} {}). {}",
            compared.workload.title(),
            compared.rival,
            ahead(factor),
            figure(compared.other, unit),
            figure(compared.own, unit),
            unit.label(),
            why(&compared)
        );
    }
    if text.len() == before {
        text.push_str("Nowhere among the engines of equal durability.\n");
    }
}

fn ahead(factor: f64) -> String {
    if factor < 2.0 {
        format!("by {:.0} %", (factor - 1.0) * 100.0)
    } else {
        times(factor)
    }
}

fn why(compared: &Compared) -> &'static str {
    let known = compared.workload.why_behind(compared.rival);
    let noise = compared
        .ratio
        .is_some_and(|ratio| ratio.low <= 1.0 && 1.0 <= ratio.high);
    match known {
        Some(why) => why,
        None if noise => "The interval of the ratio covers 1: this run does not tell them apart.",
        None => "The reason is not known.",
    }
}

fn troubles(text: &mut String, results: &Results) {
    let mut troubles = results
        .cells
        .iter()
        .filter_map(|cell| Some((cell, cell.trouble.as_ref()?)))
        .peekable();
    if troubles.peek().is_none() {
        return;
    }
    text.push_str("\n## What failed\n\n");
    for (cell, trouble) in troubles {
        let _ = writeln!(
            text,
            "- {}, {}: {trouble}",
            cell.engine,
            cell.workload.title()
        );
    }
}

fn versions(text: &mut String, results: &Results) {
    text.push_str("\n## Versions\n\n");
    let (here, absent): (Vec<_>, Vec<_>) = results
        .machine
        .engines
        .iter()
        .partition(|(_, version)| !version.is_empty());
    let names: Vec<String> = here
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let _ = writeln!(text, "{}.", names.join(", "));
    for (name, _) in absent {
        let _ = writeln!(text, "{name} was not found on this machine.");
    }
    text.push_str(
        "How each gets its durability, what its checksum covers and where it is weaker: the first lines \
         of its file in `src/engines`.\n",
    );
}

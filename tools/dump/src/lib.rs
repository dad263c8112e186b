//! `forelog-dump`: shows what a Forelog directory or a segment file holds, and never writes to it.
//!
//! The command is [`run`]; `main` only hands it the arguments. `forelog-recovery` shares the parts
//! that both have: [`SelectorArgs`], [`Exit`] and how errors are told.

mod args;
mod exit;
mod raw;
mod records;
mod segments;
mod stats;
mod text;

use std::io::{self, Write};

pub use args::{Args, SelectorArgs, parse};
pub use exit::{Exit, Fault, Output, Told};
use forelog::inspect::Inspector;

/// Carries out the command: data goes to `out`, everything else to `err`.
///
/// A reader that closes `out` ends it quietly.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let mut out = io::BufWriter::new(out);
    let mut told = Told::new(args.json, err);
    let shown = show(args, &mut out, &mut told).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    told.conclude(shown)
}

fn show(args: &Args, out: Output<'_>, told: &mut Told<'_>) -> Result<Exit, Fault> {
    let inspector = Inspector::open(&args.path)?;
    if args.headers {
        segments::show(&inspector, args.json, out)
    } else if args.raw {
        raw::show(&inspector, args, out, told)
    } else if args.stats {
        stats::show(&inspector, args, out, told)
    } else if args.follow {
        records::follow(&inspector, args, out, told)
    } else {
        records::show(&inspector, args, out, told)
    }
}

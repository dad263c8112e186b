//! `forelog-dump`: shows what a Forelog directory or a segment file holds, and never writes to it.
//!
//! The command is [`run`]; `main` only hands it the arguments. `forelog-recovery` shares the parts
//! that both have: [`SelectorArgs`], [`Exit`], [`clean`] and how errors are told.

mod args;
mod exit;
mod format;
mod lines;
mod names;
mod raw;
mod records;
mod retention;
mod segments;
mod stats;
mod text;
mod when;

use std::io::{self, Write};

pub use args::{
    Args, Command, GetArgs, Key, KeyArgs, MoreArgs, NamesArgs, PlaceArgs, QueryArgs, RetentionArgs,
    SelectorArgs, TailArgs, parse,
};
pub use exit::{Exit, Fault, Output, Told};
pub use format::Format;
use names::By;
pub use text::clean;

/// Carries out the command: data goes to `out`, everything else to `err`.
///
/// A reader that closes `out` ends it quietly.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let mut out = io::BufWriter::new(out);
    let format = args
        .command
        .as_ref()
        .map(|command| command.place().format());
    let json = format.map_or(args.json, |format| format == Format::Json);
    let mut told = Told::new(json, err);
    let shown = match &args.command {
        Some(command) => carry_out(command, &mut out, &mut told),
        None => show(args, &mut out, &mut told),
    };
    let shown = shown.and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    told.conclude(shown)
}

fn carry_out(command: &Command, out: Output<'_>, told: &mut Told<'_>) -> Result<Exit, Fault> {
    let place = command.place();
    let inspector = place.key.inspector(&place.path)?;
    match command {
        Command::Get(args) => records::get(&inspector, args, out, told),
        Command::Query(args) => records::query(&inspector, args, out, told),
        Command::Types(args) => names::show(&inspector, args, By::Type, out, told),
        Command::Sources(args) => names::show(&inspector, args, By::Source, out, told),
        Command::Tail(args) => records::tail(&inspector, args, out, told),
        Command::Retention(args) => retention::show(&inspector, args, out),
    }
}

fn show(args: &Args, out: Output<'_>, told: &mut Told<'_>) -> Result<Exit, Fault> {
    // The command line has a path, or a command.
    let inspector = args.key.inspector(args.path.clone().unwrap_or_default())?;
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

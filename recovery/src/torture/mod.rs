//! `torture`: the promises of the engine, attacked, with an oracle made of receipts.
//!
//! The halves [`write`], [`consume`] and [`check`] are for whoever pulls a real plug: what is printed by
//! the first two must be true of what the third finds.

mod acks;
pub(crate) mod args;
mod check;
mod consume;
mod content;
mod findings;
mod judge;
mod open;
mod random;
mod sink;
mod write;

pub use args::{CheckArgs, ConsumeArgs, Half, Promise, WriteArgs};
use forelog_dump::{Exit, Fault, Output, Told};

/// The options of `torture`.
#[derive(Debug, Clone, clap::Args)]
pub struct TortureArgs {
    /// A half of the work.
    #[command(subcommand)]
    pub half: Half,
}

pub(crate) fn torture(
    args: &TortureArgs,
    json: bool,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    match &args.half {
        Half::Write(args) => write::write(args, out, told),
        Half::Consume(args) => consume::consume(args, out, told),
        Half::Check(args) => check::check(args, json, out, told),
    }
}

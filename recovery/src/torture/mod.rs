//! `torture`: the promises of the engine, attacked, with an oracle made of receipts.
//!
//! The halves [`write`], [`consume`] and [`check`] are for whoever pulls a real plug: what is printed by
//! the first two must be true of what the third finds. [`run`] does all that a machine can do by itself.

mod acks;
pub(crate) mod args;
mod check;
mod table;
mod child;
mod consume;
mod content;
mod faults;
mod findings;
mod flip;
mod full;
mod held;
mod judge;
mod kill;
mod lines;
mod open;
mod printed;
mod random;
mod run;
mod sim;
mod sink;
mod superseded;
mod write;

pub use args::{CheckArgs, ConsumeArgs, Half, Promise, RunArgs, TortureArgs, WriteArgs};
use forelog_dump::{Exit, Fault, Output, Told};

pub(crate) fn torture(
    args: &TortureArgs,
    json: bool,
    out: Output<'_>,
    told: &mut Told<'_>,
) -> Result<Exit, Fault> {
    match &args.half {
        None => run::run(&args.run, json, out, told),
        Some(Half::Write(args)) => write::write(args, out, told),
        Some(Half::Consume(args)) => consume::consume(args, out, told),
        Some(Half::Check(args)) => check::check(args, json, out, told),
    }
}

//! `forelog-recovery`: verifies, repairs and salvages Forelog directories, replays their events, moves
//! cursors.
//!
//! The command is [`run`]; `main` only hands it the arguments. Verifying, salvaging, comparing and replaying
//! never write to the directory that they read, and work on damaged ones and beside a live writer. What does
//! change a directory shows first what it would do.

mod args;
mod cursors;
mod diff;
mod doctor;
mod exec;
mod options;
mod pages;
mod progress;
mod quiet;
mod rebuild;
mod reindex;
mod repair;
mod replay;
mod salvage;
mod shown;
mod torture;
mod verify;

use std::io::{self, Write};

pub use args::{Args, Command, ReindexArgs, ReplayArgs, VerifyArgs};
use forelog_dump::{Exit, Told};
pub use options::{
    CompletionsArgs, CursorArgs, CursorPlace, CursorsArgs, CursorsCommand, DiffArgs, DoctorArgs,
    ManArgs, RebuildArgs, RepairArgs, ResetArgs, SalvageArgs,
};
use quiet::Quiet;
pub use torture::{CheckArgs, ConsumeArgs, Half, Promise, RunArgs, TortureArgs, WriteArgs};

/// Carries out the command: data and reports go to `out`, everything else to `err`.
///
/// A reader that closes `out` is told nothing of it: what only prints ends there, what judges or acts goes on
/// to its end and to its own code.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let mut quiet = Quiet::new(out);
    let out: &mut dyn Write = if only_prints(&args.command) {
        out
    } else {
        &mut quiet
    };
    let mut out = io::BufWriter::new(out);
    let mut told = Told::new(args.json, err);
    let done = match &args.command {
        Command::Verify(verify) => verify::verify(verify, args.json, &mut out),
        Command::Doctor(doctor) => doctor::doctor(doctor, args.json, &mut out),
        Command::Repair(repair) => repair::repair(repair, args.json, &mut out),
        Command::Salvage(salvage) => salvage::salvage(salvage, args.json, &mut out),
        Command::Diff(diff) => diff::diff(diff, args.json, &mut out, &mut told),
        Command::Cursors(cursors) => cursors::cursors(cursors, args.json, &mut out),
        Command::Rebuild(rebuild) => rebuild::rebuild(rebuild, args.json, &mut out),
        Command::Man(man) => pages::man(man, &mut out),
        Command::Completions(shell) => pages::completions(shell, &mut out),
        Command::Replay(replay) => replay::replay(replay, args.json, &mut out, &mut told),
        Command::Reindex(reindex) => reindex::reindex(reindex, args.json, &mut out),
        Command::Torture(torture) => torture::torture(torture, args.json, &mut out, &mut told),
    };
    let done = done.and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    told.conclude(done)
}

/// Whether the output is all that comes of a command, so that nothing is left to do once nobody reads it.
fn only_prints(command: &Command) -> bool {
    match command {
        Command::Replay(replay) => replay.into.is_none() && replay.exec.is_none(),
        // Whose lines count as handed on once they are written.
        Command::Torture(torture) => {
            matches!(torture.half, Some(Half::Write(_) | Half::Consume(_)))
        }
        _ => false,
    }
}

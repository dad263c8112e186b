//! `forelog-recovery`: verifies Forelog directories, replays their events, rebuilds their index.
//!
//! The command is [`run`]; `main` only hands it the arguments. Verifying and replaying never write to
//! the directory that they read, and work on damaged ones and beside a live writer.

mod args;
mod progress;
mod reindex;
mod replay;
mod torture;
mod verify;

use std::io::{self, Write};

pub use args::{Args, Command, ReindexArgs, ReplayArgs, VerifyArgs};
use forelog_dump::{Exit, Told};
pub use torture::{CheckArgs, ConsumeArgs, Half, Promise, RunArgs, TortureArgs, WriteArgs};

/// Carries out the command: data and reports go to `out`, everything else to `err`.
///
/// A reader that closes `out` ends it quietly.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let mut out = io::BufWriter::new(out);
    let mut told = Told::new(args.json, err);
    let done = match &args.command {
        Command::Verify(verify) => verify::verify(verify, args.json, &mut out),
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

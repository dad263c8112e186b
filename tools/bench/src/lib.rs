//! `forelog-bench`: measures Forelog beside the raw floor of the same work.
//!
//! The command is [`run`]; `main` only hands it the arguments. [`EventSystemPerformanceTest`] measures
//! a system of your own from your own code.

mod args;
mod bench;
mod child;
mod floor;
mod latency;
mod lookup;
mod machine;
mod num;
mod performance;
mod progress;
mod quiet;
mod report;
mod rescue;
mod row;
mod suite;
mod table;
mod target;
mod work;

use std::io::Write;

pub use args::{
    AppendArgs, Args, ChildArgs, Command, FullArgs, IdsOf, LatencyArgs, Options, RetentionArgs,
    ScaleArgs, ScaleAtArgs,
};
pub use latency::Latency;
pub use machine::Machine;
pub use performance::{
    Builder, EventSystemPerformanceTest, Figures, PerformanceResults, Throughput,
};
pub use row::Row;
use serde::Serialize;
pub use target::{Bound, Check};

use forelog_dump::{Exit, Fault, Told};

/// The version of the JSON object.
const VERSION: u32 = 1;

/// What a command measured, and where.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The version of this object's shape.
    pub v: u32,
    /// Where and when it was measured.
    pub machine: Machine,
    /// Whether it was a short run, whose figures say nothing.
    pub short: bool,
    /// The figures.
    pub rows: Vec<Row>,
}

/// Carries out the command: figures go to `out`, everything else to `err`.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let mut told = Told::new(args.json, err);
    let done = measure(args, out);
    told.conclude(done)
}

fn measure(args: &Args, out: &mut dyn Write) -> Result<Exit, Fault> {
    let machine = Machine::this();
    if let Command::Child(child) = &args.command {
        let events = args.options.events_or(1);
        child::live(&child.path, events, args.options.size, out)?;
        return Ok(Exit::Good);
    }
    if let Command::ScaleAt(shape) = &args.command {
        serde_json::to_writer(&mut *out, &suite::scale_at(&args.options, *shape)?)?;
        return Ok(Exit::Good);
    }
    if let Some(path) = &args.report {
        report::check(path)?;
    }
    let mut rows = suite::rows(&args.options, &args.command)?;
    for row in &mut rows {
        target::judge(row, !args.options.short);
    }
    let outcome = Outcome {
        v: VERSION,
        machine,
        short: args.options.short,
        rows,
    };
    if let Some(path) = &args.report {
        report::write(path, &outcome)?;
    }
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &outcome)?;
        writeln!(out)?;
    } else {
        writeln!(out, "# {}", outcome.machine.line())?;
        write!(out, "{}", table::table(&outcome.rows))?;
    }
    out.flush()?;
    Ok(Exit::Good)
}

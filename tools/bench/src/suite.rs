//! What each command measures; `all` measures everything, in the order of the targets.

use std::time::Duration;

use forelog::Result;

use crate::args::{AppendArgs, Command, FullArgs, Options, RetentionArgs, ScaleAtArgs};
use crate::bench::Bench;
use crate::row::Row;
use crate::work::{
    append, dispatch, durable, idle, kept, monitored, open, pace, packed, pipeline, query, read,
    retain, scale, sealed, several, sized, space, sustained, typed,
};

const SUSTAINED: Duration = Duration::from_secs(10);
const SUSTAINED_FULL: Duration = Duration::from_secs(60);
const SUSTAINED_SHORT: Duration = Duration::from_millis(100);

/// The rows of a command.
pub(crate) fn rows(options: &Options, command: &Command) -> Result<Vec<Row>> {
    let bench = Bench::new(options.clone())?;
    let threads = options.threads;
    Ok(match command {
        Command::Append(args) => vec![appended(&bench, args)?],
        Command::Durable => vec![durable::single(&bench, threads.unwrap_or(1))?],
        Command::Pipeline => vec![pipeline::run(&bench)?],
        Command::Batch => batched(&bench, options.batch.unwrap_or(100))?,
        Command::Replay => vec![read::replay(&bench, "replay")?],
        Command::Get => vec![read::get(&bench)?],
        Command::Query => query::run(&bench)?,
        Command::Scale(args) => scale::run(&bench, args)?,
        Command::Open(args) => open::run(&bench, args.full)?,
        Command::Monitor => vec![monitored::run(&bench)?],
        Command::Dispatch => dispatched(&bench)?,
        Command::Latency(args) => vec![pace::run(&bench, args.rate, args.seconds)?],
        Command::Retention(args) => vec![retained(&bench, args)?],
        Command::Compress(args) => packed::run(&bench, args)?,
        Command::Encrypt => sealed::run(&bench)?,
        Command::Space(args) => vec![space::disk(&bench)?, space::memory(&bench, args.full)?],
        Command::All(args) => all(&bench, args)?,
        Command::Child(_) | Command::ScaleAt(_) => Vec::new(),
    })
}

/// What one process of `scale` measures.
pub(crate) fn scale_at(options: &Options, shape: ScaleAtArgs) -> Result<sized::Figures> {
    sized::measured(&Bench::new(options.clone())?, shape)
}

fn appended(bench: &Bench, args: &AppendArgs) -> Result<Row> {
    match args.seconds {
        Some(seconds) => sustained::run(bench, Duration::from_secs(seconds)),
        None if args.typed => typed::run(bench),
        None => append::burst(bench, bench.options.threads.unwrap_or(1)),
    }
}

fn batched(bench: &Bench, batch: u64) -> Result<Vec<Row>> {
    Ok(vec![
        durable::batches(bench, batch)?,
        kept::batches(bench, batch)?,
    ])
}

fn retained(bench: &Bench, args: &RetentionArgs) -> Result<Row> {
    let seconds = args.seconds.map_or(SUSTAINED, Duration::from_secs);
    let short = bench.options.short;
    let (max_bytes, time) = if short {
        (args.max_mib.unwrap_or(16), SUSTAINED_SHORT)
    } else {
        (args.max_mib.unwrap_or(1024), seconds)
    };
    retain::run(bench, max_bytes << 20, time, !args.no_recycling)
}

fn dispatched(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = idle::run(bench)?;
    rows.push(dispatch::busy(bench)?);
    rows.extend(several::run(bench)?);
    Ok(rows)
}

fn all(bench: &Bench, args: &FullArgs) -> Result<Vec<Row>> {
    let mut rows = written(bench, args)?;
    rows.push(read::replay(bench, "replay")?);
    rows.push(read::replay(&bench.resized(64)?, "replay_64")?);
    rows.extend(open::run(bench, args.full)?);
    rows.push(read::get(bench)?);
    rows.extend(query::run(bench)?);
    rows.push(space::disk(bench)?);
    rows.push(space::memory(bench, args.full)?);
    rows.extend(dispatched(bench)?);
    rows.push(pace::run(bench, None, None)?);
    rows.push(elsewhere());
    Ok(rows)
}

/// The rows of the write path.
fn written(bench: &Bench, args: &FullArgs) -> Result<Vec<Row>> {
    let time = match (bench.options.short, args.full) {
        (true, _) => SUSTAINED_SHORT,
        (false, true) => SUSTAINED_FULL,
        (false, false) => SUSTAINED,
    };
    let mut rows = vec![
        append::burst(bench, 1)?,
        sustained::run(bench, time)?,
        append::two_threads(bench)?,
        append::burst(bench, 4)?,
        append::burst(bench, 8)?,
        typed::run(bench)?,
        monitored::run(bench)?,
    ];
    for threads in [1, 8, 64] {
        rows.push(durable::single(bench, threads)?);
    }
    for batch in [100, 1000] {
        rows.extend(batched(bench, batch)?);
    }
    rows.push(pipeline::run(bench)?);
    Ok(rows)
}

/// What another program measures, so that no line of the targets is left out.
fn elsewhere() -> Row {
    Row::new("compare", "every workload beside other engines", "ratio")
        .note("measured by benches/compare, which writes its own table")
}

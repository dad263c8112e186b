//! A flight recorder: events that survive the death of the process which records them.
//!
//! ```text
//! cargo run --release --example flight_recorder -- --help
//! ```
//!
//! 1. A child process emits the events of a file, each durable before its receipt, while two handlers
//!    work on them. At a place that nobody can foresee it kills itself with SIGKILL.
//! 2. This process opens what the child left. All that was acknowledged is there, and the handlers
//!    get what they had not acknowledged.
//! 3. It goes on where the log ends, up to the end of the file.
//! 4. It rebuilds the airport board out of the log, and compares it with one that is counted straight
//!    from the file, figure by figure.
//!
//! Where Forelog is used: `ingest` emits, `handlers` has the handlers, and this file the replay and the
//! projection. The other modules make the crash, check the result and print it.

mod args;
mod board;
mod check;
mod crash;
mod delays;
mod doomed;
mod handlers;
mod home;
mod ingest;
mod input;
mod news;
mod report;
mod table;
mod truth;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forelog::{EventRef, EventSystem, Projection};

use args::{Command, Options, Orders};
use board::Board;
use check::Differences;
use crash::Crash;
use delays::delays_of;
use handlers::Ledger;
use home::Home;
use report::Figure;
use table::Table;
use truth::Truth;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let done = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Help) => {
            println!("{}", args::HELP);
            Ok(true)
        }
        Ok(Command::Record(options)) => record(&options),
        Ok(Command::Die(orders)) => doomed::record_and_die(&orders).map(|()| false),
        Err(usage) => {
            eprintln!("flight_recorder: {usage}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flight_recorder: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole story; returns whether it ended well.
fn record(options: &Options) -> Result<bool> {
    let input = &options.input;
    let truth = Truth::of(input)?;
    let home = Home::make(options.keep.as_deref())?;
    let mut differences = Differences::default();
    report::input(input, &truth);

    let orders = Orders {
        input: input.clone(),
        dir: home.path().to_owned(),
        events: truth.events,
    };
    let crash = Crash::witness(&orders)?;
    report::crash(&crash);

    let (system, took) = timed(|| Ok(ingest::open(home.path())?))?;
    let recovered = Figure {
        events: system.store().len(),
        took,
    };
    report::recovery(system.recovery(), recovered);
    differences.of_recovery(recovered.events, &crash, &truth);

    let ledger = Arc::new(Ledger::default());
    let noted = ledger.clone();
    handlers::register(&system, move |handled| noted.note(handled))?;
    system.start()?;
    system.drain(patience())?;
    report::redelivery(&crash.ledger, &ledger);
    let mut projection = board_projection(&system)?;
    projection.catch_up()?;
    projection.save()?;

    let (events, took) = timed(|| ingest::ingest(&system, input, |_| {}))?;
    let ingested = Figure { events, took };
    report::ingested(ingested);
    system.drain(patience())?;
    ledger.absorb(&crash.ledger);
    report::watched(&ledger);
    differences.of_deliveries(&system, &ledger, &truth)?;

    let mut board = Board::default();
    let (events, took) = timed(|| replay_board(&system, &mut board))?;
    let replayed = Figure { events, took };
    let mut projection = board_projection(&system)?;
    report::rebuilt(replayed, projection.position(), projection.catch_up()?);
    projection.save()?;
    differences.of_board("replay", &board, &truth);
    differences.of_board("projection", projection.state(), &truth);
    system.close()?;

    println!("\n{}", Table::of(&board, options.top));
    report::figures(recovered, ingested, replayed);
    report::verdict(&differences);
    Ok(differences.none())
}

/// Makes the board out of all events in the log; returns how many.
fn replay_board(system: &EventSystem, board: &mut Board) -> Result<u64> {
    let events = system.replay().run(|event| {
        count(board, event);
        Ok(())
    })?;
    Ok(events)
}

/// The board as a projection: a state that is saved together with its place in the log, so that it
/// goes on from there, in this process or the next.
fn board_projection(system: &EventSystem) -> Result<Projection<Board>> {
    let projection = system.projection("board", 1, Board::default(), |board, event| {
        count(board, event);
        Ok(())
    })?;
    Ok(projection)
}

/// Counts one event of the log.
fn count(board: &mut Board, event: &EventRef<'_>) {
    board.add(event.event_type(), event.source(), delays_of(event));
}

/// Until when handlers must have dealt with what is there.
fn patience() -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(300))
}

/// What `work` returns, and how long it took.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let started = Instant::now();
    let done = work()?;
    Ok((done, started.elapsed()))
}
